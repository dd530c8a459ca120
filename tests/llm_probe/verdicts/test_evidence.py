"""The chosen plane in numbers without a basis: of a circle, of noise, and of a circle behind massive dimensions."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llm_probe.activations.streaming import Location, States
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import published_grid
from llm_probe.statistics.planes import circles, confirm
from llm_probe.statistics.registry import ChosenStates, measure_all
from llm_probe.verdicts.evidence import explained_by

CLAIM = Claim(modular("add", 7), "sum")
K = 2
CELLS: tuple[Location, ...] = ((0, "resid_post", "last"), (4, "resid_post", "last"))


def both(claim: Claim) -> tuple[Labels, Labels]:
    discovery, confirmation = (claim.prompts(part, 500, 0) for part in ("discovery", "confirmation"))
    return Labels.of(claim, discovery), Labels.of(claim, confirmation)


def read(claim: Claim, radius: float, frequency: int, massive: float = 0.0) -> tuple[Any, torch.Tensor]:
    """Location 1 has a circle of a radius in two of twenty dimensions of noise of sd 1/2, and a constant one."""
    labels, new = both(claim)
    generator = torch.Generator().manual_seed(0)

    def states(of: Labels) -> torch.Tensor:
        made = torch.randn(len(of.label), 2, 20, generator=generator) / 2
        made[:, 1, 4:6] += radius * circles(of.label, (frequency,), claim.period).float()
        made[:, 1, 9] += massive
        return made

    kept = States(CELLS, states(labels), states(new), None)
    _, points, _ = confirm(kept.discovery[:, 1], kept.confirmation[:, 1], labels, new, frequency, 0.01, seed=0)
    at = ChosenStates(frequency, labels, new, kept.discovery[:, 1], kept.confirmation[:, 1], points)
    return SimpleNamespace(**measure_all(at)), points


def test_a_planted_circle() -> None:
    row, _ = read(CLAIM, 2.0, K)
    assert row.resultant > 0.95
    assert row.decode_chance == pytest.approx(1 / 7)
    assert row.decode_accuracy > 0.8
    assert row.kappa == pytest.approx((row.decode_accuracy - 1 / 7) / (6 / 7), abs=0.02)
    assert row.circulant is not None and row.circulant > 0.9
    assert row.circulant_beyond_simplex is not None and row.circulant_noise is not None
    assert row.circulant_beyond_simplex > 0.9
    assert row.circulant_noise < 0.3
    # Each of the two columns has variance 2 beside 1/4 of noise, and 18 others have 1/4.
    assert row.phi_share == pytest.approx(4 / (4 + 20 / 4), abs=0.04)
    assert row.r2_wraps == pytest.approx(2 / 2.25, abs=0.04)
    assert row.f_ratio is not None and row.f_ratio > 20


def test_noise() -> None:
    row, _ = read(CLAIM, 0.0, K)
    assert row.resultant < 0.2
    assert row.decode_accuracy == pytest.approx(1 / 7, abs=0.08)
    assert row.kappa == pytest.approx(0, abs=0.08)
    assert row.circulant_beyond_simplex is not None and row.circulant_beyond_simplex < 0.7
    assert row.f_ratio == pytest.approx(1, abs=0.25)
    assert row.r2_wraps is not None and row.r2_wraps < 0.02
    assert row.r2_without_massive is not None and row.r2_without_massive < 0.02


def test_a_massive_dimension_is_left_out_and_the_circle_stays() -> None:
    row, _ = read(CLAIM, 2.0, K, massive=100.0)
    # The four of largest mean square are the massive one, the circle's two and one of noise.
    assert row.r2_without_massive is not None and row.r2_without_massive < 0.05
    assert row.r2_wraps is not None and row.r2_wraps > 0.8
    small, _ = read(CLAIM, 0.3, K, massive=100.0)
    assert small.r2_without_massive is not None


def test_items_and_three_of_them() -> None:
    row, _ = read(Claim(DOMAINS["months"], "item"), 2.0, 1)
    assert row.r2_wraps is None  # a month that is mentioned has no wraps
    assert row.circulant_line is not None and row.circulant_noise is not None
    assert row.resultant > 0.9
    assert row.phi_share is not None and row.phi_share > 0.3


def test_a_plane_of_its_circle_is_explained_by_nothing() -> None:
    _, points = read(CLAIM, 2.0, K)
    assert explained_by(points, both(CLAIM)[1], K) is None


def test_two_digits_in_the_place_of_a_circle_are_named() -> None:
    """The published grid mod 17: that both operands have two digits has a class-mean R² of 0.98 (science.md)."""
    claim = Claim(modular("add", 17), "sum")
    labels = Labels.of(claim, published_grid(claim.domain))
    long = ((labels.first >= 10) & (labels.offset >= 10)).double()
    points = torch.stack([long, torch.zeros_like(long)], dim=1)
    explanation = explained_by(points, labels, 1)
    assert explanation is not None and "of the plane, the circle" in explanation
    assert "1.00" in explanation and "_" not in explanation
