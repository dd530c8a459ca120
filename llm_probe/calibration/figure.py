"""False positive rates and power of each statistic: two figures and their tables in the terminal.

    false_positives   a line a statistic: the rate over all null networks with its interval, small marks for each kind
    power             a frame a planted signal: the share detected over its amplitude, a line a statistic

Statistics that the suite prints are blue; those it does not print, shown for comparison, stand apart in orange. The
axis of rates is a square root: 0 is on it, and 0.05 is not lost beside 1. Intervals are Clopper-Pearson's, 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from llm_probe.calibration.harness import LEVEL, SHARES, FalsePositiveRow, PowerRow
from llm_probe.page.style import BAND, GREEN, GREY, INK, OCHRE, RANDOM, SIZE, SKY, TRAINED, VIOLET, frame, save_figures

COMPARED = ("renaming alone (not printed)", "class-mean R² against noise")
"""Statistics that no table of a run holds."""
NULL_MARKS = {"magnitudes": "o", "names": "s", "qwen3": "^", "shuffled": "D"}
NULL_NAMES = {
    "magnitudes": "ReLU networks of numbers",
    "names": "ReLU networks of names",
    "qwen3": "random Qwen3",
    "shuffled": "shuffled labels",
}
STYLES: dict[str, dict[str, Any]] = {
    "supported": {"color": INK, "marker": "o", "linewidth": 2},
    "p_fwer (planes)": {"color": TRAINED, "marker": "s"},
    "p_fwer (dimensions)": {"color": SKY, "marker": "^"},
    "p_selective": {"color": GREEN, "marker": "D"},
    "p_assignment": {"color": VIOLET, "marker": "v"},
    "p_period": {"color": OCHRE, "marker": "P"},
    "p_contrast": {"color": VIOLET, "marker": "<", "linestyle": "--"},
    "p_order": {"color": GREY, "marker": "d"},
    "refuted": {"color": INK, "marker": "x", "linestyle": ":"},
    COMPARED[0]: {"color": RANDOM, "marker": "X", "linestyle": "--"},
    COMPARED[1]: {"color": GREY, "marker": "*", "linestyle": "--"},
}
"""Statistic to its line among the others (told apart by marks too)."""
WANTED = 0.8
"""The power that studies are planned for."""
SHOWN = 0.1
"""The amplitude that the terminal shows."""
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


# --------------------------------------------------------------------------------------------------------- terminal


def rates_text(rows: Sequence[FalsePositiveRow]) -> str:
    """The false positive rates: over all networks with the interval, then of each null."""
    nulls = [null for null in SHARES if any(row.null == null for row in rows)]
    rate_of = {(row.statistic, row.null): f"{row.false_positive_rate:.3f}" for row in rows}
    table = [["statistic", "networks", "fires", "95 % interval", *nulls]]
    for row in _pooled(rows):
        interval = f"{row.lower:.3f}-{row.upper:.3f}"
        each = [rate_of.get((row.statistic, null), "-") for null in nulls]
        table.append([row.statistic, f"{row.n_networks:,}", f"{row.false_positive_rate:.3f}", interval, *each])
    return f"False positives: networks with nothing to find, p <= {LEVEL}\n" + _aligned(table)


def power_text(rows: Sequence[PowerRow]) -> str:
    """Statistic x planted signal at the amplitude nearest to 0.1 that was planted, with intervals."""
    nearest = {kind: min(sizes, key=lambda size: abs(size - SHOWN)) for kind, sizes in _amplitudes(rows).items()}
    texts = {
        (row.statistic, row.planted): f"{row.power:.2f} ({row.lower:.2f}-{row.upper:.2f})"
        for row in rows
        if row.amplitude == nearest[row.planted]
    }
    halves = [kind.rpartition(", ")[::2] for kind in nearest]
    table = [["", *line] for line in zip(*halves, strict=True) if any(line)]
    table.append(["statistic", *(f"{size:g} sd" for size in nearest.values())])
    table += [[name, *(texts.get((name, kind), "-") for kind in nearest)] for name in _ordered(rows)]
    return "Power: share of the networks in which the planted signal is found\n" + _aligned(table)


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])] for first, *rest in table)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _amplitudes(rows: Sequence[PowerRow]) -> dict[str, set[float]]:
    """Planted signal to the amplitudes at which it was planted."""
    sizes: dict[str, set[float]] = {}
    for row in rows:
        sizes.setdefault(row.planted, set()).add(row.amplitude)
    return sizes


def _pooled(rows: Sequence[FalsePositiveRow]) -> list[FalsePositiveRow]:
    """The rows over all nulls together."""
    pooled = {row.statistic: row for row in rows if row.null == "all"}
    return [pooled[name] for name in _ordered(pooled.values())]


def _ordered(rows: Iterable[FalsePositiveRow | PowerRow]) -> list[str]:
    """Their statistics: those that are printed, the verdict first, then those that are not."""
    names, known = {row.statistic for row in rows}, list(STYLES)
    order = [*known[: -len(COMPARED)], *sorted(names - set(known)), *COMPARED]
    return [name for name in order if name in names]


# ---------------------------------------------------------------------------------------------------------- figures


def rates(axes: Axes, rows: Sequence[FalsePositiveRow]) -> None:
    """A line a statistic, the printed ones on top; a gap and another hue for those that are compared."""
    pooled = _pooled(rows)
    apart = next((place for place, row in enumerate(pooled) if row.statistic in COMPARED), len(pooled))
    heights = [place + (0.9 if place >= apart else 0) for place in range(len(pooled))]
    axes.axvline(LEVEL, color=GREY, linewidth=1, linestyle=":", zorder=0)
    for y, row in zip(heights, pooled, strict=True):
        colour = RANDOM if row.statistic in COMPARED else TRAINED
        axes.plot([row.lower, row.upper], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=3)
        axes.plot(row.false_positive_rate, y, "o", color=colour, markersize=7, zorder=4)
        for one in rows:
            if one.statistic == row.statistic and one.null in NULL_MARKS:
                axes.plot(
                    one.false_positive_rate, y + 0.34, NULL_MARKS[one.null], color=colour, markerfacecolor="white",
                    markersize=4.5, markeredgewidth=1, clip_on=False, zorder=2,
                )  # fmt: skip
        said = f"{row.false_positive_rate:.3f}  ({row.lower:.3f}–{row.upper:.3f})  n = {row.n_networks:,}"
        for edge, away, side, text in ((0, -10, "right", row.statistic), (1, 8, "left", said)):
            axes.annotate(
                text, (edge, y), (away, 0), xycoords=("axes fraction", "data"), textcoords="offset points", ha=side,
                va="center", fontsize=SIZE, color=INK if edge else colour, annotation_clip=False, parse_math=False,
                weight="bold" if text == "supported" else "normal",
            )  # fmt: skip
    if 0 < apart < len(pooled):
        axes.axhline(apart - 0.1, color=BAND, linewidth=1)
        axes.annotate(
            "not printed, for comparison", (1, apart), (8, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=SIZE, color=GREY, annotation_clip=False,
        )  # fmt: skip
    # Matplotlib asks below 0 too, for margins that are then cut off.
    axes.set_xscale("function", functions=(lambda rates: np.sqrt(np.clip(rates, 0, None)), np.square))
    frame(axes, f"share of null networks on which it fires (p ≤ {LEVEL}, or the verdict; square-root axis)", "")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set(xlim=(0, 1), ylim=(max(heights, default=0) + 0.7, -0.6), yticks=[])
    axes.spines["left"].set_color(BAND)
    nulls = {null: mark for null, mark in NULL_MARKS.items() if any(row.null == null for row in rows)}
    small = {"color": GREY, "markerfacecolor": "white", "markersize": 4.5, "linestyle": "none"}
    marks = [Line2D([], [], color=TRAINED, marker="o", markersize=7, linewidth=2.4)]
    marks += [Line2D([], [], marker=mark, **small) for mark in nulls.values()]
    axes.legend(
        marks, ["all, 95 %", *(NULL_NAMES[null] for null in nulls)], loc="lower center",
        bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=SIZE, handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip


def power_over_amplitude(axes: Axes, rows: Sequence[PowerRow], statistics: Sequence[str]) -> None:
    """One planted signal: a line a statistic; marks at one amplitude stand beside each other."""
    axes.axhline(WANTED, color=GREY, linewidth=1, linestyle=":", zorder=0)
    for place, statistic in enumerate(statistics):
        own = sorted((row for row in rows if row.statistic == statistic), key=lambda row: row.amplitude)
        aside = 1.035 ** (place - (len(statistics) - 1) / 2)
        x, style = [row.amplitude * aside for row in own], _style(statistic)
        lower, upper = [row.lower for row in own], [row.upper for row in own]
        axes.vlines(x, lower, upper, color=style["color"], linewidth=0.9, alpha=0.7)
        axes.plot(x, [row.power for row in own], markersize=4.5, **style)
    amplitudes = sorted({row.amplitude for row in rows})
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(amplitudes, [f"{size:g}" for size in amplitudes])
    frame(axes, "", "")
    axes.set(ylim=(-0.02, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1])


def _style(statistic: str) -> dict[str, Any]:
    return {"linestyle": "-", "linewidth": 1.3, **STYLES.get(statistic, {"color": GREY, "marker": "."})}


def _power_figure(rows: Sequence[PowerRow]) -> Figure | None:
    """Frames for the signals that were planted at more than one amplitude; None if there are none."""
    kinds = [kind for kind, sizes in _amplitudes(rows).items() if len(sizes) > 1]
    if not kinds:
        return None
    statistics = _ordered(row for row in rows if row.planted in kinds)
    columns = min(2, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = Figure((3.7 * columns, 1.0 + 2.4 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel().tolist()
    for axes, kind in zip(grid, kinds, strict=False):
        power_over_amplitude(axes, [row for row in rows if row.planted == kind], statistics)
        axes.set_title(kind, fontsize=SIZE, loc="left", color=INK)
    for axes in grid[len(kinds) :]:
        axes.set_visible(False)
    figure.supxlabel("radius of the planted circle (standard deviations of a dimension)", fontsize=SIZE, color=INK)
    figure.supylabel(f"share of networks in which it is found (dotted: {WANTED})", fontsize=SIZE, color=INK)
    handles = [Line2D([], [], markersize=4.5, **_style(name)) for name in statistics]
    figure.legend(handles, statistics, loc="outside upper center", ncols=3, frameon=False, fontsize=SIZE)
    return figure


def write(folder: Path, rows: Sequence[FalsePositiveRow], power_rows: Sequence[PowerRow]) -> list[Path]:
    """`false_positives` and, of signals planted at several amplitudes, `power`, each as svg and png.

    Returns:
        What was written.
    """
    figures: dict[str, Figure] = {}
    if pooled := _pooled(rows):
        figures["false_positives"] = Figure((7.6, 1.3 + 0.4 * len(pooled)), layout="constrained")
        rates(figures["false_positives"].subplots(), rows)
    if (power := _power_figure(power_rows)) is not None:
        figures["power"] = power
    return save_figures(folder, figures, "llm_probe")
