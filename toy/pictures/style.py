"""The style of every figure: palette, sizes, frames, heat maps, curves over training, labels, numbers in words.

Trained weights are blue, filled and solid; untrained ones orange, hollow and dashed; what was expected or is flat is
grey. Magnitudes are viridis; angles on a circle are `twilight`, whose ends meet. Text is 9 points: 12 px where a
figure is shown at 96 px an inch, as the page does. Heat maps are images inside the svg, so that files stay small.

Matplotlib's object interface only: nothing depends on a display or on global state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Num
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from toy.run.files import replace_with, writing_to

TRAINED, UNTRAINED, INK, GREY, BAND = "#0063A6", "#C65200", "#1F2328", "#5F6670", "#D5D9DE"
MAGNITUDE, CYCLE = "viridis", "twilight"
SIZE = 9
"""Points; 12 px at 96 dpi."""
WIDTH = 9.6
"""Inches, of every figure: a page column of 922 px."""
ROUNDING = 1e-9
"""A share as near to 0 or 1 as this is 0 or 1; one of a billion rows would be told apart."""
DPI = 130
PIXELS_AN_INCH = 96
"""At which a page shows a figure."""
KINDS = ("png", "svg")

LIMITS = (-4, 104)
"""Of an axis of percents, with room for a mark at either end."""
LEARNT = 0.99
"""Accuracy from which on the title of a training curve calls something learnt."""

Line = tuple[str, Sequence["Real | None"], str, str]
"""Name, values over the steps, colour, line style."""
Real = int | float
"""A number that is drawn or said; where numbers are drawn, a whole one is as good."""


def new_figure(height: Real, title: str, width: Real = WIDTH) -> Figure:
    """An empty figure under its message, which is wrapped to the width."""
    figure = Figure((width, height), layout="constrained")
    # Bold type of 10 points has some 11 characters an inch.
    figure.suptitle(
        fill(title, int(11.2 * width)), x=0.008, ha="left", fontsize=SIZE + 1, weight="bold", color=INK,
        parse_math=False,
    )  # fmt: skip
    return figure


def panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """Axes side by side that share their limits, the others of the last row hidden."""
    columns = min(columns, count)
    grid = figure.subplots(-(-count // columns), columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[count - columns : count]:
        axes.tick_params(labelbottom=True)  # the lowest of its column, where the last row is not full
    return grid[:count].tolist()


def frame(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Names of the axes, small type, no box."""
    axes.set_xlabel(x, fontsize=SIZE, color=INK)
    axes.set_ylabel(y, fontsize=SIZE, color=INK)
    if title:
        axes.set_title(title, fontsize=SIZE, loc="left", color=INK, parse_math=False)
    axes.tick_params(labelsize=SIZE, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)


def heat(
    axes: Axes, values: Num[np.ndarray, "rows columns"], x: str, y: str, title: str = "", **options: Any
) -> AxesImage:
    """A matrix as an image, its first row at the bottom; `options` go to imshow."""
    options = {"cmap": MAGNITUDE, **options}
    image = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest", **options)
    frame(axes, x, y, title)
    axes.spines[["top", "right"]].set_visible(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return image


def colour_bar(image: AxesImage | QuadMesh, beside: Axes | Sequence[Axes], label: str) -> None:
    """What the colours of a heat map mean."""
    assert image.axes is not None
    bar = image.axes.figure.colorbar(image, ax=beside, shrink=0.9, pad=0.02, aspect=25)
    bar.set_label(label, fontsize=SIZE, color=INK)
    bar.ax.tick_params(labelsize=SIZE, colors=INK)
    bar.outline.set_visible(False)  # type: ignore[union-attr]


def note(axes: Axes, text: str, at: tuple[Real, Real], up: Real, colour: str, **options: Any) -> None:
    """A label so many points above a place, or below it where `up` is negative."""
    options = {"ha": "center", "va": "bottom" if up >= 0 else "top", **options}
    axes.annotate(text, at, (0, up), textcoords="offset points", fontsize=SIZE, color=colour, **options)


def phase_dots(
    axes: Axes, points: Num[np.ndarray, "n 2"], turn: Num[np.ndarray, " n"], size: Real, *, edge: Real = 0.3
) -> PathCollection:
    """Points coloured by `turn` in [0, 1), a phase."""
    return axes.scatter(
        *points.T, c=turn, cmap=CYCLE, vmin=0, vmax=1, s=size, edgecolors=INK, linewidths=edge, zorder=2
    )


def at_end(axes: Axes, labels: Sequence[tuple[str, Real, Real, str]], apart: Real = 0.085) -> None:
    """Labels (text, x, y, colour) right of where lines end, pushed apart where they would meet.

    `apart` is the least distance in shares of the axes' height; y limits must be final.
    """
    low, high = (axes.transData.transform((1.0, value))[1] for value in axes.get_ylim())
    shares = [(axes.transData.transform((1.0, y))[1] - low) / (high - low) for _, _, y, _ in labels]
    order = sorted(range(len(labels)), key=lambda index: shares[index])
    places = [shares[index] for index in order]
    for upward in range(1, len(places)):
        places[upward] = max(places[upward], places[upward - 1] + apart)
    surplus = max(0.0, (places[-1] if places else 0.0) - 1.0)
    for downward in range(len(places) - 1, -1, -1):
        above = places[downward + 1] - apart if downward + 1 < len(places) else places[downward] - surplus
        places[downward] = min(places[downward], above)
    for place, index in zip(places, order, strict=True):
        text, x, _, colour = labels[index]
        axes.annotate(
            text, (x, place), (5, 0), xycoords=("data", "axes fraction"), textcoords="offset points", va="center",
            fontsize=SIZE, color=colour, annotation_clip=False, parse_math=False,
        )  # fmt: skip


def log_steps(axes: Axes, first: int, last: int) -> None:
    """A logarithmic axis of steps with whole numbers at its ticks; step 0 has no place on it."""
    axes.set_xscale("log")
    axes.set_xlim(max(first, 1), max(last, first + 1, 2))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda _value, _: ""))


def log_values(axes: Axes) -> None:
    """A logarithmic axis of what is drawn: some powers of ten, or 1, 2 and 5 where there are fewer than two of them."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    narrow = high < 100 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    if narrow:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def over_steps(
    axes: Axes, steps: Sequence[int], lines: Sequence[Line], y: str, marks: Mapping[str, int | None], *, log: bool
) -> None:
    """Lines over logarithmic steps with their names at their ends; `marks` are steps with a name, drawn as verticals.

    Values that are None, and on a logarithmic axis those that are not positive, leave a gap.
    """
    for _, values, colour, style in lines:
        axes.plot(steps, [_drawable(value, log) for value in values], style, color=colour, linewidth=1.6)
    if log:
        log_values(axes)
    shown = [step for step in steps if step > 0] or [1]
    log_steps(axes, shown[0], shown[-1])
    frame(axes, "", y)
    for name, step in marks.items():
        if step is not None and step > 0:
            axes.axvline(step, color=GREY, linewidth=1, linestyle=":", zorder=0)
            note(
                axes, f"{name}\n{step:,}", (step, 1), 3, GREY, xycoords=("data", "axes fraction"), annotation_clip=False
            )
    ends = []
    for name, values, colour, _ in lines:
        known = [value for value in (_drawable(each, log) for each in values) if not math.isnan(value)]
        ends += [(name, max(shown[-1], 2), known[-1], colour)] if known else []
    at_end(axes, ends)


def _drawable(value: Real | None, log: bool) -> Real:
    return math.nan if value is None or (log and value <= 0) else value


def over_training(rows: Sequence[Mapping[str, Any]], lines: Mapping[str, tuple[str, str, str]], title: str) -> Figure:
    """Accuracies over logarithmic steps; `lines` is field: (name, colour, style)."""
    figure = new_figure(3.8, title)
    axes = figure.subplots()
    axes.set_ylim(*LIMITS)
    percents_of = [
        (name, [100 * row[field] for row in rows], colour, style) for field, (name, colour, style) in lines.items()
    ]
    over_steps(axes, [row["step"] for row in rows], percents_of, "accuracy (%)", {}, log=False)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("step (updates, logarithmic)", fontsize=SIZE)
    return figure


def learnt_at(rows: Sequence[Mapping[str, Any]], field: str) -> str:
    """The evaluation from which on the accuracy stays at LEARNT: from step 900."""
    good = [row[field] >= LEARNT for row in rows]
    if not good[-1]:
        return f"not by step {rows[-1]['step']:,}"
    late = max((index for index, one in enumerate(good) if not one), default=-1)
    return f"from step {rows[late + 1]['step']:,}"


def percents(axes: Axes, x: str, y: str = "accuracy (%)", title: str = "") -> None:
    """A frame whose y axis is percents of everything."""
    axes.set_ylim(*LIMITS)
    frame(axes, x, y, title)


def ticks_apart(places: Sequence[Real], names: Sequence[str], apart: Real) -> tuple[list[Real], list[str]]:
    """Ticks for ascending places; names closer than `apart` are joined into one at their mean."""
    groups: list[list[int]] = []
    for index, place in enumerate(places):
        if groups and place - places[groups[-1][-1]] < apart:
            groups[-1].append(index)
        else:
            groups.append([index])
    means = [sum(places[index] for index in group) / len(group) for group in groups]
    return means, [", ".join(names[index] for index in group) for group in groups]


def percent(value: Real) -> str:
    """A share as percent with no more digits than it deserves: 97 %, 99.95 %, 0.4 %; never rounded to none or all."""
    if abs(value - round(value)) < ROUNDING:
        return f"{100 * round(value)} %"
    if 0 < value < 5e-4:
        return "< 0.1 %"
    if 0.99995 <= value < 1:
        return "> 99.99 %"
    digits = 0 if 0.1 <= value < 0.99 else 1 if value < 0.1 else 2
    return f"{100 * value:.{digits}f} %"


def listed(names: Sequence[object]) -> str:
    """1, 2 and 3."""
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def span(values: Sequence[Real]) -> str:
    """The least and the largest of some values: 0.97 to 0.99."""
    low, high = two(min(values)), two(max(values))
    return low if low == high else f"{low} to {high}"


def percent_span(shares: Sequence[float]) -> str:
    """The least and the largest of some shares: 6.5 % to 34 %."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def two(value: Real | None) -> str:
    """Two decimals, with a minus sign that is one."""
    return "not measured" if value is None else f"{value:.2f}".replace("-", "−")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """`name`.png and `name`.svg, each whole or not at all, the same bytes for the same figure."""
    paths = [folder / f"{name}.{kind}" for kind in KINDS]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "toy"}):
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            replace_with(path, lambda temporary, m=metadata: figure.savefig(temporary, dpi=DPI, metadata=m))
            # The layout of the first file is that of the second: finding it takes longer than drawing.
            figure.set_layout_engine("none")
    return paths


def write(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """`name`.png and `name`.svg of every figure. Raises InputError if they cannot be written."""
    with writing_to(folder):
        return [path for name, figure in figures.items() for path in save(figure, folder, name)]
