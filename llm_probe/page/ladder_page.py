"""The page of several runs: which claims hold in which model, and how that goes with size.

    runs      one line a run: model, size, counts of verdicts, its own page
    matrix    claims down, runs across: verdict, confirmed plane R² with its 95 % interval, random weights under it
    ladder    one frame a claim that two sizes share: R² against the number of parameters, trained and random weights
    foot      how each run was made, the matrix as CSV

ladder.html has no script and makes no request; the page's own security policy forbids both. The runs' own pages are
linked where they lie; `embed` puts them into this file instead, as downloads.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from llm_probe.page import TEMPLATES
from llm_probe.page.glyphs import level_text
from llm_probe.page.style import GREY, RANDOM, RULE, TRAINED, css
from llm_probe.page.terminal import facts
from llm_probe.page.views import FLOOR, VERDICTS, claim_name, number, r2_text, text
from llm_probe.run.schema import RULES, RunTables
from toy.run.templates import render as render_template

MOST_NAMED = 8
"""Runs that the head counts one by one; more are counted together."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 170, 30, 286, 12, 128
"""Of a frame of the ladder, and of its axes."""
Claim = tuple[str, str]
Row = Mapping[Any, Any]
Tables = Sequence[Mapping[Claim, Row]]
"""The verdicts of every run, by claim."""


def render(
    runs: Sequence[RunTables], command: str = "", beside: Path = Path(), *, embed: bool = False, first: str = ""
) -> str:
    """The page as text.

    Args:
        runs: under names that differ, in the order of the columns; the ladder sorts by size itself.
        command: what makes the page again.
        beside: folder the page will lie in, from which the runs' pages are linked.
        embed: carry the runs' pages inside instead of linking them.
        first: HTML that stands before everything else.
    """
    tables = [
        {(row["domain"], row["quantity"]): row for row in run.frames["verdicts"].to_dict("records")} for run in runs
    ]
    claims = _claims(tables)
    downloads, count = _download(runs)
    return render_template(
        TEMPLATES,
        "ladder.html",
        summary=_summary(runs, tables),
        command=command,
        first=Markup(first),
        runs=[_run(run, beside, embed) for run in runs],
        verdicts=VERDICTS,
        rules=RULES,
        claims=[
            {"name": claim_name(*claim), "cyclic": cyclic, "cells": [rows.get(claim) for rows in tables]}
            for claim, cyclic in claims.items()
        ],
        frames=_frames(runs, claims, tables),
        downloads=downloads,
        count=count,
        facts=facts,
        level_text=level_text,
        number=number,
        r2_text=r2_text,
        text=text,
    )


def _claims(tables: Tables) -> dict[Claim, bool]:
    """Every claim, and whether it is cyclic: those by how many runs support them, then linear controls."""
    cyclic: dict[Claim, bool] = {}
    support: dict[Claim, int] = {}
    for claim, row in (pair for rows in tables for pair in rows.items()):
        cyclic.setdefault(claim, bool(row["cyclic"]))
        support[claim] = support.get(claim, 0) + (row["verdict"] == "supported")
    order = sorted(cyclic, key=lambda claim: (not cyclic[claim], -support[claim]))
    return {claim: cyclic[claim] for claim in order}


def _summary(runs: Sequence[RunTables], tables: Tables) -> str:
    words = [[row["verdict"] for row in rows.values() if row["cyclic"]] for rows in tables]
    counts = [
        f"{run.name}: {cyclic.count('supported')} of {len(cyclic)} cyclic claims supported"
        for run, cyclic in zip(runs, words, strict=True)
    ]
    if len(runs) > MOST_NAMED:
        every = [word for cyclic in words for word in cyclic]
        counts = [f"{every.count('supported')} of {len(every)} cyclic claims supported, over all {len(runs)} runs"]
    controls = [row["verdict"] for rows in tables for row in rows.values() if not row["cyclic"]]
    fired = controls.count("supported")
    also = f" {fired or 'None'} of {len(controls)} linear controls {'is' if fired < 2 else 'are'} supported."
    return "; ".join(counts) + "." + also * bool(controls)


def _run(run: RunTables, beside: Path, embed: bool) -> dict[str, Any]:
    """A run with the counts of its verdicts and where its own page is."""
    words, path, link, download = run.frames["verdicts"]["verdict"].tolist(), run.folder / "report.html", "", ""
    if path.is_file() and embed:
        link, download = _data("html", path.read_bytes()), f"{run.name.replace('/', '--')}.html"
    elif path.is_file():
        link = os.path.relpath(path, beside)
    counts = {word: words.count(word) for word in VERDICTS}
    return {"tables": run, "run": run.run, "counts": counts, "link": link, "download": download}


def _data(kind: str, content: bytes) -> str:
    """A file as an address inside the page."""
    return f"data:text/{kind};base64,{base64.b64encode(content).decode()}"


def _download(runs: Sequence[RunTables]) -> tuple[str, int]:
    """The verdicts of all runs as one table, as an address inside the page; and how many rows it has."""
    rows = pd.concat(
        [run.frames["verdicts"].assign(run=run.name, parameters=run.run.get("parameters")) for run in runs]
    )
    content = rows[["run", "parameters", *rows.columns[:-2]]].to_csv(index=False, float_format="%.6g").encode()
    return _data("csv", content), len(rows)


# ------------------------------------------------------------------------------------------------------------ ladder


def _frames(runs: Sequence[RunTables], claims: Mapping[Claim, bool], tables: Tables) -> dict[str, Markup]:
    """A picture for every claim that runs of at least two sizes share; a run of random weights alone is in none."""
    sizes = [None if run.run.get("untrained") else number(run.run.get("parameters")) for run in runs]
    frames = {}
    for claim in claims:
        points = [(size, rows[claim]) for size, rows in zip(sizes, tables, strict=True) if size and claim in rows]
        if len({size for size, _ in points}) > 1:
            points.sort(key=lambda point: point[0])
            frames[claim_name(*claim)] = _picture(claim_name(*claim), points, [size for size in sizes if size])
    return frames


def _picture(name: str, points: Sequence[tuple[float, Row]], sizes: Sequence[float]) -> Markup:
    """R² against the logarithm of the size, drawn by ladder_svg.html: a dot with its interval, or an arrowhead."""
    low, high = math.log10(min(sizes)), math.log10(max(sizes))

    def x(size: float) -> float:
        return LEFT + 14 + (math.log10(size) - low) / max(high - low, 1e-9) * (RIGHT - LEFT - 28)

    labels: list[tuple[float, str]] = []
    for size in sorted({size for size, _ in points}):
        if not labels or x(size) - labels[-1][0] >= 48:
            shown = f"{size / 1e9:.2g} B" if size >= 1e9 else f"{size / 1e6:{'.2g' if size < 1e8 else '.0f'}} M"
            labels.append((x(size), shown))
    lines = []
    for weights, column, colour, face in (
        ("random", "random_r2", css(RANDOM), css("#FFFFFF")),
        ("trained", "plane_r2", css(TRAINED), ""),
    ):
        known = [(x(size), value, row) for size, row in points if (value := number(row[column])) is not None]
        marks = [
            {
                "x": at,
                "y": _y(value),
                "below": value < FLOOR,
                "title": f"{weights}: {r2_text(value)}",
                "ends": [_y(end) for key in ("low", "high") if (end := number(row[f"plane_r2_{key}"])) is not None],
            }
            for at, value, row in known
        ]
        lines.append({"weights": weights, "colour": colour, "face": face or colour, "marks": marks})
    box = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM}
    ticks = [(tick, _y(tick), css(RULE if tick else GREY)) for tick in (0, 0.5, 1)]
    return render_template(TEMPLATES, "ladder_svg.html", name=name, lines=lines, labels=labels, ticks=ticks, **box)


def _y(value: int | float) -> float:
    return BOTTOM - (min(max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (BOTTOM - TOP)
