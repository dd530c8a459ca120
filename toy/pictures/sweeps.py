"""The picture of a sweep: the share of seeds not yet grokked over steps, one line a cell.

The lines of a frame are the values of the last axis, its frames those of all other axes. Lines darken with the value,
each is named at its end with the seeds that grokked; a tick at the end says that some were still watched there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from toy.config import Value
from toy.pictures.style import INK, MAGNITUDE, SIZE, TRAINED, at_end, frame, log_steps, new_figure, panels
from toy.training.axes import SweepPoint
from toy.training.survival import CellResults, Row, curve, summary_rows

LINES_NAMED = 8
"""Of more lines in a frame every second, third, … is named."""
COLUMNS = 3
THICKEST, THINNEST = 4.0, 1.6
"""Points, of the lines of a frame."""
LIGHTEST = 0.62
"""Of the colour map: what is lighter cannot be read on white."""

Member = tuple[Value, SweepPoint, Row]
"""A line: its value of the last axis, its cell, and what is kept of that."""


def survival_figure(results: CellResults) -> Figure:
    """All cells that are there, at least one."""
    lines, frames = _arranged(results)
    rows = math.ceil(len(frames) / COLUMNS)
    figure = new_figure(1.1 + (3.4 if rows == 1 else 2.5 * rows), message(results))
    grid = panels(figure, len(frames), COLUMNS)
    last = max(curve(cell, content).steps[-1] for cell, content in results)
    first = min(last, *(cell.config.log_every for cell, _ in results))
    shades = [LIGHTEST * (1 - index / max(1, len(lines) - 1)) for index in range(len(lines))]
    colours = {value: to_hex(colormaps[MAGNITUDE](shade)) for value, shade in zip(lines, shades, strict=True)}
    colours = colours if len(lines) > 1 else dict.fromkeys(lines, TRAINED)
    for axes, (name, members) in zip(grid, frames.items(), strict=True):
        log_steps(axes, first, last)
        # 1, 2 and 5 of each power of ten where they have room, else the powers.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last < 150 * first else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(ylim=(-3, 103))
        frame(axes, title=name)
        _curves(axes, members, colours, max(first, 1))
    swept = list(results[0][0].values)
    named = f"; lines: {_words(swept[-1])}, with seeds grokked of seeds trained" if swept else ""
    figure.supxlabel(f"step (updates, logarithmic){named}", fontsize=SIZE, color=INK)
    figure.supylabel("seeds not yet grokked (%)", fontsize=SIZE, color=INK)
    return figure


def message(results: CellResults) -> str:
    """Which cell is the first to have grokked on half of its seeds, and how many do on all."""
    summaries = summary_rows(results)
    order = [(row["median_grokked_at"], -row["share_grokked"], index) for index, row in enumerate(summaries)]
    half = [entry for entry in order if entry[0] is not None]
    if not half:
        best = max(row["grokked"] for row in summaries)
        return f"Nowhere do half of the seeds grok: at most {best} of {summaries[0]['seeds']} in a cell"
    row = summaries[min(half)[2]]
    who = ", ".join(f"{_words(axis)} {_short(value)}" for axis, value in results[min(half)[2]][0].values.items())
    first = f"half of {row['seeds']} seeds by step {row['median_grokked_at']:,}"
    said = f"First to grok: {who} ({first})" if who else first.capitalize()
    every = sum(each["grokked"] == each["seeds"] for each in summaries)
    if len(summaries) == 1:
        return f"{said}; {row['grokked']} of {row['seeds']} grok"
    return f"{said}; every seed groks in {every} of {len(summaries)} cells"


def _arranged(results: CellResults) -> tuple[Sequence[Value], dict[str, list[Member]]]:
    """The values of the last axis, numbers ascending, and per frame its cells."""
    lines: list[Value] = []
    frames: dict[str, list[Member]] = {}
    for cell, content in results:
        *others, (_, value) = cell.values.items() or [("", "")]
        if value not in lines:
            lines.append(value)
        name = ", ".join(f"{_words(axis)} {_short(other)}" for axis, other in others)
        frames.setdefault(name, []).append((value, cell, content))
    numbers = [value for value in lines if isinstance(value, int | float)]
    return (sorted(numbers) if len(numbers) == len(lines) else lines), frames


def _curves(axes: Axes, members: Sequence[Member], colours: dict[Value, str], first: int) -> None:
    ends = []
    for index, (value, cell, content) in enumerate(members):
        estimate = curve(cell, content)
        shares = [100 * float(share) for share in estimate.shares]
        steps = [max(first, step) for step in estimate.steps]  # step 0 has no place on a logarithmic axis
        # Later lines are thinner: where several run together, all are seen.
        width = THINNEST + (THICKEST - THINNEST) * (1 - (index + 1) / len(members))
        axes.plot(steps, shares, drawstyle="steps-post", color=colours[value], linewidth=width)
        if shares[-1] > 0:
            axes.plot(steps[-1], shares[-1], "|", color=colours[value], markersize=9, markeredgewidth=1.8)
        outcomes = content["outcomes"]
        grokked, diverged = (sum(one[name] is not None for one in outcomes) for name in ("grokked_at", "diverged_at"))
        label = f"{grokked}/{len(outcomes)}" + (f", {diverged} diverged" if diverged else "")
        label = f"{_short(value)}: {label}" if value != "" else label
        # Where lines end together, the one that grokked first stands lowest, as it does further left.
        ends.append((shares[-1], estimate.mean, (label, axes.get_xlim()[1], shares[-1], colours[value])))
    every = math.ceil(len(ends) / LINES_NAMED)
    at_end(axes, [label for _, _, label in sorted(ends[::every], key=lambda end: end[:2])])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
