"""The two indices on clouds whose shape is known."""

import math

import pytest
import torch

from sae.circles.engels import irreducibility, mixture, separability


def cloud(kind: str, n: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    turn = torch.rand(n, generator=generator) * 2 * math.pi
    normal = torch.randn(n, 2, generator=generator)
    turns = normal * (torch.arange(n) % 2)[:, None].eq(torch.tensor([[0, 1]]))
    return {"circle": torch.stack([turn.cos(), turn.sin()], 1), "normal": normal, "turns": turns}[kind]


def test_a_circle_is_one_thing() -> None:
    indices = irreducibility(cloud("circle"), 0, draws=40)
    assert indices.separability.value == pytest.approx(1.5, abs=0.1)
    assert indices.separability.low > 5 * indices.separability.null
    assert indices.p_separability == pytest.approx(1 / 41)
    assert indices.mixture.low <= indices.mixture.value <= indices.mixture.high


def test_independent_coordinates_are_separable_at_any_angle() -> None:
    indices = irreducibility(cloud("normal"), 0, draws=40)
    assert indices.p_separability > 0.05
    ramp = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    turned = ramp @ torch.tensor([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    assert separability(turned.double()) < 0.03


def test_one_dimensional_features_in_turns_are_a_mixture() -> None:
    assert mixture(cloud("turns").double()) > 0.5 > mixture(cloud("circle").double())


def test_constant_points_have_no_information() -> None:
    assert separability(torch.zeros(10, 2, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
