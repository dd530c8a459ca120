"""How much two sets of class means share: their best dimensions and their planes, between a ceiling and a floor.

    shared(A, B) = |A ∩ B| / 10               of the ten dimensions with the largest class-mean R²
    overlap(U, V) = ||Uᵀ V||² / 2             mean squared cosine of the principal angles of two planes in R^d

U is the plane in which frequency k lies (`analysis.planes.basis`). By chance two random planes overlap by 2 / d and two
random sets share 10 / d. Neither is 1 for the *same* quantity measured twice: with many near-ties the ten best
dimensions of two halves of one grid differ too. So every comparison is made between halves of the operand pairs:

    between   half of one task with half of another
    ceiling   half of a task with its other half (geometric mean of the two tasks)
    floor     the same between tasks whose rows were shuffled
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from toy.analysis import planes
from toy.maths.regression import class_mean_r2

TOP = 10
"""Dimensions that count as the best, as published."""

Means = Float[Tensor, "n d"]
Compare = Callable[[Tensor, Tensor], float]


def top_dims(means: Float[Tensor, "n d"], count: int = TOP) -> list[int]:
    """The dimensions with the largest class-mean R² over all frequencies, the best first."""
    return class_mean_r2(means).amax(dim=0).topk(min(count, means.shape[1])).indices.tolist()


def shared(first: list[int], second: list[int]) -> float:
    """Share of the dimensions that two lists have in common."""
    return len(set(first) & set(second)) / max(len(first), 1)


def shared_dims(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]) -> float:
    """Share of the ten best dimensions that two tasks have in common."""
    return shared(top_dims(first), top_dims(second))


def plane_overlap(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"], frequency: int) -> float:
    """Mean squared cosine of the angles between the planes of a frequency."""
    bases = [planes.basis(means, frequency) for means in (first, second)]
    return float((bases[0].T @ bases[1]).square().sum() / 2)


@dataclass(frozen=True)
class Overlap:
    """One comparison with what it can be at most and would be by chance."""

    between: float
    ceiling: float
    floor: float


def compare(
    first: Float[Tensor, "splits two n d"],
    second: Float[Tensor, "splits two m d"],
    nulls: tuple[Float[Tensor, "splits two n d"], Float[Tensor, "splits two m d"]],
    by: Compare,
) -> Overlap:
    """`by` between the halves of two tasks, averaged over splits; `nulls` are the same of shuffled rows."""
    ceilings = [within(halves, by) for halves in (first, second)]
    return Overlap(between(first, second, by), math.sqrt(ceilings[0] * ceilings[1]), between(*nulls, by))


def within(halves: Float[Tensor, "splits two n d"], by: Compare) -> float:
    """One half with the other, averaged over splits."""
    return sum(by(split[0], split[1]) for split in halves) / len(halves)


def between(first: Float[Tensor, "splits two n d"], second: Float[Tensor, "splits two m d"], by: Compare) -> float:
    """Each half of one task with each of another, averaged over splits."""
    pairs = [by(one[i], two[j]) for one, two in zip(first, second, strict=True) for i in (0, 1) for j in (0, 1)]
    return sum(pairs) / len(pairs)
