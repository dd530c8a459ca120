"""Turning and displacing coordinates, against numbers worked out by hand."""

import math

import pytest
import torch

from llm_probe.statistics.patterns import columns, displace, rotate, rotation


def test_a_quarter_turn() -> None:
    states = torch.tensor([[3.0, 4.0, 5.0], [1.0, 0.0, -1.0]])
    plane = torch.eye(3, dtype=torch.float64)[:, :2]
    turned = rotate(states, plane, torch.zeros(3), rotation((1,), 4, 1), plane)
    assert torch.allclose(turned, torch.tensor([[-4.0, 3.0, 5.0], [0.0, 1.0, -1.0]]), atol=1e-6)


def test_each_plane_turns_by_its_own_angle() -> None:
    turn = rotation((1, 3), 7, 2)
    assert turn.shape == (4, 4)
    assert turn[2, 2] == pytest.approx(math.cos(2 * math.pi * 6 / 7))
    assert turn[3, 2] == pytest.approx(math.sin(2 * math.pi * 6 / 7))
    assert float(turn[:2, 2:].abs().max()) == 0


def test_the_nyquist_line_is_mirrored() -> None:
    assert columns((1, 3), 6) == 3
    assert rotation((3,), 6, 1).tolist() == [[pytest.approx(-1)]]
    assert rotation((3,), 6, 2).tolist() == [[pytest.approx(1)]]


def test_turning_there_and_back_is_nothing() -> None:
    turn = rotation((1, 2), 5, 3) @ rotation((1, 2), 5, 2)
    assert torch.allclose(turn, torch.eye(4, dtype=torch.float64))


def test_a_change_written_elsewhere_is_as_large() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(20, 8, generator=generator)
    plane, other = (torch.linalg.qr(torch.randn(8, 2, generator=generator).double()).Q for _ in range(2))
    change = rotation((1,), 7, 3) - torch.eye(2)
    here, there = (displace(states, plane, torch.zeros(8), change, writer) - states for writer in (plane, other))
    assert torch.allclose(here.norm(dim=1), there.norm(dim=1), atol=1e-5)
