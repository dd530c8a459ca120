"""The features' section of the report page: one HTML fragment from the tables, its first sentence the answer.

`section(frames)` is a `<section>` without script or network: a sentence, the verdicts, the pictures, what recurs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from sae import figures


def section(frames: Mapping[str, pd.DataFrame]) -> str:
    """The fragment; `frames` by the names of `table.TABLES`."""
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
    parts = (f"<p><strong>{escape(answer(frames['sae_verdicts']))}</strong> {escape(null(frames['sae_table']))}</p>",)
    rest = (_verdicts(frames["sae_verdicts"]), *drawn, f"<p>{escape(recurring(frames['sae_recurrence']))}</p>")
    return '<section id="features">\n<h2>Features</h2>\n' + "\n".join((*parts, *rest)) + "\n</section>\n"


def answer(verdicts: pd.DataFrame) -> str:
    """Do features carry this circle better than planes, and better than in a random network? In one sentence."""
    rows = verdicts.to_dict("records")
    if not rows:
        return "No sparse autoencoder had a group of features to compare with a plane."
    said = []
    for verdict, words in (
        ("features beat planes", "feature groups carry {} better than the best plane"),
        ("no better", "feature groups carry {} no better than the best plane"),
        ("undetermined", "for {} it is undetermined"),
    ):
        if names := _names([row for row in rows if row["verdict"] == verdict]):
            said.append(words.format(_listed(names)))
    compared = [row for row in rows if not pd.isna(row["better_than_random"])]
    better = _names([row for row in compared if row["better_than_random"]])
    beyond = f"better than in a random network: {_listed(better) or 'none'}, of {len(compared)} compared"
    text = "; ".join((*said, beyond if compared else "no random network was compared")) + "."
    return text[0].upper() + text[1:]


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
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else "&lt; -1" if value < -1 else f"{value:.2f}"


def _names(rows: Sequence[Mapping[Any, Any]]) -> list[str]:
    return [f"{row['domain']} ({row['quantity']}, layer {row['layer']})" for row in rows]


def _listed(names: list[str]) -> str:
    return "".join(names) if len(names) < 2 else ", ".join(names[:-1]) + " and " + names[-1]
