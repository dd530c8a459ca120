"""The page of a run, from its tables alone.

`render` returns one HTML file that needs nothing else: verdicts (`verdict_rows`), map and foot are written as HTML; the
detail of a cell and the curves over layers are drawn by `page.js` and `page_claim.js` from JSON in the page
(`payload`). What later packages found comes as `Section`s, made by them. Model-made text is escaped wherever it is
written, and the page's own security policy allows no request and no script but those two, known by their hash.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from llm_probe.page.payload import payload
from llm_probe.page.terminal import facts, short_name
from llm_probe.page.verdict_rows import verdict_rows
from llm_probe.page.views import (
    ALPHA,
    PLACE,
    best_planes,
    cannot_do,
    map_places,
    number,
    ordered,
    p_text,
    r2_text,
)
from llm_probe.run import table
from llm_probe.run.columns import column_meanings
from toy.run.files import write_atomic

HERE = Path(__file__).parent
SCRIPTS = ("page_claim.js", "page.js")
"""One script: the first draws a claim, the second the rest; it runs last."""
CALIBRATION = HERE.parents[1] / "results" / "calibration" / "false_positives.csv"
"""Made by scripts/calibrate.py."""
PUBLISHED = "class-mean R² against noise"
"""The statistic there that stands for the published claims."""
PAGE_LIMIT = 1_400_000
"""Bytes; a table that would make the page larger is linked as the file beside it."""

Run = Mapping[str, Any]
Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Section:
    """A part of the page that another package makes, without a script of its own."""

    anchor: str
    """`causal`: its address on the page is #causal."""
    title: str
    """Its heading."""
    html: str
    """What stands under it, escaped by who made it."""


def write(path: Path, frames: Frames, run: Run, sections: Sequence[Section] = ()) -> None:
    """The page as one file, whole or not at all."""
    write_atomic(path, render(frames, run, sections))


def render(frames: Frames, run: Run, sections: Sequence[Section] = ()) -> str:
    """The page as text; a table that is missing counts as empty, sections follow what was probed."""
    known = {name: frames.get(name, table.frame([], row)) for name, row in table.TABLES.items()}
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "title": escape(f"{short_name(run)}: what lies on a circle"),
        "model": escape(str(run.get("model", "a model"))),
        "about": _about(run),
        "summary": escape(summary(known["verdicts"], run)),
        "command": escape(str(run.get("command", ""))),
        "verdicts": verdict_rows(ordered(known["verdicts"]), int(run.get("layers") or 0)),
        "map": _map(known["verdicts"], known["r2_table"]),
        "legend": _colours(),
        "sections": "".join(map(_section, sections)),
        "provenance": _provenance(run),
        "columns": _columns(),
        "cite": escape(_citation(run)),
        "calibration": f'<p class="calibration">{escape(said)}</p>' if (said := calibration()) else "",
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": script,
        "policy": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "payload": _json(payload(known)),
        "downloads": "",
    }
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    room = PAGE_LIMIT - len(template.substitute(parts).encode())
    return template.substitute(parts | {"downloads": _downloads(known, room)})


def summary(verdicts: pd.DataFrame, run: Run) -> str:
    """The run in two or three sentences."""
    cyclic = verdicts["cyclic"].astype(bool)
    claims, controls = (verdicts.loc[chosen, "verdict"].tolist() for chosen in (cyclic, ~cyclic))
    if not claims:
        said = "No claim about a circle was tested."
    else:
        kinds = " and ".join(_supported(verdicts.loc[cyclic], quantity) for quantity in verdicts["quantity"].unique())
        said = (
            f"{claims.count('supported')} of {len(claims)} cyclic claims are supported, carried on a circle: {kinds}. "
            f"{claims.count('refuted')} refuted, {claims.count('undetermined')} undetermined."
        )
    unable = [claim["verdict"] for claim in verdicts.to_dict("records") if cannot_do(claim)]
    if unable:
        fired = unable.count("supported")
        said += f" {fired or 'None'} of {_count(len(unable), 'sum')} that it answers no better than by guessing "
        said += f"{'is' if fired < 2 else 'are'} supported."
    if controls:
        fired = controls.count("supported")
        said += f" {fired or 'None'} of {len(controls)} linear controls {'shows' if fired < 2 else 'show'} a circle"
        said += "; none should: read the rest with care." if fired else ", as it should be."
    if not run.get("control"):
        said += " Without a random-weights control no claim is calibrated against an untrained model."
    return said


def calibration(path: Path | None = None) -> str:
    """How often the published statistic and a verdict fire on networks with nothing to find; empty without a table."""
    path = path or CALIBRATION
    if not path.is_file():
        return ""
    rates = pd.read_csv(path)
    rates = rates.loc[rates["null"] == "all"].set_index("statistic").to_dict("index")
    if not {PUBLISHED, "supported"} <= rates.keys():
        return ""
    published, verdict = (_rate(rates[name]) for name in (PUBLISHED, "supported"))
    return (
        f"Calibration: the class-mean R², compared with independent noise at p ≤ 0.05, fires on {published} networks "
        f"with nothing to find; this suite calls {verdict} supported (results/calibration)."
    )


def _rate(row: Mapping[Any, Any]) -> str:
    share, low, high = (100 * row[name] for name in ("false_positive_rate", "lower", "upper"))
    count, networks = round(share * row["n_networks"] / 100), int(row["n_networks"])
    return f"{count:,} of {networks:,} ({low:.1f} to {high:.1f} %, 95 % interval)"


def _supported(claims: pd.DataFrame, quantity: str) -> str:
    verdicts = claims.loc[claims["quantity"] == quantity, "verdict"].tolist()
    return f"{verdicts.count('supported')} of {_count(len(verdicts), quantity)}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


# ---------------------------------------------------------------------------------------------------------- sections


def _section(section: Section) -> str:
    name = escape(section.anchor)
    heading = f'<h2 id="h-{name}">{escape(section.title)}</h2>'
    return f'<section aria-labelledby="h-{name}" id="{name}">\n{heading}\n{section.html}\n</section>\n'


def _about(run: Run) -> str:
    """Model facts under the title."""
    said = [*facts(run), f"control: {run.get('control') or 'none'}"]
    return "".join(f"<span>{escape(part)}</span>" for part in said)


def _colour(r2: int | float) -> str:
    return to_hex(colormaps["viridis"](min(max(r2, 0.0), 1.0)))


def _colours() -> str:
    return ", ".join(_colour(step / 8) for step in range(9))


def _map(verdicts: pd.DataFrame, r2_table: pd.DataFrame) -> str:
    """The table of cells; each is a button that `page.js` opens."""
    planes = best_planes(r2_table)
    places = map_places(verdicts, planes)
    if places.empty:
        return '<p class="empty">No plane was fitted.</p>'
    layers = sorted(planes["layer"].unique().tolist())
    found = {tuple(cell[key] for key in (*PLACE, "layer")): cell for cell in planes.to_dict("records")}
    read = {tuple(claim[key] for key in (*PLACE, "layer")) for claim in verdicts.to_dict("records")}
    claims = {(claim["domain"], claim["quantity"]): claim for claim in verdicts.to_dict("records")}
    head = "".join(f'<th scope="col">{layer}</th>' for layer in layers)
    rows, last_cyclic = [], True
    for index, place in enumerate(places.to_dict("records")):
        claim = claims[place["domain"], place["quantity"]]
        now = bool(claim["cyclic"])
        if last_cyclic and not now:
            rows.append(f'<tr class="group"><th scope="rowgroup" colspan="{len(layers) + 1}">linear controls</th></tr>')
        last_cyclic = now
        keys = [(*(place[key] for key in PLACE), layer) for layer in layers]
        cells = "".join(_cell_button(found.get(key), index, place["name"], key in read) for key in keys)
        rows.append(f'<tr><th scope="row" class="{claim["verdict"]}">{escape(place["name"])}</th>{cells}</tr>')
    width = 190 + 150 * len(layers)
    return (
        f'<div class="scroll"><table class="map" style="max-width:{width}px"><thead><tr><th scope="col" class="corner">'
        "layer</th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell_button(cell: Mapping[Any, Any] | None, row: int, name: str, read: bool) -> str:
    if cell is None:
        return "<td></td>"
    fails = number(cell["p_fwer"]) is None or cell["p_fwer"] > ALPHA
    said = f"{name}, layer {cell['layer']}: held-out R² {r2_text(cell['r2_heldout'])}, p {p_text(cell['p_fwer'])}"
    said += ", no better than the null" * fails
    classes = " ".join(filter(None, ["fails" if fails else "", "read" if read else ""]))
    return (
        f'<td><button tabindex="-1" class="{classes}" data-row="{row}" data-layer="{cell["layer"]}" '
        f'style="--c:{_colour(cell["r2_heldout"])}" title="{escape(said)}" aria-label="{escape(said)}" '
        'aria-pressed="false"></button></td>'
    )


def _provenance(run: Run) -> str:
    def said(value: Any) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{name} {version}" for name, version in value.items())
        return (
            ", ".join(map(str, value)) if isinstance(value, list | tuple) else "none" if value is None else str(value)
        )

    return "".join(
        f"<div><dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(said(value))}</dd></div>"
        for key, value in run.items()
    )


def _columns() -> str:
    parts = []
    for name, rows in column_meanings().items():
        about = escape((table.TABLES[name].__doc__ or "").strip())
        lines = "".join(
            f"<tr><th scope='row'><code>{column}</code></th><td><code>{escape(kind)}</code></td>"
            f"<td>{escape(meaning)}</td></tr>"
            for column, kind, meaning in rows
        )
        parts.append(
            f"<details><summary><code>{name}.csv</code> {about}</summary><div class='scroll'>"
            f"<table class='columns'>{lines}</table></div></details>"
        )
    return "".join(parts)


def _downloads(frames: Frames, room: int) -> str:
    """Every table as a link: inside the page, compressed if that is shorter, while there is room; else beside it."""
    made = []
    for name, rows in frames.items():
        content = rows.to_csv(index=False, float_format="%.6g").encode()
        packed = len(content) > 100_000
        data = base64.b64encode(gzip.compress(content, mtime=0) if packed else content).decode()
        kind, file = ("application/gzip", f"{name}.csv.gz") if packed else ("text/csv", f"{name}.csv")
        made.append((len(data), name, f"data:{kind};base64,{data}", file, len(rows)))
    links = {}
    for size, name, address, file, count in sorted(made):
        inside = size + 300 <= room
        room -= (size if inside else 0) + 300
        link = f'<a download="{file}" href="{address}">' if inside else f'<a href="{name}.csv">'
        note = "" if inside else ", the file beside this page"
        links[name] = f"<li>{link}{file if inside else name + '.csv'}</a> <small>{count:,} rows{note}</small></li>"
    return "".join(links[name] for name in frames)


def _citation(run: Run) -> str:
    year = str(run.get("date", ""))[:4]
    return (
        "@misc{circles,\n"
        f"  title = {{Cyclic quantities in {short_name(run)}: a calibrated probing run}},\n"
        f"  year  = {{{year}}},\n"
        f"  note  = {{model {run.get('model')}, revision {run.get('revision')}; "
        f"code at commit {run.get('commit')}; configuration {run.get('configuration_hash')}; seed {run.get('seed')}}}\n"
        "}"
    )


def _json(value: object) -> str:
    """JSON that cannot close the script element it stands in, nor open a comment there."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
