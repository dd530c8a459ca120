"""The next item on the page: what a model answers, and what moves its answer, from the tables of a run alone.

    moved       share of answers that follow the move, over blocks; one panel a domain
    log_odds    the same in log-odds
    accuracy    share that is still right where the part is ablated

The whole difference of two items' means is black, its part on the circle blue, on as many leading axes ochre, on
directions trained to move the answer red; the controls are grey: the same part of another order of the items, and
turned into random directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from causal.run.tables import TABLES
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import GREEN, GREY, INK, OCHRE, RED, SIZE, TRAINED, as_svg, frame
from llm_probe.page.views import at, number

SHOWN: tuple[tuple[str, dict[str, object], Mapping[str, Any]], ...] = (
    ("whole difference of class means", {"direction": "class means"}, {"color": INK, "marker": "o"}),
    ("leading 6 axes", {"direction": "principal axes", "k": 3}, {"color": OCHRE, "marker": "^", "linestyle": "--"}),
    ("circles k = 1, 2, 3", {"direction": "circle", "k": 3}, {"color": GREEN, "marker": "s", "linestyle": "--"}),
    ("trained 4 dimensions", {"direction": "trained subspace", "k": 2},
     {"color": RED, "marker": "D", "linestyle": "--"}),
    ("trained 2 dimensions", {"direction": "trained subspace", "k": 1}, {"color": RED, "marker": "D"}),
    ("leading 2 axes", {"direction": "principal axes", "k": 1}, {"color": OCHRE, "marker": "^"}),
    ("circle k = 1", {"direction": "circle", "k": 1, "times": 1.0}, {"color": TRAINED, "marker": "o"}),
    ("circle, twice as far", {"direction": "circle", "k": 1, "times": 2.0},
     {"color": TRAINED, "marker": "o", "linestyle": ":", "markerfacecolor": "white"}),
    ("another order, k = 1", {"direction": "other order", "k": 1}, {"color": GREY, "marker": "x"}),
    ("random, as long as k = 1", {"direction": "random", "k": 1}, {"color": GREY, "marker": "+", "linestyle": ":"}),
)  # fmt: skip
"""Name, rows and style of every line."""
MEASURES = {
    "moved": "share of answers that follow",
    "log_odds": "change of log-odds (nats)",
    "accuracy": "right answers without it",
}
"""Column to the name of its axis; the last is of runs since ablations were added."""
ABLATED: Mapping[str, dict[str, object]] = {
    "the whole difference": {"direction": "class means"},
    "the circle": {"direction": "circle", "k": 1, "times": 1.0},
    "the two trained directions": {"direction": "trained subspace", "k": 1},
    "two leading axes": {"direction": "principal axes", "k": 1},
    "a circle of another order": {"direction": "other order", "k": 1},
    "two random directions": {"direction": "random", "k": 1},
}
"""Names of what is ablated, with its rows."""
ASKED = {1: "next", -1: "the one before", 2: "two on"}
HEAD = ("domain", "form", "next", "the one before", "two on", "guessing")


def figure(moves: pd.DataFrame) -> Figure:
    """One column a domain: the share that follows, the log-odds, and what is right without the part."""
    return moves_figure(
        {f"{name}, asked as {own['form'].iloc[0]}": own for name, own in moves.groupby("domain", sort=False)}
    )


def moves_figure(columns: Mapping[str, pd.DataFrame]) -> Figure:
    """One column for each table of moves, under its title."""
    every = pd.concat(list(columns.values()))
    shown = {column: name for column, name in MEASURES.items() if measured(every, column)}
    picture = Figure((4.4 * len(columns) + 0.4, 2.4 * len(shown) + 0.8), layout="constrained")
    grid = picture.subplots(len(shown), len(columns), squeeze=False, sharex="col")
    for place, (title, rows) in enumerate(columns.items()):
        for axes, (column, name) in zip(grid[:, place], shown.items(), strict=True):
            lines(axes, rows.loc[rows[column].notna()], column)
            if column != "log_odds":
                axes.axhline(1 / rows["period"].iloc[0], color=GREY, linewidth=0.8, linestyle=":")
                axes.set_ylim(-0.03, 1.03)
            frame(axes, "", "" if place else name)
        grid[0, place].set_title(title, fontsize=SIZE, loc="left")
        grid[-1, place].xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        grid[-1, place].set_xlabel("block behind which the item is changed", fontsize=SIZE)
    # The trained subspaces are in those columns alone where anything moves half of the answers.
    named = {name: line for axes in grid[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    picture.legend(
        [named[name] for name, *_ in SHOWN if name in named], [name for name, *_ in SHOWN if name in named],
        loc="outside lower center", ncols=min(4, 2 * len(columns)), frameon=False, fontsize=SIZE,
    )  # fmt: skip
    return picture


def measured(moves: pd.DataFrame, column: str) -> bool:
    """Whether a table has the column, with a value in any row."""
    return column in moves.columns and not moves[column].isna().to_numpy().all()


def lines(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    """Every direction of `SHOWN` over blocks, with its 95 % interval."""
    for name, chosen, style in SHOWN:
        own = at(rows, **chosen).sort_values("layer")
        if own.empty:
            continue
        axes.plot(own["layer"], own[column], label=name, markersize=4, linewidth=1.3, **style)
        if not chosen.get("k"):
            low, high = own[f"{column}_low"], own[f"{column}_high"]
            axes.fill_between(own["layer"], low, high, color=style["color"], alpha=0.1)


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where nothing was asked for the next item."""
    own = folder / "causal-succession"
    if (finished := finished_run(own, TABLES, required=("succession",))) is None:
        return None
    run, frames = finished
    files = written_tables(own, TABLES)
    return Section("succession", "Used? The next item", parts(frames), str(run.get("command") or ""), files)


def parts(frames: Mapping[str, pd.DataFrame]) -> list[Part]:
    """What stands under the heading."""
    answers, moves = frames["succession"], frames["succession_moves"]
    rows = []
    for domain, form in dict.fromkeys(zip(answers["domain"], answers["form"], strict=True)):
        own = at(answers, domain=domain, form=form)
        shares = {int(row["steps"]): f"{row['accuracy']:.2f}" for row in own.to_dict("records")}
        rows.append((domain, form, *(shares.get(steps, "–") for steps in ASKED), f"{own['chance'].iloc[0]:.2f}"))
    result = [Part(paragraphs=sentences(answers, moves), kind="summary"), Part(table=[HEAD, *rows])]
    if len(moves):
        caption = (
            "The last item's state is moved to where another item's mean stands behind that block: altogether, or only "
            "along the circle of the items. Read, and used, are two things: where the blue line stays with the grey "
            "ones, the circle is not what the next item is computed from. Of seven days three circles are the whole "
            "difference."
        )
        result.append(Part(picture=as_svg(figure(moves), "succession"), caption=caption))
    return result


def sentences(answers: pd.DataFrame, moves: pd.DataFrame) -> list[str]:
    """What the model can do, and what moves its answer, a sentence a domain."""
    result = []
    for domain, own in moves.groupby("domain", sort=False):
        form = own["form"].iloc[0]
        right = at(answers, domain=domain, form=form, steps=1)["accuracy"].iloc[0]
        result.append(f"{domain}: the next item is named in {right:.0%} of the prompts. {moved_words(own, 'an item')}")
    for domain in dict.fromkeys(answers["domain"]):
        if domain not in set(moves["domain"]):
            result.append(f"{domain}: it does not name the next item, so that nothing was moved.")
    return result


def moved_words(moves: pd.DataFrame, what: str) -> str:
    """What moves the answer behind the block where the whole difference moves it most, and what is left without it."""
    best = at(moves, direction="class means").sort_values("moved").iloc[-1]
    there = at(moves, layer=best["layer"])
    circle = at(there, direction="circle", k=1, times=1.0).iloc[0]
    controls = [float(at(there, direction=name, k=1)["moved"].iloc[0]) for name in ("other order", "random")]
    return (
        f"Moving {what} by the whole difference of two items' means behind block {best['layer']} moves the answer with "
        f"it in {best['moved']:.0%} of the moves; by its part on the circle ({circle['share']:.0%} of that variance) "
        f"in {circle['moved']:.0%}, where another order of the items gives {controls[0]:.0%} and random directions "
        f"{controls[1]:.0%}{trained_words(there)}.{ablated_words(there)}"
    )


def trained_words(moves: pd.DataFrame) -> str:
    """What as many trained directions move behind the same block."""
    rows = at(moves, direction="trained subspace", k=1)
    if rows.empty:
        return ""
    row = rows.iloc[0]
    angle = number(row["angle"])
    apart = (
        "" if angle is None else f", at {angle:.2f} rad from the circle (5 % of random: {row['angle_by_chance']:.2f})"
    )
    share = f"({row['share']:.0%} of that variance{apart})"
    return f"; two directions trained for it on other prompts {share} move {row['moved']:.0%}"


def ablated_words(moves: pd.DataFrame) -> str:
    """What is still right behind the same block without each part; nothing of a run that ablated nothing."""
    if not measured(moves, "accuracy"):
        return ""
    left = {name: at(moves, **chosen)["accuracy"] for name, chosen in ABLATED.items()}
    listed = ", ".join(f"{name} {values.iloc[0]:.0%}" for name, values in left.items() if len(values))
    before = float(moves["accuracy_before"].dropna().iloc[0])
    return f" Ablated there, of {before:.0%} right answers are left: without {listed}."
