"""Corrections across findings, and the exact interval of a proportion.

With m sorted p-values p_(1) ≤ … ≤ p_(m):

    Holm (1979), family-wise error:                   p̃_(i) = max_{j ≤ i} min(1, (m - j + 1) p_(j))
    Benjamini & Hochberg (1995), false discovery:     p̃_(i) = min_{j ≥ i} min(1, m p_(j) / j)

so that p̃ ≤ α is the method's rejection at level α. Holm for confirmations: it holds whatever the dependence.
Benjamini-Hochberg for maps of many cells: it holds under independence or positive regression dependence.

Clopper & Pearson (1934), for x of n at level 1 - α, B the quantile function of a Beta distribution:

    low = B(α/2; x, n - x + 1),   high = B(1 - α/2; x + 1, n - x)

which covers at least 1 - α for every true rate, also at x = 0, where high = 1 - (α/2)^(1/n).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from toy.run.errors import InputError


def holm(p: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Holm's adjusted p of each, in the order given.

    Raises:
        InputError: a value outside [0, 1].
    """
    ranked, order = _sorted(p)
    factors = torch.arange(len(p), 0, -1, dtype=torch.float64)
    return _restored((ranked * factors).cummax(dim=0).values, order)


def benjamini_hochberg(p: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Benjamini-Hochberg adjusted p of each (the smallest false discovery rate that keeps it), in the order given.

    Raises:
        InputError: a value outside [0, 1].
    """
    ranked, order = _sorted(p)
    factors = len(p) / torch.arange(1, len(p) + 1, dtype=torch.float64)
    return _restored((ranked * factors).flip(0).cummin(dim=0).values.flip(0), order)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval (low, high) of a proportion.

    Raises:
        InputError: no trials, more successes than trials, or a level outside (0, 1).
    """
    from scipy.stats import beta

    if not 0 <= successes <= trials or trials < 1 or not 0 < level < 1:
        raise InputError(
            f"an interval needs 0 <= successes <= trials, at least one trial and a level between 0 and 1, got "
            f"{successes} of {trials} at {level}"
        )
    tail = (1 - level) / 2
    # At the ends the Beta distribution has a zero parameter, and the limit is the end itself.
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def _sorted(p: Float[Tensor, " m"]) -> tuple[Tensor, Tensor]:
    if len(p) and not bool(((p >= 0) & (p <= 1)).all()):
        raise InputError(f"p-values lie in [0, 1], got {p[~((p >= 0) & (p <= 1))].tolist()[:5]}")
    return torch.sort(p.double())


def _restored(adjusted: Tensor, order: Tensor) -> Tensor:
    return torch.empty_like(adjusted).scatter_(0, order, adjusted.clamp_max(1))
