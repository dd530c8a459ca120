"""The level of every claim from a geometry made by hand, and the test that stops it at the next."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from llm_probe.run.vocabulary import ALPHA
from llm_probe.verdicts.levels import NAMED, Shown, rival, shown
from tests.llm_probe.verdicts.by_hand import CIRCLE

GOOD_P = 0.002


def item(**change: Any) -> Shown:
    return shown("item", 1.0, None, replace(CIRCLE, **change), closure=1.0)


def of_sum(p_renaming: float = GOOD_P, p_selective: float | None = GOOD_P, **change: Any) -> Shown:
    return shown("sum", p_renaming, p_selective, replace(CIRCLE, **change))


def test_a_circle_is_stopped_by_nothing() -> None:
    assert item() == of_sum() == Shown("circle", "", "")


def test_the_renaming_null_is_not_asked_of_items() -> None:
    """Of items, what is read of names that were left out is their order: that is `p_order`."""
    assert shown("item", 1.0, None, CIRCLE, closure=0.5).level == "circle"
    assert shown("item", 1.0, None, CIRCLE, closure=0.49).level == "ordered"
    assert shown("sum", 1.0, GOOD_P, CIRCLE).level == "nothing"


def test_the_interval_of_the_closure_is_said_and_does_not_decide() -> None:
    cut = shown("item", 1.0, None, CIRCLE, 0.43, (0.38, 0.5))
    assert (cut.level, cut.stopped_by.split(": ")[1]) == ("ordered", "closure 0.43 [0.38, 0.50], where a circle has 1")
    assert shown("item", 1.0, None, CIRCLE, 0.43).stopped_by.endswith("closure 0.43, where a circle has 1")
    # The estimate is within the limits though an end is not; and a sum has no ends to meet.
    assert shown("item", 1.0, None, CIRCLE, 0.55, (0.4, 1.7)).level == "circle"
    assert shown("sum", GOOD_P, GOOD_P, CIRCLE, 0.43, (0.38, 0.5)).level == "circle"


@pytest.mark.parametrize("quantity", ["sum", "item"])
@pytest.mark.parametrize(
    ("change", "level", "what", "words"),
    [
        # No shape of any kind.
        ({"p_order": 0.3, "p_shape": 0.3}, "decodable", "", "other orders do as well (p 0.3)"),
        ({"p_order": 0.3, "p_shape": 0.3, "hardest": "seasons"}, "decodable", "", "orders that keep seasons"),
        ({"p_order": 0.3, "p_shape": 0.3, "ratio": -50.0}, "decodable", "", "other orders"),
        # Groups.
        (
            {"p_order": 0.3, "ratio": -9.0, "rival": "clusters", "rival_name": "weekend"},
            "clusters", "weekend", "other orders",
        ),
        ({"p_order": 0.3, "ratio": -9.0}, "clusters", "2 runs of neighbours", "other orders"),
        # An order that is a named one, or one that is not yet a circle's.
        ({"p_order": 0.3, "ratio": -9.0, "rival": "line", "rival_name": "from 0"}, "ordered", "line", "other orders"),
        ({"ratio": -9.0, "rival": "open arc"}, "ordered", "open arc", "an open arc is likelier than the circle"),
        ({"ratio": -0.1, "rival": "folded line"}, "ordered", "folded line", "(0.1 nats apart)"),
        ({"ratio": -9.0, "rival": "clusters", "rival_name": "seasons"}, "clusters", "seasons", "code of clusters"),
        ({"p_order": 0.02}, "ordered", "", "other orders do as well (p 0.02)"),
        ({"p_axes": 0.2}, "ordered", "", "one axis only"),
        # An exact tie is not enough for a circle, and not a rival either.
        ({"ratio": 0.0}, "clusters", "2 runs of neighbours", "likelier"),
    ],
)  # fmt: skip
def test_each_level_of_what_is_read(quantity: str, change: dict[str, Any], level: str, what: str, words: str) -> None:
    result = of_sum(**change) if quantity == "sum" else item(**change)
    assert (result.level, result.what) == (level, what)
    assert words in result.stopped_by


@pytest.mark.parametrize(
    ("p_renaming", "p_selective", "p_integer", "level", "words"),
    [
        (0.4, GOOD_P, 0.4, "nothing", "renamed labels are read as well (p 0.4)"),
        (0.4, 0.4, 0.01, "helix", "renamed labels are read as well"),
        (0.4, 0.4, 0.03, "nothing", "renamed labels are read as well"),
        (GOOD_P, 0.3, 0.03, "helix", "other periods are as strong (p 0.3)"),
        (GOOD_P, 0.3, 0.4, "decodable", "other periods are as strong (p 0.3)"),
        (GOOD_P, 0.3, 0.01, "helix", "other periods are as strong (p 0.3)"),
        (GOOD_P, None, 0.4, "decodable", "no test can tell this period"),
        (GOOD_P, None, 0.01, "helix", "no test can tell this period"),
        (GOOD_P, GOOD_P, 0.01, "circle", ""),  # a circle beside the integer is a circle
    ],
)
def test_each_level_of_a_sum_that_is_not_read_or_not_at_this_period_alone(
    p_renaming: float, p_selective: float | None, p_integer: float, level: str, words: str
) -> None:
    result = of_sum(p_renaming, p_selective, p_integer=p_integer, periods=(10.0, 2.5))
    assert result.level == level
    assert result.stopped_by.startswith(words) and bool(result.stopped_by) == bool(words)
    assert result.what == ("T = 10, 2.5" if level == "helix" else "")


def test_an_integer_without_a_period_is_a_helix_of_none() -> None:
    assert of_sum(p_selective=0.4, p_integer=0.01, periods=()).what == "no single period"
    assert of_sum(p_selective=0.4, p_integer=None).level == "decodable"


@pytest.mark.parametrize("name", ["p_renaming", "p_selective", "p_order"])
def test_a_circle_needs_every_test_at_alpha(name: str) -> None:
    assert of_sum(**{name: ALPHA}).level == "circle"
    assert of_sum(**{name: ALPHA + 1e-9}).level != "circle"


def test_the_second_axis_is_asked_at_five_per_cent() -> None:
    assert of_sum(p_axes=NAMED).level == "circle"
    assert of_sum(p_axes=NAMED + 1e-9).level == "ordered"


def test_shapes_are_named_at_five_per_cent() -> None:
    assert item(p_order=0.3, p_shape=NAMED).level == "ordered"
    assert item(p_order=0.3, p_shape=NAMED + 1e-9).level == "decodable"


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"p_redrawn": ALPHA}, "circle", ""),
        # Other orders do not matter then: they are too few to say anything.
        ({"p_redrawn": 0.005, "p_order": 1.0, "p_axes": 1.0}, "circle", ""),
        ({"p_redrawn": 0.4}, "ordered", "random words that share tokens in the same way do as well (p 0.4)"),
        ({"p_redrawn": 0.4, "p_shape": 1.0}, "decodable", "random words"),
        ({"p_redrawn": 0.005, "p_redrawn_axes": 0.2}, "ordered", "one axis only: the other is no better than with"),
        ({}, "ordered", "another order of its items"),
        # What stops the claim without them is said first: then no words were read.
        ({"ratio": -9.0, "p_order": 1.0}, "clusters", "a code of 2 runs of neighbours is likelier"),
    ],
)
def test_items_with_too_few_orders_have_random_words_as_their_null(
    change: dict[str, Any], level: str, words: str
) -> None:
    axes = {"p_redrawn_axes": 0.01} if "p_redrawn" in change else {}
    result = item(null="words", **{**axes, **change})
    assert result.level == level
    assert result.stopped_by.startswith(words) and bool(result.stopped_by) == bool(words)
    far = shown("item", 1.0, None, replace(CIRCLE, null="words"), closure=0.2)
    assert far.stopped_by.startswith("its ends do not meet")


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("clusters", "a code of clusters (seasons)"),
        ("runs", "a code of seasons"),
        ("line", "a line"),
        ("open arc", "an open arc"),
        ("folded line", "a folded line"),
    ],
)
def test_the_rival_in_words(family: Any, words: str) -> None:
    assert rival(replace(CIRCLE, rival=family, rival_name="seasons")) == words


def test_the_integer_of_a_sum_of_numbers_is_nothing_by_itself() -> None:
    """Pairs of tens differ in any network: the period has to be read, and one of the integer to stand out."""
    plain = partial(of_sum, p_integer=0.01, integer_alone=False)
    unread, read = (plain(p, 0.4, periods=(100.0,)) for p in (0.4, GOOD_P))
    assert (unread.level, read.level) == ("nothing", "helix")
    assert plain(GOOD_P, 0.4, periods=()).level == "decodable"
