"""A comparison as files and as text: its tables, a picture, and what the terminal shows.

    compare.csv              ComparedRow        verdicts, confirmed R² with the interval of their difference, dimensions
    compare_layers.csv       ComparedLayerRow   held-out R² layer by layer, with the interval of their difference
    compare_provenance.csv   what differs in run.json
    compare.svg, .png        every claim's R² in every run on one line

The picture has one panel a statistic that any two runs share: the confirmed plane R² with its 95 % interval, and the
class-mean R², which is all that published numbers have. Filled marks are trained weights, hollow ones the same search
with random weights; each run has its own shape and hue. The verdicts stand on the right, in the hues and order of the
key.
"""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from llm_probe.compare.comparison import PROVENANCE, PUBLISHED, Comparison, one_model
from llm_probe.page.style import GREEN, GREY, INK, OCHRE, RED, RULE, SIZE, TRAINED, VIOLET, frame, save_figures
from llm_probe.page.views import FLOOR, claim_name, number, r2_text, text
from llm_probe.run.schema import RULES, RunTables
from toy.run.errors import InputError
from toy.run.files import frame_as_csv, write_atomic
from toy.run.terminal import width as terminal_width

WIDTH = 150
"""Columns of text where there is no terminal."""
FEWEST = 6
"""Columns of the table that are printed however narrow the terminal."""
SHOWN = 60
"""Characters of a value of run.json on the terminal."""
LOOKS = (("o", TRAINED), ("D", VIOLET), ("s", GREEN), ("^", OCHRE), ("P", RED), ("X", GREY))
"""Shape and hue of each run, in order; after six they begin again."""
MARK = 6
ABSENT = "–"
"""Stands where a run has no such claim."""
LABELS = {
    "plane_r2": "held-out R² of the plane (triangle: below −0.2)",
    "class_mean_r2": "class-mean R² (published statistic)",
}
"""Statistics of a claim, in the order of their panels."""


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """The tables and the figure; each file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written.
    """
    tables = {"compare": comparison.claims, "compare_layers": comparison.layers}
    tables["compare_provenance"] = comparison.provenance
    try:
        for name, rows in tables.items():
            write_atomic(folder / f"{name}.csv", frame_as_csv(rows, "%.6g"))
        pictures = save_figures(folder, {"compare": figure(comparison)}, "llm_probe")
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder with --out") from error
    return [folder / f"{name}.csv" for name in tables] + pictures


# ---------------------------------------------------------------------------------------------------------- terminal


def terminal(comparison: Comparison, width: int | None = None) -> str:
    """Each run against the baseline: a headline, a line a shared claim, what else differs.

    `width`: in columns; none given: that of the terminal. Columns that do not fit are left to compare.csv.
    """
    width = width or terminal_width(WIDTH)
    return "\n\n".join(_against(comparison, other, width) for other in comparison.runs[1:])


def _against(comparison: Comparison, other: RunTables, width: int) -> str:
    baseline = comparison.runs[0]
    rows = comparison.claims.loc[comparison.claims["run"] == other.name]
    shared = rows.loc[rows["agrees"].notna()]
    lacking, lacked = (int(rows[column].isna().sum()) for column in ("verdict", "baseline_verdict"))
    head = (
        f"{other.name} against {baseline.name}: {shared['agrees'].eq(True).sum()} of {len(shared)} shared claims have "
        f"the same verdict; {lacking} only in {baseline.name}, {lacked} only in {other.name}"
    )
    names = ("claim", "n", baseline.name, other.name, "", "plane R²", "difference (95 %)", "random weights",
             "class-mean R²", "its dimension")  # fmt: skip
    lines = [names, *map(_texts, shared.to_dict("records"))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = len(names)
    while sum(widths[:shown]) + 2 * (shown - 1) > width and shown > FEWEST:
        shown -= 1
    sides = [str.ljust if place in (0, 2, 3, 4, 9) else str.rjust for place in range(len(names))]
    table = [
        "  ".join(
            justify(text, size) for justify, text, size in zip(sides, line[:shown], widths, strict=False)
        ).rstrip()
        for line in lines
    ]
    notes = _notes(comparison, baseline, other)
    if shown < len(names):
        notes.insert(0, f"compare.csv also has {', '.join(names[shown:])}")
    wrapped = [line for note in notes for line in textwrap.wrap(note, width, subsequent_indent="  ")]
    return "\n".join([textwrap.fill(head, width), "", *table, "", *wrapped])


def _texts(claim: dict) -> tuple[str, ...]:
    """One line of the table."""

    def pair(column: str, decimals: int = 2) -> str:
        """An R² in the baseline and in the other run."""
        values = [r2_text(claim[f"{side}{column}"], decimals) for side in ("baseline_", "")]
        return "-" if values == ["–", "–"] else f"{values[0]} -> {values[1]}"

    low, high = number(claim["difference_low"]), number(claim["difference_high"])
    known = low is not None and high is not None
    change = f"{claim['difference']:+.2f} ({low:+.2f} to {high:+.2f})" if known else "-"
    dims = [number(claim[key]) for key in ("baseline_dim", "dim")]
    moved = "" if None in dims else f"{dims[0]:.0f}" + (f" -> {dims[1]:.0f}" if claim["dim_moved"] else "")
    verdicts = (text(claim["baseline_verdict"]), text(claim["verdict"]), "" if claim["agrees"] else "differs")
    texts = (claim_name(claim["domain"], claim["quantity"]), str(claim["period"]), *verdicts, pair("r2"), change,
             pair("random_r2"), pair("class_mean_r2", 3), moved)  # fmt: skip
    return tuple(one.replace("−", "-").replace("–", "-") for one in texts)


def _notes(comparison: Comparison, baseline: RunTables, other: RunTables) -> list[str]:
    """Layers, dimensions and provenance in sentences."""
    notes = []
    layers = comparison.layers.loc[comparison.layers["run"] == other.name]
    if layers["difference"].notna().any():
        clear = int(((layers["difference_low"] > 0) | (layers["difference_high"] < 0)).sum())
        notes.append(f"layer by layer, {clear} of {len(layers)} differences of R² have an interval without 0")
    for run in (baseline, other):
        if gone := [f"{name}.csv" for name in run.missing]:
            notes.append(f"{run.name} has no {', '.join(gone)}: nothing of it is compared")
        if run.schema < RULES:
            notes.append(f"{run.name} is of schema {run.schema}, before {RULES}: verdicts by the rules of then")
    if not one_model(baseline, other):
        notes.append("dimensions are not compared: these are two models")
    elif kept := int(layers["dims_kept"].sum()):
        notes.append(f"{kept - int(layers['dims_shared'].sum())} of {kept} kept dimensions (places together) moved")
    if PUBLISHED in (baseline.name, other.name):
        notes.append(
            "a published verdict is of the number by itself, and its R² is of class means (docs/statistics.md)"
        )
    changed = comparison.provenance.loc[comparison.provenance["run"] == other.name]
    lines = changed[list(PROVENANCE[2:])].itertuples(index=False, name=None)
    values = [f"{key} {_short(before)} -> {_short(after)}" for key, before, after in lines]
    return [*notes, "provenance: " + ("; ".join(values) or "nothing differs but the time")]


def _short(value: str) -> str:
    return (value if len(value) <= SHOWN else value[: SHOWN - 1] + "…") or "none"


# ----------------------------------------------------------------------------------------------------------- picture


Sides = dict[str, dict[tuple[str, str], dict[Any, Any]]]
"""Run to its verdict rows by (domain, quantity)."""


def figure(comparison: Comparison) -> Figure:
    """All shared claims, in the baseline's order, in all runs."""
    rows = comparison.claims.to_dict("records")
    shared = {(row["domain"], row["quantity"]) for row in rows if row["agrees"] is not None}
    sides: Sides = {
        run.name: {(row["domain"], row["quantity"]): row for row in run.frames["verdicts"].to_dict("records")}
        for run in comparison.runs
    }
    claims = [claim for claim in sides[comparison.runs[0].name] if claim in shared]
    having = Counter(
        name
        for side in sides.values()
        for name in LABELS
        if any(number(side[claim][name]) is not None for claim in claims if claim in side)
    )
    statistics = [name for name in LABELS if having[name] > 1]
    # Text right of the axes needs the room of one column of words a run.
    picture = Figure((3.6 + 3.4 * len(statistics), 1.3 + 0.3 * len(claims)), layout="constrained")
    panels = picture.subplots(1, max(len(statistics), 1), sharey=True, squeeze=False)[0]
    for axes, statistic in zip(panels, statistics, strict=False):
        _panel(axes, statistic, claims, sides)
    panels[0].set_yticks(range(len(claims)), [claim_name(*claim) for claim in claims], fontsize=SIZE, color=INK)
    panels[0].set_ylim(len(claims) - 0.5, -0.5)
    _words(panels[-1], claims, sides)
    looks = zip(sides, itertools.cycle(LOOKS), strict=False)
    handles = [
        *(Line2D([], [], marker=shape, color=hue, linestyle="none", label=name) for name, (shape, hue) in looks),
        Line2D([], [], marker="o", color=GREY, markerfacecolor="white", linestyle="none", label="random weights"),
    ]
    picture.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=SIZE)
    return picture


def _panel(axes: Axes, statistic: str, claims: list[tuple[str, str]], sides: Sides) -> None:
    for place, (side, (shape, hue)) in enumerate(zip(sides.values(), itertools.cycle(LOOKS), strict=False)):
        # Runs stand a little above each other, so that equal values are both seen.
        shift = 0.44 * ((place + 0.5) / len(sides) - 0.5)
        for y, row in enumerate(side.get(claim) for claim in claims):
            if row is None:
                continue
            _mark(axes, number(row[f"random_{statistic.replace('plane_', '')}"]), y + shift, shape, hue, hollow=True)
            low, high = (number(row.get(f"{statistic}_{end}")) for end in ("low", "high"))
            if low is not None and high is not None:
                axes.plot([max(low, FLOOR), max(high, FLOOR)], [y + shift] * 2, color=hue, linewidth=2)
            _mark(axes, number(row[statistic]), y + shift, shape, hue, hollow=False)
    frame(axes, LABELS[statistic])
    axes.set(xlim=(FLOOR - 0.05, 1.03) if statistic == "plane_r2" else (-0.03, 1.03), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.hlines(range(len(claims)), *axes.get_xlim(), color=RULE, linewidth=0.8, zorder=0)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)


def _mark(axes: Axes, value: float | None, y: int | float, shape: str, hue: str, *, hollow: bool) -> None:
    """A value, or an arrowhead at the left end where it lies below the floor."""
    if value is not None:
        style: Any = {"color": hue, "markerfacecolor": "white" if hollow else hue}
        marker = "<" if value < FLOOR else shape
        axes.plot(max(value, FLOOR), y, marker, **style, markersize=MARK - hollow, zorder=4 - hollow)


def _words(axes: Axes, claims: list[tuple[str, str]], sides: Sides) -> None:
    """The verdicts right of the last panel: one word where all agree, else one a run, bold if it is not the first's."""
    longest = max((len(text(row["verdict"])) for side in sides.values() for row in side.values()), default=0)
    room = max(88, 5.5 * longest)
    for y, claim in enumerate(claims):
        words = [text(side[claim]["verdict"]) if claim in side else ABSENT for side in sides.values()]
        different = set(words) - {ABSENT}
        shown = [(word, LOOKS[place % len(LOOKS)][1]) for place, word in enumerate(words)]
        for place, (word, hue) in enumerate([(*different, GREY)] if len(different) == 1 else shown):
            bold = len(different) > 1 and word not in (ABSENT, words[0])
            axes.annotate(
                word, (1, y), (8 + room * place, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                va="center", fontsize=SIZE, color=hue, weight="bold" if bold else "normal", annotation_clip=False,
            )  # fmt: skip
