"""Readout beside mediator in networks that were written down: the same plane in a clock, two in an idle circle."""

from __future__ import annotations

import math

import pytest
import torch

from causal.algorithms.known_networks import AnswerCode, Clock, IdleCircle, random_codes
from causal.algorithms.mediators import AdderPlace, Mediator, halves
from causal.interventions.principal_angles import haar_quantile, largest_angle
from llm_probe.statistics.patterns import random_basis
from toy.run.errors import InputError


def test_angles_by_hand() -> None:
    x, y, z = torch.eye(3, dtype=torch.float64)
    tilted = torch.stack([x, math.cos(0.3) * y + math.sin(0.3) * z], dim=1)
    assert largest_angle(torch.stack([x, y], dim=1), tilted) == pytest.approx(0.3)
    assert largest_angle(x[:, None], y[:, None]) == pytest.approx(math.pi / 2)


def test_the_quantile_of_a_line_in_the_plane_is_that_of_a_uniform_angle() -> None:
    assert haar_quantile(2, 1, 0.05) == pytest.approx(0.05 * math.pi / 2, abs=0.02)
    fixed = torch.eye(9, 2, dtype=torch.float64)
    draws = [largest_angle(fixed, random_basis(fixed, torch.Generator().manual_seed(seed))) for seed in range(400)]
    below = sum(angle < haar_quantile(9, 2, 0.05) for angle in draws)
    assert 5 <= below <= 40  # 20 of 400 on average


@pytest.mark.parametrize("frequency", [1, 3])
def test_the_plane_of_a_clock_is_the_one_it_uses(frequency: int) -> None:
    clock = Clock(11, 60, [frequency])
    mediation = Mediator(AdderPlace(clock, *halves(clock, 800, 0))).mediation([frequency])
    assert mediation.agrees and mediation.use == "used"
    assert mediation.moved["plane"] > 0.9 and mediation.ablated["plane"] < 0.4
    assert mediation.moved["random"] < 0.3


def test_a_circle_beside_the_one_that_is_read_is_read_and_not_used() -> None:
    network = IdleCircle(11, 60, idle=1, read=3)
    mediator = Mediator(AdderPlace(network, *halves(network, 800, 0)))
    idle, read = mediator.mediation([1]), mediator.mediation([3])
    assert idle.use == "read, not used" and not idle.agrees
    assert idle.ablated["plane"] > 0.95 and idle.moved["trained"] > 0.9
    assert read.use == "used" and read.agrees


def test_a_code_without_order_has_no_plane_that_moves_it() -> None:
    network = AnswerCode(random_codes(11), 60)
    assert Mediator(AdderPlace(network, *halves(network, 800, 0))).mediation([1]).use != "used"


def test_an_answer_without_a_question_is_named() -> None:
    clock = Clock(11, 60, [1])
    with pytest.raises(InputError, match="no question has the answer"):
        AdderPlace(clock, *halves(clock, 8, 0))
