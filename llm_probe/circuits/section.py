"""The circuits section of the page, from the tables of a circuits run alone: a sentence and a picture a question.

The sentences count what stands out of its own null; none of these questions has a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from llm_probe.circuits.figures import Frames, all_figures
from llm_probe.circuits.table import TABLES
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import as_svg, span
from llm_probe.page.views import at, text
from llm_probe.run.table import ALPHA

TITLES = {
    "attention": "What the answer position attends to",
    "lens": "When the answer can be read",
    "analogies": "Analogies",
    "embeddings": "Circles in the input matrix",
    "helix": "The helix",
}
NOTES = {
    "attention": "Attention from the prompt's last token less that to the same places holding other tokens. Dots: the "
    "95 % band, simultaneous over a domain, excludes zero.",
    "lens": "Final norm once, all tokens of the answer. Blue: trained; orange: random weights; dotted: guessing.",
    "analogies": "Circles: rotation; squares: parallelogram; blue: trained; orange: random weights; grey: below "
    "the 95th percentile of renamed items.",
    "embeddings": "Each token predicted from the other rows, radius 1 if perfect; orange: random weights.",
    "helix": "Each number predicted from the others. Grey: helices of random periods, 95 %; values below −0.2 at −0.2.",
}


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no circuits run was finished in its circuits/."""
    if (finished := finished_run(folder / "circuits", TABLES)) is None:
        return None
    run, frames = finished
    words, pictures = sentences(frames), all_figures(frames)
    parts = [
        Part(TITLES[name], [words[name]], picture=as_svg(pictures[name], "circuits"), caption=NOTES[name])
        for name in TITLES
        if name in pictures
    ]
    files = written_tables(folder / "circuits", TABLES)
    return Section("circuits", "Circuit questions", parts, text(run.get("command")), files)


def sentences(frames: Frames) -> dict[str, str]:
    """Question to what its table says, where it has rows."""
    makers = dict(zip(TITLES, (_attention, _lens, _analogies, _embeddings, _helix), strict=True))
    return {name: " ".join(make(frames[name])) for name, make in makers.items() if len(frames[name])}


def _attention(rows: pd.DataFrame) -> Iterator[str]:
    for role, name in {"item": "first operand", "offset": "second operand", "modulus": "modulus"}.items():
        own = at(rows, role=role, weights="trained")
        if own.empty:
            continue
        best = own.loc[own["difference"].idxmax()]
        most = at(rows, role=role, weights="random")["difference"].max()
        beyond = (own["difference"] - own["half_width"] > most).mean()
        yield (
            f"The {name} draws a head by its content in {beyond:.0%} of heads and domains beyond all heads with random "
            f"weights ({most:.2f} at most), head {best['head']} of layer {best['layer']} in {best['domain']} most: "
            f"{best['attention']:.2f} against {best['control']:.2f} (difference ± {best['half_width']:.2f})."
        )
    first = at(rows, role="first", weights="trained")
    sinks = first.loc[(first["control"] > 2 * first["uniform"]) & (first["attention"] > 2 * first["uniform"])]
    yield (
        f"Token 0 keeps more than twice its even share, whatever stands there, in {len(sinks)} of {len(first)} heads "
        f"and domains{': a sink' if 2 * len(sinks) > len(first) else ''}."
    )


def _lens(rows: pd.DataFrame) -> Iterator[str]:
    rows = at(rows, part="all")
    trained, last = at(rows, weights="trained"), rows["layer"].max()
    read = trained.loc[trained["low"] > trained["chance"]].groupby("domain")["layer"].min()
    early, final = trained.loc[trained["layer"] == last - 1], trained.loc[trained["layer"] == last]
    null = at(rows, weights="random", layer=last)
    yield (
        f"Above guessing from layer {', '.join(f'{layer} ({domain})' for domain, layer in read.items())}."
        if len(read)
        else "Above guessing in no layer."
    )
    yield (
        f"Right answers after the last block {span(final['accuracy'].tolist())}, one block earlier "
        f"{span(early['accuracy'].tolist())}, with random weights {span(null['accuracy'].tolist())}; the most frequent "
        f"answer would be right in {span(final['chance'].tolist())}."
    )


def _analogies(rows: pd.DataFrame) -> Iterator[str]:
    tested = rows.loc[rows["p_fwer"].notna()]
    for weights in ("trained", "random"):
        parts = []
        for method in ("rotation", "parallelogram", "published sign"):
            own = at(tested, weights=weights, method=method)
            hits = own.loc[own["p_fwer"] <= ALPHA]["domain"].unique()
            parts.append(f"by {method} in {', '.join(hits) or 'none'}")
        yield f"With {weights} weights beyond the null (p ≤ {ALPHA}, of {tested['domain'].nunique()} sets that can be"
        yield f"tested): {'; '.join(parts)}."


def _embeddings(rows: pd.DataFrame) -> Iterator[str]:
    for weights in ("trained", "random"):
        own = at(rows, weights=weights)
        hits = own.loc[own["p_fwer"] <= ALPHA].to_dict("records")
        shown = ", ".join(
            f"{row['domain']} (k = {row['frequency']}: {row['r2_heldout']:.2f}, parabola {row['quadratic']:.2f})"
            for row in hits
        )
        yield f"Beyond the null at p ≤ {ALPHA} with {weights} weights: {shown or 'none'}, of {len(own)} tested."


def _helix(rows: pd.DataFrame) -> Iterator[str]:
    for context in rows["context"].unique():
        own = at(rows, context=context, family="helix")
        best = own.loc[own["weights"] == "trained"].sort_values("r2").iloc[-1]
        there = at(rows, context=context, layer=best["layer"])
        trained, null = (at(there, weights=weights).set_index("family") for weights in ("trained", "random"))
        p = "no null" if pd.isna(best["p_renamed"]) else f"p {best['p_renamed']:.2g} against renamed numbers"
        yield (
            f"{context.capitalize()}, layer {best['layer']}: helix {best['r2']:.2f} "
            f"({best['low']:.2f}–{best['high']:.2f}; {p}), with random weights {null.loc['helix', 'r2']:.2f}; a "
            f"polynomial of as many columns {trained.loc['polynomial', 'r2']:.2f}, the digits' names "
            f"{trained.loc['digits', 'r2']:.2f}, both {trained.loc['digits + helix', 'r2']:.2f}."
        )
