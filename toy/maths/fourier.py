"""Characters of Z_n: the cosines and sines in which a cyclic quantity is written.

For labels s in Z_n and frequency k the design is X_k = [cos 2πks/n, sin 2πks/n]. For even n the sine at the
Nyquist frequency k = n/2 is zero on every integer, so that block has one column: a design with a null column
would make least squares rank-deficient (and CUDA's `lstsq` wrong).

Shapes: `labels` (n_prompts,) integers or reals (a real label with a real period gives a line of any frequency);
`means` (n, d) one row per label in order. All in float64.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor


def frequencies(period: int) -> range:
    """1 … floor(n/2): every frequency that real functions on Z_n have, the constant apart."""
    return range(1, period // 2 + 1)


def angles(labels: Num[Tensor, " n"], frequency: int, period: int | float) -> Float[Tensor, " n"]:
    """2πks/n in radians."""
    return labels.double() * (2 * math.pi * frequency / period)


def circle(labels: Num[Tensor, " n"], frequency: int, period: int | float) -> Float[Tensor, "n 2"]:
    """[cos, sin] of 2πks/n: the points on the circle, also where the sine column vanishes."""
    angle = angles(labels, frequency, period)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def design(labels: Num[Tensor, " n"], frequency: int, period: int | float) -> Float[Tensor, "n c"]:
    """X_k without its null column: c = 1 at the Nyquist frequency of an even period, else 2."""
    return circle(labels, frequency, period)[:, : 1 if 2 * frequency == period else 2]


def orthonormal_basis(period: int) -> Float[Tensor, "n n"]:
    """Rows: the constant, then cos and sin of every frequency, each of unit length: an orthonormal basis of R^n."""
    labels = torch.arange(period)
    columns = [torch.ones(period, 1, dtype=torch.float64)]
    columns += [design(labels, k, period) for k in frequencies(period)]
    basis = torch.cat(columns, dim=1).T
    return basis / basis.norm(dim=1, keepdim=True)


def power(means: Float[Tensor, "n d"]) -> Float[Tensor, "k d"]:
    """Squared length of each column's component at each frequency; rows are k = 1 … floor(n/2).

    The rows sum to the column's centred sum of squares (Parseval), so `power / power.sum(0)` is the R² of
    every frequency at once.
    """
    period = means.shape[0]
    components = (orthonormal_basis(period).to(means.device) @ means.double()).square()
    # Rows 1, 2 belong to k = 1, rows 3, 4 to k = 2, …; an even period ends with a single Nyquist row.
    owner = (torch.arange(1, period, device=means.device) - 1) // 2
    total = torch.zeros(period // 2, means.shape[1], dtype=torch.float64, device=means.device)
    return total.index_add_(0, owner, components[1:])


def dominant_frequency(means: Float[Tensor, "n d"]) -> Int[Tensor, " d"]:
    """The frequency of largest power in each column, counted from 1."""
    return power(means).argmax(dim=0) + 1


def phase(means: Float[Tensor, "n d"], frequency: int) -> Float[Tensor, " d"]:
    """φ of the best fit cos(2πks/n - φ), in radians."""
    period = means.shape[0]
    cosine, sine = circle(torch.arange(period, device=means.device), frequency, period).T @ means.double()
    return torch.atan2(sine, cosine)


def angle_between(predicted: Float[Tensor, "n 2"], true: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """Unsigned angle between the directions of two planar points, radians in [0, π]; a uniform guess gives π/2."""
    cross = predicted[:, 0] * true[:, 1] - predicted[:, 1] * true[:, 0]
    return torch.atan2(cross.abs(), (predicted * true).sum(dim=1))


def noise_maximum(period: int, searched: int) -> float:
    """Median of the largest class-mean R² over `searched` independent columns of white noise and every frequency.

    On n independent class means R²_k is Beta(1, (n-3)/2), and for r > 1/2 at most one frequency exceeds r, so
    P(max_k R²_k > r) = floor((n-1)/2) (1-r)^((n-3)/2) (science of order statistics; the Nyquist column of an even
    period is ignored). Solved for the median of the maximum over the columns.
    """
    exponent = (period - 3) / 2
    one = 1 - 0.5 ** (1 / searched)
    return 1 - (one / ((period - 1) // 2)) ** (1 / exponent)
