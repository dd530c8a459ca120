"""What one modulus adds by itself: the arithmetic worked out on paper, nulls that keep the level, a planted gain."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from llm_probe.statistics import assignment
from llm_probe.statistics.assignment import contrast_p, excess, modulus_tests

FIVE = (7, 9, 11, 13, 17)
OFF = ~torch.eye(5, dtype=torch.bool).flatten()
FREEDOM = 7
"""Twenty cells off the diagonal, less 5 + 5 - 1 for rows and columns and 2 * 2 for products of sizes."""


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def columns() -> torch.Tensor:
    """The terms of the fit, cell by cell, (25, 14): one of each row, one of each column, four products of sizes."""
    size, rows = assignment.sizes(FIVE), []
    for i in range(5):
        for j in range(5):
            row, column = ([float(place == at) for place in range(5)] for at in (i, j))
            rows.append([*row, *column, *(float(a * b) for a in size[i] for b in size[j])])
    return torch.tensor(rows, dtype=torch.float64)


def left_over(spread: float) -> torch.Tensor:
    """Cells off the diagonal that no term can fit, whose mean square per degree of freedom is spread²; (25,)."""
    nothing_fits = torch.linalg.svd(columns()[OFF]).U[:, -FREEDOM:]
    cells = torch.zeros(25, dtype=torch.float64)
    cells[OFF] = spread * nothing_fits.sum(dim=1)  # seven orthonormal columns: its square is 7 spread²
    return cells


def of_its_row(cells: torch.Tensor, at: int, t: float, spread: float) -> float:
    """p of t where the row's own mean square, of its seven fifths of a degree of freedom, stands for the table's."""
    own = math.sqrt(float(cells.view(5, 5)[at].square().sum()) / (FREEDOM / 5))
    return float(stats.t.sf(t * spread / own, FREEDOM / 5))


def leverage() -> torch.Tensor:
    """h_j = x_jᵀ (XᵀX)⁺ x_j of every cell of the diagonal, X off it: (5,)."""
    terms = columns()
    inverse = torch.linalg.pinv(terms[OFF].T @ terms[OFF])
    return torch.einsum("ja,ab,jb->j", terms[~OFF], inverse, terms[~OFF])


def test_the_fit_leaves_seven_degrees_of_freedom() -> None:
    assert int(OFF.sum()) - int(torch.linalg.matrix_rank(columns()[OFF])) == FREEDOM


@pytest.mark.parametrize(("quantile", "p"), [(0.0, 0.5), (1.895, 0.05), (2.998, 0.01), (4.785, 0.001)])
def test_the_p_of_a_known_effect_is_that_of_a_table_of_t(quantile: float, p: float) -> None:
    """Of seven degrees of freedom, as printed in the tables, or of its row where that is larger; what rows, columns and
    sizes add changes nothing."""
    spread, at = 0.3, 2
    effect = quantile * spread * math.sqrt(1 + float(leverage()[at]))
    explained = columns() @ normal(14, seed=1)
    gain = (explained + left_over(spread)).view(1, 5, 5).clone()
    gain[0, at, at] += effect
    effects = excess(gain, FIVE)[0].diagonal()
    assert effects[at] == pytest.approx(effect, abs=1e-9) and effects[0] == pytest.approx(0, abs=1e-9)
    values = contrast_p(gain, FIVE)
    p = max(p, of_its_row(left_over(spread), at, quantile, spread))
    assert values[at] == pytest.approx(p, rel=2e-3)
    assert values[[0, 1, 3, 4]].tolist() == pytest.approx([0.5] * 4)
    # Corrected over places: three more units without an effect make it four times as large, and never above one.
    four = torch.cat([gain, *[(explained + left_over(spread)).view(1, 5, 5)] * 3])
    assert contrast_p(four, FIVE)[at] == pytest.approx(min(4 * p, 1), rel=2e-3)


def test_it_is_the_t_of_a_cell_of_its_own_in_one_regression() -> None:
    """The same number by another road: the cell joins the fit with an indicator, whose t is asked for."""
    gain, at = normal(1, 5, 5, seed=3), 1
    cell = at * 5 + at
    kept = OFF.clone()
    kept[cell] = True
    indicator = torch.zeros(25, 1, dtype=torch.float64)
    indicator[cell] = 1
    design = torch.cat([columns(), indicator], dim=1)[kept]
    answers = gain.flatten()[kept]
    inverse = torch.linalg.pinv(design.T @ design)
    fit = inverse @ design.T @ answers
    mean_square = float((answers - design @ fit).square().sum()) / FREEDOM
    t = float(fit[-1]) / math.sqrt(mean_square * float(inverse[-1, -1]))
    cells = torch.zeros(25, dtype=torch.float64)
    cells[kept] = answers - design @ fit
    expected = max(float(stats.t.sf(t, FREEDOM)), of_its_row(cells, at, t, math.sqrt(mean_square)))
    assert float(contrast_p(gain, FIVE)[at]) == pytest.approx(expected)


@pytest.mark.parametrize("noisier", [1, 10])
def test_the_level_is_kept_where_no_modulus_gains(noisier: float) -> None:
    """Rows and columns as different as you like; one period read with noise of another size than the rest."""
    explained, size = columns() @ normal(14, 600, seed=4), torch.ones(5, dtype=torch.float64)
    size[4] = noisier
    noise = 0.1 * normal(600, 5, 5, seed=5) * size[:, None]
    gains = (5 * explained.T.view(600, 5, 5) + noise)[:, None]
    values = torch.stack([contrast_p(gain, FIVE) for gain in gains])
    for level in (0.01, 0.05):
        # Three standard errors of 600 tables.
        assert float((values <= level).double().mean(dim=0).max()) <= level + 3 * math.sqrt(level / 600)
    # With ten places a table the largest counts, and Bonferroni keeps the level.
    many = torch.stack([contrast_p(gain[:, 0], FIVE) for gain in gains.split(10)])
    assert float((many <= 0.05).double().mean()) < 0.1


def test_a_planted_gain_is_found_at_its_modulus_and_leaves_the_others_as_they_were() -> None:
    """A diagonal cell is in no other modulus' fit."""
    without = (columns() @ normal(14, 8, seed=6)).T.reshape(8, 5, 5) + 0.1 * normal(8, 5, 5, seed=7)
    planted = without.clone()
    planted[3, 2, 2] += 200
    before, after = contrast_p(without, FIVE), contrast_p(planted, FIVE)
    assert after[2] < 0.001 and before[2] > 0.01
    assert torch.equal(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]])
    # The record of the modulus has this p.
    tests = modulus_tests(FIVE, planted[None])
    assert [tests[modulus].p_contrast for modulus in FIVE] == pytest.approx(after.tolist())
    lost = without.clone()
    lost[:, 2, 2] -= 20
    assert contrast_p(lost, FIVE)[2] == 1


def test_without_a_degree_of_freedom_nothing_is_claimed() -> None:
    """Three moduli have six cells off the diagonal, and the terms take them all."""
    assert contrast_p(normal(2, 3, 3), (7, 9, 11)).tolist() == [1, 1, 1]
