"""The features' section of the report page, from the tables of a feature probe alone; its first sentence is the answer.

A sentence, the verdicts, the pictures (inline, without script or network), what recurs between seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.page.report import Section
from sae.circles import figures
from sae.circles.table import TABLES


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no feature probe was finished in its sae/."""
    source = folder / "sae"
    if not all((source / f"{name}.csv").is_file() for name in TABLES) or not (source / "run.json").is_file():
        return None
    run = json.loads((source / "run.json").read_text(encoding="utf-8"))
    links = "".join(f'<li><a href="sae/{name}.csv">{name}.csv</a></li>' for name in TABLES)
    again = f'<p class="again"><span>Make it again</span> <code>{escape(str(run.get("command") or ""))}</code></p>'
    content = html({name: pd.read_csv(source / f"{name}.csv") for name in TABLES})
    return Section(
        "features", "Features: do sparse autoencoders carry it?", f'{content}{again}<ul class="downloads">{links}</ul>'
    )


def html(frames: Mapping[str, pd.DataFrame]) -> str:
    """What stands under the heading; `frames` by the names of `table.TABLES`."""
    pictures = figures.all_figures(frames)
    captions = {
        "ladder": "The circle read from the best unit of each kind, chosen on discovery prompts, measured on new ones.",
        "circles": "The best group's predicted points on new prompts, mean of each label; the target has radius 1.",
        "activations": "Mean activation of the best latent by label, one line a sparse autoencoder.",
    }
    drawn = (
        f"<figure>{figures.as_svg(pictures[name])}<figcaption>{escape(said)} Blue, solid: trained weights; orange, "
        "dashed: random weights.</figcaption></figure>"
        for name, said in captions.items()
        if name in pictures
    )
    said = f"{escape(null(frames['sae_table']))} {escape(recurring(frames['sae_recurrence']))}"
    first = f'<p class="summary">{escape(answer(frames["sae_verdicts"]))}</p><p class="facts">{said}</p>'
    return "\n".join((first, _verdicts(frames["sae_verdicts"]), *drawn))


def answer(verdicts: pd.DataFrame) -> str:
    """Do features carry this circle better than planes, and better than in a random network? In one sentence."""
    rows = verdicts.to_dict("records")
    if not rows:
        return "No sparse autoencoder had a group of features to compare with a plane."
    beat = _names([row for row in rows if row["verdict"] == "features beat planes"])
    counts = {word: sum(row["verdict"] == word for row in rows) for word in ("no better", "undetermined")}
    said = f"Groups of features carry {_listed(beat) or 'no circle'} better than the best plane"
    said += "".join(f", {count} {word}" for word, count in counts.items() if count)
    compared = [row for row in rows if not pd.isna(row["better_than_random"])]
    better = _names([row for row in compared if row["better_than_random"]])
    if not compared:
        return f"{said}; no random network was compared."
    return f"{said}; better than in a random network: {_listed(better) or 'none'}, of {len(compared)} compared."


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
    said = []
    for weights, rows in recurrence.groupby("weights", sort=False):
        share, chance = rows["share"].mean(), rows["shuffled_share"].mean()
        said.append(f"{share:.0%} with {weights} weights ({chance:.0%} by chance)")
    return f"Latents that recur in another seed (cosine above 0.7): {', '.join(said)}." if said else ""


def _verdicts(verdicts: pd.DataFrame) -> str:
    head = ("claim", "layer", "best group R²", "best plane R²", "random group R²", "verdict", "why")
    body = (
        f"<tr><td>{escape(row['domain'])}: {row['quantity']}</td><td>{row['layer']}</td>"
        + "".join(f"<td>{_number(row[name])}</td>" for name in ("group_r2", "plane_r2", "random_group_r2"))
        + f"<td>{row['verdict']}</td><td>{escape(row['reason'])}</td></tr>"
        for row in verdicts.to_dict("records")
    )
    titles = "".join(f"<th>{title}</th>" for title in head)
    table = f"<thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll"><table class="features">{table}</table></div>'


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else "&lt; -1" if value < -1 else f"{round(value, 2) + 0:.2f}"


def _names(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    return [f"{row['domain']} ({row['quantity']}, layer {row['layer']})" for row in rows]


def _listed(names: list[str]) -> str:
    return "".join(names) if len(names) < 2 else ", ".join(names[:-1]) + " and " + names[-1]
