"""Held-out R² of the circle from many small subspaces at once, with the renaming null of each.

The statistic is that of the main probe's planes (`statistics.planes`: ridge from the coordinates to [cos, sin], each
operand pair or item predicted from the others, the best of three penalties). A hundred groups under hundreds of
renamings ask for it a million times, so it is written as a quadratic form. With the smoother's U (n, r) and
S = diag(s² / (s² + λ)), the fit leaves e = y - U S Uᵀ y of a centred target y, and (I - A_gg)⁻¹ e_g when unit g is left
out. With B = blockdiag((I - A_gg)⁻²):

    SSE(y) = eᵀ B e = Σ_ij B_ij y_i y_j - 2 (S Uᵀ B y)ᵀ (Uᵀ y) + (Uᵀ y)ᵀ (S Uᵀ B U S) (Uᵀ y)

B has entries within units only, so the products y_i y_j are made once for all subspaces, and what is left is one
matrix product of all U with all targets. Nothing (n, targets) is made for each subspace; R² = 1 - SSE / SST as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.planes import PENALTIES, circles, renamed_circles
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
    forms = _Forms.of(smoothers, units)
    r2, penalty = forms.r2(circles(labels.label, frequencies, labels.period), units).max(dim=0)
    single, null = forms.single(), []
    for totals in renamed.total.split(max(1, TARGETS_AT_ONCE // (2 * len(frequencies)))):
        targets = renamed_circles(totals % labels.period, frequencies, labels.period)
        found = single.r2(targets, units).amax(dim=0)
        null.append(found.view(len(smoothers), len(totals), -1).amax(dim=2))
    return SubspaceSearch(r2, penalty, torch.cat(null, dim=1).double())


@dataclass(frozen=True)
class _Forms:
    """The quadratic forms of all subspaces, one for each penalty."""

    left: Float[Tensor, "all n"]
    """Uᵀ of every subspace, one below the other."""
    ranks: tuple[int, ...]
    blocks: Float[Tensor, "penalties s pairs"]
    """B_ij of the pairs (i, j) within units."""
    cross: Float[Tensor, "penalties all n"]
    """S Uᵀ B."""
    inner: tuple[tuple[Float[Tensor, "_ _"], ...], ...]
    """S Uᵀ B U S by penalty and subspace."""
    pairs: Int[Tensor, "2 pairs"]

    @staticmethod
    def of(smoothers: Sequence[RidgeSmoother], units: Groups) -> _Forms:
        blocks, cross, inner = [], [], []
        for relative in PENALTIES:
            parts = [_form(smoother, relative, units) for smoother in smoothers]
            for kept, column in zip((blocks, cross, inner), zip(*parts, strict=True), strict=True):
                kept.append(column)
        sides = [
            torch.stack([block[:, :, None].expand(-1, -1, block.shape[1]), block[:, None, :].expand_as(_square(block))])
            for block in units.blocks
        ]
        return _Forms(
            torch.cat([smoother.left.T for smoother in smoothers]),
            tuple(smoother.left.shape[1] for smoother in smoothers),
            torch.stack([torch.stack(one) for one in blocks]),
            torch.stack([torch.cat(one) for one in cross]),
            tuple(tuple(one) for one in inner),
            torch.cat([side.flatten(1) for side in sides], dim=1),
        )

    def single(self) -> _Forms:
        """The same in float32: it only ranks maxima."""
        inner = tuple(tuple(form.float() for form in forms) for forms in self.inner)
        return _Forms(self.left.float(), self.ranks, self.blocks.float(), self.cross.float(), inner, self.pairs)

    def r2(self, targets: Float[Tensor, "n m"], units: Groups) -> Float[Tensor, "penalties s half"]:
        """R² of each neighbouring pair of columns (cos, sin)."""
        centred = targets - targets.mean(dim=0)
        products = centred[self.pairs[0]] * centred[self.pairs[1]]
        projected = self.left @ centred
        total = baseline_residuals(targets, units).square().sum(dim=0).view(-1, 2).sum(dim=1)
        found = []
        for blocks, cross, inner in zip(self.blocks, self.cross, self.inner, strict=True):
            mixed = (projected * (cross @ centred)).split(self.ranks)
            own = [part * (form @ part) for form, part in zip(inner, projected.split(self.ranks), strict=True)]
            rest = torch.stack([(one - 2 * two).sum(dim=0) for one, two in zip(own, mixed, strict=True)])
            errors = blocks @ products + rest
            found.append(1 - errors.view(len(self.ranks), -1, 2).sum(dim=2) / total)
        return torch.stack(found)


def _form(
    smoother: RidgeSmoother, relative: float, units: Groups
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "r n"], Float[Tensor, "r r"]]:
    """(B by pair, S Uᵀ B, S Uᵀ B U S) of one subspace and penalty."""
    n = len(smoother.left)
    shrink = smoother.singular.square() / (smoother.singular.square() + smoother.penalty(relative))
    spread, entries = torch.zeros_like(smoother.left), []
    for block in units.blocks:
        rows = smoother.left[block]
        share = (rows * shrink) @ rows.transpose(1, 2) + 1 / n
        weights = torch.linalg.inv(torch.eye(block.shape[1], dtype=share.dtype) - share)
        weights = weights @ weights
        spread[block] = weights @ rows
        entries.append(weights.flatten())
    cross = shrink[:, None] * spread.T
    return torch.cat(entries), cross, cross @ smoother.left * shrink


def _square(block: Int[Tensor, "g b"]) -> Int[Tensor, "g b b"]:
    return block[:, :, None].expand(-1, -1, block.shape[1])
