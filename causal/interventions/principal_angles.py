"""How far two subspaces lie apart, beside what chance gives."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

HAAR_DRAWS = 2000


def largest_angle(one: Float[Tensor, "d w"], other: Float[Tensor, "d w"]) -> float:
    """The largest principal angle between the spans of two orthonormal bases, in radians (Björck & Golub 1973)."""
    return float(torch.linalg.svdvals(one.double().T @ other.double())[-1].clamp(0, 1).acos())


@cache
def haar_quantile(d: int, width: int, level: float, seed: int = 0) -> float:
    """The largest principal angle that a share `level` of random subspaces has less than, from a fixed one."""
    draws = torch.randn(HAAR_DRAWS, d, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    inside = torch.linalg.svdvals(torch.linalg.qr(draws).Q[:, :width])[:, -1]
    return float(inside.clamp(0, 1).acos().quantile(level))
