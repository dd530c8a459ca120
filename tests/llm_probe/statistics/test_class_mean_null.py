"""Laws of the largest R² against simulation and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_probe.statistics import class_mean_null
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns


@pytest.mark.parametrize("n", [5, 7, 8, 10, 12, 23, 24])
def test_the_law_of_the_best_frequency_is_that_of_white_noise(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    draws = class_mean_r2(torch.randn(n, 40_000, generator=generator, dtype=torch.float64)).amax(dim=0)
    for r in (0.2, 0.35, 0.45, 0.5, 0.6, 0.8, 0.95):
        expected = float((draws >= r).double().mean())
        assert class_mean_null.best_frequency_exceeds(r, n) == pytest.approx(expected, abs=0.01)


def test_above_one_half_only_one_plane_can_be() -> None:
    # n = 7: three planes, P = 3 (1 - r)²; the share of the largest is at least a third.
    assert class_mean_null.best_frequency_exceeds(0.9, 7) == pytest.approx(3 * 0.1**2)
    assert class_mean_null.best_frequency_exceeds(1 / 3, 7) == pytest.approx(1.0)
    assert class_mean_null.best_frequency_exceeds(0.3, 7) == 1.0
    assert class_mean_null.best_frequency_exceeds(1.0, 7) == 0.0


@given(st.integers(5, 40), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_law_falls_from_one_to_zero(n: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    exceeds = class_mean_null.best_frequency_exceeds
    assert 0 <= exceeds(high, n) <= exceeds(low, n) + 1e-9 <= 1 + 1e-9


def test_the_largest_of_columns_is_solved_for_its_quantiles() -> None:
    law = class_mean_null.white_noise(11, 1024)
    assert law.above(law.median) == pytest.approx(0.5) and law.above(law.q95) == pytest.approx(0.05)
    assert law.below(law.q05) == pytest.approx(0.05)
    assert class_mean_null.of_columns(1e-12, 1000) == pytest.approx(1e-9)


def test_a_fixed_fit_is_beta() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = r2_in_sample(torch.randn(12, 20_000, generator=generator, dtype=torch.float64), _columns(12))
    law = class_mean_null.fixed_fit(12, 3)
    assert law.above(0.4) == pytest.approx(float((draws > 0.4).double().mean()), abs=0.015)
    assert law.median == pytest.approx(float(draws.median()), abs=0.01)


def _columns(n: int) -> torch.Tensor:
    return rival_columns(torch.arange(n), n, "cubic")


def test_draws_give_a_p_that_is_never_zero() -> None:
    law = class_mean_null.law_of_draws("x", np.array([0.1, 0.2, 0.3, 0.4]))
    assert law.above(0.5) == pytest.approx(1 / 5)
    assert law.above(0.3) == pytest.approx(3 / 5)
    assert law.below(0.05) == pytest.approx(1 / 5) and law.below(0.4) == 1.0
