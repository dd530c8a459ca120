"""Nuisances are those of the dimension search, and where they span a circle the sentence names them."""

import pytest
import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import published_grid
from llm_probe.statistics import design
from toy.maths import fourier
from toy.maths.regression import residual
from toy.run.errors import InputError


@pytest.fixture(scope="module")
def labels() -> Labels:
    claim = Claim(modular("add", 7, operands=range(15)), "sum")
    return Labels.of(claim, claim.prompts("discovery", 200, 0))


def test_a_nyquist_circle_has_one_column(labels: Labels) -> None:
    basis = design.circle_bases(labels.total, 8, (4,), design.nuisance_basis(labels))[0]
    assert sorted(basis.square().sum(dim=0).tolist()) == pytest.approx([0, 1])


def test_nuisances_are_those_of_the_dimension_search(labels: Labels) -> None:
    basis = design.nuisance_basis(labels)
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64))
    for block in design.nuisance_blocks(labels).values():
        assert residual(block, basis).abs().max().item() < 1e-9


def test_collinear_terms_are_named() -> None:
    """Few prompts on many operands: the operands alone span the circle, and the sentence says so."""
    claim = Claim(modular("add", 31, operands=range(100)), "sum")
    few = Labels.of(claim, claim.prompts("discovery", 100, 0))
    with pytest.raises(InputError, match=r"period 31, k = 1 cannot be told from first operand and second operand"):
        design.identifiable(few, 31)
    many = Labels.of(claim, claim.prompts("discovery", 800, 0))
    shares = design.identifiable(many, 31)
    assert shares.shape == (15,)
    assert 0 < shares.min().item() < shares.max().item() < 1


def test_a_block_that_is_the_circle_is_named_alone(labels: Labels) -> None:
    mimic = {"digit pattern": torch.nn.functional.one_hot(labels.total % 7).double()}
    with pytest.raises(InputError, match="cannot be told from digit pattern among these"):
        design.identifiable(labels, 7, more=mimic)
    half = fourier.design(labels.total, 2, 7)[:, :1]
    assert design.spanning_blocks(fourier.design(labels.total, 2, 7), {"half": half}) == ("half",)
    assert design.spanning_blocks(fourier.design(labels.total, 1, 7), {"half": half}) == ()


def test_too_little_says_how_much_is_needed() -> None:
    narrow = Labels("sum", 7, *(torch.arange(40) % 3 for _ in range(5)), has_digits=True)
    with pytest.raises(InputError, match="3 different residues among these 40 prompts, and 5 or more"):
        design.identifiable(narrow, 7)
    days = Claim(DOMAINS["days"], "sum")
    short = Labels.of(days, published_grid(days.domain)[:24])
    with pytest.raises(InputError, match=r"24 prompts are too few to test period 7 .* give 58 prompts or more"):
        design.identifiable(short, 7)
