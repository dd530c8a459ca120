"""Columns of the gain table: kept exactly, joined in the right order, and what was left out in words.

Where nuisances span a circle, the message names them.
"""

import json

import pytest
import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.statistics import gains as gain_tables  # `tests_of` by itself would be collected as a test
from llm_probe.statistics.assignment import modulus_tests
from llm_probe.statistics.dimensions import adjusted_states, nuisance_basis
from llm_probe.statistics.gains import Gains, gains_of, note_of
from llm_probe.statistics.planes import circles
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother, residual
from toy.run.errors import InputError

MODULI = (7, 9, 11, 13, 17)


def columns(boost: dict[tuple[int, int], float]) -> list[Gains]:
    """Noise of 0.1, and a `boost` for (period, modulus)."""
    generator = torch.Generator().manual_seed(0)
    made_columns = []
    for modulus in MODULI:
        planes = torch.randn(len(MODULI), 2, 3, generator=generator, dtype=torch.float64) / 10
        dimensions = (torch.randn(len(MODULI), 6, generator=generator) / 10).half().float()
        for (period, under), size in boost.items():
            if under == modulus:
                planes[MODULI.index(period), 1, 1] += size
        made_columns.append(Gains(MODULI, planes, dimensions))
    return made_columns


def made() -> Gains:
    """The column of modulus 7 from states with its circle in them."""
    claim = Claim(modular("add", 7), "sum")
    labels = Labels.of(claim, claim.prompts("discovery", 300, 0))
    states = torch.randn(300, 2, 10, generator=torch.Generator().manual_seed(1))
    states[:, 1, 3:5] += 3 * circles(labels.label, (2,), 7).float()
    smoothers = [RidgeSmoother.of(states[:, cell]) for cell in range(2)]
    return gains_of(smoothers, adjusted_states(states, labels), labels, MODULI)


def test_what_is_read_back_is_what_was_made() -> None:
    gains = made()
    again = Gains.of_content(json.loads(json.dumps(gains.content())))
    assert again.periods == gains.periods
    assert torch.equal(again.planes, gains.planes) and again.planes.dtype == torch.float64
    assert torch.equal(again.dimensions, gains.dimensions) and again.dimensions.dtype == torch.float32


def test_a_planted_circle_gains_in_its_cell_and_dimensions() -> None:
    gains = made()
    assert gains.planes.shape == (5, 2, 3) and gains.dimensions.shape == (5, 20)
    assert torch.unravel_index(gains.planes.argmax(), gains.planes.shape) == (0, 1, 1)
    # R² = 1 - exp(-2 gain) of a circle of 3 sd: two columns of variance 9/2 beside noise of 1.
    assert float(1 - (-2 * gains.planes[0, 1, 1]).exp()) == pytest.approx(0.8, abs=0.05)
    # Dimensions are cell by cell: the planted two stand behind the first cell's ten.
    assert set(gains.dimensions[0].topk(2).indices.tolist()) == {13, 14}


def test_column_j_is_under_modulus_j() -> None:
    boost = {(modulus, modulus): 1.0 for modulus in MODULI}
    tests = gain_tables.tests_of(MODULI, columns(boost), 0)
    assert set(tests) == set(MODULI)
    assert all(test.rank == 1 and test.cell == 1 for test in tests.values())
    # Five moduli have 120 assignments; planes and dimensions together leave the true one alone at the top.
    assert tests[7].p <= 2 / 120
    turned = dict.fromkeys(zip(MODULI, (*MODULI[1:], MODULI[0]), strict=True), 1.0)
    assert min(test.p for test in gain_tables.tests_of(MODULI, columns(turned), 0).values()) > 0.5


def test_the_table_is_gain_of_row_period_under_column_modulus() -> None:
    some = columns({(9, 13): 2.0})
    planes = torch.zeros(3, 2, 5, 5, dtype=torch.float64)
    dimensions = torch.zeros(6, 5, 5)
    for i in range(5):
        for j in range(5):
            planes[:, :, i, j], dimensions[:, i, j] = some[j].planes[i].T, some[j].dimensions[i]
    assert gain_tables.tests_of(MODULI, some, 3) == modulus_tests(MODULI, planes, dimensions, 3)


def test_notes_name_the_related_moduli_only() -> None:
    moduli = (7, 11, 12, 13, 17, 24)
    tests = gain_tables.tests_of(
        moduli, [Gains(moduli, torch.rand(6, 1, 3).double(), torch.rand(6, 2)) for _ in moduli], 0
    )
    assert note_of(moduli, 12, tests[12]) == "compared without 24, which shares its periods"
    assert note_of(moduli, 7, tests[7]) == ""
    assert "needs 5 or more" in note_of((7, 11), 7, None)


@pytest.fixture(scope="module")
def labels() -> Labels:
    claim = Claim(modular("add", 7, operands=range(15)), "sum")
    return Labels.of(claim, claim.prompts("discovery", 200, 0))


def test_a_nyquist_circle_has_one_column(labels: Labels) -> None:
    basis = gain_tables.circle_bases(labels.total, 8, (4,), nuisance_basis(labels))[0]
    assert sorted(basis.square().sum(dim=0).tolist()) == pytest.approx([0, 1])


def test_nuisances_are_those_of_the_dimension_search(labels: Labels) -> None:
    basis = nuisance_basis(labels)
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64))
    for block in gain_tables.nuisance_blocks(labels).values():
        assert residual(block, basis).abs().max().item() < 1e-9


def test_nuisances_that_span_a_circle_are_named() -> None:
    """Few prompts on many operands: the operands alone span the circle, and the sentence says so."""
    claim = Claim(modular("add", 31, operands=range(100)), "sum")
    few = Labels.of(claim, claim.prompts("discovery", 100, 0))
    states = torch.randn(len(few.label), 1, 4, generator=torch.Generator().manual_seed(2))
    with pytest.raises(InputError, match=r"period 31, k = 1 cannot be told from first operand and second operand"):
        gain_tables.dimension_gain(adjusted_states(states, few), few, (31,))
    gain_tables.check_identifiable(Labels.of(claim, claim.prompts("discovery", 800, 0)), 31, range(1, 16))


def test_a_block_that_is_the_circle_is_named_alone(labels: Labels) -> None:
    mimic = {"digit pattern": torch.nn.functional.one_hot(labels.total % 7).double()}
    blocks = gain_tables.nuisance_blocks(labels) | mimic
    assert gain_tables.spanning_blocks(fourier.design(labels.total, 1, 7), blocks) == ("digit pattern",)
    half = fourier.design(labels.total, 2, 7)[:, :1]
    assert gain_tables.spanning_blocks(fourier.design(labels.total, 2, 7), {"half": half}) == ("half",)
    assert gain_tables.spanning_blocks(fourier.design(labels.total, 1, 7), {"half": half}) == ()
