"""Adjusted p-values and exact intervals, worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toy.maths.corrections import benjamini_hochberg, clopper_pearson, holm
from toy.run.errors import InputError

P = torch.tensor([0.04, 0.01, 0.03, 0.005], dtype=torch.float64)


def test_holm_by_hand() -> None:
    """Sorted 0.005·4, 0.01·3, 0.03·2, and 0.04·1 raised to the one before."""
    assert holm(P).tolist() == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_benjamini_hochberg_by_hand() -> None:
    """Sorted 0.005·4, 0.01·4/2, 0.03·4/3, 0.04·4/4."""
    assert benjamini_hochberg(P).tolist() == pytest.approx([0.04, 0.02, 0.04, 0.02])


def test_benjamini_hochberg_lowers_to_a_later_one() -> None:
    """0.03·3/1 = 0.09 and 0.032·3/2 = 0.048 both fall to 0.033·3/3."""
    p = torch.tensor([0.03, 0.032, 0.033], dtype=torch.float64)
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.033] * 3)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_adjusted_p_keep_the_order_and_lie_between_p_and_bonferroni(values: list[float]) -> None:
    p = torch.tensor(values, dtype=torch.float64)
    both = holm(p), benjamini_hochberg(p)
    assert bool((both[1] <= both[0] + 1e-12).all())
    for adjusted in both:
        assert bool((adjusted >= p - 1e-12).all())
        assert bool((adjusted <= (p * len(p)).clamp_max(1) + 1e-12).all())
        order = p.argsort()
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


@pytest.mark.parametrize("arguments", [(1, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_impossible_counts_are_refused(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(InputError, match="0 <= successes <= trials"):
        clopper_pearson(*arguments)
