"""The page of several runs: which claims hold in which model, and how that goes with size.

    runs      one line a run: model, size, counts of verdicts, its own page
    matrix    claims down, runs across: verdict, confirmed plane R² with its 95 % interval, random weights under it
    ladder    one frame a claim that two sizes share: R² against the number of parameters, trained and random weights
    foot      how each run was made, the matrix as CSV

Everything is HTML and SVG as text: no script, no request; the page's own security policy forbids both. The runs' own
pages are linked where they lie; `embed` puts them into this file instead, as downloads.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.page.terminal import facts
from llm_probe.page.views import FLOOR, VERDICTS, claim_name, number, r2_text, text
from llm_probe.run.schema import VERSION, RunTables

HERE = Path(__file__).parent
STYLES = ("page.css", "ladder.css")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="kind">Which quantities do they carry on a circle?</p>
<h1>{title}</h1>
<p class="summary">{summary}</p>
<p class="again"><span>Make it again</span> <code>{command}</code></p>
</header>
<main>
{first}<section aria-labelledby="h-runs"><h2 id="h-runs">Runs</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Runs">{runs}</div></section>
<section aria-labelledby="h-matrix"><h2 id="h-matrix">Verdicts</h2>
<p class="key"><span>R² of the plane on new prompts, 95 % interval</span>
<span class="random-note">○ the same search, random weights</span>
<span>– not asked</span>
<span class="wide">Open a verdict for its reason; the run's own page has what stands behind it.</span></p>
<div class="scroll" tabindex="0" role="region" aria-label="Verdicts">{matrix}</div></section>
<section aria-labelledby="h-ladder"><h2 id="h-ladder">By size</h2>{ladder}</section>
</main>
<footer>
<section aria-labelledby="h-run"><h2 id="h-run">How each run was made</h2>{provenance}</section>
<section aria-labelledby="h-data"><h2 id="h-data">Data</h2><ul class="downloads">{download}</ul></section>
</footer>
</body>
</html>
"""
MOST_NAMED = 8
"""Runs that the head counts one by one; more are counted together."""
Claim = tuple[str, str]
Row = Mapping[Any, Any]


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
    claims = _claims(runs)
    tables = [
        {(row["domain"], row["quantity"]): row for row in run.frames["verdicts"].to_dict("records")} for run in runs
    ]
    return PAGE.format(
        title=f"{len(runs)} runs: what lies on a circle",
        style="".join((HERE / name).read_text(encoding="utf-8") for name in STYLES),
        summary=escape(_summary(runs, tables)),
        command=escape(command),
        first=first,
        runs=_runs(runs, beside, embed),
        matrix=_matrix(runs, claims, tables),
        ladder=_ladder(runs, claims, tables),
        provenance="".join(
            f"<p><b>{escape(run.name)}</b> <code>{escape(str(run.run.get('command', '')))}</code></p>" for run in runs
        ),
        download=_download(runs),
    )


def _claims(runs: Sequence[RunTables]) -> dict[Claim, Row]:
    """Every claim with the first run's row of it: cyclic ones by how many runs support them, then linear controls."""
    rows = [row for run in runs for row in run.frames["verdicts"].to_dict("records")]
    first: dict[Claim, Row] = {}
    score: dict[Claim, float] = {}
    for row in rows:
        claim = row["domain"], row["quantity"]
        first.setdefault(claim, row)
        score[claim] = score.get(claim, 0) + (row["verdict"] == "supported")
    order = sorted(first, key=lambda claim: (not first[claim]["cyclic"], -score[claim]))
    return {claim: first[claim] for claim in order}


def _summary(runs: Sequence[RunTables], tables: Sequence[Mapping[Claim, Row]]) -> str:
    words = [[row["verdict"] for row in rows.values() if row["cyclic"]] for rows in tables]
    said = [
        f"{run.name}: {cyclic.count('supported')} of {len(cyclic)} cyclic claims supported"
        for run, cyclic in zip(runs, words, strict=True)
    ]
    if len(runs) > MOST_NAMED:
        every = [word for cyclic in words for word in cyclic]
        said = [f"{every.count('supported')} of {len(every)} cyclic claims supported, over all {len(runs)} runs"]
    fired = sum(row["verdict"] == "supported" for rows in tables for row in rows.values() if not row["cyclic"])
    asked = sum(not row["cyclic"] for rows in tables for row in rows.values())
    controls = (
        f" {fired or 'None'} of {asked} linear controls {'is' if fired < 2 else 'are'} supported." if asked else ""
    )
    return "; ".join(said) + "." + controls


def _runs(runs: Sequence[RunTables], beside: Path, embed: bool) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in ("run", "model", *VERDICTS, "page"))
    lines = []
    for run in runs:
        words = run.frames["verdicts"]["verdict"].tolist()
        counts = "".join(f'<td class="count" data-word="{word}">{words.count(word)}</td>' for word in VERDICTS)
        about = " · ".join(facts(run.run, ("layers", "d_model", "parameters", "dtype", "date")))
        old = f"<small>schema {run.schema}, this page reads {VERSION}: verdicts by the rules of then</small>"
        untrained = "" if run.run.get("control") else "<small>without a random-weights control</small>"
        said = (
            f"{escape(str(run.run['model']))}<small>{escape(about)}</small>{old * (run.schema != VERSION)}{untrained}"
        )
        link = _page_link(run, beside, embed)
        lines.append(f'<tr><th scope="row">{escape(run.name)}</th><td>{said}</td>{counts}<td>{link}</td></tr>')
    return f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _page_link(run: RunTables, beside: Path, embed: bool) -> str:
    path = run.folder / "report.html"
    if not path.is_file():
        return "–"
    if not embed:
        return f'<a href="{escape(os.path.relpath(path, beside))}">report.html</a>'
    data = base64.b64encode(path.read_bytes()).decode()
    name = f"{run.name.replace('/', '--')}.html"
    return f'<a download="{escape(name)}" href="data:text/html;base64,{data}">{escape(name)}</a>'


# ------------------------------------------------------------------------------------------------------------ matrix


def _matrix(runs: Sequence[RunTables], claims: Mapping[Claim, Row], tables: Sequence[Mapping[Claim, Row]]) -> str:
    names = "".join(f'<th scope="col"><b>{escape(run.name)}</b>{_size(run.run)}</th>' for run in runs)
    lines, last_cyclic = [], True
    for claim, row in claims.items():
        if last_cyclic and not row["cyclic"]:
            said = "linear controls: ordered, but no circle; none should be supported"
            lines.append(f'<tr class="group"><th scope="rowgroup" colspan="{len(runs) + 1}">{said}</th></tr>')
        last_cyclic = bool(row["cyclic"])
        cells = "".join(_cell(rows.get(claim)) for rows in tables)
        lines.append(f'<tr><th scope="row">{escape(claim_name(*claim))}</th>{cells}</tr>')
    return (
        f'<table class="matrix"><thead><tr><th scope="col" class="corner">claim</th>{names}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _cell(row: Row | None) -> str:
    if row is None:
        return '<td class="none">–</td>'
    word, low, high = row["verdict"], number(row["plane_r2_low"]), number(row["plane_r2_high"])
    spread = f"{r2_text(low)} to {r2_text(high)}" if low is not None and high is not None and high >= -1 else ""
    random = number(row["random_r2"])
    untrained = "no random weights" if random is None else f"○ {r2_text(random)}"
    return (
        f'<td><details><summary><mark class="chip {escape(word)}">{escape(word)}</mark> '
        f"<b>{r2_text(row['plane_r2'])}</b><small>{spread}</small><small class='random-note'>{untrained}</small>"
        f"</summary><p>{escape(text(row['reason']))}</p></details></td>"
    )


def _size(run: Mapping[str, Any]) -> str:
    return escape(", ".join(facts(run, ("parameters",))))


# ------------------------------------------------------------------------------------------------------------ ladder

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 170, 30, 286, 12, 128
COLOURS = {"trained": "#0063a6", "random": "#c65200"}


def _ladder(runs: Sequence[RunTables], claims: Mapping[Claim, Row], tables: Sequence[Mapping[Claim, Row]]) -> str:
    """Frames of the claims that runs of at least two sizes share."""
    sizes = [number(run.run.get("parameters")) for run in runs]
    frames = []
    for claim in claims:
        points = [(size, rows[claim]) for size, rows in zip(sizes, tables, strict=True) if size and claim in rows]
        if len({size for size, _ in points}) > 1:
            points.sort(key=lambda point: point[0])
            name = escape(claim_name(*claim))
            frames.append(f"<figure><figcaption>{name}</figcaption>{_picture(name, points, sizes)}</figure>")
    if not frames:
        return '<p class="empty">No claim was asked of models of two sizes.</p>'
    key = (
        '<p class="key"><span><i class="dot trained"></i> trained, 95 % interval</span>'
        '<span><i class="dot random"></i> random weights</span>'
        '<span class="wide">R² of the plane on new prompts (0 to 1) against parameters, on a logarithmic scale; an '
        "arrowhead means less than −0.2. A line joins neighbours in size: they are different models.</span></p>"
    )
    return f'{key}<div class="ladder">{"".join(frames)}</div>'


def _picture(name: str, points: Sequence[tuple[float, Row]], sizes: Sequence[float | None]) -> str:
    known = [math.log10(size) for size in sizes if size]
    low, span = min(known), max(max(known) - min(known), 1e-9)

    def x(size: float) -> float:
        return LEFT + 14 + (math.log10(size) - low) / span * (RIGHT - LEFT - 28)

    grid = "".join(
        f'<path d="M{LEFT},{_y(tick):.1f}H{RIGHT}" stroke="{"#e4e7eb" if tick else "#5f6670"}"/>'
        f'<text x="{LEFT - 6}" y="{_y(tick) + 4:.1f}" text-anchor="end" class="muted">{tick:g}</text>'
        for tick in (0, 0.5, 1)
    )
    drawn = []
    for weights, column in (("random", "random_r2"), ("trained", "plane_r2")):
        known_points = [(x(size), value, row) for size, row in points if (value := number(row[column])) is not None]
        path = " ".join(f"{at:.1f},{_y(value):.1f}" for at, value, _ in known_points)
        dash = ' stroke-dasharray="4 3"' if weights == "random" else ""
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[weights]}" stroke-opacity="0.6"{dash}/>')
        drawn += [_mark(at, value, row, weights) for at, value, row in known_points]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}: R² against the number of parameters">'
        f"{grid}{''.join(drawn)}{_size_labels(points, x)}"
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle" class="muted">parameters</text></svg>'
    )


def _y(value: int | float) -> float:
    return BOTTOM - (min(max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (BOTTOM - TOP)


def _mark(at: float, value: float, row: Row, weights: str) -> str:
    colour, y = COLOURS[weights], _y(value)
    face = colour if weights == "trained" else "#fff"
    title = f"<title>{weights}: {r2_text(value)}</title>"
    if value < FLOOR:
        points = f"M{at - 5:.1f},{y - 8:.1f}h10l-5,9z"
        return f'<path d="{points}" fill="{face}" stroke="{colour}" stroke-width="1.5">{title}</path>'
    ends = [number(row[f"plane_r2_{end}"]) for end in ("low", "high")] if weights == "trained" else [None, None]
    bar = ""
    if ends[0] is not None and ends[1] is not None:
        bar = f'<path d="M{at:.1f},{_y(ends[0]):.1f}V{_y(ends[1]):.1f}" stroke="{colour}" stroke-width="2.5"/>'
    dot = f'<circle cx="{at:.1f}" cy="{y:.1f}" r="4.5" fill="{face}" stroke="{colour}" stroke-width="2">'
    return f"{bar}{dot}{title}</circle>"


def _size_labels(points: Sequence[tuple[float, Row]], x: Any) -> str:
    """The sizes under the axis, as many as there is room for."""
    said, last = [], -math.inf
    for size in sorted({size for size, _ in points}):
        if x(size) - last >= 48:
            last = x(size)
            short = (
                f"{size / 1e9:.2g} B" if size >= 1e9 else f"{size / 1e6:.2g} M" if size < 1e8 else f"{size / 1e6:.0f} M"
            )
            said.append(f'<text x="{last:.1f}" y="{BOTTOM + 18}" text-anchor="middle" class="muted">{short}</text>')
    return "".join(said)


def _download(runs: Sequence[RunTables]) -> str:
    """The verdicts of all runs as one table inside the page."""
    rows = pd.concat(
        [run.frames["verdicts"].assign(run=run.name, parameters=run.run.get("parameters")) for run in runs]
    )
    content = rows[["run", "parameters", *rows.columns[:-2]]].to_csv(index=False, float_format="%.6g").encode()
    data = base64.b64encode(content).decode()
    link = f'<a download="verdicts.csv" href="data:text/csv;base64,{data}">verdicts.csv</a>'
    return f"<li>{link} <small>{len(rows):,} rows: the verdicts of all runs</small></li>"
