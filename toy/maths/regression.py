"""Least squares both ways: labels to activations, and activations to a point on the circle.

Labels to activations (per dimension). With y (N, d) responses, Z (N, q) nuisances and X (N, c) a family's
columns, all least squares on the part of y and X orthogonal to Z:

    partial R² = ||Qᵀ M_Z y||² / ||M_Z y||²,   Q = orth(M_Z X)          (science: Frisch-Waugh-Lovell)

Activations to circle (rotation-invariant). Ridge of Y (N, m) on H (N, d) with a free intercept is the linear
smoother Ŷ = A Y, A = 11ᵀ/N + U diag(s²/(s²+λ)) Uᵀ from one decomposition of the centred H. Leaving out group g
needs no refit: its held-out residual is (I - A_gg)⁻¹ (Y - AY)_g. Because the intercept is a column of the fit
and not a centring of the data, this *is* the refit that centres on the training part only.

All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from toy.maths import fourier

RANK_TOLERANCE = 1e-9
RANK_OF_GRAM = 1e-7
"""Singular values are roots of a Gram matrix' eigenvalues: rounding of 1e-16 is 1e-8 here."""


def class_mean_r2(means: Float[Tensor, "n d"]) -> Float[Tensor, "k d"]:
    """The published statistic: in-sample R² of every frequency on n class means, zero for a constant column."""
    share = fourier.power(means)
    # A column that only varies by rounding is constant: its R² would be noise over noise.
    total = share.sum(dim=0)
    scale = means.double().square().sum(dim=0)
    return torch.where(total > 1e-12 * scale, share / total.clamp_min(1e-300), 0.0)


def rival_columns(labels: Num[Tensor, " n"], period: int | float, family: str) -> Float[Tensor, "n c"]:
    """Columns of a rival family in the label s in [0, n), scaled to [-1, 1].

    `linear`, `quadratic`, `cubic`: powers up to the degree; `sawtooth`: the ramp of the shifted label (s + n/2)
    mod n, a rival with its jump elsewhere, and the ramp itself.
    """
    x = 2 * labels.double() / max(period - 1, 1) - 1
    if family == "sawtooth":
        shifted = 2 * ((labels.double() + period / 2) % period) / max(period - 1, 1) - 1
        return torch.stack([x, shifted], dim=1)
    degree = {"linear": 1, "quadratic": 2, "cubic": 3}[family]
    return torch.stack([x**power for power in range(1, degree + 1)], dim=1)


def orthonormal(columns: Float[Tensor, "n c"]) -> Float[Tensor, "n r"]:
    """An orthonormal basis of the column space; linearly dependent columns are dropped."""
    if columns.shape[1] == 0:
        return columns
    norms = columns.norm(dim=0)
    left, singular, _ = torch.linalg.svd(columns / norms.clamp_min(1e-300), full_matrices=False)
    return left[:, singular > RANK_TOLERANCE * max(1.0, float(singular.max()))]


def residual(columns: Float[Tensor, "n c"], basis: Float[Tensor, "n q"]) -> Float[Tensor, "n c"]:
    """M_Z columns for an orthonormal basis of Z; what the basis explains to rounding becomes exactly zero."""
    left = columns - basis @ (basis.T @ columns)
    left = left - basis @ (basis.T @ left)
    explained = left.norm(dim=0) <= RANK_TOLERANCE * columns.norm(dim=0).clamp_min(1e-300)
    return torch.where(explained, 0.0, left)


def r2_in_sample(y: Float[Tensor, "n d"], columns: Float[Tensor, "n c"]) -> Float[Tensor, " d"]:
    """R² of each response on the columns and a constant."""
    return partial_r2(residual(y, _ones(y)), columns, _ones(y))


def _ones(y: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
    return torch.full((len(y), 1), 1 / math.sqrt(len(y)), dtype=torch.float64, device=y.device)


def partial_r2(
    responses: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], nuisances: Float[Tensor, "n q"]
) -> Float[Tensor, " d"]:
    """Share of the residual responses M_Z y that the family's columns explain beyond the nuisances.

    `responses` are already residuals of the orthonormal `nuisances`: many families share them.
    """
    basis = orthonormal(drop_zero(residual(columns, nuisances)))
    total = responses.square().sum(dim=0)
    explained = (basis.T @ responses).square().sum(dim=0)
    return torch.where(total > 0, explained / total.clamp_min(1e-300), 0.0)


def drop_zero(columns: Float[Tensor, "n c"]) -> Float[Tensor, "n k"]:
    """Without the columns that are exactly zero."""
    return columns[:, columns.abs().amax(dim=0) > 0] if columns.shape[1] else columns


def aicc_gain(r2: Float[Tensor, " d"], n: int, nuisances: int, parameters: int) -> Float[Tensor, " d"]:
    """AICc of the nuisances alone minus AICc with the family; positive means the family is worth its parameters.

    `parameters` counts the family's columns and one more where a frequency was selected; σ is counted in both
    (Hurvich & Tsai 1989).
    """

    def penalty(k: int) -> float:
        return 2 * k + 2 * k * (k + 1) / max(n - k - 1, 1)

    return -n * torch.log1p(-r2.clamp(max=1 - 1e-12)) + penalty(nuisances + 1) - penalty(nuisances + 1 + parameters)


def bic_gain(r2: Float[Tensor, " d"], n: int, parameters: int) -> Float[Tensor, " d"]:
    """BIC of the nuisances alone minus BIC with the family, -n log(1 - R²) - parameters · log n (Schwarz 1978).

    `parameters` counts the family's columns and one more where a frequency was selected. K counts the nuisances and
    σ on both sides, so that here, unlike in the AICc, they cancel.
    """
    return -n * torch.log1p(-r2.clamp(max=1 - 1e-12)) - parameters * math.log(n)


@dataclass(frozen=True)
class Groups:
    """A partition of the prompts into groups that are left out together.

    Groups of equal size are stored as one index matrix, so that their small systems are solved as one batch.
    """

    blocks: tuple[Int[Tensor, "_ _"], ...]
    """One (groups, size) index matrix for each group size."""

    @staticmethod
    def of(keys: Int[Tensor, " n"]) -> Groups:
        """Prompts with equal keys belong together."""
        order = torch.argsort(keys, stable=True)
        counts = torch.unique(keys, return_counts=True)[1]
        starts = counts.cumsum(0) - counts
        return Groups(
            tuple(order[starts[counts == size][:, None] + torch.arange(int(size))] for size in counts.unique())
        )

    @property
    def count(self) -> int:
        return sum(len(block) for block in self.blocks)


@dataclass(frozen=True)
class RidgeSmoother:
    """Ŷ = A Y of a ridge with free intercept, kept as its factors: A = 11ᵀ/N + U diag(shrink) Uᵀ."""

    left: Float[Tensor, "n r"]
    """U: left singular vectors of the centred activations."""
    singular: Float[Tensor, " r"]

    @staticmethod
    def of(activations: Float[Tensor, "n d"]) -> RidgeSmoother:
        """Decompose N prompts' activations once for every penalty, target and fold.

        Of the smaller Gram matrix, N x N or d x d, which takes a third of the time of a singular value decomposition.
        It squares the condition number; the rank cut-off allows for that.
        """
        centred = activations.double() - activations.double().mean(dim=0)
        is_tall = centred.shape[1] < len(centred)
        values, vectors = torch.linalg.eigh(centred.T @ centred if is_tall else centred @ centred.T)
        singular = values.clamp_min(0).sqrt()
        kept = singular > RANK_OF_GRAM * singular.max().clamp_min(1e-300)
        vectors, singular = vectors[:, kept], singular[kept]
        return RidgeSmoother(centred @ vectors / singular if is_tall else vectors, singular)

    def penalty(self, relative: float) -> float:
        """λ as a share of the median squared singular value: outlier dimensions must not set the scale."""
        return relative * float(self.singular.square().median())

    def heldout_residuals(
        self, targets: Float[Tensor, "n m"], groups: Groups, relative_penalty: float
    ) -> Float[Tensor, "n m"]:
        """Y - Ŷ with each group predicted by the fit to all others (exact, no refit)."""
        return next(iter(self.heldout_path(targets, groups, (relative_penalty,))))

    def heldout_path(
        self, targets: Float[Tensor, "n m"], groups: Groups, relative_penalties: Sequence[float]
    ) -> Iterator[Float[Tensor, "n m"]]:
        """Held-out residuals for one penalty after the other; the targets are projected once."""
        n = len(targets)
        centred = targets - targets.mean(dim=0)
        projected = self.left.T @ centred
        for relative in relative_penalties:
            shrink = self.singular.square() / (self.singular.square() + self.penalty(relative))
            errors = centred - self.left @ (shrink[:, None] * projected)
            for block in groups.blocks:
                rows = self.left[block]
                share = (rows * shrink) @ rows.transpose(1, 2) + 1 / n
                if block.shape[1] == 1:
                    errors[block[:, 0]] /= 1 - share[:, 0]
                else:
                    system = torch.eye(block.shape[1], dtype=errors.dtype, device=errors.device) - share
                    errors[block] = torch.linalg.solve(system, errors[block])
            yield errors

    def coefficients(
        self, activations: Float[Tensor, "n d"], targets: Float[Tensor, "n m"], relative_penalty: float
    ) -> tuple[Float[Tensor, "d m"], Float[Tensor, " m"]]:
        """(weights, intercept) of the fit to all prompts, for predicting others; `activations` as given to `of`."""
        activations = activations.double()
        mean, centre = activations.mean(dim=0), targets.mean(dim=0)
        inverse = 1 / (self.singular.square() + self.penalty(relative_penalty))
        dual = self.left @ (inverse[:, None] * (self.left.T @ (targets - centre)))
        weights = (activations - mean).T @ dual
        return weights, centre - mean @ weights


def baseline_residuals(targets: Float[Tensor, "n m"], groups: Groups) -> Float[Tensor, "n m"]:
    """Y minus the mean of the other groups: what a fit without activations would leave."""
    total, n = targets.sum(dim=0), len(targets)
    result = torch.empty_like(targets)
    for block in groups.blocks:
        others = (total - targets[block].sum(dim=1)) / (n - block.shape[1])
        result[block] = targets[block] - others[:, None]
    return result


def plane_energy(residuals: Float[Tensor, "n m"]) -> Float[Tensor, " half"]:
    """Sum of squares of each pair of neighbouring columns (cos, sin)."""
    return residuals.square().sum(dim=0).view(-1, 2).sum(dim=1)


def plane_r2(residuals: Float[Tensor, "n m"], baseline: Float[Tensor, "n m"]) -> Float[Tensor, " half"]:
    """1 - SSE/SST for each pair of neighbouring columns (cos, sin); negative when worse than no activations."""
    return 1 - plane_energy(residuals) / plane_energy(baseline)


def heldout_least_squares(
    responses: Float[Tensor, "n d"], basis: Float[Tensor, "n r"], groups: Groups
) -> Float[Tensor, "n d"]:
    """Held-out residuals of least squares on an orthonormal basis, each group predicted from the others.

    Where leaving a group out makes the fit rank-deficient (a template seen in one group only) the minimum-norm
    solution stands in.
    """
    errors = responses - basis @ (basis.T @ responses)
    result = torch.empty_like(errors)
    for block in groups.blocks:
        rows = basis[block]
        system = torch.eye(block.shape[1], dtype=torch.float64) - rows @ rows.transpose(1, 2)
        result[block] = torch.linalg.pinv(system, hermitian=True) @ errors[block]
    return result
