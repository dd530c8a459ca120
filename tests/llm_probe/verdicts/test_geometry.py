"""The geometry of a claim's code in made-up states: which orders are asked, where it is judged, and what is skipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from llm_probe.geometry.order import OrderTest
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.statistics.planes import PlaneSearch, are_apart
from llm_probe.verdicts.evidence import choose
from llm_probe.verdicts.geometry import Code, both, geometry_of
from tests.llm_probe.geometry.planted import circle, directions, random_vectors

WIDTH = 32
DAYS, WEEKDAY = Claim(DOMAINS["days"], "sum"), Claim(DOMAINS["days"], "item")
MONTH, MOD_12 = Claim(DOMAINS["months"], "item"), Claim(modular("add", 12), "sum")


def labels_of(claim: Claim) -> Labels:
    """Of discovery and confirmation prompts."""
    parts = (Labels.of(claim, claim.prompts(part, 200, 0)) for part in ("discovery", "confirmation"))
    return both(*parts)


def states_of(labels: Labels, table: torch.Tensor, cells: int = 2) -> torch.Tensor:
    """Noise in every place, the table's vectors in the last."""
    generator = torch.Generator().manual_seed(0)
    made = 0.5 * torch.randn(len(labels.label), cells, WIDTH, generator=generator)
    made[:, -1] += table[labels.label].float()
    return made


def code_of(claim: Claim, table: torch.Tensor, kinds: tuple[int, ...] = ()) -> tuple[Code, torch.Tensor, Labels]:
    labels = labels_of(claim)
    states = states_of(labels, table)
    return Code.of(claim, states, labels, kinds, 0), states, labels


def test_both_parts_keep_their_templates_apart() -> None:
    claim = WEEKDAY
    first, more = (Labels.of(claim, claim.prompts(part, 0, 0)) for part in ("discovery", "confirmation"))
    joint = both(first, more)
    assert len(joint.label) == len(first.label) + len(more.label)
    assert joint.label[len(first.label) :].equal(more.label) and joint.total[: len(first.total)].equal(first.total)
    assert int(joint.template.max()) + 1 == len(first.template.unique()) + len(more.template.unique())
    assert not set(joint.template[: len(first.label)].tolist()) & set(joint.template[len(first.label) :].tolist())


def test_which_orders_a_claim_is_asked_under() -> None:
    """Items: their own partitions, kinds and k = 1. Sums: those of the divisors too, every coprime k, no kinds."""
    kinds = (0,) * 11 + (1,)
    item, *_ = code_of(MONTH, circle(12) @ torch.randn(2, WIDTH).double(), kinds)
    assert (item.frequencies, set(item.partitions), item.kinds) == ((1,), {"seasons", "quarters"}, kinds)
    total, *_ = code_of(MOD_12, circle(12) @ torch.randn(2, WIDTH).double(), kinds)
    assert total.frequencies == (1, 5) and total.kinds == ()
    assert set(total.partitions) == {"mod 2", "mod 3", "mod 4", "mod 6"}
    months, *_ = code_of(Claim(DOMAINS["months"], "sum"), circle(12) @ torch.randn(2, WIDTH).double())
    assert set(months.partitions) == {"seasons", "quarters", "mod 2", "mod 3", "mod 4", "mod 6"}


@pytest.mark.parametrize("claim", [DAYS, WEEKDAY], ids=lambda claim: claim.name)
def test_a_planted_circle(claim: Claim) -> None:
    code, states, labels = code_of(claim, directions(circle(7), WIDTH, 0))
    geometry = geometry_of(claim, states, labels, code, cell=1, frequency=1)
    # Of the 240 orders that keep the weekend only a reflection is the same circle.
    assert geometry.p_order <= 0.01 and geometry.p_axes <= 0.05 and geometry.hardest == "weekend"
    assert geometry.share > 0.8 and geometry.ratio > 0 and geometry.p_shape <= 0.05
    if claim.quantity == "item":
        assert (geometry.p_repeats, geometry.p_integer, geometry.periods) == (None, None, ())
    else:
        assert geometry.p_repeats is not None and geometry.p_repeats <= 0.01
        assert geometry.p_integer is not None and geometry.p_integer > 0.05
    beside = geometry_of(claim, states, labels, code, cell=0, frequency=1)
    assert beside.p_order > 0.05 and beside.share < geometry.share


def test_a_weekend_is_no_circle() -> None:
    weekend = torch.tensor(DOMAINS["days"].partitions["weekend"])
    code, states, labels = code_of(WEEKDAY, random_vectors(2, WIDTH, 0)[weekend])
    geometry = geometry_of(WEEKDAY, states, labels, code, cell=1, frequency=1)
    assert geometry.p_order > 0.05 and geometry.hardest == "weekend"
    assert (geometry.rival, geometry.rival_name) == ("clusters", "weekend") and geometry.ratio < -5
    assert geometry.p_shape == pytest.approx(1 / 21)


def test_sums_of_numbers_are_not_asked_whether_the_integer_repeats() -> None:
    code, states, labels = code_of(MOD_12, directions(circle(12), WIDTH, 0))
    geometry = geometry_of(MOD_12, states, labels, code, cell=1, frequency=1)
    assert geometry.p_repeats is None and geometry.p_integer is not None
    assert not geometry.integer_alone  # in pairs of digits integers differ in any network
    assert geometry.p_order <= 0.01


def test_the_integer_of_a_word_and_a_number_counts_by_itself() -> None:
    code, states, labels = code_of(DAYS, directions(circle(7), WIDTH, 0))
    assert geometry_of(DAYS, states, labels, code, cell=1, frequency=1).integer_alone


def test_a_frequency_that_puts_labels_on_one_point_has_no_order() -> None:
    """k = 4 of twelve is a residue mod 3; its p is 1, and the shapes are those of the labels' own order."""
    code, states, labels = code_of(MOD_12, directions(circle(12, 4), WIDTH, 0))
    geometry = geometry_of(MOD_12, states, labels, code, cell=1, frequency=4)
    assert (geometry.p_order, geometry.p_axes, geometry.share) == (1.0, 1.0, 1.0)
    assert (geometry.rival, geometry.rival_name) == ("clusters", "mod 3") and geometry.ratio < 0


# ------------------------------------------------------------------------------------------------------- the choice


def search_of(p: list[list[float]], standard: list[list[float]], period: int) -> PlaneSearch:
    table = torch.tensor(standard).double()
    frequencies = tuple(range(1, table.shape[1] + 1))
    able = are_apart(frequencies, period)
    rest, points = torch.zeros_like(table), torch.zeros(len(table), 1, 2)
    return PlaneSearch(
        frequencies, rest, rest.long(), torch.tensor(p).double(), table, 0.1, rest, None, None, {}, points, able, ~able
    )


def order_of(standard: list[list[float]], frequencies: tuple[int, ...]) -> OrderTest:
    table = torch.tensor(standard).double()
    return OrderTest(frequencies, table, table, table, table, ("",) * len(table), 0.0)


def test_of_planes_that_beat_their_null_the_most_ordered_is_chosen() -> None:
    order = order_of([[9.0, 1.0, 1.0], [2.0, 3.0, 9.0]], (1, 2, 3))
    read = [[0.5, 0.004, 0.2], [0.004, 0.004, 0.5]]
    standard = [[9.0, 8.0, 9.0], [5.0, 4.0, 9.0]]
    # Neither the most ordered of all (0, k = 1), nor the most clearly read that passed (0, k = 2).
    assert choose(search_of(read, standard, 7), order) == (1, 1)


def test_a_place_that_is_hardly_read_does_not_stand_for_the_claim() -> None:
    """The first place has the order and half of 0.9 would do; parity, the best read of all, does not count."""
    order = order_of([[9.0, 1.0], [2.0, 1.0]], (1, 5))
    search = search_of([[0.004] * 6] * 2, [[1.0] * 6] * 2, 12)
    for first, cell in ((0.44, 1), (0.46, 0)):
        read = torch.tensor([[first, 0, 0, 0, 0, 1.0], [0.9, 0, 0, 0, 0, 1.0]]).double()
        assert choose(replace(search, r2=read), order) == (cell, 0)


def test_without_any_plane_that_beats_its_null_the_most_ordered_is_chosen() -> None:
    order = order_of([[2.0, 1.0, 1.0], [2.0, 3.0, 9.0]], (1, 2, 3))
    assert choose(search_of([[0.5] * 3] * 2, [[9.0, 0, 0], [0, 0, 0]], 7), order) == (1, 2)


def test_frequencies_that_can_show_no_circle_are_chosen_only_where_nothing_else_was_read() -> None:
    """Of twelve, k = 1 and 5 can; parity, k = 6, is read in any network of numbers."""
    order = order_of([[1.0, 2.0]], (1, 5))
    parity = [[0.5, 0.5, 0.5, 0.5, 0.5, 0.002]]
    standard = [[1.0, 1.0, 1.0, 1.0, 1.0, 30.0]]
    assert choose(search_of(parity, standard, 12), order) == (0, 5)
    assert choose(search_of([[0.009, *parity[0][1:]]], standard, 12), order) == (0, 0)
    assert choose(search_of([[0.5] * 6], standard, 12), order) == (0, 4)
