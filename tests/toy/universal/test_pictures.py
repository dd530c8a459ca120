"""Pictures of universal moduli: what is drawn is what the tables say, the same bytes each time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import draw_runs
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toy.pictures import style
from toy.run.errors import InputError
from toy.run.files import Row, as_csv
from toy.universal import pictures as universal

PARTS = {2: "train", 3: "train", 4: "held_out", 5: "train", 6: "held_out", 7: "train", 8: "beyond", 9: "beyond"}
VALUES = {2: 1.0, 3: 1.0, 4: 0.75, 5: 1.0, 6: 0.5, 7: 1.0, 8: 0.25, 9: 0.125}
ACCURACY = [
    {"modulus": p, "part": part, "accuracy": VALUES[p], "bound": 1.0 if p < 8 else 0.5} for p, part in PARTS.items()
]
CIRCLES = [
    {"weights": net, "modulus": p, "sum_share": 0.8 * s, "residue_share": 0.6 * s, "logit_fve": 0.4 * s}
    for net, s in (("trained", 1.0), ("untrained", 0.1))
    for p in (4, 5)
]
WRAPS = [{"modulus": p, "questions": 7, "residue": 0.1 * p, "subtracted_once": 0.2} for p in (2, 3)]
LOOKS = [
    {"step": step, "loss": 1.0, "train_accuracy": 1.0, "held_out_accuracy": held, "held_out_lowest": low}
    for step, held, low in ((10, 0.995, 0.2), (20, 0.98, 0.5), (30, 0.99, 0.9), (40, 1.0, 0.98))
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    for name, rows in (("accuracy", ACCURACY), ("circles", CIRCLES), ("wraps", WRAPS)):
        (folder / f"{name}.csv").write_text(as_csv(rows))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOOKS))
    return folder


def points_of(axes: Axes, label: str) -> list[tuple[float, float]]:
    """The points of a line, percents as shares."""
    [line] = [line for line in axes.lines if line.get_label() == label]
    return [(float(x), round(float(y) / 100, 9)) for x, y in zip(*line.get_data(), strict=True)]


def title(figure: Figure) -> str:
    return " ".join(str(figure.get_suptitle()).split())


def test_every_picture_is_written_with_the_same_bytes(run: Path, tmp_path: Path) -> None:
    names = ["01_accuracy", "02_training", "03_circles", "04_wraps"]
    first = style.write(tmp_path / "first", universal.draw(run))
    again = style.write(tmp_path / "again", universal.draw(run))
    assert [path.name for path in first] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_accuracies_are_those_of_the_table(run: Path) -> None:
    figure = universal.draw(run)["01_accuracy"]
    axes = figure.axes[0]
    for part in ("train", "held_out", "beyond"):
        assert points_of(axes, part) == [(p, VALUES[p]) for p, its in PARTS.items() if its == part]
    assert points_of(axes, "bound") == [(row["modulus"], row["bound"]) for row in ACCURACY]
    assert dict(points_of(axes, "published")) == universal.PUBLISHED
    assert title(figure) == "2 held-out moduli 62 % right, the worst 50 %; beyond 7 19 %, a row a number at most 50 %"
    sparse = [row for row in ACCURACY if row["part"] != "beyond"]
    assert not [
        line for line in universal.accuracy(pd.DataFrame(sparse)).axes[0].lines if line.get_label() == "published"
    ]


def test_training_says_from_when_on_it_is_learnt(run: Path) -> None:
    figure = universal.draw(run)["02_training"]
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[10, 20, 30, 40]] * 3
    wanted = [[100 * row[name] for row in LOOKS] for name in ("train_accuracy", "held_out_accuracy", "held_out_lowest")]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == wanted
    assert "trained moduli from step 10, held-out ones from step 30 on average" in title(figure)
    assert title(figure).endswith("every one not by step 40")


def test_circles_and_wraps(run: Path) -> None:
    figures = universal.draw(run)
    for axes, share in zip(figures["03_circles"].axes, (0.8, 0.6, 0.4), strict=True):
        assert points_of(axes, "trained") == [(0, share), (1, share)]
        assert points_of(axes, "untrained") == [(0, round(share / 10, 9)), (1, round(share / 10, 9))]
    assert points_of(figures["04_wraps"].axes[0], "residue") == [(2, 0.2), (3, 0.3)]
    assert "a + b − p in 20 % of the cases, the residue in 20 % to 30 %" in title(figures["04_wraps"])


def test_committed_results_have_no_history_and_small_runs_no_circles(run: Path) -> None:
    for name in ("metrics.jsonl", "circles.csv", "wraps.csv"):
        (run / name).unlink()
    assert list(universal.draw(run)) == ["01_accuracy"]


@pytest.mark.parametrize("text", [None, "", "modulus,part,accuracy\n2,train,1.0\n"])
def test_what_cannot_be_read_is_one_sentence(text: str | None, run: Path) -> None:
    (run / "accuracy.csv").unlink()
    if text is not None:
        (run / "accuracy.csv").write_text(text)
    with pytest.raises(InputError, match=r"accuracy\.csv .*(No such file|has no rows|has no bound)") as caught:
        universal.draw(run)
    assert "\n" not in str(caught.value)


def test_the_comparison_has_a_panel_a_run() -> None:
    better: list[Row] = [{**row, "accuracy": 1.0} for row in ACCURACY]
    figure = universal.compare({"one": pd.DataFrame(ACCURACY), "two": pd.DataFrame(better)})
    one, two = figure.axes
    assert points_of(one, "held_out") == [(4, 0.75), (6, 0.5)] and points_of(two, "held_out") == [(4, 1), (6, 1)]
    assert one.get_title("left") == "one\nheld out 62 %, beyond 19 %" and one.get_ylim() == two.get_ylim()


def call(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    monkeypatch.setattr(sys, "argv", ["draw_runs.py", *map(str, arguments)])
    return draw_runs.main()


def test_the_script(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (run.parent / "unfinished").mkdir()
    assert call(monkeypatch, run.parent, "--no-each") == 0
    assert (run.parent / "figures" / "comparison.svg").exists() and not (run / "figures").exists()
    assert call(monkeypatch, run.parent) == 0 and (run / "figures" / "01_accuracy.png").exists()
    assert "comparison.png" in capsys.readouterr().out
    assert call(monkeypatch, run) == 2 and "holds no run with accuracy.csv" in capsys.readouterr().err
    (run.parent / "unfinished" / "accuracy.csv").write_text("by,value\ndigits,1d+1d\n")
    assert call(monkeypatch, run.parent) == 2 and "are not of one toy" in capsys.readouterr().err
