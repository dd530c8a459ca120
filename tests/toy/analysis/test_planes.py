"""Planes: a planted circle is found wherever it lies, an ellipse stays one, noise reaches what the docstring says."""

import math

import pytest
import torch

from toy.analysis import planes
from toy.maths import fourier


def rotated(columns: torch.Tensor, width: int, seed: int = 0) -> torch.Tensor:
    """The columns along orthonormal directions of a wider space."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(width, columns.shape[1], generator=generator, dtype=torch.float64))[0]
    return columns @ directions.T


@pytest.mark.parametrize(("n", "k"), [(11, 3), (12, 5), (12, 4)])
def test_a_planted_circle_is_found_in_its_phase(n: int, k: int) -> None:
    ideal = fourier.circle(torch.arange(n), k, n)
    rows = rotated(2.5 * ideal, 7) + 3.0
    points = planes.points(rows, planes.basis(rows, k))
    assert torch.allclose(points, 2.5 * ideal, atol=1e-9)
    assert planes.correlation(points, k) == pytest.approx(1)


def test_an_ellipse_is_not_stretched_to_a_circle() -> None:
    ideal = fourier.circle(torch.arange(13), 2, 13)
    rows = rotated(ideal * torch.tensor([3.0, 1.0], dtype=torch.float64), 5)
    points = planes.points(rows, planes.basis(rows, 2))
    assert points[:, 0].abs().max() == pytest.approx(3, rel=1e-6)
    assert planes.correlation(points, 2) == pytest.approx((3 + 1) / math.sqrt(2 * (9 + 1)))


def test_another_frequency_does_not_correlate() -> None:
    points = fourier.circle(torch.arange(13), 4, 13)
    assert planes.correlation(points, 2) == pytest.approx(0, abs=1e-9)


def test_the_nyquist_frequency_lies_on_a_line() -> None:
    rows = rotated(fourier.design(torch.arange(8), 4, 8), 5)
    points = planes.points(rows, planes.basis(rows, 4))
    assert torch.allclose(points[:, 0], (-1.0) ** torch.arange(8, dtype=torch.float64))
    assert points[:, 1].abs().max() < 1e-6


def test_noise_correlates_as_much_as_is_said() -> None:
    n, width = 101, 64
    seen = []
    for seed in range(20):
        rows = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
        seen.append(planes.correlation(planes.points(rows, planes.basis(rows, 7)), 7))
    assert sum(seen) / len(seen) == pytest.approx((1 + n / width) ** -0.5, abs=0.03)


def test_principal_components_are_ordered_and_complete() -> None:
    rows = rotated(torch.randn(9, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 2.0]), 6)
    components, shares = planes.principal(rows)
    assert shares.sum() == pytest.approx(1)
    assert shares.tolist() == sorted(shares.tolist(), reverse=True)
    assert torch.allclose(components @ components.T, planes.centred(rows) @ planes.centred(rows).T, atol=1e-9)
