"""Which algorithm adds at a location of a language model: its circles turned as `algorithm` demands, its answers read.

At every node of the answer tree the discovery states are regressed on the circles of the modulus and those of the ones
digit of the integer sum at once, so that Wᵀ A = I across both kinds: a turn of one leaves what is read of the other
where it was (`directions.pattern`). Answers are the probabilities of the p possible ones, normalised. Whether the
answers stand in an order (`order_tests`) is tested with the mean discovery state of each answer, at every node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.algorithm import Observations, histogram_rows, observe, table_rows, which
from causal.algorithms.answer_code import AnswerMeans, CodeTurn
from causal.algorithms.order_tests import OrderEvidence, order_evidence
from causal.algorithms.predictions import BASE, Kind, Rotation, can_be_told, digit_frequencies, rotations
from causal.algorithms.tables import AlgorithmRow, OrderRow, PredictionRow
from causal.experiments.experiment import Experiment
from causal.interventions.directions import Directions, SiteSet, pattern, states_at
from causal.interventions.edits import INTERVENTIONS
from llm_probe.activations.answers import Answers, Tokens
from llm_probe.statistics.patterns import nearest_orthonormal, targets_of
from toy.maths.regression import Groups


def algorithm_rows(experiment: Experiment) -> Iterator[AlgorithmRow | OrderRow | PredictionRow]:
    """Rows of the tests of order, of every algorithm and of the histograms; the last two only for sums whose modulus
    and ones digit have two circles."""
    d, order = experiment.root, order_of(experiment)
    where = (d.domain, d.layer, d.site, experiment.position)
    n = len(experiment.subset[1].right)
    for test in order.tests:
        yield OrderRow(*where, **asdict(test), planes=order.planes, orders=order.orders, n=n, word=order.word,
                       reason=order.reason)  # fmt: skip
    if experiment.quantity == "item" or not can_be_told(experiment.claim.period):
        return
    seen = observations(experiment)
    decision = which(seen, lambda: order, experiment.config.seed)
    for row in table_rows(decision):
        yield AlgorithmRow(*where, **row, reason=decision.reason, n_pairs=decision.n_pairs)
    columns = {"base-10 then reduce": "base_10", "look-up": "look_up"}
    for row in histogram_rows(seen, decision):
        yield PredictionRow(d.domain, d.layer, **{columns.get(name, name): value for name, value in row.items()})


def order_of(experiment: Experiment) -> OrderEvidence:
    """Whether the answers stand in an order, on the first of the causal prompts."""
    engine, baseline = experiment.subset
    questions, period = baseline.questions, experiment.claim.period
    discovery, labels = experiment.discovery
    means = {}
    for node in experiment.sites.at:
        states, rows = states_at(discovery, node)
        means[node] = AnswerMeans.of(states, labels.label[rows], period)

    def after(turns: Sequence[CodeTurn]) -> Float[Tensor, "t n p"]:
        edits = [
            experiment.sites.edits(experiment.position, lambda _, node, turn=turn: means[node].planes(turn).turned)
            for turn in turns
        ]
        return torch.stack([shares(answers) for answers in engine.answers(edits, experiment.tick)])

    seed, frequencies, answers = experiment.config.seed, experiment.frequencies, questions.labels
    return order_evidence(after, experiment.held(questions), answers, questions.pairs, period, frequencies, seed)


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
