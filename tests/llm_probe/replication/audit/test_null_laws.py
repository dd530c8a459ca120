"""Laws of the largest R² against simulation and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_probe.replication.audit import magnitude_networks, null_laws
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns


@pytest.mark.parametrize("n", [5, 7, 8, 10, 12, 23, 24])
def test_the_law_of_the_best_frequency_is_that_of_white_noise(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    drawn = class_mean_r2(torch.randn(n, 40_000, generator=generator, dtype=torch.float64)).amax(dim=0)
    for r in (0.2, 0.35, 0.45, 0.5, 0.6, 0.8, 0.95):
        expected = float((drawn >= r).double().mean())
        assert null_laws.best_frequency_exceeds(r, n) == pytest.approx(expected, abs=0.01)


def test_above_one_half_only_one_plane_can_be() -> None:
    # n = 7: three planes, P = 3 (1 - r)²; the share of the largest is at least a third.
    assert null_laws.best_frequency_exceeds(0.9, 7) == pytest.approx(3 * 0.1**2)
    assert null_laws.best_frequency_exceeds(1 / 3, 7) == pytest.approx(1.0)
    assert null_laws.best_frequency_exceeds(0.3, 7) == 1.0
    assert null_laws.best_frequency_exceeds(1.0, 7) == 0.0


@given(st.integers(5, 40), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_law_falls_from_one_to_zero(n: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 0 <= null_laws.best_frequency_exceeds(high, n) <= null_laws.best_frequency_exceeds(low, n) + 1e-9 <= 1 + 1e-9


def test_the_largest_of_columns_is_solved_for_its_quantiles() -> None:
    law = null_laws.white_noise(11, 1024)
    assert law.above(law.median) == pytest.approx(0.5) and law.above(law.q95) == pytest.approx(0.05)
    assert law.below(law.q05) == pytest.approx(0.05)
    assert null_laws.of_columns(1e-12, 1000) == pytest.approx(1e-9)


def test_a_fixed_fit_is_beta() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = r2_in_sample(torch.randn(12, 20_000, generator=generator, dtype=torch.float64), _columns(12))
    law = null_laws.fixed_fit(12, 3)
    assert law.above(0.4) == pytest.approx(float((drawn > 0.4).double().mean()), abs=0.015)
    assert law.median == pytest.approx(float(drawn.median()), abs=0.01)


def _columns(n: int) -> torch.Tensor:
    return rival_columns(torch.arange(n), n, "cubic")


def test_draws_give_a_p_that_is_never_zero() -> None:
    law = null_laws.of_draws("x", np.array([0.1, 0.2, 0.3, 0.4]))
    assert law.above(0.5) == pytest.approx(1 / 5)
    assert law.above(0.3) == pytest.approx(3 / 5)
    assert law.below(0.05) == pytest.approx(1 / 5) and law.below(0.4) == 1.0


def test_quantiles_of_networks_give_the_law_of_few_dimensions() -> None:
    # Two networks whose dimensions are uniform on [0, 1]: one exceeds r with 1 - r, the larger of two with 1 - r².
    levels = np.array([0.25, 0.5, 0.75, 0.999999])
    law = null_laws.of_network_quantiles("x", levels, np.stack([levels, levels]), 1)
    assert law.above(0.7) == pytest.approx(0.3, abs=1e-5) and law.median == pytest.approx(0.5, abs=1e-5)
    assert null_laws.of_network_quantiles("x", levels, np.stack([levels, levels]), 2).above(0.7) == pytest.approx(
        0.51, abs=1e-4
    )


def test_groups_of_outputs_are_searches_of_that_size() -> None:
    values = np.arange(12.0).reshape(2, 6)
    assert magnitude_networks.largest_of(values, 3).tolist() == [2, 5, 8, 11]
    assert magnitude_networks.largest_of(values, 4).tolist() == [3, 9]
    assert magnitude_networks.largest_of(values, 100).tolist() == [5, 11]


def test_the_share_over_all_inputs_is_that_of_the_outputs_themselves() -> None:
    n = 7
    a, b = magnitude_networks.operands(n, "square")
    inner, offset, readout = (each[0] for each in magnitude_networks._weights())
    outputs = (torch.relu(torch.stack([a, b], 1).float() / n @ inner + offset) @ readout[:, :3]).double()
    centred = outputs - outputs.mean(dim=0)
    s = (a + b).double()
    by_hand = []
    for k in (1, 2, 3):
        circle = torch.stack([(2 * torch.pi * k * s / n).cos(), (2 * torch.pi * k * s / n).sin()], dim=1)
        explained = (circle.T @ centred).square().sum(dim=0) / (n * n / 2)
        by_hand.append(explained / centred.square().sum(dim=0))
    expected = torch.stack(by_hand).amax(dim=0)
    assert magnitude_networks.input_share(n, 1)[0, :3] == pytest.approx(expected.numpy(), rel=1e-3)
