"""Which way of adding explains where the answers go when a circle of the sum is turned.

n is the integer sum of a prompt, s = n mod p its answer, u = n mod 10 its ones digit. Two kinds of circles are turned:

    modulus     frequencies k of period p, that is T = p/k, by j steps of n
    base 10     frequencies 1, 2, 5 of period 10, that is T = 10, 5, 2, by j units of the ones digit

A circle that carries the answer moves it when it is turned, by δ (n,):

    modulus             δ = j                          the sum is a position on a circle of p: a clock
    base 10, digit      δ = ((u + i) mod 10) - u       the ones digit turns by itself: the answer is (n + δ) mod p
    base 10, carry      δ = i                          … and carries into the tens

i = j where T = 10 is turned, or T = 5 and T = 2 together. Where only one of the two is, i is the change of the digit
that agrees with what was turned and with what was not: 6j mod 10 for T = 5 (j modulo 5, 0 modulo 2) and 5j mod 10 for
T = 2 (Chinese remainders). No network is a pure case, so answers are a mixture of the answers before, before (n, p):

    P(y) = w_moved before(y - δ) + w_stayed before(y) + w_noise / p

and the hypotheses are where w_moved lies for the two kinds (`CARRIES` = 1/4):

                          turning the modulus    turning base 10
    clock                 >= 1/4                 <= 1/4
    base-10 then reduce   <= 1/4                 >= 1/4
    look-up               <= 1/4                 <= 1/4             nothing moves: answers stay or are destroyed
    mixed                 >= 1/4                 >= 1/4

A small leak from one circle to the other is thus no evidence for `mixed`, nor is a noise of 1 a clock. The weights are
estimated on other prompts than they are tested on. Feucht et al. 2026 (2605.01148) found base-10 sums behind
a language model's months.

For hypothesis H and the rotations r of one kind, with weights w of that kind (moved, stayed, noise),

    log L_H = Σ_pairs Σ_kinds mean_{r, prompts of the pair} Σ_y after_r(y) log P_H,r(y)

Half of the operand pairs estimate w (expectation maximisation, one prior count a component, w_moved on the side of
1/4 on which the hypothesis has it), the other half give log L_H. A pair counts once a kind, however many prompts ask
it and however many rotations it saw: those are no independent evidence, so the ratio stays conservative.

    observe(rotations) -> (r, n, p)     distributions over the p answers after each rotation, one-hot where greedy

is all that a network must provide (`known_networks.Turner` is one). `decide`, with a ratio R = 10:

    undetermined    fewer than half of the answers are right: there is no algorithm to find
    undetermined    fewer than half of the answers follow when the whole state is swapped: another place decides
    mixed           likelier than every pure hypothesis by more than R
    the likeliest   pure hypothesis, by more than R over every other
    undetermined    otherwise

`look-up` says no more than that neither circle carries the answer here: turned, they leave it or destroy it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.run.errors import InputError

Kind = Literal["modulus", "base 10"]
Rule = Literal["digit", "carry"]
KINDS: tuple[Kind, ...] = ("modulus", "base 10")
BASE = 10
DIGIT_FREQUENCIES = (1, 2, 5)
"""T = 10, 5, 2."""
CARRIES = 0.25
"""A circle carries the answer if turning it moves at least this share of the answers as predicted."""


@dataclass(frozen=True)
class Rotation:
    """Circles of the integer sum, turned together by `step` units of it."""

    kind: Kind
    period: int
    """p, or 10."""
    frequencies: tuple[int, ...]
    step: int

    @property
    def digit_step(self) -> int:
        """i, by how much the ones digit moves that agrees with what was turned and with what was not."""
        orders = [BASE // math.gcd(k, BASE) for k in self.frequencies]
        by_two, by_five = any(n % 2 == 0 for n in orders), any(n % 5 == 0 for n in orders)
        return (5 * by_two + 6 * by_five) * self.step % BASE


@dataclass(frozen=True)
class Hypothesis:
    """Which circles carry the answer."""

    algorithm: str
    """One of `ALGORITHMS`."""
    rule: Rule
    """What turning base 10 does to the digits, as far as it does anything."""

    @property
    def carried_by(self) -> tuple[Kind, ...]:
        """The circles that carry the answer."""
        return ALGORITHMS[self.algorithm]


ALGORITHMS: dict[str, tuple[Kind, ...]] = {
    "clock": ("modulus",),
    "base-10 then reduce": ("base 10",),
    "look-up": (),
    "mixed": ("modulus", "base 10"),
}
"""Each algorithm and the circles that carry its answer."""

RULES: tuple[Rule, ...] = ("digit", "carry")
HYPOTHESES = tuple(Hypothesis(algorithm, rule) for algorithm in ALGORITHMS for rule in RULES)
"""An algorithm is as likely as the better of its two hypotheses."""


def rotations(modulus: int, frequencies: Sequence[int], most: int = 12) -> list[Rotation]:
    """The default set: the modulus' circles by up to `most` steps spread over 1 … p - 1, base 10 by 1 … 9.

    Raises:
        InputError: no frequency, or a modulus that divides 10 or is a multiple of it, so that the two circles are one.
    """
    if not frequencies:
        raise InputError("no frequency of the modulus was given: give those whose planes were accepted")
    if not can_be_told(modulus):
        raise InputError(
            f"modulo {modulus} the answer and the ones digit lie on one circle, of period {min(modulus, BASE)}: give "
            "a modulus that neither divides 10 nor is a multiple of it"
        )
    steps = spread(modulus, most)
    turns = [Rotation("modulus", modulus, tuple(frequencies), step) for step in steps]
    return turns + [Rotation("base 10", BASE, digit_frequencies(modulus), step) for step in range(1, BASE)]


def spread(period: int, most: int) -> list[int]:
    """At most `most` of the steps 1 … p - 1, evenly."""
    count = min(most, period - 1)
    return sorted({1 + round(index * (period - 2) / max(count - 1, 1)) for index in range(count)})


def can_be_told(modulus: int) -> bool:
    """Whether the circle of the modulus is another than that of the ones digit."""
    return modulus % BASE != 0 and BASE % modulus != 0


def digit_frequencies(modulus: int) -> tuple[int, ...]:
    """Those of 1, 2, 5 whose period 10/k is none of the modulus' p/k': turning the others could tell nothing apart."""
    return tuple(k for k in DIGIT_FREQUENCIES if k * modulus % BASE)


def shift(hypothesis: Hypothesis, rotation: Rotation, sums: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """δ: by how much each prompt's answer moves if the circle carries it; it may be negative."""
    if rotation.kind == "modulus":
        return torch.full_like(sums, rotation.step)
    if hypothesis.rule == "carry":
        return torch.full_like(sums, rotation.digit_step)
    ones = sums % BASE
    return (ones + rotation.digit_step) % BASE - ones


def moved(before: Float[Tensor, "n p"], shifts: Int[Tensor, " n"]) -> Float[Tensor, "n p"]:
    """before(y - δ): each prompt's answers, moved round the circle."""
    modulus = before.shape[1]
    return before.gather(1, (torch.arange(modulus) - shifts[:, None]) % modulus)


def components(
    hypothesis: Hypothesis, rotation: Rotation, sums: Int[Tensor, " n"], before: Float[Tensor, "n p"]
) -> Float[Tensor, "3 n p"]:
    """What the mixture is made of: moved, stayed, noise."""
    noise = torch.full_like(before, 1 / before.shape[1])
    return torch.stack([moved(before, shift(hypothesis, rotation, sums)), before, noise])


def mixture(weights: Float[Tensor, " 3"], parts: Float[Tensor, "3 ..."]) -> Float[Tensor, " ..."]:
    """P."""
    return torch.tensordot(weights, parts, dims=1)


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
UNDETERMINED = "undetermined"


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


def which(seen: Observations, seed: int = 0) -> Decision:
    """Estimate the weights on one half of the operand pairs, compare the hypotheses on the other, decide.

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
    decided = decide({name: each.log_likelihood for name, each in explained.items()}, seen.follows, seen.accuracy)
    return Decision(*decided, explained, len(seen.pairs[~estimating].unique()))


def decide(likelihood: Mapping[str, float], follows: float, accuracy: float) -> tuple[str, float, str]:
    """(algorithm, ratio, reason) from the log-likelihood of each of `ALGORITHMS`."""
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
