"""Intervals, paired tests, bootstraps and adjusted p-values, worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from toy.maths.intervals import (
    band,
    clopper_pearson,
    clustered_sums,
    holm,
    mcnemar,
    mean_interval,
    newcombe,
    paired_newcombe,
    ratio_interval,
    wilson,
)
from toy.run.errors import InputError

P = torch.tensor([0.04, 0.01, 0.03, 0.005], dtype=torch.float64)


def test_holm_by_hand() -> None:
    """Sorted 0.005·4, 0.01·3, 0.03·2, and 0.04·1 raised to the one before."""
    assert holm(P).tolist() == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_weighted_holm_by_hand() -> None:
    """p/w = 0.02, 0.01, 0.06; of all weights 1 · 4, of 2 and 1 left 0.02 · 3, of 1 left 0.06 · 1."""
    p, weights = torch.tensor([0.04, 0.01, 0.06]).double(), torch.tensor([2.0, 1.0, 1.0])
    assert holm(p, weights).tolist() == pytest.approx([0.06, 0.04, 0.06])
    assert holm(P, torch.full((4,), 7.0)).tolist() == pytest.approx(holm(P).tolist())


@given(st.lists(st.floats(0, 1), max_size=12))
def test_adjusted_p_keep_the_order_and_lie_between_p_and_bonferroni(values: list[float]) -> None:
    p = torch.tensor(values, dtype=torch.float64)
    adjusted, order = holm(p), p.argsort()
    assert bool((adjusted >= p - 1e-12).all())
    assert bool((adjusted <= (p * len(p)).clamp_max(1) + 1e-12).all())
    assert bool((adjusted[order].diff() >= -1e-12).all())


def test_values_that_are_no_probabilities_are_refused() -> None:
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(InputError, match=r"lie in \[0, 1\]"):
            holm(torch.tensor([0.5, wrong]))


def test_clopper_pearson_by_hand() -> None:
    """None and all of n: 1 - (α/2)^(1/n); one of two: the roots of 1 - (1 - x)² and x² at α/2."""
    assert clopper_pearson(0, 1000) == pytest.approx((0, 1 - 0.025 ** (1 / 1000)))
    assert clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1))
    assert clopper_pearson(1, 2) == pytest.approx((1 - math.sqrt(0.975), math.sqrt(0.975)))
    low, high = clopper_pearson(14, 50)
    # The tails of the binomial at the ends are α/2 each, by definition.
    at_least = sum(math.comb(50, k) * low**k * (1 - low) ** (50 - k) for k in range(14, 51))
    at_most = sum(math.comb(50, k) * high**k * (1 - high) ** (50 - k) for k in range(15))
    assert (at_least, at_most) == pytest.approx((0.025, 0.025))
    assert clopper_pearson(14, 50, 0.99)[0] < low


@pytest.mark.parametrize("arguments", [(1, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.1)])
def test_impossible_counts_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match=r"must not be greater|must be|between 0 and 1"):
        clopper_pearson(*arguments)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (199, 200), (1, 1)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand() -> None:
    # 8 of 8: 1 / (1 + z²/8) with z = 1.959964
    low, high = wilson(8, 8)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 8), abs=1e-6) and high == 1
    assert wilson(0, 8) == pytest.approx((0, 1 - low))


def paired(both: int, lost: int, gained: int, neither: int) -> tuple[torch.Tensor, torch.Tensor]:
    before = [True] * (both + lost) + [False] * (gained + neither)
    after = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return torch.tensor(before), torch.tensor(after)


def test_mcnemar_is_a_coin() -> None:
    # 8 lost, 1 gained: 2 (C(9,0) + C(9,1)) / 2^9 = 20 / 512.
    assert mcnemar(*paired(10, 8, 1, 5)) == pytest.approx(20 / 512)
    assert mcnemar(*paired(10, 0, 0, 5)) == 1


def test_newcombe_of_two_samples_by_hand() -> None:
    low, high = newcombe(14, 6, 50)
    # From the Wilson limits 0.1747-0.4167 and 0.0562-0.2380.
    assert low == pytest.approx(0.16 - math.hypot(0.28 - 0.1747, 0.2380 - 0.12), abs=5e-4)
    assert high == pytest.approx(0.16 + math.hypot(0.4167 - 0.28, 0.12 - 0.0562), abs=5e-4)


def test_newcombe_without_correlation_is_that_of_two_samples() -> None:
    low, high = paired_newcombe(*paired(25, 25, 25, 25))
    assert (low, high) == pytest.approx(newcombe(50, 50, 100), abs=1e-6)


def test_newcombe_of_pairs_by_hand() -> None:
    # 8 right both times, 2 lost: p1 = 0.8, p2 = 1 of 10; a margin is zero, so phi = 0.
    # Wilson: (0.4902, 0.9433) for 8, (0.7225, 1) for 10.
    low, high = paired_newcombe(*paired(8, 2, 0, 0))
    assert low == pytest.approx(-0.2 - math.hypot(0.8 - 0.4902, 0.0), abs=1e-3)
    assert high == pytest.approx(-0.2 + math.hypot(0.9433 - 0.8, 1 - 0.7225), abs=1e-3)


def test_correlated_pairs_have_a_shorter_interval() -> None:
    (low, high), (wide_low, wide_high) = (
        paired_newcombe(*paired(*counts)) for counts in ((45, 5, 5, 45), (25, 25, 25, 25))
    )
    assert high - low < wide_high - wide_low


def test_the_bootstrap_resamples_groups() -> None:
    values = torch.tensor([0.0, 1.0] * 50)
    alone = mean_interval(values, torch.arange(100), 0)
    together = mean_interval(values, torch.arange(100) % 2 + 2 * (torch.arange(100) // 50), 0)
    assert alone[0] < 0.5 < alone[1]
    assert together[1] - together[0] > alone[1] - alone[0]


def test_the_sums_are_those_of_the_groups_drawn() -> None:
    """Powers of two say which groups were drawn, whatever the names of the groups."""
    sums = clustered_sums(torch.tensor([[1.0], [0.5], [0.5], [4.0]]), torch.tensor([7, -2, -2, 30]), 3)
    picks = torch.randint(3, (1000, 3), generator=torch.Generator().manual_seed(3))
    assert torch.equal(sums[:, 0], torch.tensor([1.0, 1.0, 4.0], dtype=torch.float64)[picks].sum(dim=1))


def test_a_band_excludes_zero_somewhere_in_one_of_twenty_noises() -> None:
    generator = torch.Generator().manual_seed(0)
    fired = 0
    for seed in range(60):
        noise = torch.randn(80, 30, generator=generator)
        mean, half = band(noise, torch.arange(80), seed)
        fired += bool((mean.abs() > half).any())
    assert fired <= 9  # binomial(60, 0.05) exceeds it in 0.1 %


def test_the_interval_of_a_ratio_holds_it() -> None:
    base = torch.rand(50, generator=torch.Generator().manual_seed(0)) + 1
    low, high = ratio_interval(base * 0.25, base, torch.arange(50), 0)
    assert abs(low - 0.75) < 1e-6 and abs(high - 0.75) < 1e-6
