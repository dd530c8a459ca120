"""Simple functions and bounds whose class-mean R² is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_probe.replication.audit.claims import PublishedClaim
from llm_probe.replication.audit.confounds import (
    Confound,
    class_means,
    confounds_of,
    functions_of,
    input_spectrum,
    least_polynomial_r2,
    spectrum,
    straight_line,
)
from llm_probe.replication.audit.magnitude_networks import operands
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns


def claim(**changes) -> PublishedClaim:
    fields = {
        "source": "a", "model": "M", "experiment": "e", "domain": 'modular_addition "{a}"', "modulus": 23, "layer": 14,
        "dim": 867, "frequency": 1, "metric": "fourier_r2_residue_means", "value": 0.967, "line": 2,
    }  # fmt: skip
    return PublishedClaim(**(fields | changes))


def test_additive_functions_vanish_on_a_full_grid_and_not_on_the_alphabets() -> None:
    a, b = operands(12, "square")
    means = class_means((b >= 10).double() + a.double().sqrt(), a, b, 12)
    assert float(class_mean_r2(means).amax()) == 0.0
    offset = spectrum("two-digit offset [b ≥ 10]", "alphabet", 26, "alphabet")
    assert float(offset[0]) == pytest.approx(0.9956, abs=5e-5)
    assert float(spectrum("the offset b", "alphabet", 26, "alphabet")[0]) == pytest.approx(0.9835, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "n", "r2"),
    [
        ("(a+b)³", 7, 0.892), ("(a+b)³", 31, 0.926), ("max(a+b−n, 0)", 7, 0.954), ("max(a+b−n, 0)", 23, 0.927),
        ("carry [a+b ≥ n] (the quotient)", 7, 0.664), ("carry [a+b ≥ n] (the quotient)", 31, 0.611),
        ("two-digit operands [a ≥ 10][b ≥ 10]", 12, 0.497),
    ],
)  # fmt: skip
def test_published_reference_values_of_single_functions(name: str, n: int, r2: float) -> None:
    assert float(spectrum(name, "mod-add", n, "square")[0]) == pytest.approx(r2, abs=6e-4)


def test_the_carry_is_a_ramp_by_hand() -> None:
    # s = 0 … n-1 is reached with a carry by n-1-s of its n pairs: a straight line in s.
    a, b = operands(9, "square")
    means = class_means(functions_of("mod-add")["carry [a+b ≥ n] (the quotient)"](a, b, 9), a, b, 9)
    assert means[:, 0].tolist() == pytest.approx([(8 - s) / 9 for s in range(9)])


def test_the_share_over_all_inputs_is_far_below_that_of_class_means() -> None:
    assert float(input_spectrum("|a−b|", 23)[0]) == pytest.approx(0.093, abs=5e-4)
    assert float(input_spectrum("carry [a+b ≥ n] (the quotient)", 23)[0]) == pytest.approx(0.204, abs=5e-4)


def test_the_confounds_of_a_claim_come_best_first_and_only_when_near() -> None:
    confounds = confounds_of(claim(), [])
    assert [one.name for one in confounds] == ["two-digit operands [a ≥ 10][b ≥ 10]"]
    assert confounds[0].r2 == pytest.approx(0.988, abs=5e-4)
    many = confounds_of(claim(value=0.92), [])
    assert len(many) > 4 and [one.r2 for one in many] == sorted((one.r2 for one in many), reverse=True)
    assert confounds_of(claim(frequency=7, value=0.967), []) == []
    assert confounds_of(claim(metric="accuracy"), []) == []


def test_a_polynomial_published_beside_a_claim_is_its_confound() -> None:
    rival = claim(metric="cubic_r2_residue_means", value=0.978, frequency=None)
    confounds = confounds_of(claim(frequency=7), [rival, claim(metric="cubic_r2_residue_means", value=0.99, dim=3)])
    assert confounds == [Confound("a fitted cubic polynomial", 0.978)]


def test_a_line_through_positions() -> None:
    line = claim(metric="linear_r2", modulus=26, value=0.891, domain='alphabet "The {n}th letter"', frequency=None)
    assert {one.name for one in confounds_of(line, [])} == {"log(1+a)"}
    assert 0.5 < straight_line("two-digit position [a ≥ 10]", 26) < 0.8


@given(st.integers(7, 30), st.integers(0, 2**31), st.sampled_from(["linear", "quadratic", "cubic"]))
def test_no_class_means_fall_below_the_bound(n: int, seed: int, degree: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    s = torch.arange(n)
    wave = (2 * torch.pi * (s / n + torch.rand(1, generator=generator))).cos()
    means = (wave + 0.2 * torch.randn(n, generator=generator)).double()[:, None]
    circle = min(1.0, float(class_mean_r2(means)[0, 0]))
    polynomial = float(r2_in_sample(means, rival_columns(s, n, degree))[0])
    assert polynomial >= least_polynomial_r2(n, 1, circle, degree) - 1e-9


def test_two_published_polynomial_values_are_impossible() -> None:
    # mod 11 dim 112 (circle 0.9499, quadratic 0.1831) and mod 17 dim 867 (0.9664, 0.1412), both k = 1.
    assert least_polynomial_r2(11, 1, 0.9499, "quadratic") > 0.4
    assert least_polynomial_r2(17, 1, 0.9664, "quadratic") > 0.43
    assert least_polynomial_r2(7, 3, 0.9855, "quadratic") < 0.0306
