"""Paired tests and circular effects against numbers worked out by hand."""

import math

import pytest
import torch

from causal.experiments import effects
from llm_probe.replication.audit.counts import newcombe as independent
from toy.run.errors import InputError


def paired(both: int, lost: int, gained: int, neither: int) -> tuple[torch.Tensor, torch.Tensor]:
    before = [True] * (both + lost) + [False] * (gained + neither)
    after = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return torch.tensor(before), torch.tensor(after)


def test_mcnemar_is_a_coin() -> None:
    # 8 lost, 1 gained: 2 (C(9,0) + C(9,1)) / 2^9 = 20 / 512.
    assert effects.mcnemar(*paired(10, 8, 1, 5)) == pytest.approx(20 / 512)
    assert effects.mcnemar(*paired(10, 0, 0, 5)) == 1


def test_newcombe_without_correlation_is_that_of_two_samples() -> None:
    low, high = effects.newcombe(*paired(25, 25, 25, 25))
    assert (low, high) == pytest.approx(independent(50, 50, 100), abs=1e-6)


def test_newcombe_by_hand() -> None:
    # 8 right both times, 2 lost: p1 = 0.8, p2 = 1 of 10; a margin is zero, so phi = 0.
    # Wilson: (0.4902, 0.9433) for 8, (0.7225, 1) for 10.
    low, high = effects.newcombe(*paired(8, 2, 0, 0))
    assert low == pytest.approx(-0.2 - math.hypot(0.8 - 0.4902, 0.0), abs=1e-3)
    assert high == pytest.approx(-0.2 + math.hypot(0.9433 - 0.8, 1 - 0.7225), abs=1e-3)


def test_correlated_pairs_have_a_shorter_interval() -> None:
    (low, high), (wide_low, wide_high) = (
        effects.newcombe(*paired(*counts)) for counts in ((45, 5, 5, 45), (25, 25, 25, 25))
    )
    assert high - low < wide_high - wide_low


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


def test_the_bootstrap_resamples_clusters() -> None:
    values = torch.tensor([0.0, 1.0] * 50)
    alone = effects.clustered_interval(values, torch.arange(100), 0)
    together = effects.clustered_interval(values, torch.arange(100) % 2 + 2 * (torch.arange(100) // 50), 0)
    assert alone[0] < 0.5 < alone[1]
    assert together[1] - together[0] > alone[1] - alone[0]


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
