"""The features' section of the report page, from the tables of a feature probe alone; its first sentence is the answer.

A sentence, the verdicts, the pictures (inline, without script or network), what recurs between seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import as_svg, listed
from llm_probe.page.views import text
from sae.circles import figures
from sae.circles.table import TABLES

CAPTIONS = {
    "ladder": "The circle read from the best unit of each kind, chosen on discovery prompts, measured on new ones.",
    "circles": "The best group's predicted points on new prompts, mean of each label; the target has radius 1.",
    "activations": "Mean activation of the best latent by label, one line a sparse autoencoder.",
}
WEIGHTS = "Blue, solid: trained weights; orange, dashed: random weights."
HEAD = ("claim", "layer", "best group R²", "best plane R²", "random group R²", "verdict", "why")


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no feature probe was finished in its sae/."""
    if (finished := finished_run(folder / "sae", TABLES, required=TABLES)) is None:
        return None
    run, frames = finished
    title, files = "Features: do sparse autoencoders carry it?", written_tables(folder / "sae", TABLES)
    return Section("features", title, parts(frames), str(run.get("command") or ""), files)


def parts(frames: Mapping[str, pd.DataFrame]) -> list[Part]:
    """What stands under the heading; `frames` by the names of `table.TABLES`."""
    pictures = figures.all_figures(frames)
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
