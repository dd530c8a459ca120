"""The characters of Z_n, at odd, even and composite periods."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toy.maths import fourier

PERIODS = st.integers(min_value=3, max_value=40)


@given(PERIODS)
def test_the_basis_is_orthonormal_and_complete(period: int) -> None:
    basis = fourier.orthonormal_basis(period)
    assert basis.shape == (period, period)
    torch.testing.assert_close(basis @ basis.T, torch.eye(period, dtype=torch.float64), atol=1e-12, rtol=0)


@given(PERIODS)
def test_nyquist_has_one_column_and_every_design_full_rank(period: int) -> None:
    labels = torch.arange(period)
    for frequency in fourier.frequencies(period):
        columns = fourier.design(labels, frequency, period)
        assert columns.shape[1] == (1 if 2 * frequency == period else 2)
        assert int(torch.linalg.matrix_rank(columns)) == columns.shape[1]


@given(PERIODS, st.integers(0, 2**31 - 1))
def test_power_sums_to_the_centred_sum_of_squares(period: int, seed: int) -> None:
    means = torch.randn(period, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centred = (means - means.mean(dim=0)).square().sum(dim=0)
    torch.testing.assert_close(fourier.power(means).sum(dim=0), centred)


def test_power_equals_the_discrete_fourier_transform() -> None:
    means = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectrum = torch.fft.rfft(means, dim=0).abs().square() / 12
    # Both halves of the spectrum carry a frequency, Nyquist only once.
    expected = torch.cat([2 * spectrum[1:6], spectrum[6:7]])
    torch.testing.assert_close(fourier.power(means), expected)


@pytest.mark.parametrize(("period", "frequency"), [(7, 3), (12, 1), (12, 5), (9, 3)])
def test_a_planted_cosine_is_found_with_its_phase(period: int, frequency: int) -> None:
    labels = torch.arange(period)
    wave = 3 + 0.5 * torch.cos(fourier.angles(labels, frequency, period) - 0.7)
    assert fourier.dominant_frequency(wave[:, None]).item() == frequency
    assert fourier.phase(wave[:, None], frequency).item() == pytest.approx(0.7)


def test_angle_between_is_unsigned_and_wraps() -> None:
    def at(*degrees: float) -> torch.Tensor:
        angle = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    angle = fourier.angle_between(at(10, 350, 180), at(350, 10, 0))
    torch.testing.assert_close(angle * 180 / math.pi, torch.tensor([20.0, 20.0, 180.0], dtype=torch.float64))


@pytest.mark.parametrize(("period", "expected"), [(7, 0.985), (11, 0.894), (23, 0.618), (31, 0.512)])
def test_noise_maximum_matches_simulation(period: int, expected: float) -> None:
    """Medians of the largest class-mean R² over 1,024 columns of white noise."""
    assert fourier.noise_maximum(period, 1024) == pytest.approx(expected, abs=0.004)
    generator = torch.Generator().manual_seed(0)
    maxima = []
    for _ in range(60):
        power = fourier.power(torch.randn(period, 1024, generator=generator, dtype=torch.float64))
        maxima.append((power / power.sum(dim=0)).max())
    assert torch.stack(maxima).median().item() == pytest.approx(expected, abs=0.02)
