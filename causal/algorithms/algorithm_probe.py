"""Which algorithm adds at a location of a language model: its circles turned as `algorithm` demands, its answers read.

At every node of the answer tree the discovery states are regressed on the circles of the modulus and those of the ones
digit of the integer sum at once, so that Wᵀ A = I across both kinds: a turn of one leaves what is read of the other
where it was (`directions.pattern`). Answers are the probabilities of the p possible ones, normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.algorithm import Observations, histogram_rows, observe, table_rows, which
from causal.algorithms.predictions import BASE, Kind, Rotation, can_be_told, digit_frequencies, rotations
from causal.experiments.experiment import Experiment
from causal.interventions.directions import pattern, states_at, targets_of
from causal.interventions.edits import INTERVENTIONS, rotate, rotation
from causal.interventions.engine import Edit, Edits
from causal.interventions.questions import ANSWER
from causal.run.tables import AlgorithmRow, PredictionRow
from llm_probe.activations.answers import Answers, Tokens
from toy.maths.regression import Groups


@dataclass(frozen=True)
class Circles:
    """The circles of one kind at one node."""

    writer: Float[Tensor, "d m"]
    reader: Float[Tensor, "d m"]
    mean: Float[Tensor, " d"]


def algorithm_rows(experiment: Experiment) -> Iterator[AlgorithmRow | PredictionRow]:
    """Rows of every algorithm, and of the histograms; none where the two circles are one."""
    if not can_be_told(experiment.claim.period):
        return
    seen = observations(experiment)
    decision = which(seen, experiment.config.seed)
    d = experiment.root
    for row in table_rows(decision):
        where = (d.domain, d.layer, d.site, experiment.position)
        yield AlgorithmRow(*where, **row, reason=decision.reason, n_pairs=decision.n_pairs)
    columns = {"base-10 then reduce": "base_10", "look-up": "look_up"}
    for row in histogram_rows(seen, decision):
        yield PredictionRow(d.domain, d.layer, **{columns.get(name, name): value for name, value in row.items()})


def observations(experiment: Experiment) -> Observations:
    """Everything that `algorithm.which` needs, on the first of the causal prompts."""
    engine, baseline = experiment.subset
    questions, labels, position = baseline.questions, baseline.questions.labels, experiment.position
    circles = fitted(experiment)

    def rotated(turns: Sequence[Rotation]) -> Float[Tensor, "r n p"]:
        answers = engine.answers([edits(position, circles, turn) for turn in turns], experiment.tick)
        return torch.stack([shares(after) for after in answers])

    donors, full = questions.donors(experiment.config.seed), INTERVENTIONS["full interchange"]
    given = {node: engine.states(node)[donors] for node in experiment.sites.at}
    swapped = engine.answers([experiment.sites.edits(position, lambda d, node: full.edit(d, given[node]))])[0]
    follows = float((swapped.written == labels[donors]).double().mean())
    turns = rotations(experiment.claim.period, experiment.frequencies)
    return observe(rotated, shares(baseline.clean), questions.sums, questions.pairs, turns, follows)


def fitted(experiment: Experiment) -> dict[Tokens, dict[Kind, Circles]]:
    """The circles of both kinds at every node, from the discovery prompts."""
    engine, labels = experiment.discovery
    circles: dict[Tokens, dict[Kind, Circles]] = {}
    for node in experiment.sites.at:
        states, rows = states_at(engine, node)
        modulus = targets_of(labels.total[rows], experiment.frequencies, experiment.claim.period)
        digits = targets_of(labels.total[rows], digit_frequencies(experiment.claim.period), BASE)
        writer, reader = pattern(states, torch.cat([modulus, digits], dim=1), Groups.of(labels.unit[rows]))
        cut, mean = modulus.shape[1], states.double().mean(dim=0)
        circles[node] = {
            "modulus": Circles(writer[:, :cut], reader[:, :cut], mean),
            "base 10": Circles(writer[:, cut:], reader[:, cut:], mean),
        }
    return circles


def edits(position: str, circles: Mapping[Tokens, Mapping[Kind, Circles]], turn: Rotation) -> Edits:
    """One turn at the root or at every node."""
    matrix = rotation(turn.frequencies, turn.period, turn.step)

    def edit(one: Circles) -> Edit:
        return lambda states, _: rotate(states, one.reader, one.mean, matrix, one.writer)

    if position != ANSWER:
        return edit(circles[()][turn.kind])
    return {node: edit(kinds[turn.kind]) for node, kinds in circles.items()}


def shares(answers: Answers) -> Float[Tensor, "n p"]:
    """Probabilities of the p answers, normalised."""
    return answers.log_p.double().softmax(dim=1)
