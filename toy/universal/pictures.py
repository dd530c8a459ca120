"""Pictures of a network for every modulus, all from the tables of its run (toy/universal/tables.py).

01_accuracy   accuracy against the modulus, beside what a row a number can reach and what was published
02_training   the same over training, for the moduli that are trained on and those that are not
03_circles    what the neurons of the last block are functions of, and the logits' circle, beside an untrained network
04_wraps      what is answered where the residue and a + b - p come apart
comparison    accuracy against the modulus, a panel a run
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toy.pictures import style
from toy.pictures.style import GREY, INK, SIZE, TRAINED, UNTRAINED, at_end, frame, percent, percent_span, percents
from toy.run.files import Row, read_lines, read_table

ACCURACY = ("modulus", "part", "accuracy", "bound")
CIRCLES = ("weights", "modulus", "sum_share", "residue_share", "logit_fve")
WRAPS = ("modulus", "questions", "residue", "subtracted_once")

PUBLISHED = dict.fromkeys(range(15, 106, 10), 1.0) | {115: 0.998, 121: 0.916, 124: 0.696, 149: 0.262, 199: 0.173}
"""Accuracy by modulus, unixsysdev/grokking-fourier@536610f, README.md: MIRAS universal (held-out moduli and beyond)."""
SEEN, SHADE = "#8AA0B5", "#F1F3F5"
"""Moduli that are trained on; the range beyond them."""
COLUMNS = 3


def draw(folder: Path) -> dict[str, Figure]:
    """Every figure that the run's files have the numbers of.

    Raises InputError if accuracy.csv is not there, or a table cannot be read.
    """
    figures = {"01_accuracy": accuracy(read_table(folder, "accuracy.csv", ACCURACY))}
    if len(evaluations := read_lines(folder / "metrics.jsonl")) > 1:
        figures["02_training"] = training(evaluations)
    # Without a modulus of their kind in its range, a run has no such table.
    if (folder / "circles.csv").exists():
        figures["03_circles"] = circles(read_table(folder, "circles.csv", CIRCLES))
    if (folder / "wraps.csv").exists():
        figures["04_wraps"] = wraps(read_table(folder, "wraps.csv", WRAPS))
    return figures


def accuracy(table: pd.DataFrame) -> Figure:
    """Over all moduli 2 … 199."""
    held, beyond = (_of(table, part) for part in ("held_out", "beyond"))
    said = f"{len(held)} held-out moduli {_mean(held)} right, the worst {percent(held.accuracy.min())}"
    key = (
        f"blue: held out · grey-blue: trained on ({len(_of(table, 'train'))}) · line: the most a row a number can reach"
    )
    if len(beyond):
        said += f"; beyond {_largest(table)} {_mean(beyond)}, a row a number at most {_mean(beyond, 'bound')}"
        key += f"\nshaded: beyond {_largest(table)}, with numbers that training never shows · diamonds: published"
    figure = style.new_figure(4.6, said)
    axes = figure.subplots()
    _dots(axes, table)
    if len(beyond):
        values = [100 * value for value in PUBLISHED.values()]
        axes.plot(list(PUBLISHED), values, "D", color=INK, markerfacecolor="none", markersize=7, label="published")
    percents(axes, "modulus p")
    axes.set_title(key, fontsize=SIZE, loc="left", color=GREY)
    return figure


def _dots(axes: Axes, table: pd.DataFrame, size: float = 2.5) -> None:
    """A dot a modulus by its part, what a row a number can reach, the range beyond training.

    The smaller of trained and held-out moduli are drawn larger: the other ones are a background.
    """
    last, few = table.modulus.max(), 2 * len(_of(table, "held_out")) < len(table)
    styles = {"train": (SEEN, size if few else 2 * size), "held_out": (TRAINED, 2 * size if few else 1.2 * size)}
    axes.plot(table.modulus, 100 * table.bound, color=GREY, linewidth=1.2, label="bound")
    for part in ("train", "held_out", "beyond"):
        colour, large = styles.get(part, (TRAINED, size))
        own = _of(table, part)
        axes.plot(own.modulus, 100 * own.accuracy, "o", color=colour, markersize=large, label=part, zorder=3)
    if len(_of(table, "beyond")):
        axes.axvspan(_largest(table) + 0.5, last + 1, color=SHADE, zorder=0, linewidth=0)
    axes.set_xlim(0, last + 2)


def training(evaluations: Sequence[Row]) -> Figure:
    """Accuracy on trained moduli, on held-out ones, and on the worst of these."""
    lines = {
        "train_accuracy": ("trained on", GREY, "--"),
        "held_out_accuracy": ("held out, mean", TRAINED, "-"),
        "held_out_lowest": ("held out, lowest", INK, ":"),
    }
    when = {field: style.learnt_at(evaluations, field) for field in lines}
    return style.over_training(
        evaluations,
        lines,
        f"99 % right: trained moduli {when['train_accuracy']}, held-out ones {when['held_out_accuracy']} on average, "
        f"every one {when['held_out_lowest']}",
    )


def circles(table: pd.DataFrame) -> Figure:
    """Three shares by modulus, trained and untrained."""
    panels = {
        "sum_share": "neurons: a function of a + b",
        "residue_share": "neurons: a function of (a + b) mod p",
        "logit_fve": "logits: along cos w_k(s − c), all k",
    }
    nets = {name: table.loc[table.weights == name] for name in ("trained", "untrained")}
    said = {field: [_mean(net, field) for net in nets.values()] for field in panels}
    figure = style.new_figure(
        3.6,
        f"Of the last neurons' variance a + b explains {said['sum_share'][0]}, the residue {said['residue_share'][0]} "
        f"(untrained {said['sum_share'][1]} and {said['residue_share'][1]})",
    )
    styles = {"trained": ("o-", TRAINED, TRAINED), "untrained": ("o--", UNTRAINED, "white")}
    for axes, (field, title) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
        for name, (stroke, colour, face) in styles.items():
            axes.plot(range(len(nets[name])), 100 * nets[name][field], stroke, color=colour, markersize=5,
                      linewidth=0.8, markerfacecolor=face, label=name)  # fmt: skip
        percents(axes, "modulus p", "share of variance (%)" if field == "sum_share" else "", title)
        axes.set_xticks(range(len(nets["trained"])), nets["trained"].modulus.map("{:.0f}".format))
    figure.supxlabel("filled: trained · hollow: untrained", fontsize=SIZE, color=INK)
    return figure


def wraps(table: pd.DataFrame) -> Figure:
    """What is answered to a + b ≥ 2p with operands beyond p, which training never asks."""
    lines = {"subtracted_once": ("a + b − p", TRAINED, "o"), "residue": ("the residue", INK, "D")}
    spans = {field: percent_span(table[field].tolist()) for field in lines}
    figure = style.new_figure(
        3.6,
        f"Asked a + b ≥ 2p, it answers a + b − p in {spans['subtracted_once']} of the cases, the residue in "
        f"{spans['residue']}",
        width=6.4,
    )
    axes, last = figure.subplots(), table.iloc[-1]
    percents(axes, "modulus p, and how many questions", "questions answered so (%)")
    for field, (_, colour, mark) in lines.items():
        axes.plot(table.modulus, 100 * table[field], color=colour, marker=mark, linewidth=1.2, label=field)
    axes.set_xticks(
        table.modulus, [f"{p:.0f}\n{count:,.0f}" for p, count in zip(table.modulus, table.questions, strict=True)]
    )
    at_end(axes, [(name, last.modulus, 100 * last[field], colour) for field, (name, colour, _) in lines.items()])
    return figure


def compare(runs: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy against the modulus, a panel a run; `runs` has each accuracy.csv."""
    means = {
        part: [own.accuracy.mean() for table in runs.values() if len(own := _of(table, part))]
        for part in ("held_out", "beyond")
    }
    said = f"{len(runs)} networks for every modulus: held-out ones {percent_span(means['held_out'])} right"
    said += f", beyond training {percent_span(means['beyond'])}" if means["beyond"] else ""
    figure = style.new_figure(0.9 + 2.3 * math.ceil(len(runs) / COLUMNS), said)
    grid = style.panels(figure, len(runs), COLUMNS)
    for axes, (name, table) in zip(grid, runs.items(), strict=True):
        _dots(axes, table, size=1.8)
        # Thousands of dots: as an image they are small.
        for dots in axes.lines[1:]:
            dots.set_rasterized(True)
        axes.set_ylim(*style.LIMITS)
        own = {words: _of(table, part) for part, words in (("held_out", "held out"), ("beyond", "beyond"))}
        means = ", ".join(f"{words} {_mean(part)}" for words, part in own.items() if len(part))
        frame(axes, title=f"{name}\n{means}")
    figure.supxlabel(
        "modulus p; blue: held out and beyond · grey-blue: trained on · line: the most a row a number can reach",
        fontsize=SIZE, color=INK,
    )  # fmt: skip
    figure.supylabel("accuracy (%)", fontsize=SIZE, color=INK)
    return figure


def _of(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return table.loc[table.part == part]


def _largest(table: pd.DataFrame) -> int:
    return int(_of(table, "train").modulus.max())


def _mean(table: pd.DataFrame, field: str = "accuracy") -> str:
    return percent(float(table.loc[:, field].mean()))
