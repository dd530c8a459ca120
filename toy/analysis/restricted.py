"""Restricted and excluded loss: how much of a network's success lies in its key frequencies (Nanda et al. §5.1).

The logits of every question (row) are projected on the plane of functions cos w_k s, sin w_k s of the right answer s,
freely for each output c; the mean over all rows (the mean-logit bias) is kept apart:

    L = mean + P_keys L + rest        restricted logits = mean + P_keys L        excluded logits = L - P_keys L

    restricted loss    cross-entropy of the restricted logits on all rows: falls as soon as the keys suffice
    excluded loss      cross-entropy of the excluded logits on the training rows: rises when memory alone is not enough

All questions with one answer have one restricted row, so the projection is done on the n classes, each weighted by
its number of questions; where answers are not equally frequent (a² + ab + b²) the planes are orthonormalised first.
Losses are those of the circle's n outputs, softmax in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.analysis.readout import Readout
from toy.analysis.spectra import class_sums
from toy.maths import fourier, regression
from toy.networks.scores import cross_entropy


@dataclass(frozen=True)
class AnswerPlanes:
    """The logits on the circle, ready to be projected; rows are the questions whose answer is on it."""

    logits: Float[Tensor, "rows n"]
    answer: Int[Tensor, " rows"]
    sums: Float[Tensor, "n n"]
    counts: Float[Tensor, " n"]

    @staticmethod
    def of(readout: Readout) -> AnswerPlanes:
        on_circle = readout.answer >= 0
        return AnswerPlanes(readout.logits[on_circle].double(), readout.answer[on_circle], *class_sums(readout))

    def bias(self) -> Float[Tensor, " n"]:
        """The mean logit of each output."""
        return self.sums.sum(dim=0) / self.counts.sum()

    def part(self, keys: Sequence[int]) -> Float[Tensor, "n n"]:
        """P_keys L: what the questions with answer s (rows) get from the keys."""
        n, scale = len(self.counts), self.counts.sqrt()
        if not keys:
            return torch.zeros_like(self.sums)
        designs = [fourier.design(torch.arange(n), k, n) for k in keys]
        constant = (scale / scale.norm())[:, None]
        basis = regression.orthonormal(regression.residual(scale[:, None] * torch.cat(designs, dim=1), constant))
        # Per row the weight of a class is 1; per class it is the root of its count, on both sides of the projection.
        unscale = torch.where(scale > 0, 1 / scale, 0.0)[:, None]
        return unscale * (basis @ (basis.T @ (unscale * self.sums)))

    def restricted(self, keys: Sequence[int]) -> Float[Tensor, "n n"]:
        """The restricted logits of the questions with answer s (rows)."""
        return self.bias() + self.part(keys)

    def excluded(self, keys: Sequence[int]) -> Float[Tensor, "rows n"]:
        """The logits without the keys' part."""
        return self.logits - self.part(keys)[self.answer]

    def share(self, keys: Sequence[int]) -> float:
        """P_keys L's part of what the logits vary over the questions (the mean-logit bias does not).

        Coefficients are free for every output, where cos w_k(s - c) has one: this is what the restricted loss keeps.
        """
        part = self.part(keys)
        part = part - part.mean(dim=1, keepdim=True)
        varying = max(1 - self.bias_share(), 1e-12) * self._variance()
        return float((part.square().sum(dim=1) * self.counts).sum()) / varying

    def bias_share(self) -> float:
        """The mean-logit bias' part of the logit variance."""
        bias = self.bias() - self.bias().mean()
        return float(bias.square().sum() * self.counts.sum()) / self._variance()

    def accuracy(self) -> float:
        """Share of the rows whose largest logit is the right one."""
        return float((self.logits.argmax(dim=1) == self.answer).double().mean())

    def _variance(self) -> float:
        return max(float((self.logits - self.logits.mean(dim=1, keepdim=True)).square().sum()), 1e-300)

    def full_loss(self) -> float:
        """Cross-entropy of the logits as they are, on all rows."""
        return float(cross_entropy(self.logits, self.answer).mean())

    def restricted_loss(self, keys: Sequence[int]) -> float:
        """On all rows."""
        by_class = cross_entropy(self.restricted(keys), torch.arange(len(self.counts)))
        return float((by_class * self.counts).sum() / self.counts.sum())

    def excluded_loss(self, keys: Sequence[int], rows: Bool[Tensor, " rows"]) -> float | None:
        """On the rows of a mask, the training rows; None if it is empty."""
        if not rows.any():
            return None
        return float(cross_entropy(self.excluded(keys)[rows], self.answer[rows]).mean())
