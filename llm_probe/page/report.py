"""The page of a run, from its tables alone.

`render` returns one HTML file that needs nothing else. Verdicts, map and foot are written by page.html and
verdicts.html; the detail of a location and the curves over layers are drawn by `SCRIPTS` from JSON in the page
(`payload`). What later stages add comes as `Section`s. Templates escape every text, and the page's own security policy
allows no request and no script but that one, known by its hash.

A claim is one row of the table of verdicts. Its R² are marks on one line from `FLOOR` to 1: the null band in grey, the
confirmation interval and the plane as a filled dot, random weights as a hollow dot, the best control label as a hollow
diamond. What lies below `FLOOR` is an arrowhead at the left end; several of them stand above each other.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from llm_probe.page import TEMPLATES
from llm_probe.page.claim_evidence import control_name
from llm_probe.page.glyphs import MEANINGS, glyph, glyphs, level_text, rival_text
from llm_probe.page.payload import payload
from llm_probe.page.sections import Section
from llm_probe.page.style import GRADIENT, SCALE, magnitude
from llm_probe.page.terminal import called, facts, short_name, why
from llm_probe.page.terms import term
from llm_probe.page.views import (
    ALPHA,
    FLOOR,
    PLACE,
    best_planes,
    cannot_do,
    closure_text,
    fragment,
    layer_name,
    map_places,
    number,
    ordered,
    origin_text,
    p_text,
    r2_text,
    text,
)
from llm_probe.run import table
from llm_probe.run.columns import column_meanings
from toy.run.files import write_atomic
from toy.run.templates import render as render_template

SCRIPTS = tuple(
    f"page{part}.js" for part in ("_elements", "_circle", "_location", "_evidence", "_tools", "_pictures", "")
)
"""One script, in this order: what pictures are made of, the pictures, what a reader takes along; the last one runs."""
CALIBRATION = Path(__file__).parents[2] / "results" / "calibration" / "false_positives.csv"
"""Made by scripts/calibrate.py."""
PUBLISHED = "class-mean R² against noise"
"""The statistic there that stands for the published claims."""
PAGE_LIMIT = 1_400_000
"""Bytes; a table that would make the page larger is linked as the file beside it."""
PLANES_SINCE = 7
"""The schema since which runs write planes.safetensors."""
MARKS = {"random": "random", "trained": "plane", "control": "control"}
"""Class of a mark to the column it stands for, without `_r2`; the last one lies on top."""

Run = Mapping[str, Any]
Frames = Mapping[str, pd.DataFrame]


def percent(value: int | float) -> str:
    """Where a held-out R² lies on a line from `FLOOR` to 1, as CSS."""
    return f"{100 * (min(max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR):.1f}%"


_CALLED = (cannot_do, closure_text, control_name, layer_name, magnitude, number, origin_text, p_text, percent, r2_text)
FUNCTIONS = {each.__name__: each for each in (*_CALLED, fragment, glyph, level_text, rival_text, term, text, why)}
"""What the templates call on the entries of a table."""


def write(path: Path, frames: Frames, run: Run, sections: Sequence[Section] = ()) -> None:
    """The page as one file, whole or not at all."""
    write_atomic(path, render(frames, run, sections))


def render(frames: Frames, run: Run, sections: Sequence[Section] = ()) -> str:
    """The page as text; a table that is missing counts as empty, sections follow what was probed."""
    known = {name: frames.get(name, table.frame([], row)) for name, row in table.TABLES.items()}
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    claims = ordered(known["verdicts"]).to_dict("records")
    model = {"name": short_name(run), "scale": SCALE, "folder": _folder(run)}
    values: dict[str, Any] = {
        "run": run,
        "short_name": short_name(run),
        "called": called(run),
        "about": [*facts(run), f"control: {run.get('control') or 'none'}"],
        "summary": summary(known["verdicts"], run),
        "claims": [_verdict_row(claim, int(run.get("layers") or 0)) for claim in claims],
        "levels": glyphs() if bool(known["verdicts"]["level"].notna().any()) else {},
        "meanings": MEANINGS,
        "alpha": ALPHA,
        "floor": FLOOR,
        **FUNCTIONS,
        **_map(known["verdicts"], known["r2_table"]),
        "gradient": GRADIENT,
        "sections": sections,
        "calibration": calibration(),
        "columns": column_meanings(),
        "tables": table.TABLES,
        "script": Markup(script),
        "policy": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "payload": Markup(_json(payload(known, called(run)) | model)),
    }
    room = PAGE_LIMIT - len(render_template(TEMPLATES, "page.html", **values, downloads=[]).encode())
    return str(render_template(TEMPLATES, "page.html", **values, downloads=_downloads(known, room)))


def _folder(run: Run) -> str:
    """The folder whose planes `read_result` reads; empty of a run from before there were any, or without a folder."""
    return str(run.get("out", "")) if run.get("command") and int(run.get("schema") or 0) >= PLANES_SINCE else ""


def summary(verdicts: pd.DataFrame, run: Run) -> str:
    """The run in two or three sentences."""
    cyclic = verdicts["cyclic"].astype(bool)
    claims, controls = (verdicts.loc[chosen, "verdict"].tolist() for chosen in (cyclic, ~cyclic))
    if not claims:
        sentences = "No claim about a circle was tested."
    else:
        words = {name: rows.tolist() for name, rows in verdicts.loc[cyclic].groupby("quantity", sort=False)["verdict"]}
        kinds = " and ".join(f"{own.count('supported')} of {_count(len(own), name)}" for name, own in words.items())
        sentences = (
            f"{claims.count('supported')} of {len(claims)} cyclic claims are supported, carried on a circle: {kinds}. "
            f"{_other_levels(verdicts.loc[cyclic & (verdicts['verdict'] != 'supported')])}"
            f"{claims.count('refuted')} refuted, {claims.count('undetermined')} undetermined."
        )
    unable = [claim["verdict"] for claim in verdicts.to_dict("records") if cannot_do(claim)]
    if unable:
        fired = unable.count("supported")
        sentences += f" {fired or 'None'} of {_count(len(unable), 'sum')} that it answers no better than by guessing "
        sentences += f"{'is' if fired < 2 else 'are'} supported."
    if controls:
        fired = controls.count("supported")
        of_them = _count(len(controls), "linear control")
        sentences += f" {fired or 'None'} of {of_them} {'shows' if fired < 2 else 'show'} a circle"
        sentences += "; none should: read the rest with care." if fired else ", as it should be."
    if run.get("untrained"):
        sentences = (
            f"The weights that were probed were never trained: every circle here would be a false one. {sentences}"
        )
    if not run.get("control"):
        sentences += " Without a random-weights control no claim is calibrated against an untrained model."
    if left_out := run.get("not_asked"):
        sentences += f" Not asked of states without a model: {', '.join(left_out)} (run.json says why)."
    return sentences


def _other_levels(claims: pd.DataFrame) -> str:
    """What was shown of claims that are not supported, the most first; empty in tables without levels."""
    levels = [text(level) for level in claims["level"]]
    names = {
        "circle": "a circle that is not supported", "helix": "a helix of the integer", "ordered": "ordered",
        "clusters": "clusters", "decodable": "decodable only", "nothing": "nothing",
    }  # fmt: skip
    counts = [f"{levels.count(level)} {name}" for level, name in names.items() if level in levels]
    return f"The other {len(levels)}: {', '.join(counts)}. " if counts else ""


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


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


# ---------------------------------------------------------------------------------------------------- parts of the page


def _verdict_row(claim: Mapping[Any, Any], n_layers: int) -> dict[str, Any]:
    """A claim with its marks on the line of R² and its layers on the bar of a model of `n_layers` blocks."""
    best, held = int(claim["layer"]), text(claim["layers_held"])
    marks = {name: value for name, key in MARKS.items() if (value := number(claim[f"{key}_r2"])) is not None}
    below = [name for name, value in marks.items() if value < FLOOR]
    ends = [part.strip().partition("-") for part in held.split(",") if part.strip()]
    spans = [("held", int(first), int(last or first)) for first, _, last in ends] + [("best", best, best)] * bool(held)
    width = 100 / max(n_layers, best + 1)
    return {
        **claim,
        "address": fragment(claim, best),
        "marks": [
            (name, value, 100 * (below.index(name) + 0.5) / len(below) if name in below and len(below) > 1 else None)
            for name, value in marks.items()
        ],
        "spans": [(kind, width * first, width * (last - first + 1)) for kind, first, last in spans],
    }


def _map(verdicts: pd.DataFrame, r2_table: pd.DataFrame) -> dict[str, Any]:
    """The map's `layers` and its rows, `places`, each with the best plane of every layer."""
    planes, claims = best_planes(r2_table), verdicts.to_dict("records")
    by_location = {tuple(plane[key] for key in (*PLACE, "layer")): plane for plane in planes.to_dict("records")}
    by_claim = {(claim["domain"], claim["quantity"]): claim for claim in claims}
    read = {tuple(claim[key] for key in (*PLACE, "layer")) for claim in claims}
    layers = sorted(planes["layer"].unique().tolist())
    places = []
    for place in map_places(verdicts, planes).to_dict("records"):
        locations = [(*(place[key] for key in PLACE), layer) for layer in layers]
        cells = [(by_location.get(location), location in read) for location in locations]
        places.append({**by_claim[place["domain"], place["quantity"]], "name": place["name"], "cells": cells})
    return {"layers": layers, "places": places}


def _downloads(frames: Frames, room: int) -> list[dict[str, Any]]:
    """Every table as a link: inside the page, compressed if that is shorter, while there is room; else beside it.

    An empty one has a link only inside: an earlier run may have no such file.
    """
    made = []
    for name, rows in frames.items():
        content = rows.to_csv(index=False, float_format="%.6g").encode()
        packed = len(content) > 100_000
        data = base64.b64encode(gzip.compress(content, mtime=0) if packed else content).decode()
        kind, file = ("application/gzip", f"{name}.csv.gz") if packed else ("text/csv", f"{name}.csv")
        made.append((len(data), name, {"file": file, "address": f"data:{kind};base64,{data}", "count": len(rows)}))
    links = {}
    for size, name, link in sorted(made, key=lambda entry: entry[:2]):
        inside = size + 300 <= room
        room -= (size if inside else 0) + 300
        links[name] = {**link, "name": name, "inside": inside, **({} if inside else {"file": f"{name}.csv"})}
    return [links[name] for name, rows in frames.items() if links[name]["inside"] or len(rows)]


def _json(value: object) -> str:
    """JSON that cannot close the script element it stands in, nor open a comment there."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
