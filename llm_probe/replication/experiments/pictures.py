"""The pictures of a deep dive, as functions `(axes, table)`: one column a layer, trained and random on the same axes.

Trained weights are blue, filled and solid; random weights orange, hollow and dashed; what needs no model is grey or
black. An R² that leaves residues out has no lower bound: what lies below -0.2 is drawn there, over an arrow down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.page.style import BAND, GREY, INK, RANDOM, SIZE, TRAINED, frame, save_figures
from llm_probe.page.views import FLOOR
from llm_probe.replication.experiments.calendars import strongest
from llm_probe.replication.experiments.primes import agreement
from llm_probe.replication.experiments.reader import Frame

LOOKS: dict[str, dict[str, Any]] = {
    "trained": {"color": TRAINED, "linestyle": "-", "marker": "o", "zorder": 3},
    "random": {"color": RANDOM, "linestyle": "--", "marker": "o", "markerfacecolor": "white", "zorder": 2},
}
FACES = {"trained": TRAINED, "random": "white"}
SHORT = {"equals": "… =", "is": "… is", "is, offset first": "after … is"}
"""Template family on an axis."""
FAMILY_MARKS = {"fourier": "o", "linear": "v", "quadratic": "s", "cubic": "D"}
Draw = Callable[[Axes, Frame], None]


def prime_r2(axes: Axes, rows: Frame) -> None:
    """Best dimension of each prime, and that of the first prime followed."""
    for weights, style in LOOKS.items():
        for chosen, thin in (("best", {}), ("first prime", {"linestyle": ":", "marker": "s", "alpha": 0.75})):
            part = rows[(rows["weights"] == weights) & (rows["chosen"] == chosen)]
            said = f"{weights}: {'best dimension' if chosen == 'best' else 'best of the first prime, followed'}"
            axes.plot(part["period"], part["r2"], **{**style, **thin}, markersize=5, label=said)
    law = rows.drop_duplicates("period")
    axes.plot(law["period"], law["iid_maximum"], color=INK, linewidth=1, linestyle="-.", label="best of white noise")
    _frame(axes, "prime modulus p", "class-mean R²", (0.0, 1.03))
    axes.set_xticks(sorted(rows["period"].unique()))


def prime_overlap(axes: Axes, rows: Frame) -> None:
    """Ten best dimensions shared within a prime, and between it and the others."""
    for weights, style in LOOKS.items():
        shares = agreement(rows[rows["weights"] == weights])
        thin = {**style, "linestyle": ":", "marker": "s", "alpha": 0.75}
        axes.plot(shares.index, 10 * shares["own"], **style, markersize=5, label=f"{weights}: two halves of p's pairs")
        axes.plot(shares.index, 10 * shares["others"], **thin, markersize=5, label=f"{weights}: p and another prime")
    axes.axhline(10 * rows["chance"].iloc[0], color=INK, linewidth=1, linestyle="-.", label="two random sets")
    _frame(axes, "prime modulus p", "of the ten best dimensions, shared", (0.0, 10.3))
    axes.set_xticks(sorted(rows["period"].unique()))


def range_curve(operands: str) -> Draw:
    """The followed dimension over n with one kind of operands."""

    def draw(axes: Axes, rows: Frame) -> None:
        here = rows[(rows["operands"] == operands) & (rows["selected_on"] == "from 0")]
        dims = here.groupby("weights")["dim"].first()
        for weights, style in LOOKS.items():
            part = here[here["weights"] == weights]
            axes.plot(part["n"], part["r2"], **style, markersize=3.5, linewidth=1.3, label=f"{weights}: one dimension")
        law = here.drop_duplicates("n")
        steps = (("hypothesis", "[a ≥ 10][b ≥ 10] alone", ":"), ("tens", "[a ≥ 20][b ≥ 20] alone", "-."))
        for column, name, line in steps:
            axes.plot(law["n"], law[column], color=INK, linewidth=1.3, linestyle=line, label=name)
        axes.fill_between(law["n"], 0, law["iid_median"], color=BAND, zorder=0, label="white noise, median")
        _frame(axes, "n (modulus)", "class-mean R² of k = 1", (0.0, 1.03))
        title = "0 ≤ a, b < n" if operands == "from 0" else "10 ≤ a, b < 10 + n"
        title += f"   (dimension {dims['trained']}; random {dims['random']})"
        axes.annotate(title, (0.0, 1.0), xycoords="axes fraction", va="bottom", fontsize=SIZE - 1, color=GREY)

    return draw


def calendar_overlap(what: str) -> Draw:
    """Planes (`planes`) or ten best dimensions (`dims`) shared by a calendar and arithmetic, with ceiling and floor."""

    def draw(axes: Axes, rows: Frame) -> None:
        chosen = strongest(rows)
        order = list(dict.fromkeys(zip(chosen["domain"], chosen["family"], strict=True)))
        order.sort(key=lambda place: ("days", "months", "hours").index(place[0]))
        scale = 10 if what == "dims" else 1
        for weights, style in LOOKS.items():
            part = chosen[chosen["weights"] == weights].set_index(["domain", "family"]).loc[order]
            at = [place + (0.16 if weights == "random" else -0.16) for place in range(len(order))]
            low, high = scale * part[f"{what}_floor"], scale * part[f"{what}_ceiling"]
            axes.vlines(
                at, low, high, color=style["color"], linewidth=7, alpha=0.22, label=f"{weights}: floor to ceiling"
            )
            axes.plot(at, scale * part[what], "o", color=style["color"], markerfacecolor=FACES[weights], markersize=6,
                      label=f"{weights}: calendar with arithmetic")  # fmt: skip
        axes.set_xticks(range(len(order)), [f"{domain}: {SHORT[family]}" for domain, family in order], rotation=40)
        for label in axes.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
        name = "overlap of the planes (cos², mean)" if what == "planes" else "of the ten best dimensions, shared"
        _frame(axes, "", name, (-0.02 * scale, 1.03 * scale))
        axes.tick_params(axis="x", labelsize=SIZE - 1)

    return draw


def polynomial_heldout(axes: Axes, rows: Frame) -> None:
    """The best dimension's left-out residues: each family, trained and random."""
    best = rows[rows["chosen"] == "best"]
    for weights, style in LOOKS.items():
        for place, (family, mark) in enumerate(FAMILY_MARKS.items()):
            part = best[(best["weights"] == weights) & (best["family"] == family)].sort_values("period")
            at = [i + 0.15 * (place - 1.5) for i in range(len(part))]
            below = part["r2_heldout"].to_numpy() < FLOOR
            points = {"color": style["color"], "markerfacecolor": FACES[weights], "linestyle": "none", "markersize": 5}
            shown = part["r2_heldout"].clip(lower=FLOOR).to_numpy()
            axes.plot(at, shown, marker=mark, **points, label=f"{weights}: {family}")
            lower = [x for x, hidden in zip(at, below, strict=True) if hidden]
            axes.plot(
                lower, [FLOOR - 0.06] * len(lower), marker=11, color=style["color"], linestyle="none", markersize=3
            )
    periods = sorted(best["period"].unique())
    axes.set_xticks(range(len(periods)), [str(p) for p in periods])
    axes.axhline(0, color=BAND, linewidth=1, zorder=0)
    _frame(axes, "prime modulus p", "R², residue left out (arrow: below −0.2)", (FLOOR - 0.12, 1.03))


def polynomial_won(axes: Axes, rows: Frame) -> None:
    """Share of all dimensions in which Fourier has the best AICc."""
    part = rows[(rows["family"] == "fourier") & (rows["chosen"] == "best")]
    for weights, style in LOOKS.items():
        own = part[part["weights"] == weights].sort_values("period")
        axes.plot(own["period"], 100 * own["won_aicc"], **style, markersize=5, label=weights)
    noise = part[part["weights"] == "noise"].sort_values("period")
    axes.plot(noise["period"], 100 * noise["won_aicc"], color=INK, linewidth=1, linestyle="-.", label="white noise")
    _frame(axes, "prime modulus p", "dimensions with Fourier best by AICc (%)", (0.0, 103.0))
    axes.set_xticks(sorted(part["period"].unique()))


def composite_r2(axes: Axes, rows: Frame) -> None:
    """Best R² of each composite beside its nulls."""
    periods = sorted(rows["period"].unique())
    for weights, style in LOOKS.items():
        part = rows[rows["weights"] == weights].set_index("period").loc[periods]
        at = [i + (0.12 if weights == "random" else -0.12) for i in range(len(periods))]
        axes.vlines(at, part["shuffled_median"], part["shuffled_95"], color=style["color"], linewidth=6, alpha=0.25,
                    label=f"{weights}: rows shuffled, median to 95 %")  # fmt: skip
        axes.plot(at, part["r2"], "o", color=style["color"], markerfacecolor=FACES[weights], markersize=6,
                  label=f"{weights}: best dimension")  # fmt: skip
    law = rows.drop_duplicates("period").set_index("period").loc[periods]
    axes.plot(range(len(periods)), law["iid_maximum"], "_", color=INK, markersize=26, label="best of white noise")
    axes.plot(range(len(periods)), law["confound_r2"], "x", color=GREY, markersize=7, markeredgewidth=1.6,
              label="a function of the numbers alone")  # fmt: skip
    axes.set_xticks(range(len(periods)), [str(n) for n in periods])
    _frame(axes, "composite modulus n", "class-mean R²", (0.0, 1.03))


FIGURES: dict[str, list[tuple[str, Draw]]] = {
    "primes": [("primes", prime_r2), ("primes_overlap", prime_overlap)],
    "range": [("range", range_curve("from 0")), ("range", range_curve("two digits"))],
    "calendar": [("calendar", calendar_overlap("planes")), ("calendar", calendar_overlap("dims"))],
    "polynomial": [("polynomial", polynomial_heldout), ("polynomial", polynomial_won)],
    "composites": [("composites", composite_r2)],
}
"""Figure to its rows of panels: the table each draws from and the function."""


def figure(name: str, tables: Mapping[str, Frame]) -> Figure:
    """One figure: its panels below each other, one column a layer."""
    parts = FIGURES[name]
    layers = sorted(tables[parts[0][0]]["layer"].unique())
    picture = Figure((max(4.6, 4.4 * len(layers)), 0.9 + 2.9 * len(parts)), layout="constrained")
    grid = picture.subplots(len(parts), len(layers), squeeze=False, sharey="row")
    for line, (table, draw) in zip(grid, parts, strict=True):
        for axes, layer in zip(line, layers, strict=True):
            draw(axes, tables[table][tables[table]["layer"] == layer])
        for axes in line[1:]:
            axes.set_ylabel("")
        entries = line[0].get_legend_handles_labels()
        line[-1].legend(*entries, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=SIZE - 1)
    for axes, layer in zip(grid[0], layers, strict=True):
        axes.set_title(f"after block {layer}", fontsize=SIZE, color=INK, pad=14)
    return picture


def save_all(folder: Path, tables: Mapping[str, Frame]) -> list[Path]:
    """A figure for every experiment that was run, as svg and png."""
    figures = {
        name: figure(name, tables)
        for name, parts in FIGURES.items()
        if all(part in tables and not tables[part].empty for part, _ in parts)
    }
    return save_figures(folder, figures, "llm_probe")


def _frame(axes: Axes, x: str, y: str, limits: tuple[float, float]) -> None:
    frame(axes, x, y)
    axes.set_ylim(*limits)
