"""Which way of adding explains where the answers go when a circle of the sum is turned.

The hypotheses and what they predict are in `predictions`. For hypothesis H and the rotations r of one kind, with
weights w of that kind (moved, stayed, noise), estimated on other prompts than they are tested on,

    log L_H = Σ_pairs Σ_kinds mean_{r, prompts of the pair} Σ_y after_r(y) log P_H,r(y)

Half of the operand pairs estimate w (expectation maximisation, one prior count a component, w_moved on the side of
1/4 on which the hypothesis has it), the other half give log L_H. A pair counts once a kind, however many prompts ask
it and however many rotations it saw: those are no independent evidence, so the ratio stays conservative.

    observe(rotations) -> (r, n, p)     distributions over the p answers after each rotation, one-hot where greedy

is all that a network must provide (`known_networks.Turner` is one), beside the turns of `order_tests`. `likeliest`,
with a ratio R = 10:

    undetermined    fewer than half of the answers are right: there is no algorithm to find
    undetermined    fewer than half of the answers follow when the whole state is swapped: another place decides
    mixed           likelier than every pure hypothesis by more than R
    the likeliest   pure hypothesis, by more than R over every other
    undetermined    otherwise

That turning the modulus moves the answer is no evidence for a clock yet: any code with one vector for each answer is
shifted by it. Where it does, `decide` asks `order_tests`: `circle` keeps the word, `answer code` makes a clock a
look-up and leaves `mixed` undetermined, `undetermined` leaves both so.

`look-up` thus says one of two things, and the reason says which: neither circle carries the answer here - turned, they
leave it or destroy it - or there is one code for each answer, which moves in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.algorithms.order_tests import ANSWER_CODE, CIRCLE, UNDETERMINED, OrderEvidence
from causal.algorithms.predictions import (
    ALGORITHMS,
    CARRIES,
    HYPOTHESES,
    KINDS,
    Hypothesis,
    Kind,
    Rotation,
    components,
    mixture,
)
from toy.run.errors import InputError

Observe = Callable[[Sequence[Rotation]], Float[Tensor, "r n p"]]
Weights = Float[Tensor, " 3"]

RATIO = 10.0
"""Difference of log-likelihoods above which a hypothesis wins."""
KNOWS = 0.5
"""Share of answers that must be right."""
FOLLOWS = 0.5
"""Share of answers that must follow a swap of the whole state."""
ROUNDS = 100
"""Of expectation maximisation: a concave problem in three weights."""


@dataclass(frozen=True)
class Observations:
    """What was seen of one network at one place."""

    sums: Int[Tensor, " n"]
    """Integer sum of each prompt."""
    pairs: Int[Tensor, " n"]
    """Number of each prompt's operand pair."""
    before: Float[Tensor, "n p"]
    """Answers without any change."""
    rotations: tuple[Rotation, ...]
    after: Float[Tensor, "r n p"]
    follows: float
    """Share of prompts that give the donor's answer when their whole state is swapped for the donor's."""

    @property
    def accuracy(self) -> float:
        """Mean probability of the right answer without any change."""
        return float(self.before.gather(1, (self.sums % self.modulus)[:, None]).mean())

    @property
    def modulus(self) -> int:
        """p."""
        return self.before.shape[1]


@dataclass(frozen=True)
class Explained:
    """The better hypothesis of one algorithm."""

    hypothesis: Hypothesis
    log_likelihood: float
    """On the tested prompts."""
    weights: dict[Kind, Weights]
    """Moved, stayed, noise."""


@dataclass(frozen=True)
class Decision:
    """Which algorithm, and how clearly."""

    algorithm: str
    """One of `predictions.ALGORITHMS`, or `undetermined`."""
    ratio: float
    """log L of the likeliest pure hypothesis (of `mixed`, if that is the answer) minus that of its best rival."""
    reason: str
    explained: dict[str, Explained]
    n_pairs: int
    """Operand pairs that were tested on."""
    order: OrderEvidence | None
    """The tests of order; None where turning the modulus moves nothing, so that none was needed."""


def observe(
    answers_after: Observe,
    before: Float[Tensor, "n p"],
    sums: Int[Tensor, " n"],
    pairs: Int[Tensor, " n"],
    rotations: Sequence[Rotation],
    follows: float,
) -> Observations:
    """Ask a network for its answers after every rotation.

    Raises:
        InputError: the tables are not (r, n, p), a row is no distribution, or a kind of rotation is missing.
    """
    if missing := [kind for kind in KINDS if kind not in {rotation.kind for rotation in rotations}]:
        raise InputError(f"no rotation of {' and '.join(missing)} was given: hypotheses differ on both kinds")
    after = answers_after(rotations).double()
    if tuple(after.shape) != (expected := (len(rotations), *before.shape)):
        raise InputError(f"the answers after the rotations have shape {tuple(after.shape)}: give {expected}")
    for name, table in (("before", before.double()), ("after", after)):
        if bool((table < 0).any()) or not bool(((table.sum(-1) - 1).abs() < 1e-4).all()):
            raise InputError(f"the answers {name} rotation are no distributions: give rows >= 0 that sum to 1")
    return Observations(sums, pairs, before.double(), tuple(rotations), after, follows)


def which(seen: Observations, order_of: Callable[[], OrderEvidence], seed: int = 0) -> Decision:
    """Estimate the weights on one half of the operand pairs, compare the hypotheses on the other, decide.

    Args:
        seen: The answers after every rotation.
        order_of: Runs the tests of order; called only if turning the modulus moves the answer.
        seed: Of the halves.

    Raises:
        InputError: fewer than two operand pairs.
    """
    estimating = split(seen.pairs, seed)
    explained: dict[str, Explained] = {}
    for hypothesis in HYPOTHESES:
        weights: dict[Kind, Weights] = {}
        total = 0.0
        for kind in KINDS:
            weights[kind] = estimate(hypothesis, kind, *cases(hypothesis, seen, kind, estimating))
            total += log_likelihood(weights[kind], *cases(hypothesis, seen, kind, ~estimating))
        best = explained.get(hypothesis.algorithm)
        if best is None or total > best.log_likelihood:
            explained[hypothesis.algorithm] = Explained(hypothesis, total, weights)
    likelihood = {name: each.log_likelihood for name, each in explained.items()}
    algorithm, ratio, reason = likeliest(likelihood, seen.follows, seen.accuracy)
    order = order_of() if "modulus" in ALGORITHMS.get(algorithm, ()) else None
    if order is not None:
        algorithm, reason = decide(algorithm, reason, order)
    return Decision(algorithm, ratio, reason, explained, len(seen.pairs[~estimating].unique()), order)


def decide(algorithm: str, reason: str, order: OrderEvidence) -> tuple[str, str]:
    """(algorithm, reason) of a clock or a mixture once the tests of order are known."""
    if order.word == CIRCLE:
        return algorithm, f"{reason}; {order.reason}"
    word = "look-up" if (algorithm, order.word) == ("clock", ANSWER_CODE) else UNDETERMINED
    what = "one code for each answer" if order.word == ANSWER_CODE else "no circle was shown"
    return word, f"{what}: {order.reason}; as {algorithm} {reason}"


def likeliest(likelihood: Mapping[str, float], follows: float, accuracy: float) -> tuple[str, float, str]:
    """(algorithm, ratio, reason) from the likelihoods alone."""
    best, second = sorted((name for name in ALGORITHMS if name != "mixed"), key=lambda name: -likelihood[name])[:2]
    between, beyond = likelihood[best] - likelihood[second], likelihood["mixed"] - likelihood[best]
    if accuracy < KNOWS:
        return UNDETERMINED, between, f"only {accuracy:.0%} of the answers are right: there is no algorithm to find"
    if follows < FOLLOWS:
        said = f"only {follows:.0%} of the answers follow a swap of the whole state: another place decides them"
        return UNDETERMINED, between, said
    if beyond > RATIO:
        return "mixed", beyond, f"both circles move the answer: log-likelihood {beyond:.1f} above that of {best}"
    said = f"log-likelihood {between:.1f} above that of {second}"
    return (best, between, said) if between > RATIO else (UNDETERMINED, between, f"{best} has a {said}: not enough")


def split(pairs: Int[Tensor, " n"], seed: int) -> Bool[Tensor, " n"]:
    """Which prompts estimate the weights: those of a random half of the operand pairs.

    Raises:
        InputError: fewer than two pairs.
    """
    different, place = pairs.unique(return_inverse=True)
    if len(different) < 2:
        raise InputError(f"{len(different)} operand pair cannot be split: give two or more")
    chosen = torch.zeros(len(different), dtype=torch.bool)
    order = torch.randperm(len(different), generator=torch.Generator().manual_seed(seed))
    chosen[order[: len(different) // 2]] = True
    return chosen[place]


def cases(
    hypothesis: Hypothesis, seen: Observations, kind: Kind, rows: Bool[Tensor, " n"]
) -> tuple[Float[Tensor, "3 m"], Float[Tensor, " m"]]:
    """Every answer that was given: its probability under each component, and its mass; a pair's masses sum to 1."""
    _, place, counts = seen.pairs[rows].unique(return_inverse=True, return_counts=True)
    chosen = [index for index, rotation in enumerate(seen.rotations) if rotation.kind == kind]
    once = 1 / (counts[place].double() * len(chosen))
    probabilities, masses = [], []
    for index in chosen:
        mass = seen.after[index][rows] * once[:, None]
        parts = components(hypothesis, seen.rotations[index], seen.sums[rows], seen.before[rows])
        probabilities.append(parts[:, mass > 0])
        masses.append(mass[mass > 0])
    return torch.cat(probabilities, dim=1), torch.cat(masses)


def estimate(hypothesis: Hypothesis, kind: Kind, parts: Float[Tensor, "3 m"], mass: Float[Tensor, " m"]) -> Weights:
    """(moved, stayed, noise) of a kind of rotation, w_moved on the hypothesis' side of `CARRIES`."""
    carries = kind in hypothesis.carried_by
    weights = torch.full((3,), 1 / 3, dtype=torch.float64)
    for _ in range(ROUNDS):
        weighted = weights[:, None] * parts
        counts = 1 + (weighted / weighted.sum(dim=0) * mass).sum(dim=1)
        weights = counts / counts.sum()
        if carries != (float(weights[0]) > CARRIES):
            rest = weights[1:] * ((1 - CARRIES) / weights[1:].sum())
            weights = torch.cat([weights.new_tensor([CARRIES]), rest])
    return weights


def log_likelihood(weights: Weights, parts: Float[Tensor, "3 m"], mass: Float[Tensor, " m"]) -> float:
    """Σ mass log P."""
    return float((mass * mixture(weights, parts).log()).sum())


def histogram_rows(seen: Observations, decision: Decision) -> list[dict[str, Any]]:
    """Shares of (answer - s) mod p, observed and as every algorithm predicts them: a row a rotation and shift."""
    answers = seen.sums % seen.modulus
    rows = []
    for index, rotation in enumerate(seen.rotations):
        shares = {"observed": around(seen.after[index], answers)}
        for name, each in decision.explained.items():
            parts = components(each.hypothesis, rotation, seen.sums, seen.before)
            shares[name] = around(mixture(each.weights[rotation.kind], parts), answers)
        for shift in range(seen.modulus):
            told = {name: float(share[shift]) for name, share in shares.items()}
            rows.append({"kind": rotation.kind, "step": rotation.step, "shift": shift, **told})
    return rows


def around(table: Float[Tensor, "n p"], answers: Int[Tensor, " n"]) -> Float[Tensor, " p"]:
    """The mean distribution of (answer - s) mod p."""
    modulus = table.shape[1]
    return table.gather(1, (torch.arange(modulus) + answers[:, None]) % modulus).mean(dim=0)


def table_rows(decision: Decision) -> list[dict[str, Any]]:
    """One row an algorithm and kind of rotation: its rule, weights, and log-likelihood on both kinds together."""
    best = max(each.log_likelihood for each in decision.explained.values())
    return [
        {
            "algorithm": name,
            "kind": kind,
            "rule": each.hypothesis.rule if kind == "base 10" else "step",
            "carries": kind in each.hypothesis.carried_by,
            "moved": float(weights[0]),
            "stayed": float(weights[1]),
            "noise": float(weights[2]),
            "log_likelihood": each.log_likelihood,
            "below_best": best - each.log_likelihood,
            "verdict": decision.algorithm,
            "ratio": decision.ratio,
        }
        for name, each in decision.explained.items()
        for kind, weights in each.weights.items()
    ]
