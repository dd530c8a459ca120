"""A planted circle is read and its control labels are not; a control that is planted is found where it is."""

import pytest
import torch

from llm_probe.activations.streaming import Location
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.statistics.controls import _heldout, label_control_rows
from llm_probe.statistics.planes import circles
from toy.maths.regression import RidgeSmoother

CELLS: list[Location] = [(2, "resid_post", "last"), (5, "resid_post", "last")]


def sums(period: int, size: int = 600) -> Labels:
    claim = Claim(modular("add", period), "sum")
    return Labels.of(claim, claim.prompts("discovery", size, 0))


def states(*parts: tuple[torch.Tensor, int, int], seed: int = 0) -> RidgeSmoother:
    """Twelve dimensions of noise, and the circle (label, frequency, period) in two each; R² is 9/2 to 1."""
    rows = len(parts[0][0]) if parts else 600
    activations = torch.randn(rows, 12, generator=torch.Generator().manual_seed(seed))
    for place, (label, frequency, period) in enumerate(parts):
        activations[:, 2 * place : 2 * place + 2] += 3 * circles(label, (frequency,), period).float()
    return RidgeSmoother.of(activations)


def test_the_true_label_is_read_and_its_controls_are_not() -> None:
    labels = sums(7)
    smoothers = [states(), states((labels.label, 2, 7), seed=1)]
    # R² = 4.5 / 5.5 = 0.82 of either column.
    assert float(_heldout(smoothers, labels, (1, 2, 3))[1, 1]) == pytest.approx(4.5 / 5.5, abs=0.03)
    rows = label_control_rows(smoothers, CELLS, labels, "mod-add 7", (1, 2, 3), 0)
    assert [row.control for row in rows] == ["shuffled", "difference", "latin_square"]
    # Of 36 interactions of two residues mod 7 two are the planted circle: a Latin square has some of it by chance.
    assert all(row.r2 < (0.3 if row.control == "latin_square" else 0.06) for row in rows)
    assert {(row.domain, row.period, row.quantity, row.n_prompts) for row in rows} == {("mod-add 7", 7, "sum", 600)}


def test_a_difference_that_is_there_is_found_where_it_is() -> None:
    labels = sums(7)
    difference = (labels.first - labels.offset) % 7
    smoothers = [states((labels.label, 2, 7)), states((difference, 3, 7), (labels.label, 1, 7), seed=1)]
    by_name = {row.control: row for row in label_control_rows(smoothers, CELLS, labels, "mod-add 7", (1, 2, 3), 0)}
    row = by_name["difference"]
    assert row.r2 == pytest.approx(4.5 / 5.5, abs=0.04)
    assert (row.layer, row.site, row.position, row.frequency) == (5, "resid_post", "last", 3)
    assert by_name["latin_square"].r2 < 0.3


def test_parity_is_no_control_of_itself() -> None:
    """At half the period a + b and a - b are one function: a model of parity must not fail by it."""
    labels = sums(8)
    smoothers = [states((labels.label, 4, 8))]
    by_name = {row.control: row for row in label_control_rows(smoothers, CELLS, labels, "mod-add 8", (1, 2, 3, 4), 0)}
    assert by_name["difference"].r2 < 0.06 and by_name["shuffled"].r2 < 0.06
    assert by_name["difference"].frequency in (1, 2, 3)


def test_items_in_another_order_are_left_out_by_their_control_label() -> None:
    """Twelve months on a circle, an item at a time held out: another order predicts no item that was not seen."""
    claim = Claim(DOMAINS["months"], "item")
    labels = Labels.of(claim, claim.prompts("discovery", 0, 0))
    smoothers = [states((labels.label, 1, 12))]
    assert float(_heldout(smoothers, labels, (1,))) > 0.6
    (row,) = label_control_rows(smoothers, CELLS, labels, "months", (1,), 0)
    assert row.control == "reordered"
    assert row.r2 < 0.1
