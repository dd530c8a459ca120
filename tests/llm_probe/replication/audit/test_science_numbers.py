"""The reference numbers on why a class-mean R² alone is no evidence, each computed anew, within rounding."""

import math

import numpy as np
import pytest
import torch

from llm_probe.replication.audit import magnitude_networks
from llm_probe.replication.audit.confounds import least_polynomial_r2, spectrum
from llm_probe.replication.audit.evidence import fisher, paired_power
from llm_probe.replication.audit.random_networks import NullTable
from llm_probe.statistics.class_mean_null import white_noise
from tests.root import ROOT
from toy.maths.fourier import circle, noise_maximum
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns

TABLE = ROOT / "results" / "calibration" / "class_mean_null.csv"
DIGITS = "two-digit operands [a ≥ 10][b ≥ 10]"


@pytest.mark.parametrize(("n", "median"), [(7, 0.985), (11, 0.89), (12, 0.86)])
def test_the_median_of_the_best_of_1024_dimensions_on_pure_noise(n: int, median: float) -> None:
    assert white_noise(n, 1024).median == pytest.approx(median, abs=0.005)
    assert noise_maximum(n, 1024) == pytest.approx(median, abs=0.005)


@pytest.mark.parametrize(
    ("n", "published", "p"),
    [(7, 0.9967, 0.6), (7, 0.9953, 0.85), (11, 0.9499, 0.6), (12, 0.9379, 0.4), (12, 0.9288, 0.6)],
)
def test_the_published_maxima_are_ordinary_over_28_layers(n: int, published: float, p: float) -> None:
    assert white_noise(n, 28 * 1024).above(published) == pytest.approx(p, abs=0.05)


@pytest.mark.parametrize("name", ["(a+b)²", "a·b", "|a−b|", "max(a, b)"])
@pytest.mark.parametrize(("p", "r2"), [(7, 0.882), (23, 0.918), (31, 0.921)])
def test_smooth_interactions_leave_a_parabola(name: str, p: int, r2: float) -> None:
    assert float(spectrum(name, "mod-add", p, "square")[0]) == pytest.approx(r2, abs=5e-4)


def test_the_parabola_tends_to_90_over_pi_to_the_fourth() -> None:
    parabola = (torch.arange(1001).double() - 500) ** 2
    assert float(class_mean_r2(parabola[:, None])[0]) == pytest.approx(90 / math.pi**4, abs=1e-4)
    assert 90 / math.pi**4 == pytest.approx(0.924, abs=5e-4)


@pytest.mark.parametrize(("p", "r2"), [(13, 0.71), (17, 0.984), (19, 0.985), (23, 0.988), (29, 0.946), (31, 0.920)])
def test_two_digit_operands_alone_are_the_range_detector(p: int, r2: float) -> None:
    assert float(spectrum(DIGITS, "mod-add", p, "square")[0]) == pytest.approx(r2, abs=0.0012 if p > 13 else 0.005)


def test_a_single_period_of_a_cosine_is_nearly_a_cubic() -> None:
    # At least 0.927 to the rounding from 11 to 23 points; it goes on falling to 0.924.
    for n in (11, 13, 17, 19, 23, 31, 101):
        phases = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
        waves = circle(torch.arange(n), 1, n) @ torch.stack([phases.cos(), phases.sin()])
        least = float(r2_in_sample(waves, rival_columns(torch.arange(n), n, "cubic")).min())
        assert least >= (0.9265 if n <= 23 else 0.9235)
        assert least_polynomial_r2(n, 1, 1.0, "cubic") == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize(("p", "median"), [(7, 0.938), (17, 0.955), (23, 0.955), (31, 0.955)])
def test_untrained_networks_of_magnitude_pass(p: int, median: float) -> None:
    values = magnitude_networks.r2(p, "square", "fourier")
    # A median of 0.95 to 0.96 (0.94 at 7), to the spread that the width of the network makes.
    assert float(np.median(values)) == pytest.approx(median, abs=0.008)
    assert float(np.median(values.max(axis=1))) == pytest.approx(0.999, abs=5e-4)


def test_their_frequency_is_nearly_always_one() -> None:
    means = magnitude_networks.hidden_means(23, "square")[0].double()
    shares = class_mean_r2(means @ magnitude_networks._weights()[2][0].double())
    assert float((shares.argmax(dim=0) == 0).double().mean()) > 0.95


def test_random_weights_of_qwen3s_shape_pass_at_seven() -> None:
    table = NullTable.read(TABLE)
    rows = table.rows[table.rows.domain == "mod-add 7"]
    assert rows.max_r2.min() > 0.95 and rows.median_r2.median() == pytest.approx(0.6, abs=0.02)
    law = table.law("days", 1024, 1)
    assert law is not None and 0.97 < law.median < 0.995  # one network of full size: 0.992
    assert table.law("mod-add 5", 1024, 1) is None


def test_the_causal_claim_is_thin() -> None:
    assert fisher(14, 6, 50) == pytest.approx(0.078, abs=5e-4)
    assert paired_power(0.05, 0.15, 50) == pytest.approx(0.15, abs=0.005)
    assert paired_power(0.05, 0.15, 469) == pytest.approx(0.80, abs=0.005)


def test_a_step_of_bfloat16_is_larger_than_the_signal() -> None:
    at = torch.tensor(16.8, dtype=torch.bfloat16)
    step = torch.nextafter(at, torch.tensor(100.0, dtype=torch.bfloat16)) - at
    assert float(step) == 0.125 and float(step) > 3 * 0.034


def test_centring_over_all_items_leaks_the_one_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    items, labels = torch.randn(7, 64, generator=generator, dtype=torch.float64), circle(torch.arange(7), 1, 7)
    leaked, honest = [], []
    for left in range(7):
        others = [index for index in range(7) if index != left]
        centred = items - items.mean(dim=0)
        weights = torch.linalg.pinv(centred[others]) @ labels[others]
        leaked.append(_angle(centred[left] @ weights, labels[left]))
        mean, offset = items[others].mean(dim=0), labels[others].mean(dim=0)
        fit = torch.linalg.pinv(items[others] - mean) @ (labels[others] - offset)
        honest.append(_angle((items[left] - mean) @ fit + offset, labels[left]))
    assert max(leaked) < 0.011
    assert np.median(honest) > 1.2


def _angle(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.arccos((first @ second / first.norm() / second.norm()).clamp(-1, 1)))
