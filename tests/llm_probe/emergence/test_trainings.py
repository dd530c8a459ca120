"""The order of events over trainings, from outcomes that were written down; and the snapshots of a tiny training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from llm_probe.emergence.pairs import PairRow, held_out_share_of, pair_rows, snapshots_of
from llm_probe.emergence.trainings import ORDER, EventRow, dated, learnt, order_figure, orders, run, sentences
from llm_probe.models.reference.recipe import Recipe
from llm_probe.models.reference.train import train
from toy.run.errors import InputError

TINY = Recipe(
    vocabulary=300, d_model=64, layers=1, first_steps=2, second_steps=2, batch=12, windows=1, window=8, bfloat16=False
)
STEPS = range(0, 4000, 200)


def answers(training: str, pairs: str, known_from: int) -> list[PairRow]:
    """Nothing is known until a step, and everything from there on."""
    return [
        PairRow(training, step, "days", pairs, "small", 100, right, max(0.0, right - 0.1), right, 1 / 7)  # type: ignore[arg-type]
        for step in STEPS
        for right in [float(step >= known_from)]
    ]


def test_known_pairs_are_given_their_step() -> None:
    rows = [*answers("one", "trained on", 400), *answers("one", "held out", 2400)]
    events = {row.event: row for row in learnt(rows)}
    assert {name: row.step for name, row in events.items()} == {
        "small trained pairs": 400, "small held-out pairs": 2400,
        "all trained pairs": None, "all held-out pairs": None,
    }  # fmt: skip
    assert events["small trained pairs"].exceeding == 18 and events["small trained pairs"].n == 20


def test_the_order_is_told_only_where_intervals_do_not_overlap() -> None:
    def event(training: str, name: str, not_yet: int | None, above: int) -> EventRow:
        return EventRow(training, "days", name, 10, 5, above, not_yet, above)

    rows = [
        event("one", "read", 200, 400), event("one", "circle", 400, 800), event("one", "moved", 200, 600),
        event("two", "read", 200, 600), event("two", "circle", 800, 1000),
        event("three", "circle", 0, 200), event("three", "read", 200, 400),
    ]  # fmt: skip
    counts = {(row.first, row.second): (row.trainings, row.before, row.after) for row in orders(rows)}
    assert counts == {("read", "circle"): (3, 2, 1), ("read", "moved"): (1, 0, 0), ("circle", "moved"): (1, 0, 0)}


def test_the_tables_are_told_and_drawn() -> None:
    rows = [*answers("one", "trained on", 400), *answers("one", "held out", 2400)]
    rows += [*answers("two", "trained on", 600), *answers("two", "held out", 3000)]
    events = pd.DataFrame([vars(row) for row in learnt(rows)])
    order = pd.DataFrame([vars(row) for row in orders(list(learnt(rows)))])
    (sentence,) = sentences(events, order)
    assert sentence == (
        "days: small trained pairs 500, small held-out pairs 2,700; of 1 of 1 pairs of events every training tells the "
        "same one to be the first."
    )
    figure = order_figure(events)
    assert figure is not None and [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert order_figure(events.iloc[:0]) is None


def test_events_of_a_series_keep_their_steps() -> None:
    row = {"domain": "days", "n": 9, "exceeding": 4, "step": 400.0, "not_yet_at": float("nan"), "above_at": 800.0}
    changes = pd.DataFrame([{**row, "event": "read"}, {**row, "event": "answered"}])
    assert list(dated(changes, "one")) == [EventRow("one", "days", "read", 9, 4, 400, None, 800)]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainings") / "half"
    train(replace(TINY, held_out_share=0.6), folder, progress=False, snapshot_every=2)
    return folder


def test_snapshots_are_asked_of_both_kinds_of_pairs(training: Path) -> None:
    assert [path.name for path in snapshots_of(training)] == ["step-0", "step-2", "step-4"]
    assert held_out_share_of(training) == 0.6
    rows = list(pair_rows(snapshots_of(training)[0], "half", ["mod-add 7"], 0.6))
    assert [(row.pairs, row.operands) for row in rows] == [
        ("trained on", "small"), ("trained on", "all"), ("held out", "small"), ("held out", "all"),
    ]  # fmt: skip
    # Of 49 pairs in nine templates some 40 % are trained on and 20 % held out by every recipe.
    assert 100 < rows[0].n < 260 and rows[2].n == 81
    assert rows[1].n == rows[3].n == 400


def test_a_sweep_of_series_is_put_in_order(training: Path, tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    changes = {
        "model": str(training / "snapshots"), "domain": "days", "quantity": "sum", "event": "read", "n": 3,
        "exceeding": 0, "step": None, "not_yet_at": None, "above_at": None,
    }  # fmt: skip
    pd.DataFrame([changes]).to_csv(tmp_path / "merged" / "changes.csv", index=False)
    result = run(tmp_path, tmp_path / "out", "again")
    assert set(result.frames["events"]["event"]) == {
        "small trained pairs", "small held-out pairs", "all trained pairs", "all held-out pairs", "read",
    }  # fmt: skip
    assert result.frames["events"]["step"].isna().all() and result.frames["order"].empty
    assert len(result.frames["pairs"]) == 3 * 4
    result.write(tmp_path / "out")
    assert "days: nothing is dated" in str(result)
    again = run(tmp_path, tmp_path / "more", "", beside=tmp_path / "out")
    assert list(again.frames["pairs"]["step"]) == list(result.frames["pairs"]["step"])  # its own, and once


def test_an_earlier_result_stands_beside(training: Path, tmp_path: Path) -> None:
    known = EventRow("one", "mod-add 7", "read", 9, 4, 400, 200, 800)
    circle, never = replace(known, event="circle", step=1200, not_yet_at=800), replace(known, event="used", step=None)
    rows = {"pairs": answers("one", "held out", 400), "events": [known, circle, never], "order": []}
    ORDER.run(tmp_path / "one", lambda _: rows).write(tmp_path / "one")
    (tmp_path / "merged").mkdir()
    row = {**vars(known), "model": str(training / "snapshots"), "quantity": "sum"}
    changes = [row, row | {"event": "circle", "not_yet_at": 800, "step": 1200, "above_at": 2000}]
    pd.DataFrame(changes).to_csv(tmp_path / "merged" / "changes.csv", index=False)
    result = run(tmp_path, tmp_path / "out", "", beside=tmp_path / "one")
    events, (order,) = result.frames["events"], result.frames["order"].to_dict("records")
    assert set(events["training"]) == {"one", "half"} and set(result.frames["pairs"]["training"]) == {"one", "half"}
    assert (order["first"], order["second"], order["trainings"], order["before"]) == ("read", "circle", 2, 2)
    assert events.loc[events["event"] == "used", "step"].isna().all()
    with pytest.raises(InputError, match="cannot read "):
        run(tmp_path, tmp_path / "out", "", beside=tmp_path / "none")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="has 0 snapshots"):
        snapshots_of(tmp_path)
