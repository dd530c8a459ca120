"""What an intervention did to the answers: paired tests, intervals, and where the answers went.

Paired: the same n prompts before and after; b of them right before only, c right after only.

    exact McNemar         two-sided binomial test of b against c, given b + c
    Newcombe (1998)       95 % interval of the change of a paired proportion (Statistics in Medicine 17: 2635, method
                          10):
                          the Wilson limits l, u of both shares, with the correlation φ of the pairs
                              d ± √((p₁-l₁)² - 2φ(p₁-l₁)(u₂-p₂) + (u₂-p₂)²)      (the other way round above)
    clustered bootstrap   percentile interval of a mean over whole operand pairs

Where the answers went, for labels s of period p:

    histogram             share of (answer - s) mod p = 0 … p-1, and of everything else (`other`)
    P(answer = s + j)     the share at j
    circular regression   the slope β that maximises |mean exp(2πi(shift - βj)/p)|, and that maximum; a circle that is
                          turned and followed has slope 1 and maximum 1

Against N controls, the empirical rank p = (1 + #{control >= value}) / (1 + N) (Phipson & Smyth 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.training.survival import wilson

SLOPE_STEP = 0.005
RESAMPLES = 1000


@dataclass(frozen=True)
class Change:
    """Accuracy before and after, on the same prompts."""

    n: int
    before: float
    after: float
    low: float
    """95 % Newcombe interval of after - before: …"""
    high: float
    p: float
    """Exact McNemar."""


def change(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> Change:
    """The change of a paired share."""
    n = len(before)
    return Change(
        n, float(before.double().mean()), float(after.double().mean()), *newcombe(before, after), mcnemar(before, after)
    )


def mcnemar(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> float:
    """Two-sided exact p; 1 where no prompt changed sides."""
    from scipy.stats import binomtest

    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    return float(binomtest(lost, lost + gained, 0.5).pvalue) if lost + gained else 1.0


def newcombe(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> tuple[float, float]:
    """95 % interval of after - before."""
    n = len(before)
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    p1, p2 = (both + gained) / n, (both + lost) / n
    (low1, high1), (low2, high2) = wilson(both + gained, n), wilson(both + lost, n)
    phi = _correlation(both, lost, gained, neither)

    def half(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))

    return p1 - p2 - half(p1 - low1, high2 - p2), p1 - p2 + half(high1 - p1, p2 - low2)


def _correlation(both: int, lost: int, gained: int, neither: int) -> float:
    """φ of the fourfold table, with Newcombe's continuity correction where it is positive."""
    n = both + lost + gained + neither
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if not margins:
        return 0.0
    cross = both * neither - lost * gained
    return (max(cross - n / 2, 0.0) if cross > 0 else cross) / math.sqrt(margins)


def clustered_interval(values: Float[Tensor, " n"], clusters: Int[Tensor, " n"], seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap of the mean over whole clusters."""
    _, cluster = clusters.unique(return_inverse=True)
    sums = torch.zeros(int(cluster.max()) + 1, 2, dtype=torch.float64)
    sums.index_add_(0, cluster, torch.stack([values.double(), torch.ones_like(values).double()], dim=1))
    picks = torch.randint(len(sums), (RESAMPLES, len(sums)), generator=torch.Generator().manual_seed(seed))
    total = sums[picks].sum(dim=1)
    means = total[:, 0] / total[:, 1]
    return float(means.quantile(0.025)), float(means.quantile(0.975))


def shifts(answers: Int[Tensor, " n"], labels: Int[Tensor, " n"], period: int) -> Int[Tensor, " n"]:
    """(answer - s) mod p, and p where there is no answer (-1)."""
    return torch.where(answers < 0, period, (answers - labels) % period)


def histogram(moved: Int[Tensor, " n"], period: int) -> Float[Tensor, " bins"]:
    """Shares of the shifts 0 … p-1, and of no answer (last bin)."""
    return torch.bincount(moved, minlength=period + 1).double() / len(moved)


def circular_regression(moved: Sequence[Int[Tensor, " n"]], steps: Sequence[int], period: int) -> tuple[float, float]:
    """(slope, resultant) of the shifts on the steps; prompts without an answer are left out, (0, 0) if none has one.

    `moved` holds the shifts of every step. The slope is searched in [-p/2, p/2].
    """
    pairs = [(row[row < period].double(), step) for row, step in zip(moved, steps, strict=True)]
    shift = torch.cat([row for row, _ in pairs])
    if not len(shift):
        return 0.0, 0.0
    # The resultant depends on the mean unit vector of each step only.
    means = torch.stack([torch.polar(torch.ones_like(row), 2 * math.pi * row / period).sum() for row, _ in pairs])
    slopes = torch.arange(-period / 2, period / 2 + SLOPE_STEP / 2, SLOPE_STEP, dtype=torch.float64)
    turned = torch.tensor([float(step) for _, step in pairs], dtype=torch.float64)
    angles = -2 * math.pi / period * slopes[:, None] * turned
    found = (means * torch.polar(torch.ones_like(angles), angles)).sum(dim=1).abs() / len(shift)
    best = int(found.argmax())
    return float(slopes[best]), float(found[best])


def rank(value: float, controls: Sequence[float]) -> float:
    """Empirical p of a value that should be larger than its controls."""
    return (1 + sum(control >= value for control in controls)) / (1 + len(controls))
