"""How large a class-mean R² is when there is nothing: the law of the largest of a search, in closed form.

**Independent class means.** n class means that are white noise have power in K = floor((n-1)/2) planes (one a
frequency) and, if n is even, in the Nyquist column. The shares of the planes are the gaps of uniform points, so that
(Fisher 1929, inclusion and exclusion over j planes above r)

    P(max_k R²_k > r) = Σ_{j ≥ 1, jr < 1} (-1)^(j+1) C(K, j) (1 - jr)^((n-3)/2);   for r > 1/2 R²_k ~ Beta(1, (n-3)/2)

For even n the case "no plane, but the Nyquist column is above r" is added: its share is x ~ Beta(1/2, (n-2)/2), and
given x the planes share 1 - x as if n were n - 1. The largest over m independent columns exceeds r with probability
1 - (1 - P)^m; for searched dimensions and layers, which are not independent, that is an upper bound.

**A fixed fit** of q columns to n points: R² ~ Beta(q/2, (n-1-q)/2). **From draws** x_1 … x_N of the same statistic:
P(X ≥ r) = (1 + #{x_i ≥ r}) / (1 + N), which is never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

NODES = 100
"""Gauss-Legendre nodes of the integral over the Nyquist share."""


@dataclass(frozen=True)
class Law:
    """The distribution of a statistic under one null."""

    name: str
    """As a reader meets it: "white noise", "untrained magnitude networks", "random-weights Qwen3"."""
    above: Callable[[float], float]
    """P(X ≥ r)."""
    below: Callable[[float], float]
    """P(X ≤ r)."""
    median: float
    q95: float
    """95 % quantile."""
    q05: float


def law_of_survival(name: str, above: Callable[[float], float]) -> Law:
    """A continuous law on [0, 1] from its survival function; quantiles by 50 halvings of [0, 1]."""

    def solve(level: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if above(middle) > level else (low, middle)
        return (low + high) / 2

    return Law(name, above, lambda r: 1 - above(r), solve(0.5), solve(0.05), solve(0.95))


def law_of_draws(name: str, draws: Float[np.ndarray, " draws"]) -> Law:
    """The law of a statistic of which draws are at hand."""
    ordered = np.sort(draws)
    count = len(ordered)

    def above(r: float) -> float:
        return (1 + count - int(np.searchsorted(ordered, r, side="left"))) / (1 + count)

    def below(r: float) -> float:
        return (1 + int(np.searchsorted(ordered, r, side="right"))) / (1 + count)

    median, high, low = np.quantile(ordered, (0.5, 0.95, 0.05)).tolist()
    return Law(name, above, below, median, high, low)


def of_columns(one: float, columns: int) -> float:
    """P(the largest of independent columns exceeds) from that of one: 1 - (1 - P)^m without cancellation."""
    return 1.0 if one >= 1 else -math.expm1(columns * math.log1p(-one))


def white_noise(n: int, columns: int) -> Law:
    """The largest best-frequency R² over `columns` columns of n independent class means."""
    return law_of_survival("white noise", lambda r: of_columns(best_frequency_exceeds(r, n), columns))


def fixed_fit(points: int, fitted: int, columns: int = 1) -> Law:
    """The largest R² of one fit of `fitted` columns and a constant to white noise on `points` points."""
    from scipy.stats import beta

    shape = beta(fitted / 2, (points - 1 - fitted) / 2)
    return law_of_survival("white noise", lambda r: of_columns(float(shape.sf(r)), columns))


def best_frequency_exceeds(r: float, n: int) -> float:
    """P(max_k R²_k > r) of one column of n independent class means, n ≥ 5."""
    if r <= 0 or r >= 1:
        return float(r <= 0)
    planes = (n - 1) // 2
    if r * (planes + (n % 2 == 0)) < 1:
        return 1.0  # the shares sum to one: the largest is at least their mean
    exceeds = float(planes_exceed(np.array([r]), planes, (n - 3) / 2)[0])
    if n % 2 == 0:
        exceeds += _nyquist_alone(r, planes, n)
    return min(1.0, exceeds)


def planes_exceed(r: Float[np.ndarray, " x"], planes: int, exponent: float) -> Float[np.ndarray, " x"]:
    """P(largest share of `planes` planes > r) for each r > 0; `exponent` is (degrees of freedom - 2) / 2."""
    total = np.zeros_like(r)
    for j in range(1, planes + 1):
        left = np.clip(1 - j * r, 0, None)
        if not left.any():
            break
        total += (-1) ** (j + 1) * math.comb(planes, j) * left**exponent
    return np.clip(total, 0, 1)


def _nyquist_alone(r: float, planes: int, n: int) -> float:
    """P(the Nyquist column is above r and no plane is), n even."""
    from scipy.special import beta

    nodes, weights = _legendre()
    # With x = sin²t the singular ends of the Beta density become smooth: density · dx = 2 (cos t)^(n-3) dt / B.
    start = math.asin(math.sqrt(r))
    angle = start + (math.pi / 2 - start) * (nodes + 1) / 2
    share = np.sin(angle) ** 2
    density = 2 * np.cos(angle) ** (n - 3) / beta(0.5, (n - 2) / 2)
    # Above its whole share no plane can be: r / (1 - x) ≥ 1 gives probability zero.
    quiet = 1 - planes_exceed(r / np.clip(1 - share, 1e-12, None), planes, planes - 1.0)
    return float((weights * density * quiet).sum() * (math.pi / 2 - start) / 2)


@cache
def _legendre() -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    from scipy.special import roots_legendre

    return roots_legendre(NODES)
