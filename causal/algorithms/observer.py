"""Which algorithm adds at a place of a language model: its circles turned as `algorithm` asks, its answers observed.

At every node of the answer tree the discovery states are regressed on the circles of the modulus and those of the ones
digit of the integer sum at once, so that Wᵀ A = I across both kinds: a turn of one leaves what is read of the other
where it was (`directions.pattern`). Answers are the probabilities of the p possible ones, normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.algorithm import Observations, histogram_rows, observe, table_rows, which
from causal.algorithms.predictions import BASE, Kind, Rotation, can_be_told, digit_frequencies, rotations
from causal.experiments.experiment import Experiment
from causal.interventions import directions, sites
from causal.interventions import edits as interventions
from causal.interventions.batches import ANSWER
from causal.interventions.directions import targets_of
from causal.interventions.engine import Edit, Edits
from causal.run.table import AlgorithmRow, Piece, PredictionRow
from llm_probe.activations.answers import Answers, Tokens
from toy.maths.regression import Groups


@dataclass(frozen=True)
class Circles:
    """The circles of one kind at one node."""

    writer: Float[Tensor, "d m"]
    reader: Float[Tensor, "d m"]
    mean: Float[Tensor, " d"]


def algorithm_piece(experiment: Experiment) -> Piece:
    """Rows of every algorithm, and of the histograms; empty where the two circles are one."""
    if not can_be_told(experiment.claim.period):
        return Piece()
    seen = observations(experiment)
    found = which(seen, experiment.config.seed)
    d, piece = experiment.root, Piece()
    place = {"domain": d.domain, "layer": d.layer}
    for row in table_rows(found):
        where = {"site": d.site, "position": experiment.position}
        piece.add(AlgorithmRow(**place, **where, **row, reason=found.reason, n_pairs=found.n_pairs))
    for row in histogram_rows(seen, found):
        piece.add(PredictionRow(**place, **{_column(name): value for name, value in row.items()}))
    return piece


def observations(experiment: Experiment) -> Observations:
    """Everything that `algorithm.which` needs, on the first of the causal prompts."""
    engine, bench = experiment.few
    prompts, labels = bench.questions, bench.questions.labels
    circles = fitted(experiment)

    def observed(turns: Sequence[Rotation]) -> Float[Tensor, "r n p"]:
        found = engine.answers([edits(experiment.position, circles, turn) for turn in turns], experiment.tick)
        return torch.stack([shares(after) for after in found])

    donors = sites.donors_of(labels, experiment.config.seed)
    given = {node: engine.states(node)[donors] for node in experiment.sites.at}
    swapped = engine.answers([experiment.sites.edits(experiment.position, sites.full_interchange(given))])[0]
    follows = float((swapped.written == labels[donors]).double().mean())
    sums = torch.tensor([prompt.total for prompt in prompts.prompts])
    turns = rotations(experiment.claim.period, experiment.frequencies)
    return observe(observed, shares(bench.clean), sums, prompts.pairs, turns, follows)


def fitted(experiment: Experiment) -> dict[Tokens, dict[Kind, Circles]]:
    """The circles of both kinds at every node, from the discovery prompts."""
    engine, labels = experiment.discovery
    found = {}
    for node in experiment.sites.at:
        states = engine.states(node)
        there = states.abs().amax(dim=1) > 0
        states, total = states[there], labels.total[there]
        modulus = targets_of(total, experiment.frequencies, experiment.claim.period)
        digits = targets_of(total, digit_frequencies(experiment.claim.period), BASE)
        both = torch.cat([modulus, digits], dim=1)
        writer, reader = directions.pattern(states, both, Groups.of(labels.unit[there]))
        cut, mean = modulus.shape[1], states.double().mean(dim=0)
        found[node] = {
            "modulus": Circles(writer[:, :cut], reader[:, :cut], mean),
            "base 10": Circles(writer[:, cut:], reader[:, cut:], mean),
        }
    return found


def edits(position: str, circles: Mapping[Tokens, Mapping[Kind, Circles]], turn: Rotation) -> Edits:
    """One turn at one place or at every node."""
    matrix = interventions.rotation(turn.frequencies, turn.period, turn.step)

    def edit(one: Circles) -> Edit:
        return lambda states, _: interventions.rotate(states, one.reader, one.mean, matrix, one.writer)

    if position != ANSWER:
        return edit(circles[()][turn.kind])
    return {node: edit(kinds[turn.kind]) for node, kinds in circles.items()}


def shares(answers: Answers) -> Float[Tensor, "n p"]:
    """Probabilities of the p answers, normalised."""
    return answers.log_p.double().softmax(dim=1)


def _column(name: str) -> str:
    return {"base-10 then reduce": "base_10", "look-up": "look_up"}.get(name, name)
