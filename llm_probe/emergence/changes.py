"""From which step on does something stand above its null? A change point with an interval, or none.

At every checkpoint a test says whether the measure exceeds its null; where there is nothing to find it does so in at
most a share ALPHA of the checkpoints. Two stories of the n outcomes are compared:

    never            each exceeds with probability ALPHA
    from step i on   before i with ALPHA, from i on with one unknown probability, all of which are equally likely

with prior 1/2 for `never` and 1/2 shared by the n steps: a Bayesian change point with one change (as in Barry &
Hartigan 1993, for Bernoulli outcomes). The integral over the unknown probability is a Beta function.
A change is reported where `never` keeps 5 % of the posterior or less. One checkpoint that stands out is never enough;
the last two together are not either, the last three are.

The outcomes are taken as independent. Checkpoints close to each other are not, so a chance that lasts looks like a
change: the planted trials (`scripts/calibration/planted_emergence.py`) measure how often that happens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ALPHA = 0.05
"""Share of checkpoints at which a measure exceeds its null though there is nothing, at most."""
NEVER = 0.05
"""Posterior of `never` below which a change is reported."""
COVERED = 0.95
"""Of the posterior over steps."""


@dataclass(frozen=True)
class Change:
    """A change point among n checkpoints, counted from 0."""

    index: int | None
    """The likeliest first checkpoint above the null; None where none is reported."""
    low: int | None
    """First checkpoint of the interval."""
    high: int | None
    """Last one."""
    never: float
    """Posterior probability that there is no change."""

    def among(self, steps: Sequence[int]) -> dict[str, int | None]:
        """Where the checkpoints have these steps: its `step`, `not_yet_at` before the interval, `above_at` its end."""
        return {
            "step": None if self.index is None else steps[self.index],
            "not_yet_at": steps[self.low - 1] if self.low else None,
            "above_at": None if self.high is None else steps[self.high],
        }


def change_of(exceeds: Sequence[bool]) -> Change:
    """The change point of outcomes in the order of their steps."""
    n = len(exceeds)
    before = [0.0]
    for one in exceeds:
        before.append(before[-1] + math.log(ALPHA if one else 1 - ALPHA))
    weights = [math.exp(before[i] + _any_share(exceeds[i:])) / (2 * n) for i in range(n)]
    never = math.exp(before[n]) / 2
    never /= never + sum(weights)
    if not n or never > NEVER:
        return Change(None, None, None, never)
    index = max(range(n), key=weights.__getitem__)
    low, high = _interval(weights, index)
    return Change(index, low, high, never)


def _any_share(outcomes: Sequence[bool]) -> float:
    """Log likelihood of outcomes whose probability may be anything: log B(1 + successes, 1 + failures)."""
    successes = sum(outcomes)
    failures = len(outcomes) - successes
    return math.lgamma(1 + successes) + math.lgamma(1 + failures) - math.lgamma(2 + len(outcomes))


def _interval(weights: Sequence[float], index: int) -> tuple[int, int]:
    """The shortest stretch around `index` with COVERED of the weight, grown to the heavier side."""
    low = high = index
    while sum(weights[low : high + 1]) < COVERED * sum(weights):
        left = weights[low - 1] if low else -1.0
        right = weights[high + 1] if high + 1 < len(weights) else -1.0
        low, high = (low - 1, high) if left >= right else (low, high + 1)
    return low, high
