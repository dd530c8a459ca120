"""Circular effects against numbers worked out by hand."""

import pytest
import torch

from causal.experiments import effects
from toy.run.errors import InputError


def test_shifts_and_their_histogram() -> None:
    moved = effects.shifts(torch.tensor([3, 0, -1, 6]), torch.tensor([1, 6, 2, 6]), 7)
    assert moved.tolist() == [2, 1, 7, 0]
    assert effects.histogram(moved, 7).tolist() == [0.25, 0.25, 0.25, 0, 0, 0, 0, 0.25]


@pytest.mark.parametrize("slope", [-1, 0, 1, 2])
def test_circular_regression_finds_the_slope(slope: int) -> None:
    steps = range(1, 11)
    moved = [torch.full((5,), (slope * j) % 11) for j in steps]
    assert effects.circular_regression(moved, list(steps), 11) == pytest.approx((slope, 1), abs=1e-6)


def test_circular_regression_on_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    moved = [torch.randint(0, 11, (500,), generator=generator) for _ in range(10)]
    assert effects.circular_regression(moved, list(range(1, 11)), 11)[1] < 0.1
    assert effects.circular_regression([torch.full((3,), 11)], [1], 11) == (0.0, 0.0)


def test_rank_counts_the_draw_itself() -> None:
    assert effects.rank(0.9, [0.1] * 99) == 0.01
    assert effects.rank(0.1, [0.1] * 99) == 1


def test_the_power_of_the_plan() -> None:
    assert effects.prompts_needed() == 469
    assert effects.prompts_needed(level=0.05 / 28_672) == pytest.approx(1893, abs=1)
    assert effects.power(50) == pytest.approx(0.15, abs=0.01)
    assert effects.power(effects.prompts_needed()) >= 0.8 > effects.power(effects.prompts_needed() - 1)


def test_an_underpowered_request_is_told_what_would_do() -> None:
    with pytest.raises(InputError, match="--prompts 469"):
        effects.check_power(100)
    assert "power 1.00" in effects.check_power(2000)
