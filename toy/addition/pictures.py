"""Pictures of a network that adds, from the tables of its run (toy/addition/tables.py).

01_categories  the published sweep's kinds of sums, beside what was published
02_digits      n + n digits, within the range of training and beyond
03_carries     by the longest carry, and by the digit of the answer
04_training    the same over training
05_periodic    which waves of a + b the neurons carry, beside an untrained network and the null
comparison     n + n digits, a line a run

Bars are Wilson's 95 % intervals. 06 … 08 are drawn from the network itself (pictures_network.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from toy.pictures import style
from toy.pictures.style import BAND, GREY, INK, MAGNITUDE, SIZE, TRAINED, UNTRAINED, Real, frame, percent, two
from toy.run.files import Row, read_lines, read_table

ACCURACY = ("by", "value", "beyond", "pairs", "accuracy", "low", "high")
NEURONS = ("weights", "place", "k", "period", "share", "largest", "p_fwer", "null_95", "neurons_above", "neurons")

PUBLISHED = {"6d+6d": 0.0}
"""Accuracy of a kind of sums, 1.0 for all 13 others; 200 pairs a kind, many of them trained on:
unixsysdev/grokking-fourier@536610f, addition_experiment/analysis/sweep_e99999.json."""
DIGITS = "digits of both operands (grey: trained on)"
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚"}
"""Of the runs of a comparison, as drawn and as written."""
LIGHTEST = 0.62
"""Of the colour map: what is lighter cannot be read on white."""


def draw(folder: Path) -> dict[str, Figure]:
    """Every figure that the run's files have the numbers of.

    Raises InputError if accuracy.csv or neurons.csv cannot be read.
    """
    accuracy = read_table(folder, "accuracy.csv", ACCURACY)
    figures = {"01_categories": categories(accuracy), "02_digits": digits(accuracy), "03_carries": carries(accuracy)}
    if len(evaluations := read_lines(folder / "metrics.jsonl")) > 1:
        figures["04_training"] = training(evaluations)
    return figures | {"05_periodic": periodic(read_table(folder, "neurons.csv", NEURONS))}


def categories(table: pd.DataFrame) -> Figure:
    """A line a kind of sum, with the number of pairs that were asked."""
    own = by(table, "category").sort_values("beyond", kind="stable")
    inside, longer = own.loc[~own.beyond].accuracy, own.loc[own.beyond]
    ends = "".join(f"; {name} {percent(share)}" for name, share in zip(longer.value, longer.accuracy, strict=True))
    figure = style.new_figure(
        4.9,
        f"{len(inside)} kinds of sums in range: {percent(inside.mean())} right on average, "
        f"{percent(inside.min())} at worst{ends}",
    )
    axes, places, shares = figure.subplots(), range(len(own)), 100 * own.accuracy
    axes.hlines(places, 100 * own.low, 100 * own.high, color=TRAINED)
    for place, share, pairs in zip(places, shares, own.pairs, strict=True):
        text = f"  {share:.1f} % of {pairs:,.0f}"
        axes.annotate(text, (103, place), fontsize=SIZE, color=INK, va="center", annotation_clip=False)
    axes.plot(shares, places, "o", color=TRAINED, markersize=5, label="accuracy")
    known = [100 * PUBLISHED.get(name, 1.0) for name in own.value]
    axes.plot(known, places, "D", color=INK, markerfacecolor="none", markersize=8, label="published")
    key = "dots: this network with 95 % intervals · diamonds: published"
    frame(axes, "whole answers right (%), held-out pairs", title=key)
    axes.set_yticks(places, own.value.str.replace("_", " ") + own.beyond.map({True: ", longer", False: ""}))
    axes.set(xlim=(-3, 103), ylim=(len(own) - 0.5, -0.5))
    return figure


def digits(table: pd.DataFrame) -> Figure:
    """Accuracy against the number of digits of both operands."""
    own = by(table, "digits")
    trained, shares = int((~own.beyond).sum()), own.accuracy.tolist()
    ends = [f"{n} + {n}: {percent(shares[n - 1])}" for n in dict.fromkeys((trained + 1, len(own)))]
    figure = style.new_figure(
        4.0,
        f"Up to {trained} + {trained} digits at least {percent(min(shares[:trained]))} right, {', '.join(ends)}",
        width=7.6,
    )
    axes = figure.subplots()
    _range(axes, trained, len(own))
    intervals(axes, range(1, len(own) + 1), own, TRAINED)
    style.percents(axes, DIGITS, "whole answers right (%), held-out pairs")
    return figure


def _range(axes: Axes, trained: int, last: int) -> None:
    """Whole digits up to the last, those that are trained on in grey."""
    axes.axvspan(0.5, trained + 0.5, color=BAND, alpha=0.5, zorder=0, linewidth=0)
    axes.set(xlim=(0.5, last + 0.3), xticks=range(1, last + 1))


def carries(table: pd.DataFrame) -> Figure:
    """By how far a carry travels, and by the digit of the answer."""
    chain, inside, longer = (by(table, kind) for kind in ("longest carry", "place", "place, longer"))
    figure = style.new_figure(
        3.8,
        f"Where no carry travels {percent(chain.accuracy.iloc[0])} are right, where one runs through "
        f"{chain.value.iloc[-1]} columns {percent(chain.accuracy.iloc[-1])}",
    )
    left, right = figure.subplots(1, 2)
    intervals(left, chain.value.astype(float), chain, TRAINED)
    frame(left, "most columns in a row that carry", "whole answers right (%)")
    intervals(right, inside.value.astype(float), inside, TRAINED)
    # A little to the right: the bars do not cover each other.
    intervals(right, longer.value.astype(float) + 0.12, longer, INK, "D", "--")
    key = f"blue: {len(inside) - 1} digits · dashed: {len(longer) - 1}, longer than trained on"
    frame(right, "digit of the answer (1 = ones), after the true ones", "digits right (%)", key)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(top=100 + 0.04 * (100 - axes.get_ylim()[0]))
    return figure


def training(evaluations: Sequence[Row]) -> Figure:
    """Accuracy on trained pairs, on held-out ones, and on ones of one digit more."""
    lines = {
        "train_accuracy": ("trained on", GREY, "--"),
        "held_out_accuracy": ("held out", TRAINED, "-"),
        "longer_accuracy": ("one digit longer", INK, ":"),
    }
    late = [row["longer_accuracy"] for row in evaluations if 2 * row["step"] >= evaluations[-1]["step"]]
    return style.over_training(
        evaluations,
        lines,
        f"Held-out pairs are 99 % right {style.learnt_at(evaluations, 'held_out_accuracy')}; pairs one digit longer "
        f"{style.percent_span(late)} over the second half",
    )


def periodic(table: pd.DataFrame) -> Figure:
    """Every place's largest neuron and all its neurons together, by k."""
    trained, untrained = (table.loc[table.weights == name] for name in ("trained", "untrained"))
    best, plain = (net.loc[net.largest.idxmax()] for net in (trained, untrained))
    places = trained.place.unique()
    figure = style.new_figure(
        1.3 + 1.6 * len(places),
        f"The most periodic neuron: {two(best.largest)} of its variance at period {best.period:.3g} of a + b, "
        f"p = {best.p_fwer:.2g} (untrained {two(plain.largest)}, p = {plain.p_fwer:.2g})",
    )
    grid = figure.subplots(len(places), 2, sharex=True, sharey="col", squeeze=False)
    for pair, place in zip(grid, places, strict=True):
        own, other = (net.loc[net.place == place] for net in (trained, untrained))
        for axes, field in zip(pair, ("largest", "share"), strict=True):
            axes.stairs(own[field], [0.5, *(own.k + 0.5)], fill=True, color=TRAINED, linewidth=0)
            axes.plot(other.k, other[field], "--", color=UNTRAINED, linewidth=1, label="untrained")
            axes.set(xlim=(0, 51), xticks=[1, *range(10, 51, 10)])
        pair[0].axhspan(0, own.null_95.iloc[0], color=BAND, alpha=0.6, zorder=0, linewidth=0)
        above = own.loc[own.neurons_above.idxmax()]
        count = f"{above.neurons_above:.0f} of {above.neurons:.0f} above at one k"
        frame(pair[0], "", "share of variance", f"{place}: largest neuron ({count})")
        frame(pair[1], "", "", f"{place}: all neurons together")
    grid[0, 0].set_ylim(0, 1.06 * max(table.largest.max(), trained.null_95.iloc[0]))
    grid[0, 1].set_ylim(0, 1.06 * table.share.max())
    figure.supxlabel(
        "k: cycles of a + b per 100; blue: trained · dashed: untrained · grey: 95 % of the trained one's renamings",
        fontsize=SIZE, color=INK,
    )  # fmt: skip
    return figure


def compare(runs: Mapping[str, pd.DataFrame]) -> Figure:
    """Accuracy against the number of digits, a line a run; `runs` has each accuracy.csv."""
    by_digits = {name: by(table, "digits") for name, table in runs.items()}
    trained = min(int((~own.beyond).sum()) for own in by_digits.values())
    longer = {name: own.loc[own.beyond].accuracy.sum() for name, own in by_digits.items()}
    said = [
        f"{n} + {n}: {style.percent_span([own.accuracy.iloc[n - 1] for own in by_digits.values()])}"
        for n in dict.fromkeys((trained + 1, min(map(len, by_digits.values()))))
    ]
    figure = style.new_figure(4.6, f"{len(runs)} networks that add, right answers of {', '.join(said)}")
    axes = figure.subplots()
    _range(axes, trained, max(map(len, by_digits.values())))
    style.percents(axes, DIGITS, "whole answers right (%), held-out pairs")
    ends = []
    for index, name in enumerate(sorted(by_digits, key=lambda run: -longer[run])):
        own, mark = by_digits[name], list(MARKS)[index % len(MARKS)]
        colour = to_hex(colormaps[MAGNITUDE](LIGHTEST * index / max(1, len(by_digits) - 1)))
        intervals(axes, range(1, len(own) + 1), own, colour, mark)
        ends.append((f"{MARKS[mark]} {name}", len(own), 100 * own.accuracy.iloc[-1], colour))
    style.at_end(axes, ends[::-1])
    return figure


def by(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of one kind of group, in their order."""
    return table.loc[table.by == kind]


def intervals(
    axes: Axes, x: Sequence[Real] | pd.Series, own: pd.DataFrame, colour: str, marker: str = "o", stroke: str = "-"
) -> None:
    """Accuracies connected by a line, with the bars of their 95 % intervals."""
    axes.vlines(x, 100 * own.low, 100 * own.high, color=colour, linewidth=1.2)
    axes.plot(x, 100 * own.accuracy, stroke, color=colour, marker=marker, markersize=5)
