"""Figures of a probe of sparse features, as functions `(axes, table)`; trained and random weights on the same axes.

    activations   mean activation of the best latent by label
    circles       the best group's circle, trained beside random (`llm_probe.page.figures.circle_pair`)
    ladder        R² of the circle by rung, with intervals, one panel for each claim

The object interface of matplotlib only, so that nothing depends on a display.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.page.figures import circle_pair
from llm_probe.page.style import GREY, INK, RANDOM, SIZE, TRAINED, frame, save_figures
from llm_probe.page.views import at
from sae.circles.ladder import RUNGS

Frames = Mapping[str, pd.DataFrame]
PER_ROW, PAIRS = 3, 2
NAMES = {"pca_direction": "PCA direction", "pca_plane": "PCA plane", "latents": "all latents"}


def activations(axes: Axes, points: pd.DataFrame) -> None:
    """Mean activation by label of the best latent of every SAE; `points`: latents of one claim and layer."""
    for weights, colour, line in (("random", RANDOM, "--"), ("trained", TRAINED, "-")):
        for _, rows in at(points, weights=weights).groupby("sae", sort=False):
            axes.plot(rows["label"], rows["x"], line, color=colour, marker="o", markersize=3, linewidth=1)
    axes.set_ylim(bottom=0)
    frame(axes, "residue or item", "activation")


def circles(pair: list[Axes], points: pd.DataFrame) -> None:
    """The best group's mean predicted points; `points`: groups of one claim and layer, the first SAE of each kind."""
    first = [rows for _, both in points.groupby("weights", sort=False) for _, rows in list(both.groupby("sae"))[:1]]
    circle_pair(pair, pd.concat(first) if first else points)


def ladder(axes: Axes, rows: pd.DataFrame) -> None:
    """R² of every rung on confirmation prompts with its interval, a mark for each SAE; rows of one claim and layer."""
    present = [rung for rung in RUNGS if rung in set(rows["rung"])]
    for weights, colour, face, side in (("trained", TRAINED, TRAINED, 0.15), ("random", RANDOM, "white", -0.15)):
        own = at(rows, weights=weights)
        place = np.array([present.index(rung) for rung in own["rung"]], dtype=float) + side
        value, low, high = (own[name].to_numpy(float).clip(-1) for name in ("r2", "r2_low", "r2_high"))
        axes.hlines(place, low, high, color=colour, linewidth=1.4)
        axes.plot(value, place, "o", color=colour, markerfacecolor=face, markersize=5, linestyle="none")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(present)), [NAMES.get(rung, rung) for rung in present])
    axes.set_xlim(-1.02, 1.02)
    frame(axes, "R² of the circle, new prompts", "")


def all_figures(frames: Frames) -> dict[str, Figure]:
    """Every figure that the tables allow, by name; circles and activations of claims with a circular trained unit."""
    claims, points = _claims(frames["sae_ladder"]), frames["sae_points"]
    table = at(frames["sae_table"], weights="trained")
    circular = _claims(table.loc[table["circular"].astype(bool)])
    figures: dict[str, Figure] = {}
    with rc_context({"font.size": SIZE}):
        if claims:
            figures["ladder"] = _panels(claims, ladder, frames["sae_ladder"], 2.3)
        if circular:
            figures["activations"] = _panels(circular, activations, at(points, unit="latent"), 1.9)
            rows = -(-len(circular) // PAIRS)
            figures["circles"] = Figure((5.2 * PAIRS, 3 * rows), layout="constrained")
            parts = figures["circles"].subfigures(rows, PAIRS, squeeze=False).ravel().tolist()
            for part, claim in zip(parts, circular, strict=False):
                circles(part.subplots(1, 2).tolist(), at(points, unit="group", **claim))
                part.suptitle(_title(claim), fontsize=SIZE + 1, parse_math=False)
    return figures


def _panels(
    claims: Sequence[Mapping[str, Any]], draw: Callable[[Axes, pd.DataFrame], None], source: pd.DataFrame, height: float
) -> Figure:
    """One panel for each claim."""
    rows = -(-len(claims) // PER_ROW)
    figure = Figure((3.4 * PER_ROW, height * rows), layout="constrained")
    grid = figure.subplots(rows, PER_ROW, squeeze=False).ravel().tolist()
    for axes, claim in zip(grid, claims, strict=False):
        draw(axes, at(source, **claim))
        axes.set_title(_title(claim), fontsize=SIZE, loc="left", color=INK, parse_math=False)
    for axes in grid[len(claims) :]:
        axes.set_visible(False)
    return figure


def save_all(folder: Path, frames: Frames) -> list[Path]:
    """The pictures as svg and png; what was written."""
    return save_figures(folder, all_figures(frames), "sae")


def _claims(rows: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["domain", "quantity", "layer", "site"]
    return [dict(zip(keys, place, strict=True)) for place in dict.fromkeys(rows[keys].itertuples(index=False))]


def _title(claim: Mapping[str, Any]) -> str:
    return f"{claim['domain']}: {claim['quantity']}, layer {claim['layer']}"
