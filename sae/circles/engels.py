"""Is a two-dimensional feature irreducible, or two independent features, or one-dimensional features in turns?

Engels et al. 2024 (2405.14860, definitions 3 and 4), for points f (n, 2):

    separability   S(f) = min_θ I(x_θ; y_θ), the mutual information in bits of the two coordinates after the best
                   rotation, from a `BINS` x `BINS` histogram over their ranges. 0: two independent features.
    mixture        M_ε(f) = max_{v, c} P(|v·f + c| < ε sqrt(E[(v·f + c)²])), ε = 0.1. Near 1: on most prompts the
                   feature is on a line, so it is one-dimensional features in turns.

Five hundred points on a circle have S = 1.49 and M = 0.24 (a line just inside the rim passes many), a normal cloud 0.09
and 0.12, two features in turns 0.43 and 0.53. Both are searched on grids: angles over a right angle (S) or half a turn
(M), c over the quantiles of v·f, so that nothing depends on a random start.

A histogram of few points always has some information. The null is phase-shuffled: each coordinate keeps its values
but those of the second are permuted over the prompts, so that the phase relation between the two is lost and the
feature is separable by construction. p_separability = (1 + #{null S >= S}) / (1 + draws). For M the null is no test:
it is the M of the same two coordinates when they are unrelated. Intervals: bootstrap over prompts, shifted so that
their mean is the value, because a resample repeats points, which raises both indices a little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

BINS = 10
ANGLES = 36
OFFSETS = 48
EPSILON = 0.1
DRAWS = 200


@dataclass(frozen=True)
class Index:
    """One index with its interval and its null."""

    value: float
    low: float
    """Lower end of the 95 % bootstrap interval."""
    high: float
    """Upper end of the 95 % bootstrap interval."""
    null: float
    """95th percentile of the phase-shuffled points."""


@dataclass(frozen=True)
class Irreducibility:
    """Both indices of one feature."""

    separability: Index
    """S(f) in bits."""
    mixture: Index
    """M(f), a share of the prompts."""
    p_separability: float


def irreducibility(points: Float[Tensor, "n 2"], seed: int, draws: int = DRAWS) -> Irreducibility:
    """Both indices with bootstrap intervals and the phase-shuffled null; n >= 2."""
    points = points.double()
    generator = torch.Generator().manual_seed(seed)
    n, x = len(points), points[:, 0]
    resampled = [points[torch.randint(n, (n,), generator=generator)] for _ in range(draws)]
    shuffled = [torch.stack([x, points[torch.randperm(n, generator=generator), 1]], dim=1) for _ in range(draws)]
    indices, p = [], []
    for index in (separability, mixture):
        value = index(points)
        boot, null = (torch.tensor(list(map(index, sets)), dtype=torch.float64) for sets in (resampled, shuffled))
        low, high = (boot - boot.mean() + value).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        indices.append(Index(value, low, high, float(null.quantile(0.95))))
        p.append((1 + int((null >= value).sum())) / (1 + draws))
    return Irreducibility(indices[0], indices[1], p[0])


def separability(points: Float[Tensor, "n 2"]) -> float:
    """S(f), bits."""
    x, y = _rotated(points, math.pi / 2)
    joint = torch.zeros(ANGLES, BINS * BINS, dtype=torch.float64)
    joint.scatter_add_(1, _binned(x) * BINS + _binned(y), torch.full_like(x, 1 / len(points)))
    joint = joint.view(ANGLES, BINS, BINS)
    marginals = joint.sum(dim=2, keepdim=True) * joint.sum(dim=1, keepdim=True)
    information = torch.where(joint > 0, joint * (joint / marginals.clamp_min(1e-300)).clamp_min(1e-300).log2(), 0.0)
    return float(information.sum(dim=(1, 2)).min().clamp_min(0))


def mixture(points: Float[Tensor, "n 2"], epsilon: float = EPSILON) -> float:
    """M_ε(f)."""
    x, n = _rotated(points, math.pi)[0].sort(dim=1).values, len(points)
    steps = torch.linspace(0, 1, OFFSETS, dtype=torch.float64)
    # Lines through every part of the cloud, denser where the points are.
    centres = x[:, ((n - 1) * steps).long()]
    width = epsilon * (x.var(dim=1, correction=0)[:, None] + (x.mean(dim=1)[:, None] - centres).square()).sqrt()
    inside = torch.searchsorted(x, (centres + width).contiguous(), right=True)
    inside = inside - torch.searchsorted(x, (centres - width).contiguous())
    return float(inside.max()) / n


def _rotated(points: Float[Tensor, "n 2"], reach: float) -> tuple[Float[Tensor, "angles n"], Float[Tensor, "angles n"]]:
    """Both coordinates at every angle from 0 up to `reach`."""
    angle = torch.arange(ANGLES, dtype=torch.float64) * (reach / ANGLES)
    turn = torch.stack([angle.cos(), angle.sin()], dim=1)
    return turn @ points.T, torch.stack([-turn[:, 1], turn[:, 0]], dim=1) @ points.T


def _binned(values: Float[Tensor, "angles n"]) -> Tensor:
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    return ((values - low) / (high - low).clamp_min(1e-300) * BINS).long().clamp(0, BINS - 1)
