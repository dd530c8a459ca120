"""Permutations within one modulus: equal to refitting by hand, uniform on noise, small on a planted circle."""

import math

import pytest
import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import published_grid
from llm_probe.statistics import design, dimensions, freedman_lane
from toy.maths import fourier
from toy.maths.regression import orthonormal, partial_r2, residual
from toy.run.errors import InputError

FREQUENCIES = (1, 2, 3)


@pytest.fixture(scope="module")
def labels() -> Labels:
    claim = Claim(modular("add", 7, operands=range(15)), "sum")
    return Labels.of(claim, claim.prompts("discovery", 200, 0))


def noise(labels: Labels, seed: int, d: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return dimensions.adjusted_states(torch.randn(len(labels.label), 2, d, generator=generator), labels)


def test_permutations_stay_within_strata() -> None:
    strata = torch.tensor([2, 0, 2, 1, 0, 0, 2])
    rows = freedman_lane.permuted_rows(strata, 400, torch.Generator().manual_seed(0))
    assert (rows.sort(dim=1).values == torch.arange(7)).all()
    assert (strata[rows] == strata).all()
    # 3! · 1! · 3! = 36 orders: all of them turn up, about equally often.
    counts = torch.unique(rows, dim=0, return_counts=True)[1]
    assert len(counts) == 36
    assert int(counts.max()) < 30


def test_maxima_equal_refits_by_hand(labels: Labels) -> None:
    """Every permutation's T against residualising the permuted responses and regressing them anew."""
    nuisances = design.nuisance_basis(labels)
    bases = design.circle_bases(labels.total, 7, FREQUENCIES, nuisances)
    residuals = residual(noise(labels, 1).flatten(1).double(), nuisances)
    found = freedman_lane.permutation_maxima(residuals, bases, nuisances, labels.template, 40, 5, exact=True)
    rows = freedman_lane.permuted_rows(labels.template, 32, torch.Generator().manual_seed(5))
    for index in (0, 7, 31):
        # The rows of Q were permuted, so those of e go the other way.
        permuted = residuals[torch.argsort(rows[index])]
        refitted = residual(permuted, nuisances)
        by_hand = [partial_r2(refitted, fourier.design(labels.total, k, 7), nuisances).max() for k in FREQUENCIES]
        assert found[index].item() == pytest.approx(max(value.item() for value in by_hand), rel=1e-4)
    assert found.shape == (40,)


def test_expected_denominator_is_the_mean_of_the_exact_ones(labels: Labels) -> None:
    """Also where responses keep their stratum means, so that the between part counts."""
    nuisances = orthonormal(design.nuisance_basis(labels)[:, 3:9])
    residuals = noise(labels, 2).flatten(1).double()[:, :3] + labels.template[:, None]
    expected = freedman_lane.expected_left(residuals, nuisances, labels.template)
    rows = freedman_lane.permuted_rows(labels.template, 4000, torch.Generator().manual_seed(0))
    exact = torch.stack([residual(residuals[order], nuisances).square().sum(dim=0) for order in rows])
    torch.testing.assert_close(exact.mean(dim=0), expected, rtol=2e-3, atol=0)


def test_expected_and_exact_denominators_give_the_same_p(labels: Labels) -> None:
    pairs = []
    for seed in range(6):
        responses = noise(labels, seed)
        pairs.append(
            [
                freedman_lane.freedman_lane(responses, labels, FREQUENCIES, 199, seed, exact=exact).p_joint
                for exact in (False, True)
            ]
        )
    fast, exact = torch.tensor(pairs).T
    assert (fast - exact).abs().max().item() <= 0.04


def test_uniform_on_exchangeable_noise_and_small_on_a_circle(labels: Labels) -> None:
    p = []
    for seed in range(40):
        p.append(freedman_lane.freedman_lane(noise(labels, 100 + seed, 6), labels, FREQUENCIES, 99, seed).p_joint)
    values = torch.tensor(p)
    # Binomial(40, .05) exceeds 6 with probability 0.003; the mean of 40 uniforms has sd 0.046.
    assert int((values <= 0.05).sum()) <= 6
    assert 0.36 < values.mean().item() < 0.64
    planted = noise(labels, 0)
    planted[:, 1, 4] += 1.5 * torch.cos(2 * math.pi * 2 * labels.total / 7).float()
    found = freedman_lane.freedman_lane(dimensions.adjusted_states(planted, labels), labels, FREQUENCIES, 199)
    assert found.p_joint == pytest.approx(1 / 200)
    assert torch.unravel_index(found.r2.argmax(), found.r2.shape) == (1, 1, 4)
    assert found.p_fwer(found.r2[0, 0, 0]).item() > 0.05


def test_constant_responses_and_even_periods(labels: Labels) -> None:
    """A dead dimension is never significant, and the Nyquist frequency has one column."""
    responses = noise(labels, 3)
    responses[:, 0, 5] = 0
    even = Labels("sum", 8, labels.total % 8, labels.total, labels.first, labels.offset, labels.template, True)
    found = freedman_lane.freedman_lane(responses, even, (1, 4), 99)
    assert found.r2[:, 0, 5].tolist() == [0, 0]
    assert bool(found.maxima.isfinite().all())
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


def test_too_little_says_how_much_is_needed(labels: Labels) -> None:
    with pytest.raises(InputError, match="ask for 99 or more"):
        freedman_lane.check_permutable(labels.template, 50)
    with pytest.raises(InputError, match="give 5 or more prompts of one template"):
        freedman_lane.check_permutable(torch.arange(30), 999)
    freedman_lane.check_permutable(torch.zeros(5, dtype=torch.long), 99)
    narrow = Labels("sum", 7, *(torch.arange(40) % 3 for _ in range(5)), has_digits=True)
    with pytest.raises(InputError, match="3 different residues among these 40 prompts, and 5 or more"):
        design.identifiable(narrow, 7)
    days = Claim(DOMAINS["days"], "sum")
    short = Labels.of(days, published_grid(days.domain)[:24])
    with pytest.raises(InputError, match=r"24 prompts are too few to test period 7 .* give 58 prompts or more"):
        design.identifiable(short, 7)
