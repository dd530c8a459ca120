"""The pictures of a run, as functions `(axes, tables)`: the page draws from the same tables, papers take svg and png.

    verdict_strip     one row a claim: plane R² with its interval, random weights, null band, best control label
    layer_map         layers across, claims down, colour = held-out R² of the best plane, hatched = no better than null
    circle            class means on the best plane, trained beside random on one scale
    period_scan       share of the variance by period
    layer_curves      held-out R² over layers, one frame a claim

Trained weights are blue, filled and solid; random weights orange, hollow and dashed. A held-out R² has no lower
bound: what lies below `FLOOR` is drawn there as a triangle that points down the scale.

Matplotlib's object interface only, so that nothing depends on a display or on global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from llm_probe.page.circles import best_error, circle, circle_of, circle_pair, circle_title
from llm_probe.page.style import (
    BAND,
    GREY,
    INK,
    KINDS,
    RANDOM,
    SIZE,
    TRAINED,
    TRAINED_AND_RANDOM,
    VERDICT_COLOURS,
    Called,
    frame,
    save_figures,
)
from llm_probe.page.views import (
    ALPHA,
    FLOOR,
    PLACE,
    at,
    best_planes,
    layer_name,
    map_places,
    number,
    ordered,
    text,
)

__all__ = [
    "circle",
    "circle_of",
    "circle_pair",
    "layer_curves",
    "layer_map",
    "period_scan",
    "save_all",
    "verdict_strip",
]

VERDICT_MARKS = {"supported": "●", "undetermined": "◆", "refuted": "■"}


# ---------------------------------------------------------------------------------------------------------- figures


def verdict_strip(axes: Axes, verdicts: pd.DataFrame, called: Called = TRAINED_AND_RANDOM) -> None:
    """One row a claim: name, n, accuracy, R² with interval, random weights, best control label, null band, verdict,
    level."""
    claims = ordered(verdicts)
    heights = [index + (0.0 if cyclic else 1.4) for index, cyclic in enumerate(claims["cyclic"])]
    _row_texts(axes, -1.0, ("claim", "n", "accuracy", "", "verdict", "level"), GREY)
    for y, row in zip(heights, claims.to_dict("records"), strict=True):
        axes.barh(y, max(row["null_r2"], 0), height=0.7, color=BAND, zorder=1)
        low, high = max(row["plane_r2_low"], FLOOR), max(row["plane_r2_high"], FLOOR)
        axes.plot([low, high], [y, y], color=TRAINED, linewidth=2, solid_capstyle="butt", zorder=3)
        random, control = number(row["random_r2"]), number(row["control_r2"])
        apart = 0.2 if random is not None and max(random, row["plane_r2"]) < FLOOR else 0.0
        _dot(axes, random, y + apart, RANDOM, "white")
        _dot(axes, row["plane_r2"], y - apart, TRAINED, TRAINED)
        if control is not None:
            shape = "<" if control < FLOOR else "D"
            axes.plot(max(control, FLOOR), y, shape, color=INK, markerfacecolor="none", markersize=4, zorder=5)
        accuracy, word = number(row["accuracy"]), row["verdict"]
        shown = "–" if accuracy is None else f"{accuracy:.2f}"
        texts = (row["name"], str(row["period"]), shown, VERDICT_MARKS[word], word, text(row["level"]))
        _row_texts(axes, y, texts, VERDICT_COLOURS[word])
    controls = [y for y, cyclic in zip(heights, claims["cyclic"], strict=True) if not cyclic]
    if controls:
        _row_texts(axes, controls[0] - 1, ("linear controls: no circle expected", *[""] * 5), GREY)
    frame(axes, f"held-out R² of the plane, new prompts (triangle: below −{-FLOOR})", "")
    axes.set(xlim=(FLOOR - 0.05, 1.02), ylim=(max(heights, default=0) + 0.7, -1.5), yticks=[], xticks=[0, 0.5, 1])
    axes.set_xticks([FLOOR, 0.25, 0.75], minor=True)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.spines["left"].set_visible(False)
    hollow: Any = {"markerfacecolor": "white", "linestyle": "none"}
    marks: list[Any] = [Line2D([], [], color=TRAINED, marker="o", linewidth=2, label=f"{called[0]}, 95 % interval")]
    if bool(claims["random_r2"].notna().any()):
        marks.append(Line2D([], [], color=RANDOM, marker="o", **hollow, label=called[1]))
    if bool(claims["control_r2"].notna().any()):
        marks.append(Line2D([], [], color=INK, marker="D", markersize=4, **hollow, label="control label"))
    marks.append(Patch(color=BAND, label="null, 95 %"))
    above: Any = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": len(marks), "frameon": False}
    axes.legend(handles=marks, **above, fontsize=SIZE, columnspacing=1.2)


def _row_texts(axes: Axes, y: float, texts: Sequence[str], colour: str) -> None:
    """Name, n and accuracy left of the axes, mark, verdict and level right: points from the edge, at height y."""
    columns = (
        (0, -175, "left"), (0, -68, "right"), (0, -12, "right"), (1, 8, "left"), (1, 22, "left"), (1, 104, "left"),
    )  # fmt: skip
    for place, (word, (edge, away, side)) in enumerate(zip(texts, columns, strict=True)):
        if word:
            axes.annotate(
                word, (edge, y), (away, 0), xycoords=("axes fraction", "data"), textcoords="offset points", ha=side,
                va="center", fontsize=SIZE, color=colour if place in (3, 4) or y < 0 else INK, parse_math=False,
                annotation_clip=False, weight="bold" if word == "supported" else "normal",
            )  # fmt: skip


def layer_map(axes: Axes, verdicts: pd.DataFrame, r2_table: pd.DataFrame) -> None:
    """Layers across, claims down; hatched where the corrected p exceeds `ALPHA`; a dot where the verdict was read."""
    planes = best_planes(r2_table)
    places = map_places(verdicts, planes)
    layers = sorted(planes["layer"].unique().tolist())
    row_of = {tuple(place): index for index, place in enumerate(places[PLACE].itertuples(index=False, name=None))}
    colours, scale = colormaps["viridis"], Normalize(0, 1, clip=True)
    for cell in planes.to_dict("records"):
        y = row_of.get(tuple(cell[key] for key in PLACE))
        if y is None:
            continue
        fails = number(cell["p_fwer"]) is None or cell["p_fwer"] > ALPHA
        colour = colours(scale(cell["r2_heldout"]))
        face, hatch = ("white", "/////") if fails else (colour, None)
        corner = (layers.index(cell["layer"]) - 0.5, y - 0.5)
        with rc_context({"hatch.linewidth": 0.6}):
            axes.add_patch(Rectangle(corner, 1, 1, edgecolor=colour, linewidth=0, facecolor=face, hatch=hatch))
    axes.hlines([index + 0.5 for index in range(len(places))], -0.5, len(layers) - 0.5, color="white", linewidth=2)
    axes.vlines([index + 0.5 for index in range(len(layers))], -0.5, len(places) - 0.5, color="white", linewidth=1)
    for claim in verdicts.to_dict("records"):
        y = row_of.get(tuple(claim[key] for key in PLACE))
        if y is not None and claim["layer"] in layers:
            axes.plot(
                layers.index(claim["layer"]), y, "o", color="white", markeredgecolor="black", markersize=5, zorder=4
            )
    where = "layer (output of the block; emb: the token embedding); dot: where the verdict was read"
    frame(axes, f"{where}\nhatched: no better than the null; bold: supported; italic: linear control", "")
    axes.set(xlim=(-0.5, len(layers) - 0.5), ylim=(len(places) - 0.5, -0.5))
    step = max(1, len(layers) // 16)
    axes.set_xticks(range(0, len(layers), step), [layer_name(layer) for layer in layers[::step]])
    axes.set_yticks(range(len(places)), places["name"].tolist())
    claims = {(claim["domain"], claim["quantity"]): claim for claim in verdicts.to_dict("records")}
    for label, place in zip(axes.get_yticklabels(), places.to_dict("records"), strict=True):
        claim = claims[place["domain"], place["quantity"]]
        weight = "bold" if claim["verdict"] == "supported" else "normal"
        label.set(parse_math=False, style="normal" if claim["cyclic"] else "italic", weight=weight)
    bar = axes.figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("held-out R² of the best plane", fontsize=SIZE)
    bar.ax.tick_params(labelsize=SIZE)


def period_scan(axes: Axes, scan: pd.DataFrame, period: int) -> None:
    """Share of the variance at every period, of one cell; equal steps are equal steps of 1/period, where lines are
    alike."""
    most = 100 * max(scan["share"].tolist(), default=0.01)
    for weights, colour, line in (("random", RANDOM, "--"), ("trained", TRAINED, "-")):
        rows = at(scan, weights=weights).sort_values("scanned_period", ascending=False)
        axes.plot(1 / rows["scanned_period"], 100 * rows["share"], line, color=colour, linewidth=1.4, label=weights)
    for k in range(1, period // 2 + 1):
        axes.axvline(k / period, ymax=1 if k == 1 else 0.05, color=GREY, linewidth=1 if k == 1 else 1.4, zorder=0,
                     linestyle=":" if k == 1 else "-")  # fmt: skip
    axes.annotate(
        f"own period {period}", (1 / period, 1), (4, -2), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="left", va="top", fontsize=SIZE, color=INK,
    )  # fmt: skip
    frame(axes, "period of the integer result", "share of variance (%)")
    ticks = [20, 10, 7, 5, 4, 3, 2]
    axes.set_xticks([1 / tick for tick in ticks], [str(tick) for tick in ticks])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set(ylim=(0, 1.15 * most), xlim=(0, 0.5))


def layer_curves(grid: Sequence[Axes], verdicts: pd.DataFrame, r2_table: pd.DataFrame) -> None:
    """One frame a claim, in the order of the verdicts: best plane over layers, trained solid, random dashed."""
    claims = ordered(verdicts).to_dict("records")
    trained, random = best_planes(r2_table), best_planes(r2_table, "random")
    for axes, claim in zip(grid, claims, strict=False):
        place = {key: claim[key] for key in PLACE}
        axes.axhspan(0, max(claim["null_r2"], 0), color=BAND, zorder=0)
        for rows, colour, line, face, size in ((random, RANDOM, "--", "white", 9), (trained, TRAINED, "-", TRAINED, 5)):
            planes = at(rows, **place)
            axes.plot(
                planes["layer"], planes["r2_heldout"].clip(lower=FLOOR), line, marker="o", markersize=3, color=colour,
                markerfacecolor=face, linewidth=1.4,
            )  # fmt: skip
            for layer in planes.loc[planes["r2_heldout"] < FLOOR, "layer"]:
                axes.plot(layer, FLOOR, "v", color=colour, markerfacecolor=face, markersize=size)
        frame(axes)
        axes.set_title(
            f"{claim['name']}  ({claim['verdict']})", fontsize=SIZE, loc="left", parse_math=False,
            style="normal" if claim["cyclic"] else "italic",
        )  # fmt: skip
        axes.set(ylim=(FLOOR - 0.06, 1.02), yticks=[0, 0.5, 1])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.xaxis.set_major_formatter(lambda layer, _: layer_name(round(layer)))


# ------------------------------------------------------------------------------------------------------ shared parts


def _frames(
    count: int, columns: int, width: float, row: float, rest: float = 0.5, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` frames in rows of at most `columns`; the places that are left over stay empty."""
    rows = -(-count // columns)
    figure = Figure((width, rest + row * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid[:count]


def _dot(axes: Axes, value: float | None, y: float, colour: str, face: str) -> None:
    """An R² as a dot, or as a triangle at the floor where it lies below."""
    if value is not None:
        shape, x = ("<" if value < FLOOR else "o"), max(value, FLOOR)
        axes.plot(x, y, shape, color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.5, zorder=4)


def _circles(claims: Sequence[Mapping[Any, Any]], frames: Mapping[str, pd.DataFrame], called: Called) -> Figure:
    """Trained beside random, two claims a row."""
    rows = -(-len(claims) // 2)
    # Long labels leave less room for the circle: the rows are as high as the largest circle.
    items = [at(frames["circles"], domain=claim["domain"], quantity=claim["quantity"])["item"] for claim in claims]
    shortest = min(max((len(str(item)) for item in column), default=9) for column in items)
    figure = Figure((5.6 * min(len(claims), 2), (3.4 - 0.08 * min(shortest, 9)) * rows), layout="constrained")
    parts = figure.subfigures(rows, min(len(claims), 2), squeeze=False).ravel().tolist()
    for part, claim in zip(parts, claims, strict=False):
        place = {key: claim[key] for key in (*PLACE, "layer")}
        errors = [best_error(frames["r2_table"], place, weights) for weights in ("trained", "random")]
        circle_pair(part.subplots(1, 2).tolist(), at(frames["circles"], **place), (errors[0], errors[1]), called)
        title = circle_title(claim, frames["circles"])
        part.suptitle(title, fontsize=SIZE + 1, weight="bold", parse_math=False)
    return figure


def _periods(claims: Sequence[Mapping[Any, Any]], scan: pd.DataFrame, called: Called) -> Figure | None:
    """The scan of every claim that has one."""
    keys = ("domain", "site", "position", "layer")
    sums = [(claim, at(scan, **{key: claim[key] for key in keys})) for claim in claims if claim["quantity"] == "sum"]
    scanned = [(claim, rows) for claim, rows in sums if len(rows)]
    if not scanned:
        return None
    columns = min(len(scanned), 3)
    figure, grid = _frames(len(scanned), columns, 3.4 * columns, 2.0)
    for axes, (claim, cell) in zip(grid, scanned, strict=True):
        period_scan(axes, cell, claim["period"])
        axes.set_title(f"{claim['name']}, layer {claim['layer']}", fontsize=SIZE, loc="left", parse_math=False)
        axes.set(xlabel="", ylabel="")
    figure.supxlabel(f"period of the integer result (solid: {called[0]}, dashed: {called[1]})", fontsize=SIZE)
    figure.supylabel("share of variance (%)", fontsize=SIZE)
    return figure


def save_all(folder: Path, frames: Mapping[str, pd.DataFrame], called: Called = TRAINED_AND_RANDOM) -> list[Path]:
    """The pictures of a run as svg and png; of a run before, none of these names stays behind.

    Returns:
        What was written: `verdicts`, `layer_map` and `layers`, and of the supported claims `circles` and `periods`.
    """
    verdicts, r2_table = frames["verdicts"], frames["r2_table"]
    figures: dict[str, Figure] = {}
    if count := len(verdicts):
        figures = {name: Figure((7.6, 1.2 + 0.3 * count), layout="constrained") for name in ("verdicts", "layer_map")}
        verdict_strip(figures["verdicts"].subplots(), verdicts, called)
        layer_map(figures["layer_map"].subplots(), verdicts, r2_table)
        figures["layers"], grid = _frames(count, 4, 9.6, 1.6, 0.6, sharex=True, sharey=True)
        layer_curves(grid, verdicts, r2_table)
        figures["layers"].supxlabel("layer (output of the block); italic: linear controls", fontsize=SIZE)
        figures["layers"].supylabel("held-out R² of the best plane", fontsize=SIZE)
    if supported := at(ordered(verdicts), verdict="supported").to_dict("records"):
        figures["circles"] = _circles(supported, frames, called)
        if (periods := _periods(supported, frames["scan"], called)) is not None:
            figures["periods"] = periods
    for name in {"verdicts", "layer_map", "layers", "circles", "periods"} - figures.keys():
        for kind in KINDS:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return save_figures(folder, figures, "llm_probe")
