"""Change points worked out by hand, and what may never be called one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_probe.emergence.changes import ALPHA, NEVER, change_of
from llm_probe.emergence.series import events
from llm_probe.emergence.table import CheckpointRow

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=40)


def test_the_posterior_of_two_checkpoints_by_hand() -> None:
    """0, 1: never (1 - a) a / 2; from the second on (1 - a) / 2 / 4; from the first on B(2, 2) / 4 = 1 / 24."""
    never = (1 - ALPHA) * ALPHA / 2
    second, first = (1 - ALPHA) / 2 / 4, 1 / 6 / 4
    change = change_of([False, True])
    assert change.never == pytest.approx(never / (never + first + second))
    assert change.index is None  # one checkpoint alone


@pytest.mark.parametrize("count", [1, 2])
def test_the_last_one_or_two_are_not_enough(count: int) -> None:
    assert change_of([False] * 20 + [True] * count).index is None


@pytest.mark.parametrize("start", [0, 3, 11, 17])
def test_a_step_is_given_back(start: int) -> None:
    change = change_of([False] * start + [True] * (20 - start))
    assert change.index == start
    assert change.low is not None and change.high is not None and change.low <= start <= change.high
    assert change.never <= NEVER


def test_a_first_miss_widens_the_interval() -> None:
    sharp = change_of([False] * 8 + [True] * 8)
    blurred = change_of([False] * 6 + [True, False] + [True] * 8)
    assert (sharp.low, sharp.index, sharp.high) == (7, 8, 9)
    assert blurred.low is not None and blurred.low <= 6 and blurred.high is not None and blurred.high >= 8


@given(st.integers(1, 60))
def test_nothing_is_never_a_change(n: int) -> None:
    assert change_of([False] * n).index is None


@given(st.integers(2, 40), st.data())
def test_one_that_stands_out_is_never_a_change(n: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, n - 1))
    assert change_of([index == place for index in range(n)]).index is None


@given(OUTCOMES)
def test_an_interval_holds_its_step(outcomes: list[bool]) -> None:
    change = change_of(outcomes)
    assert 0 <= change.never <= 1 and not math.isnan(change.never)
    if change.index is not None:
        assert change.low is not None and change.high is not None
        assert 0 <= change.low <= change.index <= change.high < len(outcomes)
        assert outcomes[change.index]  # nothing begins with a checkpoint that does not stand out


def test_an_empty_series_has_no_change() -> None:
    assert change_of([]).index is None


def test_the_integer_of_sums_of_numbers_is_no_event_by_itself() -> None:
    """Any network's states differ between integers, as pairs of digits do: only the level `helix` counts there."""
    where = ("mod-add 7", "sum", 7)

    def row(step: int, level: str) -> CheckpointRow:
        about = (level, "undetermined", "", "resid_post", "last", 2, 1)
        return CheckpointRow(
            f"step-{step}", step, None, *where, *about, 0.1, 0.0, 0.2, 0.0, 0.5, 0.01, None, None, None, None, None
        )

    rows = [row(step, "helix" if step > 300 else "nothing") for step in range(0, 800, 100)]
    assert events(rows)["integer"] == [True] * 8
    assert events(rows, adds_numbers=True)["integer"] == [False] * 4 + [True] * 4
