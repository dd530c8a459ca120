"""Figures for papers: one a claim, as wide as a column or a page of text, with type of 8 points.

    trained circle   random circle   best plane over layers

They stand beside each other at 5.5 inches; at 3.25 the layers stand below. The claim is shown where its verdict was
read. Long names are cut to their first letters where these tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from llm_probe.page.circles import LABEL_GAP, best_error, circle, circle_title, label_width
from llm_probe.page.figures import layer_curves
from llm_probe.page.style import RANDOM, TRAINED, TRAINED_AND_RANDOM, Called, save_figures
from llm_probe.page.views import PLACE, Row, at, ordered
from toy.run.errors import InputError

WIDTHS = (3.25, 5.5)
"""Inches: one column of two, and the text of a page with one."""
POINTS = 8
KINDS = ("pdf", "svg")
SHORTEST = 3
"""Letters of a name at least."""


def save_claims(folder: Path, frames: Mapping[str, pd.DataFrame], called: Called = TRAINED_AND_RANDOM) -> list[Path]:
    """Write the figure of every claim, such as days-item-3.25in.pdf, in both widths, as PDF and SVG.

    Raises:
        InputError: the run has no claims, or no circles to draw.
    """
    if frames["verdicts"].empty or frames["circles"].empty:
        raise InputError("the run has no circles to draw: circles.csv or verdicts.csv is missing or empty")
    written = []
    for claim in ordered(frames["verdicts"]).to_dict("records"):
        stem = "-".join([*str(claim["domain"]).split(), claim["quantity"]]).replace("/", "-")
        figures = {f"{stem}-{width:g}in": claim_figure(frames, claim, width, called) for width in WIDTHS}
        written += save_figures(folder, figures, "llm_probe", KINDS, embed=True)
    return written


def claim_figure(
    frames: Mapping[str, pd.DataFrame], claim: Row, width: float = WIDTHS[0], called: Called = TRAINED_AND_RANDOM
) -> Figure:
    """The figure of one row of the table of verdicts, `width` inches wide."""
    beside = width >= WIDTHS[1]
    figure = Figure((width, (0.42 if beside else 1.05) * width), layout="constrained")
    mosaic = [["trained", "random", "layers"]] if beside else [["trained", "random"], ["layers", "layers"]]
    panels = figure.subplot_mosaic(mosaic, height_ratios=[1] if beside else [1.7, 1])  # type: ignore[arg-type]
    _circles((panels["trained"], panels["random"]), frames, claim, width / (3 if beside else 2), called)
    _layers(panels["layers"], frames, claim)
    title = f"{circle_title(claim, frames['circles'])}\n{claim['verdict']}"
    figure.suptitle(title.replace("\n", ", " if beside else "\n"), parse_math=False, weight="bold")
    for words in figure.findobj(Text):
        words.set_fontsize(POINTS)
    return figure


def _circles(
    pair: tuple[Axes, Axes], frames: Mapping[str, pd.DataFrame], claim: Row, inches: float, called: Called
) -> None:
    """Trained beside random on one scale, each in a square of so many inches."""
    place = {key: claim[key] for key in (*PLACE, "layer")}
    points = at(frames["circles"], **place)
    names = dict(zip(points["item"], short_names(points["item"].astype(str).tolist()), strict=True))
    points = points.assign(item=[names[item] for item in points["item"]])
    reach = max(1.0, float(points[["x", "y"]].abs().to_numpy().max(initial=0.0)))
    unit = (inches / 2 - label_width(points) - LABEL_GAP) / reach
    for axes, weights, colour in zip(pair, ("trained", "random"), (TRAINED, RANDOM), strict=True):
        error = best_error(frames["r2_table"], place, weights)
        circle(axes, points, weights, error, reach + LABEL_GAP / unit, called, unit)
        said = "" if error is None else f"\nangle error {error:.2f} rad"
        axes.set_title(f"{called[weights == 'random']}{said}", color=colour)


def _layers(axes: Axes, frames: Mapping[str, pd.DataFrame], claim: Row) -> None:
    """The best plane over layers, with a line at the layer of the verdict."""
    layer_curves([axes], at(frames["verdicts"], domain=claim["domain"], quantity=claim["quantity"]), frames["r2_table"])
    axes.axvline(claim["layer"], color="black", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_title("", loc="left")
    axes.set(xlabel="layer", ylabel="held-out R²")


def short_names(names: Sequence[str]) -> list[str]:
    """The first three letters or as many more as tell all names apart; whole names where five are not enough."""
    for length in range(SHORTEST, SHORTEST + 3):
        cut = [name[:length].strip() for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return list(names)
