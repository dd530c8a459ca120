"""Which algorithm adds at a location of a language model: its circles turned as `algorithm` demands, its answers read.

At every node of the answer tree the discovery states are regressed on the circles of the modulus and those of the ones
digit of the integer sum at once, so that Wᵀ A = I across both kinds: a turn of one leaves what is read of the other
where it was (`directions.pattern`). Answers are the probabilities of the p possible ones, normalised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.algorithm import (
    BASE,
    Kind,
    Observations,
    Rotation,
    can_be_told,
    digit_frequencies,
    histogram_rows,
    observe,
    rotations,
    table_rows,
    which,
)
from causal.experiments.experiment import Experiment
from causal.interventions.directions import Directions, SiteSet, nearest_orthonormal, pattern, states_at, targets_of
from causal.interventions.edits import INTERVENTIONS
from causal.run.tables import AlgorithmRow, PredictionRow
from llm_probe.activations.answers import Answers, Tokens
from toy.maths.regression import Groups


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
    rotate, full = INTERVENTIONS["rotate"], INTERVENTIONS["full interchange"]
    circles = circles_of_both_kinds(experiment)

    def after(turns: Sequence[Rotation]) -> Float[Tensor, "r n p"]:
        edits = [circles[turn.kind].edits(position, lambda d, _, j=turn.step: rotate.edit(d, j)) for turn in turns]
        return torch.stack([shares(answers) for answers in engine.answers(edits, experiment.tick)])

    donors = questions.donors(experiment.config.seed)
    given = {node: engine.states(node)[donors] for node in experiment.sites.at}
    swapped = engine.answers([experiment.sites.edits(position, lambda d, node: full.edit(d, given[node]))])[0]
    follows = float((swapped.written == labels[donors]).double().mean())
    turns = rotations(experiment.claim.period, experiment.frequencies)
    return observe(after, shares(baseline.clean), questions.sums, questions.pairs, turns, follows)


def circles_of_both_kinds(experiment: Experiment) -> dict[Kind, SiteSet]:
    """The circles of the modulus and of the ones digit at every node, from the discovery prompts."""
    engine, labels = experiment.discovery
    period, frequencies = experiment.claim.period, experiment.frequencies
    at: dict[Kind, dict[Tokens, Directions]] = {"modulus": {}, "base 10": {}}
    for node, root in experiment.sites.at.items():
        states, rows = states_at(engine, node)
        modulus = targets_of(labels.total[rows], frequencies, period)
        digits = targets_of(labels.total[rows], digit_frequencies(period), BASE)
        writer, reader = pattern(states, torch.cat([modulus, digits], dim=1), Groups.of(labels.unit[rows]))
        cut, mean = modulus.shape[1], states.double().mean(dim=0)
        parts: dict[Kind, tuple] = {
            "modulus": (period, frequencies, writer[:, :cut], reader[:, :cut]),
            "base 10": (BASE, digit_frequencies(period), writer[:, cut:], reader[:, cut:]),
        }
        for kind, (p, k, a, w) in parts.items():
            basis = nearest_orthonormal(a)
            at[kind][node] = replace(root, period=p, frequencies=k, basis=basis, writer=a, reader=w, mean=mean)
    return {kind: SiteSet(directions) for kind, directions in at.items()}


def shares(answers: Answers) -> Float[Tensor, "n p"]:
    """Probabilities of the p answers, normalised."""
    return answers.log_p.double().softmax(dim=1)
