"""Held-out R² of the circle from many small subspaces at once, with the renaming null of each.

The statistic is that of the main probe's planes (`statistics.planes`: ridge from the coordinates to [cos, sin], each
operand pair or item predicted from the others, the best of three penalties). A hundred groups under hundreds of
renamings ask for it a million times, so it is written as a quadratic form. With the smoother's U (n, r) and
S = diag(s² / (s² + λ)), the fit leaves e = y - U S Uᵀ y of a centred target y, and (I - A_gg)⁻¹ e_g when unit g is left
out. With B = blockdiag((I - A_gg)⁻²):

    SSE(y) = eᵀ B e = Σ_ij B_ij y_i y_j - 2 (S Uᵀ B y)ᵀ (Uᵀ y) + (Uᵀ y)ᵀ (S Uᵀ B U S) (Uᵀ y)

B has entries within units only, so the products y_i y_j are made once for all subspaces, and what is left is one
matrix product of all U with all targets. Nothing (n, targets) is made for each subspace; R² = 1 - SSE / SST as there.

Where units are asked often, as items are, the states of a unit may lie so close together that I - A_gg is singular but
for rounding: its inverse squared then loses every digit, and renamings of an R² of thousands would stand in the null.
There the functions of the main probe serve, which solve for the residuals of one-hot units instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.planes import (
    PENALTIES,
    asked_often,
    circles,
    heldout_predictions,
    null_r2,
    renamed_circles,
)
from llm_probe.statistics.renaming import Renamed
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals

TARGETS_AT_ONCE = 8192
"""Columns of renamed circles in memory at a time."""


@dataclass(frozen=True)
class SubspaceSearch:
    """Every subspace and frequency on the discovery prompts."""

    r2: Float[Tensor, "s k"]
    """Held out by pair or item, at the best penalty."""
    penalty: Int[Tensor, "s k"]
    """Index into PENALTIES."""
    null: Float[Tensor, "s renamings"]
    """Largest R² of each subspace under each renaming, over frequencies and penalties."""


def search(
    smoothers: Sequence[RidgeSmoother], labels: Labels, renamed: Renamed, frequencies: tuple[int, ...]
) -> SubspaceSearch:
    """Score every subspace (one smoother each), frequency and penalty, and every renaming."""
    units = labels.groups("unit")
    assert units is not None, "a claim has at least two operand pairs or items"
    targets = circles(labels.label, frequencies, labels.period)
    if asked_often(labels):
        best = [heldout_predictions(smoother, targets, units)[:2] for smoother in smoothers]
        r2, penalty = (torch.stack(part) for part in zip(*best, strict=True))
        # One subspace at a time: the residuals of hundreds under every renaming do not fit in memory together.
        null = [null_r2([smoother], labels, units, frequencies)(renamed).amax(dim=2) for smoother in smoothers]
        return SubspaceSearch(r2, penalty, torch.cat(null))
    left = torch.cat([smoother.left.T for smoother in smoothers])
    forms = [_Form.of(smoothers, left, relative, units) for relative in PENALTIES]
    r2, penalty = torch.stack(_r2(forms, left, targets, units)).max(dim=0)
    null = []
    for totals in renamed.total.split(max(1, TARGETS_AT_ONCE // (2 * len(frequencies)))):
        targets = renamed_circles(totals % labels.period, frequencies, labels.period).double()
        largest = torch.stack(_r2(forms, left, targets, units)).amax(dim=0)
        null.append(largest.view(len(smoothers), len(totals), -1).amax(dim=2))
    return SubspaceSearch(r2, penalty, torch.cat(null, dim=1))


@dataclass(frozen=True)
class _Form:
    """The quadratic forms of all subspaces under one penalty."""

    blocks: Float[Tensor, "s pairs"]
    """B_ij of the pairs (i, j) within units."""
    cross: Float[Tensor, "all n"]
    """S Uᵀ B of every subspace, one below the other."""
    inner: tuple[Float[Tensor, "_ _"], ...]
    """S Uᵀ B U S by subspace."""

    @staticmethod
    def of(smoothers: Sequence[RidgeSmoother], left: Float[Tensor, "all n"], relative: float, units: Groups) -> _Form:
        blocks, cross, inner = [], [], []
        for smoother in smoothers:
            shrink = smoother.singular.square() / (smoother.singular.square() + smoother.penalty(relative))
            spread, entries = torch.zeros_like(smoother.left), []
            for block in units.blocks:
                rows = smoother.left[block]
                share = (rows * shrink) @ rows.transpose(1, 2) + 1 / left.shape[1]
                weights = torch.linalg.inv(torch.eye(block.shape[1], dtype=share.dtype) - share)
                weights = weights @ weights
                spread[block] = weights @ rows
                entries.append(weights.flatten())
            blocks.append(torch.cat(entries))
            cross.append(shrink[:, None] * spread.T)
            inner.append(cross[-1] @ smoother.left * shrink)
        return _Form(torch.stack(blocks), torch.cat(cross), tuple(inner))


def _r2(
    forms: Sequence[_Form], left: Float[Tensor, "all n"], targets: Float[Tensor, "n m"], units: Groups
) -> list[Float[Tensor, "s half"]]:
    """R² of each neighbouring pair of target columns (cos, sin), by penalty; `left`: Uᵀ of every subspace."""
    centred = targets - targets.mean(dim=0)
    first, second = (
        torch.cat([pairs(block).flatten() for block in units.blocks])
        for pairs in (
            lambda block: block.repeat_interleave(block.shape[1], dim=1),
            lambda block: block.repeat(1, block.shape[1]),
        )
    )
    products, projected = centred[first] * centred[second], left @ centred
    ranks = [len(form) for form in forms[0].inner]
    total = baseline_residuals(targets, units).square().sum(dim=0).view(-1, 2).sum(dim=1)
    r2 = []
    for form in forms:
        mixed = (projected * (form.cross @ centred)).split(ranks)
        own = [part * (inner @ part) for inner, part in zip(form.inner, projected.split(ranks), strict=True)]
        rest = torch.stack([(one - 2 * two).sum(dim=0) for one, two in zip(own, mixed, strict=True)])
        errors = form.blocks @ products + rest
        r2.append(1 - errors.view(len(ranks), -1, 2).sum(dim=2) / total)
    return r2
