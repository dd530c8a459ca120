"""The third direction: planted heights come back, and means that have nothing in common have none."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from llm_probe.geometry.third_direction import class_means, template_centred, third_directions

N, D, RADIUS = 12, 400, 3.0


def planted(height: float, seed: int = 0) -> Tensor:
    """Twelve means on a circle of radius 3 whose second wave, of so many radii, leads out of the plane."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(D, 3, generator=generator, dtype=torch.float64)).Q
    angle = 2 * math.pi * torch.arange(N, dtype=torch.float64) / N
    points = torch.stack([angle.cos(), angle.sin(), height * (2 * angle).cos()], dim=1)
    return RADIUS * points @ basis.T + torch.randn(D, generator=generator, dtype=torch.float64)


def test_a_planted_height_comes_back_in_radii_of_the_circle() -> None:
    heights, *_ = third_directions(planted(0.5), 1)
    wave = torch.cos(4 * math.pi * torch.arange(N) / N).double()
    assert abs(float(torch.corrcoef(torch.stack([heights, wave]))[0, 1])) > 0.999
    # A label that is left out pulls neither the plane nor the mean towards itself: its height comes out larger.
    assert 0.5 <= float(heights.abs().max()) <= 0.7


def test_means_that_have_nothing_in_common_have_no_height() -> None:
    means = torch.randn(N, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    heights, *_ = third_directions(means, 1)
    assert float(heights.abs().max()) < 0.35 < float(third_directions(planted(0.5), 1)[0].abs().max())


def test_a_prompt_stands_where_its_mean_stands() -> None:
    means = planted(0.5)
    heights, directions, origins = third_directions(means, 1)
    assert ((means - origins) * directions).sum(dim=1) == pytest.approx(heights)
    off = means + RADIUS * 0.1 * torch.nn.functional.normalize(directions)
    assert ((off - origins) * directions).sum(dim=1) == pytest.approx(heights + 0.1, abs=1e-3)


def test_a_label_without_prompts_has_no_height() -> None:
    means = planted(0.5)
    means[3] = torch.nan
    heights, *_ = third_directions(means, 1)
    assert heights.isnan().nonzero().flatten().tolist() == [3]


def test_states_that_are_all_alike_have_heights_of_zero() -> None:
    assert third_directions(torch.ones(N, D, dtype=torch.float64), 1)[0].abs().max() < 1e-6


def test_templates_do_not_move_the_means() -> None:
    label, template = torch.arange(24) % N, torch.arange(24) // N
    states = planted(0.5)[label] + 10.0 * template[:, None]
    means = class_means(template_centred(states, template), label, N)
    assert torch.allclose(third_directions(means, 1)[0], third_directions(planted(0.5), 1)[0])
