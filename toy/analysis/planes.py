"""Planes of the embedding: where the numbers lie for one frequency, and in the directions of largest variance.

For frequency k, X_k (n, 2) = [cos w_k t, sin w_k t] along the circle of n positions, rows E (n, d) centred. The rows
of X_kᵀ E span the plane in R^d in which frequency k lies. Of all orthonormal bases of it, the polar factor U of
Eᵀ X_k = U H is the one in which the projection E U lies closest to the ideal circle X_k:

    points = E U (n, 2)        correlation = <points, X_k> / (||points|| ||X_k||)

Nothing is stretched: an ellipse stays one. The plane is chosen with the same numbers that are drawn on it, so a random
embedding of n rows and d columns correlates too, about (1 + n / d)^(-1/2): always show one beside it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from toy.maths import fourier


def centred(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows minus their mean, float64."""
    return rows.double() - rows.double().mean(dim=0)


def basis(rows: Float[Tensor, "n d"], frequency: int) -> Float[Tensor, "d 2"]:
    """The orthonormal basis U of the plane of a frequency; d must be 2 or more."""
    target = fourier.circle(torch.arange(len(rows)), frequency, len(rows))
    left, _, right = torch.linalg.svd(centred(rows).T @ target, full_matrices=False)
    return left @ right


def points(rows: Float[Tensor, "n d"], plane: Float[Tensor, "d 2"]) -> Float[Tensor, "n 2"]:
    """Where the rows lie on a plane, around their mean."""
    return centred(rows) @ plane


def correlation(points_on_plane: Float[Tensor, "n 2"], frequency: int) -> float:
    """How well points agree with the ideal circle in place and order, whatever its radius; 1 is exact."""
    ideal = fourier.circle(torch.arange(len(points_on_plane)), frequency, len(points_on_plane))
    return float((points_on_plane * ideal).sum() / (points_on_plane.norm() * ideal.norm()).clamp_min(1e-300))


def principal(rows: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n r"], Float[Tensor, " r"]]:
    """Principal components of the rows, the largest first, and their shares of the variance; signs are arbitrary."""
    left, singular, _ = torch.linalg.svd(centred(rows), full_matrices=False)
    return left * singular, singular.square() / singular.square().sum().clamp_min(1e-300)
