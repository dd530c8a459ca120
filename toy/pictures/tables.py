"""What a run has written, as its pictures read it: tables, lines of metrics; and figures written beside them.

Shared by the toys that measure themselves into csv files (universal moduli, sums of many digits), so that a picture
can be drawn again from committed results, without weights.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from toy.pictures import figures
from toy.pictures.look import SIZE, frame, listed, new_figure, percent, save
from toy.run.errors import InputError

Row = dict[str, Any]
LEARNT = 0.99
"""Accuracy from which on the title of a training curve calls something learnt."""
LIMITS = (-4, 104)
"""Of an axis of percents, with room for a mark at either end."""


def table(folder: Path, name: str, columns: Collection[str]) -> list[Row]:
    """The rows of a csv file, numbers as such.

    Raises:
        InputError: it cannot be read, is empty or lacks one of `columns`.
    """
    path = folder / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give the folder of a run that is measured") from error
    missing = [column for column in columns if rows and column not in rows[0]]
    if missing or not rows:
        lacks = listed(missing) if missing else "rows"
        raise InputError(f"{path} has no {lacks}: measure the run again with the script that trained it")
    return rows


def _number(text: str) -> float | str:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def metrics(folder: Path) -> list[Row]:
    """The looks of a training run; none where its lines are not kept, as in committed results."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def over_training(rows: Sequence[Row], lines: Mapping[str, tuple[str, str, str]], title: str) -> Figure:
    """Accuracies over logarithmic steps; `lines` is field: (name, colour, style)."""
    figure = new_figure(3.8, title)
    axes = figure.subplots()
    axes.set_ylim(*LIMITS)
    drawn = [
        (name, [100 * row[field] for row in rows], colour, style) for field, (name, colour, style) in lines.items()
    ]
    figures.over_steps(axes, [row["step"] for row in rows], drawn, "accuracy (%)", {}, log=False)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("step (updates, logarithmic)", fontsize=SIZE)
    return figure


def learnt_at(rows: Sequence[Row], field: str) -> str:
    """The look from which on the accuracy stays at LEARNT: from step 900."""
    good = [row[field] >= LEARNT for row in rows]
    if not good[-1]:
        return f"not by step {rows[-1]['step']:,}"
    late = max((index for index, one in enumerate(good) if not one), default=-1)
    return f"from step {rows[late + 1]['step']:,}"


def percents(axes: Axes, x: str, y: str = "accuracy (%)", title: str = "") -> None:
    """A frame whose y axis is percents of everything."""
    axes.set_ylim(*LIMITS)
    frame(axes, x, y, title)


def percent_span(shares: Sequence[float]) -> str:
    """The least and the largest of some shares: 6.5 % to 34 %."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def write(folder: Path, drawn: Mapping[str, Figure]) -> list[Path]:
    """`name`.png and `name`.svg of every figure.

    Raises:
        InputError: they cannot be written.
    """
    try:
        return [path for name, figure in drawn.items() for path in save(figure, folder, name)]
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): free some space and run again") from error
