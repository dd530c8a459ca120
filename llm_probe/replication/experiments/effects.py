"""Residue means of *any* set of operand pairs, cleaned of what the single operands do, and what two sets share.

The published class means need a complete p x p grid: only there do f(a) and g(b) have the same mean in each residue.
Half a grid, or a sample of a large one, leaves them in. So the model

    y = f(a) + g(b) + m(s) + error,     s = (a + b) mod p

is fitted by least squares with one level per value of a, b and s, and the *adjusted means* are mean(y) + m(s) with
sum m = 0. They are linear in y: m = W y with W = pinv(M_Z S), M_Z the residual maker of a and b, S the one-hot
residues (Frisch-Waugh-Lovell). On a complete grid the three factors are orthogonal and W y are the published class
means, less their mean.

Two sets of class means are compared by their best dimensions and by their planes:

    shared(A, B) = |A ∩ B| / 10               of the ten dimensions with the largest class-mean R²
    overlap(U, V) = ||Uᵀ V||² / 2             mean squared cosine of the principal angles of two planes in R^d

U is the plane in which frequency k lies (`analysis.planes.basis`). By chance two random planes overlap by 2 / d and two
random sets share 10 / d. Neither is 1 for the *same* quantity measured twice: with many near-ties the ten best
dimensions of two halves of one grid differ too. So every comparison is made between halves of the operand pairs:

    between   half of one task with half of another
    ceiling   half of a task with its other half (geometric mean of the two tasks)
    floor     the same between tasks whose rows were shuffled

Shapes: rows (N, layers, d), W (n, N), adjusted means (layers, n, d). float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.prompts import Prompt
from llm_probe.replication.experiments.grids import labels_of
from toy.analysis import planes
from toy.maths.regression import class_mean_r2, orthonormal, residual
from toy.run.errors import InputError

SPLITS = 10
"""Random splits into halves that an overlap is averaged over."""
MOST_FAILURES = 200
"""Splits that may be unusable before the grid is."""
TOP = 10
"""Dimensions that count as the best, as published."""
Compare = Callable[[Any, Any], float]
"""How much two halves share: two sets of class means (n, d), or two lists of dimensions."""


def nuisance_basis(prompts: Sequence[Prompt]) -> Float[Tensor, "prompts q"]:
    """An orthonormal basis of the constant and one level per first and second operand."""
    blocks = [torch.ones(len(prompts), 1, dtype=torch.float64)]
    for key in ("first", "offset"):
        values, codes = torch.tensor([getattr(prompt, key) for prompt in prompts]).unique(return_inverse=True)
        blocks.append(torch.nn.functional.one_hot(codes, len(values))[:, 1:].double())
    return orthonormal(torch.cat(blocks, dim=1))


def effect_weights(prompts: Sequence[Prompt], period: int) -> Float[Tensor, "n prompts"]:
    """W of the fit.

    Raises:
        InputError: so few pairs that some residue cannot be told from the operands.
    """
    residues = torch.nn.functional.one_hot(labels_of(prompts), period).double()
    left = residual(residues, nuisance_basis(prompts))
    u, singular, v = torch.linalg.svd(left, full_matrices=False)
    kept = singular > 1e-6 * singular.max()
    if int(kept.sum()) < period - 1:
        raise InputError(
            f"{len(prompts)} operand pairs cannot tell {period} residues from the operands: give more pairs"
        )
    return (v[kept].T / singular[kept]) @ u[:, kept].T


def adjusted_means(
    rows: Float[Tensor, "prompts layers d"], prompts: Sequence[Prompt], period: int
) -> Float[Tensor, "layers n d"]:
    """Mean of all rows plus each residue's effect."""
    return _means(effect_weights(prompts, period), rows.double())


def balanced_halves(labels: Int[Tensor, " n"], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of two halves with equally many prompts of each label; odd ones go to either in turn."""
    halves: tuple[list[Tensor], list[Tensor]] = ([], [])
    for turn, label in enumerate(labels.unique()):
        members = (labels == label).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        size = (len(members) + turn % 2) // 2
        for half, part in zip(halves, members.tensor_split([size]), strict=True):
            half.append(part)
    return torch.cat(halves[0]), torch.cat(halves[1])


def split_means(
    rows: Float[Tensor, "prompts layers d"],
    prompts: Sequence[Prompt],
    period: int,
    seed: int,
    *,
    shuffled: bool = False,
) -> Float[Tensor, "splits two layers n d"]:
    """Adjusted means of both halves of `SPLITS` random splits of the pairs.

    With `shuffled` the rows, less their operands' effects, change places among all prompts first: there is nothing
    about the residue left, and what two halves still share they share by chance and by the shape of the noise.

    Raises:
        InputError: halves of so few pairs cannot tell the residues from the operands.
    """
    generator = torch.Generator().manual_seed(seed)
    labels, result, failures = labels_of(prompts), [], 0
    flat, centre = rows.double().flatten(1), rows.double().mean(dim=0)
    if shuffled:
        flat = residual(flat, nuisance_basis(prompts))
    while len(result) < SPLITS:
        halves = [half.tolist() for half in balanced_halves(labels, generator)]
        try:
            weights = [effect_weights([prompts[index] for index in half], period) for half in halves]
        except InputError:  # of 49 pairs a half now and then does not tell the residues from the operands
            if (failures := failures + 1) > MOST_FAILURES:
                raise
            continue
        states = rows.double()
        if shuffled:
            states = flat[torch.randperm(len(flat), generator=generator)].view_as(states) + centre
        parts = [_means(weight, states[half]) for weight, half in zip(weights, halves, strict=True)]
        result.append(torch.stack(parts))
    return torch.stack(result)


def sample(prompts: Sequence[Prompt], period: int, most: int, seed: int) -> list[Prompt]:
    """At most `most` prompts, drawn at random with equally many of each label; all of them if there are no more."""
    each = most // period
    labels, kept = labels_of(prompts), []
    generator = torch.Generator().manual_seed(seed)
    for label in range(period):
        members = (labels == label).nonzero()[:, 0]
        kept += members[torch.randperm(len(members), generator=generator)[:each]].tolist()
    return [prompts[index] for index in sorted(kept)]


def _means(weights: Float[Tensor, "n prompts"], rows: Float[Tensor, "prompts layers d"]) -> Float[Tensor, "layers n d"]:
    effects = (weights @ rows.flatten(1)).view(len(weights), *rows.shape[1:])
    return (effects + rows.mean(dim=0)).transpose(0, 1)


# ---------------------------------------------------------------------------------------------------------- overlap


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


class Overlap(NamedTuple):
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


def within(halves: Any, by: Compare) -> float:
    """One half with the other, averaged over splits; `halves` holds (splits, two) things to compare."""
    return sum(by(split[0], split[1]) for split in halves) / len(halves)


def between(first: Any, second: Any, by: Compare) -> float:
    """Each half of one task with each of another, averaged over splits."""
    pairs = [by(one[i], two[j]) for one, two in zip(first, second, strict=True) for i in (0, 1) for j in (0, 1)]
    return sum(pairs) / len(pairs)
