"""Least squares both ways: against numbers worked out by hand, refits and lstsq."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toy.maths import fourier, regression
from toy.maths.regression import Groups, RidgeSmoother


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("period", [7, 12, 23, 24])
def test_class_mean_r2_is_least_squares_of_every_frequency(period: int) -> None:
    means = normal(period, 5) * 0.1 + 16.8
    r2 = regression.class_mean_r2(means)
    for frequency in fourier.frequencies(period):
        columns = torch.cat([torch.ones(period, 1), fourier.circle(torch.arange(period), frequency, period)], dim=1)
        fitted = columns @ torch.linalg.pinv(columns) @ means
        expected = 1 - (means - fitted).square().sum(0) / (means - means.mean(0)).square().sum(0)
        torch.testing.assert_close(r2[frequency - 1], expected)


def test_class_mean_r2_of_known_functions() -> None:
    """A parabola in s is nearly a cosine: the numbers of the published statistic's blind spot."""
    for period, expected in ((7, 0.882), (23, 0.918), (31, 0.921)):
        s = torch.arange(period, dtype=torch.float64)
        a, b = torch.meshgrid(s, s, indexing="ij")
        sums = torch.zeros(period, dtype=torch.float64).index_add_(
            0, ((a + b) % period).long().ravel(), (a * b).ravel()
        )
        assert regression.class_mean_r2((sums / period)[:, None])[0, 0].item() == pytest.approx(expected, abs=5e-4)


def test_class_mean_r2_of_a_constant_column_is_zero() -> None:
    assert float(regression.class_mean_r2(torch.full((7, 1), 16.8, dtype=torch.float64)).max()) == 0


def test_partial_r2_by_hand() -> None:
    """y = z + x with x orthogonal to z: beyond z, x explains all; beyond nothing, half."""
    z = torch.tensor([1.0, 1, -1, -1], dtype=torch.float64)[:, None] / 2
    x = torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)[:, None]
    y = 2 * z + x
    assert regression.partial_r2(regression.residual(y, z), x, z).item() == pytest.approx(1)
    nothing = torch.zeros(4, 0, dtype=torch.float64)
    assert regression.partial_r2(y, x, nothing).item() == pytest.approx(0.5)


def test_partial_r2_survives_dependent_nuisances_and_columns() -> None:
    z = normal(30, 3)
    basis = regression.orthonormal(torch.cat([z, z @ normal(3, 2, seed=1)], dim=1))
    assert basis.shape == (30, 3)
    y, x = regression.residual(normal(30, 4, seed=2), basis), normal(30, 2, seed=3)
    doubled = torch.cat([x, x, z[:, :1]], dim=1)
    torch.testing.assert_close(
        regression.partial_r2(y, doubled, basis), regression.partial_r2(y, x, basis), atol=1e-9, rtol=0
    )
    assert regression.partial_r2(y, z, basis).abs().max().item() == 0


def test_rival_columns() -> None:
    labels = torch.arange(4)
    torch.testing.assert_close(
        regression.rival_columns(labels, 4, "quadratic"),
        torch.tensor([[-1, 1], [-1 / 3, 1 / 9], [1 / 3, 1 / 9], [1, 1]], dtype=torch.float64),
    )
    # The shifted ramp jumps in the middle: 2, 3, 0, 1 scaled to [-1, 1].
    torch.testing.assert_close(
        regression.rival_columns(labels, 4, "sawtooth")[:, 1],
        torch.tensor([1 / 3, 1, -1, -1 / 3], dtype=torch.float64),
    )


def test_aicc_gain_by_hand() -> None:
    """n = 10, no nuisances, 2 parameters, R² = 1 - e^-1: -2 log likelihood falls by 10; K goes from 1 to 3."""
    gain = regression.aicc_gain(torch.tensor([1 - math.exp(-1)], dtype=torch.float64), 10, 0, 2)
    assert gain.item() == pytest.approx(10 + (2 + 4 / 8) - (6 + 24 / 6))


def test_bic_gain_by_hand() -> None:
    """n = 100, 2 columns and a selected frequency, R² = 1 - e^-1: -2 log likelihood falls by 100; K rises by 3."""
    gain = regression.bic_gain(torch.tensor([1 - math.exp(-1), 0.0], dtype=torch.float64), 100, 3)
    assert gain.tolist() == pytest.approx([100 - 3 * math.log(100), -3 * math.log(100)])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 1.0, 100.0]), st.sampled_from([(40, 6), (30, 50)]))
def test_heldout_residuals_equal_refits_centred_on_the_training_part(
    seed: int, penalty: float, shape: tuple[int, int]
) -> None:
    n, d = shape
    activations, targets = normal(n, d, seed=seed) * 3 + 7, normal(n, 2, seed=seed + 1)
    keys = torch.randint(0, 9, (n,), generator=torch.Generator().manual_seed(seed))
    smoother = RidgeSmoother.of(activations)
    residuals = smoother.heldout_residuals(targets, Groups.of(keys), penalty)
    for key in keys.unique():
        train = keys != key
        h, y = activations[train], targets[train]
        centred = h - h.mean(dim=0)
        gram = centred.T @ centred + smoother.penalty(penalty) * torch.eye(d, dtype=torch.float64)
        weights = torch.linalg.solve(gram, centred.T @ (y - y.mean(dim=0)))
        expected = targets[~train] - y.mean(dim=0) - (activations[~train] - h.mean(dim=0)) @ weights
        torch.testing.assert_close(residuals[~train], expected, atol=1e-7, rtol=1e-6)


def test_one_massive_dimension_costs_no_digits_that_matter() -> None:
    """A dimension ten thousand times as large as the rest, as trained models have: the same as explicit refits."""
    activations, targets = normal(60, 8), normal(60, 2, seed=1)
    activations[:, 3] *= 1e4
    smoother, keys = RidgeSmoother.of(activations), torch.arange(60) // 3
    assert smoother.left.shape == (60, 8)
    residuals = smoother.heldout_residuals(targets, Groups.of(keys), 0.01)
    train = keys != 4
    h, y = activations[train], targets[train]
    system = torch.cat([h - h.mean(dim=0), math.sqrt(smoother.penalty(0.01)) * torch.eye(8, dtype=torch.float64)])
    right = torch.cat([y - y.mean(dim=0), torch.zeros(8, 2, dtype=torch.float64)])
    weights = torch.linalg.lstsq(system, right).solution
    expected = targets[~train] - y.mean(dim=0) - (activations[~train] - h.mean(dim=0)) @ weights
    torch.testing.assert_close(residuals[~train], expected, atol=1e-7, rtol=1e-6)


def test_coefficients_reproduce_the_fit() -> None:
    activations, targets = normal(50, 8) + 3, normal(50, 2, seed=1)
    smoother = RidgeSmoother.of(activations)
    weights, intercept = smoother.coefficients(activations, targets, 1.0)
    centred = activations - activations.mean(dim=0)
    gram = centred.T @ centred + smoother.penalty(1.0) * torch.eye(8, dtype=torch.float64)
    expected = torch.linalg.solve(gram, centred.T @ (targets - targets.mean(dim=0)))
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(activations.mean(dim=0) @ weights + intercept, targets.mean(dim=0))


def test_baseline_residuals_by_hand() -> None:
    targets = torch.tensor([[0.0], [2.0], [4.0]], dtype=torch.float64)
    residuals = regression.baseline_residuals(targets, Groups.of(torch.tensor([0, 1, 1])))
    torch.testing.assert_close(residuals, torch.tensor([[-3.0], [2.0], [4.0]], dtype=torch.float64))


def test_leaving_items_out_of_noise_does_not_leak() -> None:
    """Noise has no circle: predicting an unseen item points away from it, never at it (the centring leak is 0.01)."""
    labels = torch.arange(12).repeat_interleave(6)
    targets = fourier.circle(labels, 1, 12)
    activations = normal(12, 40)[labels] + 0.1 * normal(72, 40, seed=1)
    groups = Groups.of(labels)
    residuals = RidgeSmoother.of(activations).heldout_residuals(targets, groups, 1.0)
    assert fourier.angle_between(targets - residuals, targets).median().item() > 1.2
    assert float(regression.plane_r2(residuals, regression.baseline_residuals(targets, groups))) < 0.2


def test_heldout_least_squares_equals_refits() -> None:
    basis, responses = regression.orthonormal(normal(20, 3)), normal(20, 2, seed=1)
    keys = torch.arange(20) // 2
    residuals = regression.heldout_least_squares(responses, basis, Groups.of(keys))
    for key in range(10):
        train = keys != key
        weights = torch.linalg.lstsq(basis[train], responses[train]).solution
        torch.testing.assert_close(residuals[~train], responses[~train] - basis[~train] @ weights)
