"""What each way of adding predicts when a circle of the sum is turned.

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

A small leak from one circle to the other is thus no evidence for `mixed`, nor is a noise of 1 a clock. Feucht et al.
2026 (2605.01148) found base-10 sums behind a language model's months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
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
