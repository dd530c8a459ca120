"""The page of a run, from its tables alone.

`render` returns one HTML file that needs nothing else: verdicts, map and foot are written here; the detail of a cell
and the curves over layers are drawn by `page.js` from JSON in the page. Model-made text is escaped wherever it is
written, and the page's own security policy allows no request and no script but `page.js`, known by its hash.
"""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from llm_probe import table
from llm_probe.terminal import facts, short_name, why
from llm_probe.views import (
    ALPHA,
    FLOOR,
    PLACE,
    best_planes,
    cannot_do,
    closure_text,
    map_places,
    number,
    ordered,
    p_text,
    payload,
    r2_text,
    text,
)
from toy.files import write_atomic

HERE = Path(__file__).parent
PAGE_LIMIT = 1_400_000
"""Bytes; a table that would make the page larger is linked as the file beside it."""
CONTROLS = "Linear controls: ordered, but not a circle. None should be supported."

Run = Mapping[str, Any]
Frames = Mapping[str, pd.DataFrame]


def write(path: Path, frames: Frames, run: Run) -> None:
    """The page as one file, whole or not at all."""
    write_atomic(path, render(frames, run))


def render(frames: Frames, run: Run) -> str:
    """The page as text; a table that is missing counts as empty."""
    known = {name: frames.get(name, table.frame([], row)) for name, row in table.TABLES.items()}
    claims = ordered(known["verdicts"])
    script = (HERE / "page.js").read_text(encoding="utf-8")
    parts = {
        "title": escape(f"{short_name(run)}: what lies on a circle"),
        "model": escape(str(run.get("model", "a model"))),
        "about": _about(run),
        "summary": escape(summary(known["verdicts"], run)),
        "command": escape(str(run.get("command", ""))),
        "verdicts": _verdict_rows(claims, run),
        "map": _map(known["verdicts"], known["r2_table"]),
        "legend": _colours(),
        "provenance": _provenance(run),
        "columns": _columns(),
        "cite": escape(_citation(run)),
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


def _supported(claims: pd.DataFrame, quantity: str) -> str:
    verdicts = claims.loc[claims["quantity"] == quantity, "verdict"].tolist()
    return f"{verdicts.count('supported')} of {_count(len(verdicts), quantity)}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


# ---------------------------------------------------------------------------------------------------------- sections


def _about(run: Run) -> str:
    """Model facts under the title."""
    said = [*facts(run), f"control: {run.get('control') or 'none'}"]
    return "".join(f"<span>{escape(part)}</span>" for part in said)


def _percent(value: int | float) -> str:
    """Where a held-out R² lies on a line from `FLOOR` to 1, as CSS."""
    return f"{100 * (min(max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR):.1f}%"


def _verdict_rows(claims: pd.DataFrame, run: Run) -> str:
    if claims.empty:
        return '<p class="empty">No claim was judged.</p>'
    head = ("claim", "n", "accuracy", "held-out R² of the plane", "", "layers where it holds", "verdict", "why")
    axis = "".join(f'<i style="left:{_percent(tick)}">{tick:g}</i>' for tick in (0, 0.5, 1))
    cells = [f'<span role="columnheader">{name}</span>' for name in head]
    cells[3] = f'<span role="columnheader">{head[3]}<b class="ticks">{axis}</b></span>'
    rows = [f'<div role="row" class="row header">{"".join(cells)}</div>']
    last_cyclic = True
    for claim in claims.to_dict("records"):
        if last_cyclic and not claim["cyclic"]:
            rows.append(f'<div role="row" class="group"><span role="cell">{CONTROLS}</span></div>')
        last_cyclic = claim["cyclic"]
        rows.append(_verdict_row(claim, int(run.get("layers") or 0)))
    return f'<div role="table" class="verdicts">{"".join(rows)}</div>'


def _verdict_row(claim: Mapping[Any, Any], n_layers: int) -> str:
    accuracy = number(claim["accuracy"])
    low, high = number(claim["accuracy_low"]), number(claim["accuracy_high"])
    spread = "" if low is None or high is None else f" <small>{low:.2f}–{high:.2f}</small>"
    spread += "<small class='unable'>cannot do it</small>" * cannot_do(claim)
    held, word, (reason, published) = text(claim["layers_held"]), claim["verdict"], why(claim)
    random = number(claim["random_r2"])
    place = escape(json.dumps([*(claim[key] for key in PLACE), int(claim["layer"])]))
    plane, untrained, null = (escape(r2_text(value)) for value in (claim["plane_r2"], random, claim["null_r2"]))
    said = f"plane {plane}, random weights {untrained}, null {null}"
    below = "; ".join(filter(None, [closure_text(claim), published and f"class-mean R², {published}"]))
    cells = (
        f'<button class="name" data-open="{place}" title="Show where it was read">{escape(claim["name"])}</button>',
        str(claim["period"]),
        "–" if accuracy is None else f"{accuracy:.2f}{spread}",
        _line(claim, random, said),
        f"<b>{plane}</b> <small>random {untrained}</small>",
        f"{_layer_bar(held, int(claim['layer']), n_layers)}<small>{escape(held) or 'none'}</small>",
        f'<mark class="chip {word}">{word}</mark>',
        escape(reason) + (f"<small>{escape(below)}</small>" if below else ""),
    )
    kinds = ("name", "n", "accuracy", "line", "value", "layers", "verdict", "why")
    return '<div role="row" class="row">' + "".join(
        f'<span role="cell" class="c-{kind}">{cell}</span>' for kind, cell in zip(kinds, cells, strict=True)
    ) + "</div>"  # fmt: skip


def _line(claim: Mapping[Any, Any], random: float | None, said: str) -> str:
    """R² from `FLOOR` to 1: null band, interval, trained dot, random dot."""
    low, high = float(claim["plane_r2_low"]), float(claim["plane_r2_high"])
    zero, band = _percent(0), f"calc({_percent(max(claim['null_r2'], 0))} - {_percent(0)})"
    interval = f"left:{_percent(low)};right:calc(100% - {_percent(high)})"
    dots = [("trained", float(claim["plane_r2"])), *([("random", random)] if random is not None else [])]
    both = len(dots) == 2 and all(value < FLOOR for _, value in dots)
    marks = [
        f'<i class="dot {name}{" below" * (value < FLOOR)}{" both" * both}" style="left:{_percent(value)}"></i>'
        for name, value in reversed(dots)
    ]
    return (
        f'<span class="line" role="img" aria-label="{said}" title="{said}">'
        f'<i class="null" style="left:{zero};width:{band}"></i><i class="zero" style="left:{zero}"></i>'
        f'<i class="interval" style="{interval}"></i>{"".join(marks)}</span>'
    )


def _layer_bar(held: str, best: int, n_layers: int) -> str:
    """Layers as a bar: where the plane beats its null, and the one that was confirmed."""
    n_layers = max(n_layers, best + 1)
    ends = [part.strip().partition("-") for part in held.split(",") if part.strip()]
    spans = [(int(first), int(last or first)) for first, _, last in ends] if held else []
    marks = [("held", first, last) for first, last in spans] + ([("best", best, best)] if held else [])
    each = 100 / n_layers
    inner = "".join(
        f'<i class="{kind}" style="left:{each * first:.2f}%;width:{each * (last - first + 1):.2f}%"></i>'
        for kind, first, last in marks
    )
    return f'<span class="layerbar" aria-hidden="true">{inner}</span>'


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


def column_meanings() -> dict[str, list[tuple[str, str, str]]]:
    """Table to (column, type, meaning), read from the docstrings under the fields of its dataclass."""
    tree = ast.parse(Path(table.__file__).read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    meanings: dict[str, list[tuple[str, str, str]]] = {}
    for name, row_type in table.TABLES.items():
        body = classes[row_type.__name__].body
        rows = meanings.setdefault(name, [])
        for node, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                meaning = str(after.value.value) if said else ""  # type: ignore[union-attr]
                rows.append((node.target.id, ast.unparse(node.annotation), " ".join(meaning.split())))
    return meanings


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
