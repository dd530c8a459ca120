"""Residue means of *any* set of operand pairs, cleaned of what the single operands do.

The published class means need a complete p x p grid: only there do f(a) and g(b) have the same mean in each residue.
Half a grid, or a sample of a large one, leaves them in. So the model

    y = f(a) + g(b) + m(s) + error,     s = (a + b) mod p

is fitted by least squares with one level per value of a, b and s, and the *adjusted means* are mean(y) + m(s) with
sum m = 0. They are linear in y: m = W y with W = pinv(M_Z S), M_Z the residual maker of a and b, S the one-hot
residues (Frisch-Waugh-Lovell). On a complete grid the three factors are orthogonal and W y are the published class
means, less their mean.

Shapes: rows (N, layers, d), W (n, N), adjusted means (layers, n, d). float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.prompts import Prompt
from llm_probe.replication.experiments.class_means import labels_of
from toy.maths.regression import orthonormal, residual
from toy.run.errors import InputError

SPLITS = 10
"""Random splits into halves that an overlap is averaged over."""
MOST_FAILURES = 200
"""Splits that may be unusable before the grid is."""


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
        seen = rows.double()
        if shuffled:
            seen = flat[torch.randperm(len(flat), generator=generator)].view_as(seen) + centre
        parts = [_means(weight, seen[half]) for weight, half in zip(weights, halves, strict=True)]
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
