"""Intervals of proportions and of resampled sums, paired tests of proportions, and Holm's correction.

A proportion of k in n: `wilson` (1927) inverts the score test, which gives p̂ = k/n the ends

    (p̂ + z²/2n ± z √(p̂(1-p̂)/n + z²/4n²)) / (1 + z²/n),    z = 1.96;

`clopper_pearson` (1934) inverts the exact binomial test and covers at least its level for every true rate, also at
k = 0, where its upper end is 1 - (α/2)^(1/n).

Two proportions p₁, p₂ of the same n prompts, b of them right before only and c right after only:

    mcnemar    exact: the two-sided binomial test of b against c, given b + c
    newcombe   95 % interval of d = p₁ - p₂ (Newcombe 1998, Statistics in Medicine 17: 2635, method 10) from the Wilson
               limits l, u of both, with the correlation φ of the pairs (0 for two samples):
                   d ± √((p₁-l₁)² - 2φ(p₁-l₁)(u₂-p₂) + (u₂-p₂)²)      (the other way round above)

A statistic of sums over n prompts in U groups (operand pairs, items) that are drawn together, with replacement:

    clustered_sums   the sums (resamples, C) of C columns; everything below is computed from these draws
    ratio_interval   percentile interval of 1 - Σ left / Σ base, a held-out R²;    mean_interval   of a mean
    band             means of C columns and half-widths such that, at 95 %, *all* columns lie within theirs at once:
                     q · se, q the 95th percentile of max over columns |resampled mean - mean| / its own se (max-t,
                     studentised: with one se for all resamples small samples would be covered too rarely)

m confirmations (Holm 1979, family-wise error whatever the dependence), p_(1) ≤ … ≤ p_(m):

    holm       p̃_(i) = max_{j ≤ i} min(1, (m - j + 1) p_(j)), so that p̃ ≤ α is the method's rejection at level α;
               with weights w fixed in advance, p/w in place of p and the sum of the weights left in place of m - j + 1
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.run.errors import InputError

RESAMPLES = 1000
Z_95 = 1.959963984540054


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion."""
    # Not SciPy's: the two differ in the sixteenth digit, and committed tables hold this one's, at k = 0 too.
    share, spread = successes / trials, Z_95**2 / trials
    centre = share + spread / 2
    half = Z_95 * (share * (1 - share) / trials + spread / (4 * trials)) ** 0.5
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion."""
    from scipy.stats import binomtest  # takes a second to import

    interval = binomtest(successes, trials).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def mcnemar(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> float:
    """Two-sided exact p; 1 where no prompt changed sides."""
    from scipy.stats import binomtest

    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def newcombe(first: int, second: int, trials: int, correlation: float = 0.0) -> tuple[float, float]:
    """95 % interval of the difference of two proportions, `first` minus `second` of `trials` each."""
    p1, p2 = first / trials, second / trials
    (low1, high1), (low2, high2) = wilson(first, trials), wilson(second, trials)

    def half(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))

    return p1 - p2 - half(p1 - low1, high2 - p2), p1 - p2 + half(high1 - p1, p2 - low2)


def paired_newcombe(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> tuple[float, float]:
    """95 % interval of the proportion after minus the one before, on the same prompts.

    The correlation is φ of the fourfold table, with Newcombe's continuity correction where it is positive.
    """
    n, first, second = len(before), int(after.sum()), int(before.sum())
    both = int((before & after).sum())
    margins = second * (n - second) * first * (n - first)
    # both · neither - lost · gained, in terms of the margins.
    cross = both * n - first * second
    phi = (max(cross - n / 2, 0.0) if cross > 0 else cross) / math.sqrt(margins) if margins else 0.0
    return newcombe(first, second, n, phi)


def clustered_sums(values: Float[Tensor, "n c"], groups: Int[Tensor, " n"], seed: int) -> Float[Tensor, "resamples c"]:
    """Column sums of bootstrap samples that draw whole groups."""
    sums = _group_sums(values, groups)
    return sums[_picks(len(sums), seed)].sum(dim=1)


def ratio_interval(
    left: Float[Tensor, " n"], base: Float[Tensor, " n"], groups: Int[Tensor, " n"], seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of 1 - Σ left / Σ base."""
    total = clustered_sums(torch.stack([left, base], dim=1), groups, seed)
    return percentiles(1 - total[:, 0] / total[:, 1].clamp_min(1e-300))


def mean_interval(values: Float[Tensor, " n"], groups: Int[Tensor, " n"], seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean."""
    values = values.double()
    total = clustered_sums(torch.stack([values, torch.ones_like(values)], dim=1), groups, seed)
    return percentiles(total[:, 0] / total[:, 1])


def percentiles(draws: Float[Tensor, " resamples"]) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile."""
    return float(draws.quantile(0.025)), float(draws.quantile(0.975))


def band(
    values: Float[Tensor, "n c"], groups: Int[Tensor, " n"], seed: int
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """(means, half-widths): a simultaneous 95 % band over the columns."""
    means = values.double().mean(dim=0)
    # A group's share in the error of the mean: groups differ in size.
    share = _group_sums(values.double() - means, groups)
    share *= len(share) / len(values)
    picks = _picks(len(share), seed)
    # How often each group is in each resample: with many columns a product is much smaller than the rows drawn.
    weights = torch.zeros(RESAMPLES, len(share), dtype=torch.float64)
    weights.scatter_add_(1, picks, torch.ones_like(picks).double()).div_(len(share))
    off = weights @ share
    error = (weights @ share.square() - off.square()).clamp_min(0).sqrt()
    own = share.square().mean(dim=0).sqrt()
    # A column that hardly varies in a resample says nothing there.
    largest = torch.where(error > 1e-6 * own, off.abs() / error, 0.0).amax(dim=1)
    return means, largest.quantile(0.95) * own


def _group_sums(values: Float[Tensor, "n c"], groups: Int[Tensor, " n"]) -> Float[Tensor, "u c"]:
    _, group = groups.unique(return_inverse=True)
    sums = torch.zeros(int(group.max()) + 1, values.shape[1], dtype=torch.float64)
    return sums.index_add_(0, group, values.double())


def _picks(groups: int, seed: int) -> Int[Tensor, "resamples groups"]:
    return torch.randint(groups, (RESAMPLES, groups), generator=torch.Generator().manual_seed(seed))


def holm(p: Float[Tensor, " m"], weights: Float[Tensor, " m"] | None = None) -> Float[Tensor, " m"]:
    """Holm's adjusted p of each, in the order given; `weights` are above 0, their scale does not matter.

    Raises:
        InputError: a value outside [0, 1].
    """
    wrong = ~((p >= 0) & (p <= 1))
    if bool(wrong.any()):
        raise InputError(f"p-values lie in [0, 1], got {p[wrong].tolist()[:5]}")
    weights = torch.ones_like(p, dtype=torch.float64) if weights is None else weights.double()
    ranked, order = torch.sort(p.double() / weights)
    left = weights[order].flip(0).cumsum(dim=0).flip(0)
    adjusted = (ranked * left).clamp_max(1).cummax(dim=0).values
    return torch.empty_like(ranked).scatter_(0, order, adjusted)
