"""Shares by frequency against least squares done the long way, planted waves, and Parseval."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy.planted import planted
from toy.analysis import spectra
from toy.maths import fourier

SIZES = st.integers(2, 13)
SEEDS = st.integers(0, 2**31 - 1)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(SIZES, SEEDS)
def test_matrix_shares_sum_to_one(n: int, seed: int) -> None:
    shares = spectra.matrix_shares(noise(seed, n, 4) + 7)
    assert len(shares) == n // 2
    assert float(shares.sum()) == pytest.approx(1)


def test_a_constant_matrix_has_no_share() -> None:
    assert spectra.matrix_shares(torch.full((7, 3), 0.1)).tolist() == [0, 0, 0]


@given(st.integers(3, 9), SEEDS)
def test_grid_shares_are_r2_of_the_terms_of_one_frequency(n: int, seed: int) -> None:
    grid = noise(seed, n, n)
    shares = spectra.grid_shares(grid[..., None])[:, 0]
    assert float(shares.sum()) <= 1 + 1e-12
    one = torch.ones(n, 1, dtype=torch.float64)
    for k in fourier.frequencies(n):
        terms = torch.cat([one, fourier.design(torch.arange(n), k, n)], dim=1)
        columns = torch.kron(terms, terms)
        fitted = columns @ torch.linalg.lstsq(columns, grid.reshape(-1, 1), driver="gelsd").solution
        r2 = fitted.var(correction=0) / grid.var(correction=0)
        assert float(shares[k - 1]) == pytest.approx(float(r2), abs=1e-10)


def test_what_mixes_two_frequencies_belongs_to_none() -> None:
    a, b = torch.meshgrid(torch.arange(11), torch.arange(11), indexing="ij")
    wave = 2 * math.pi / 11
    pure = (wave * 3 * a).cos() * (wave * 3 * b).sin()
    mixed = (wave * 3 * a).cos() * (wave * 2 * b).sin()
    shares = spectra.grid_shares(torch.stack([pure, mixed, 3 * torch.ones(11, 11)], dim=2))
    assert shares[:, 0].tolist() == pytest.approx([0, 0, 1, 0, 0], abs=1e-6)
    assert float(shares[:, 1].abs().max()) < 1e-6
    assert float(shares[:, 2].max()) == 0  # constant: no variance to share


@pytest.mark.parametrize(("task", "modulus"), [("add", 9), ("subtract", 8), ("multiply", 11), ("quadratic", 7)])
def test_logit_coefficients_are_least_squares(task: str, modulus: int) -> None:
    readout = planted(task, modulus, seed=3)
    n = readout.size
    difference = (readout.answer[..., None] - torch.arange(n)).double()
    columns = torch.stack([(2 * math.pi * k / n * difference).cos().flatten() for k in fourier.frequencies(n)], dim=1)
    fitted = torch.linalg.lstsq(columns, readout.logits.reshape(-1, 1)).solution[:, 0]
    torch.testing.assert_close(spectra.logit_coefficients(readout), fitted)
    centred = readout.logits - readout.logits.mean(dim=2, keepdim=True)
    explained = (columns * fitted).square().sum(dim=0) / centred.square().sum()
    torch.testing.assert_close(spectra.logit_shares(readout), explained)


@pytest.mark.parametrize(("task", "modulus"), [("add", 9), ("add", 8), ("quadratic", 7), ("quadratic", 10)])
def test_free_coefficients_are_r2_over_the_questions(task: str, modulus: int) -> None:
    readout = planted(task, modulus, seed=4)
    n = readout.size
    logits = (readout.logits - readout.logits.mean(dim=2, keepdim=True)).view(-1, n)
    shares = spectra.logit_shares_any_output(readout)
    one = torch.ones(n * n, 1, dtype=torch.float64)
    for k in fourier.frequencies(n):
        columns = torch.cat([one, fourier.design(readout.answer.flatten(), k, n)], dim=1)
        fitted = columns @ torch.linalg.lstsq(columns, logits, driver="gelsd").solution
        explained = (fitted - logits.mean(dim=0)).square().sum() / logits.square().sum()
        assert float(shares[k - 1]) == pytest.approx(float(explained), abs=1e-10)


@given(st.integers(3, 9), SEEDS)
def test_one_coefficient_explains_no_more_than_free_ones(n: int, seed: int) -> None:
    readout = planted("add", n, seed=seed)
    one, free = spectra.logit_shares(readout), spectra.logit_shares_any_output(readout)
    assert bool((one <= free + 1e-12).all())
    assert float(free.sum()) <= 1 + 1e-12


def test_a_shift_of_all_logits_of_a_question_changes_nothing() -> None:
    readout = planted("add", 7)
    shifted = planted("add", 7, logits=readout.logits + noise(1, 7, 7, 1))
    torch.testing.assert_close(spectra.logit_shares(shifted), spectra.logit_shares(readout))
    torch.testing.assert_close(spectra.logit_shares_any_output(shifted), spectra.logit_shares_any_output(readout))


def test_gini_by_hand() -> None:
    basis = fourier.orthonormal_basis(5)
    # Lengths 0, 1, 2, 3 of the four components: Σ (2·rank - 5) x / (4 · 6) = (-1 + 2 + 9) / 24.
    rows = basis[1:].T @ torch.diag(torch.tensor([3.0, 0.0, 2.0, 1.0], dtype=torch.float64))
    assert spectra.gini(rows) == pytest.approx(10 / 24)
    assert spectra.gini(basis[1:].T) == pytest.approx(0, abs=1e-12)
    assert spectra.gini(basis[1:2].T) == pytest.approx(3 / 4)
    assert spectra.gini(torch.zeros(5, 2)) == 0
