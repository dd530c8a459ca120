"""The features' section of the report page, from the tables of a feature probe alone; its first sentence is the answer.

A sentence, the verdicts, the pictures (inline, without script or network), what recurs between seeds. The pictures are
functions `(axes, table)`, trained and random weights on the same axes:

    activations   mean activation of the best latent by label
    circles       the best group's circle, trained beside random (`llm_probe.page.figures.circle_pair`)
    ladder        R² of the circle by rung, with intervals, one panel for each claim
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.page.figures import circle_pair
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import GREY, INK, RANDOM, SIZE, TRAINED, as_svg, frame, listed
from llm_probe.page.views import at, text
from llm_probe.run.study import Frames
from sae.circles.ladder import RUNGS
from sae.circles.table import TABLES

PER_ROW, PAIRS = 3, 2
NAMES = {"pca_direction": "PCA direction", "pca_plane": "PCA plane", "latents": "all latents"}
CAPTIONS = {
    "ladder": "The circle read from the best unit of each kind, chosen on discovery prompts, measured on new ones.",
    "circles": "The best group's predicted points on new prompts, mean of each label; the target has radius 1.",
    "activations": "Mean activation of the best latent by label, one line a sparse autoencoder.",
}
WEIGHTS = "Blue, solid: trained weights; orange, dashed: random weights."
HEAD = ("claim", "layer", "best group R²", "best plane R²", "random group R²", "verdict", "why")


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


def _claims(rows: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ["domain", "quantity", "layer", "site"]
    return [dict(zip(keys, place, strict=True)) for place in dict.fromkeys(rows[keys].itertuples(index=False))]


def _title(claim: Mapping[str, Any]) -> str:
    return f"{claim['domain']}: {claim['quantity']}, layer {claim['layer']}"


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no feature probe was finished in its sae/."""
    if (finished := finished_run(folder / "sae", TABLES, required=TABLES)) is None:
        return None
    run, frames = finished
    title, files = "Features: do sparse autoencoders carry it?", written_tables(folder / "sae", TABLES)
    return Section("features", title, parts(frames), str(run.get("command") or ""), files)


def parts(frames: Frames) -> list[Part]:
    """What stands under the heading; `frames` by the names of `table.TABLES`."""
    pictures = all_figures(frames)
    rows = [
        (
            f"{row['domain']}: {row['quantity']}",
            str(row["layer"]),
            *(_number(row[name]) for name in ("group_r2", "plane_r2", "random_group_r2")),
            row["verdict"],
            text(row["reason"]),
        )
        for row in frames["sae_verdicts"].to_dict("records")
    ]
    return [
        Part(paragraphs=[answer(frames["sae_verdicts"])], kind="summary"),
        Part(paragraphs=[f"{null(frames['sae_table'])} {recurring(frames['sae_recurrence'])}"], kind="facts"),
        Part(table=[HEAD, *rows]),
        *(
            Part(picture=as_svg(pictures[name], "sae"), caption=f"{caption} {WEIGHTS}")
            for name, caption in CAPTIONS.items()
            if name in pictures
        ),
    ]


def answer(verdicts: pd.DataFrame) -> str:
    """Do features carry this circle better than planes, and better than in a random network? In one sentence."""
    rows = verdicts.to_dict("records")
    if not rows:
        return "No sparse autoencoder had a group of features to compare with a plane."
    beat = _names([row for row in rows if row["verdict"] == "features beat planes"])
    counts = {word: sum(row["verdict"] == word for row in rows) for word in ("no better", "undetermined")}
    sentence = f"Groups of features carry {listed(beat) if beat else 'no circle'} better than the best plane"
    sentence += "".join(f", {count} {word}" for word, count in counts.items() if count)
    compared = [row for row in rows if not pd.isna(row["better_than_random"])]
    better = _names([row for row in compared if row["better_than_random"]])
    if not compared:
        return f"{sentence}; no random network was compared."
    return f"{sentence}; better than in a random network: {listed(better)}, of {len(compared)} compared."


def null(table: pd.DataFrame) -> str:
    """How many of the best latents and groups are called circular, trained and random, and of how many searched."""
    counts = []
    for weights in ("trained", "random"):
        own = [row for row in table.to_dict("records") if row["weights"] == weights]
        searches = {(row["sae"], row["domain"], row["quantity"], row["unit"]): row["n_tested"] for row in own}
        called = sum(bool(row["circular"]) for row in own)
        if own:
            counts.append(f"{called} of {len(own)} with {weights} weights (the best of {sum(searches.values()):,})")
    return f"Latents and groups called circular: {', '.join(counts)}." if counts else ""


def recurring(recurrence: pd.DataFrame) -> str:
    """Share of latents that recur between seeds, and by chance."""
    shares = []
    for weights, rows in recurrence.groupby("weights", sort=False):
        share, chance = rows["share"].mean(), rows["shuffled_share"].mean()
        shares.append(f"{share:.0%} with {weights} weights ({chance:.0%} by chance)")
    return f"Latents that recur in another seed (cosine above 0.7): {', '.join(shares)}." if shares else ""


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else "< -1" if value < -1 else f"{round(value, 2) + 0:.2f}"


def _names(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    return [f"{row['domain']} ({row['quantity']}, layer {row['layer']})" for row in rows]
