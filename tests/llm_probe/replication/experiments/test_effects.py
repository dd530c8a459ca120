"""Residue effects of incomplete grids, overlaps and nested selection: planted, closed form, or refitted by hand."""

from __future__ import annotations

import pytest
import torch

from llm_probe.replication.experiments.composites import worst_confound
from llm_probe.replication.experiments.effects import (
    adjusted_means,
    balanced_halves,
    between,
    effect_weights,
    plane_overlap,
    sample,
    shared_dims,
    split_means,
    within,
)
from llm_probe.replication.experiments.grids import arithmetic
from llm_probe.replication.experiments.polynomials import PARAMETERS, fourier_heldout, scores
from toy.maths import fourier
from toy.run.errors import InputError

PROMPTS = arithmetic(11).prompts()
LABELS = torch.tensor([prompt.label for prompt in PROMPTS])
FIRST = torch.tensor([prompt.first for prompt in PROMPTS])
OFFSET = torch.tensor([prompt.offset for prompt in PROMPTS])


def planted(columns: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows f(a) + g(b) + m(s), one layer, and m less its mean."""
    f, g, m = (torch.randn(11, columns, dtype=torch.float64) for _ in range(3))
    return (f[FIRST] + g[OFFSET] + m[LABELS])[:, None], m - m.mean(dim=0)


def test_on_a_complete_grid_they_are_the_class_means() -> None:
    rows = torch.randn(121, 2, 5, dtype=torch.float64)
    expected = torch.stack([rows[LABELS.eq(label)].mean(dim=0) for label in range(11)], dim=1)
    torch.testing.assert_close(adjusted_means(rows, PROMPTS, 11), expected)


def test_on_half_a_grid_the_operands_drop_out_exactly() -> None:
    rows, effects = planted()
    for half in balanced_halves(LABELS, torch.Generator().manual_seed(0)):
        means = adjusted_means(rows[half], [PROMPTS[index] for index in half], 11)[0]
        torch.testing.assert_close(means - means.mean(dim=0), effects)


def test_halves_are_balanced_and_complete() -> None:
    halves = balanced_halves(LABELS, torch.Generator().manual_seed(3))
    assert sorted(torch.cat(halves).tolist()) == list(range(121))
    assert {int(count) for half in halves for count in LABELS[half].bincount()} == {5, 6}
    assert abs(len(halves[0]) - len(halves[1])) == 1


def test_a_sample_has_each_residue_equally_often() -> None:
    chosen = sample(PROMPTS, 11, 60, 0)
    assert torch.bincount(torch.tensor([prompt.label for prompt in chosen])).tolist() == [5] * 11
    assert chosen == sample(PROMPTS, 11, 60, 0) != sample(PROMPTS, 11, 60, 1)
    assert sample(PROMPTS, 11, 10_000, 0) == PROMPTS


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="11 operand pairs cannot tell 11 residues"):
        effect_weights(PROMPTS[:11], 11)


def test_planes_at_known_angles() -> None:
    wave = fourier.circle(torch.arange(11), 1, 11)
    means = torch.zeros(11, 6, dtype=torch.float64)
    means[:, :2] = wave
    turned, half = means.roll(2, dims=1), torch.zeros_like(means)
    half[:, [0, 4]] = wave
    assert plane_overlap(means, means, 1) == pytest.approx(1)
    assert plane_overlap(means, turned, 1) == pytest.approx(0, abs=1e-12)
    assert plane_overlap(means, half, 1) == pytest.approx(0.5)


def test_halves_of_one_circle_agree_and_shuffled_ones_do_not() -> None:
    wave = torch.zeros(121, 1, 40, dtype=torch.float64)
    for k in range(1, 6):
        wave[:, 0, 2 * k : 2 * k + 2] = fourier.circle(LABELS, k, 11)
    rows = wave + 0.05 * torch.randn_like(wave)
    kept, lost = (split_means(rows, PROMPTS, 11, 0, shuffled=shuffled)[:, :, 0] for shuffled in (False, True))
    assert within(kept, shared_dims) == 1
    assert within(lost, shared_dims) < 0.6
    assert within(kept, lambda a, b: plane_overlap(a, b, 2)) > 0.95
    assert within(lost, lambda a, b: plane_overlap(a, b, 2)) < 0.7
    assert between(kept, kept, shared_dims) == 1


def test_the_frequency_is_chosen_anew_without_each_residue() -> None:
    means = torch.randn(9, 4, dtype=torch.float64)
    errors = torch.zeros_like(means)
    for left in range(9):
        others = torch.tensor([s for s in range(9) if s != left])
        for dim in range(4):
            fits = []
            for k in range(1, 5):
                design = torch.cat(
                    [torch.ones(9, 1, dtype=torch.float64), fourier.circle(torch.arange(9), k, 9)], dim=1
                )
                weights = torch.linalg.lstsq(design[others], means[others, dim : dim + 1]).solution
                miss = means[:, dim : dim + 1] - design @ weights
                fits.append((float(miss[others].square().sum()), float(miss[left])))
            errors[left, dim] = min(fits)[1]
    baseline = (means - means.mean(dim=0)) * 9 / 8
    expected = 1 - errors.square().sum(dim=0) / baseline.square().sum(dim=0)
    torch.testing.assert_close(fourier_heldout(means), expected)


def test_each_family_wins_where_it_is_true() -> None:
    s = torch.arange(23).double()
    noise = 0.05 * torch.randn(23, 3, dtype=torch.float64)
    truths = torch.stack([(2 * torch.pi * 3 * s / 23).cos(), s / 11, (s / 11 - 1) ** 2], dim=1)
    fits = scores(truths + noise)
    for table in (fits.bic, fits.heldout):
        assert [list(PARAMETERS)[place] for place in table.argmax(dim=0)] == ["fourier", "linear", "quadratic"]
    assert fits.frequency[0] == 3


def test_the_parabola_of_a_product_is_the_closed_form() -> None:
    name, r2 = worst_confound(arithmetic(7).prompts(), 7)
    assert (name, r2) == ("a·b", pytest.approx(0.8824, abs=1e-3))
    name, r2 = worst_confound(arithmetic(23).prompts(), 23)
    assert (name, r2) == ("[a >= 10][b >= 10]", pytest.approx(0.988, abs=1e-3))
