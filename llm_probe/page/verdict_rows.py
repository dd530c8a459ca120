"""The table of verdicts as HTML: one row a claim, its R² as marks on one line beside what it must exceed.

The line goes from `FLOOR` to 1. On it: the null band in grey, the confirmation interval and the plane as a filled
dot, the random weights as a hollow dot, the best control label as a hollow diamond. What lies below `FLOOR` is an
arrowhead at the left end; several of them stand above each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from llm_probe.page.claim_views import control_name
from llm_probe.page.terminal import why
from llm_probe.page.views import FLOOR, PLACE, cannot_do, closure_text, number, r2_text, text

CONTROLS = "Linear controls: ordered, but not a circle. None should be supported."
MARKS = {"random": "random", "trained": "plane", "control": "control"}
"""Class of a mark to the column it stands for, without `_r2`."""


def verdict_rows(claims: pd.DataFrame, n_layers: int) -> str:
    """The claims in the order of the frame (`views.ordered`), of a model of `n_layers` blocks."""
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
        rows.append(_verdict_row(claim, n_layers))
    return f'<div role="table" class="verdicts">{"".join(rows)}</div>'


def _verdict_row(claim: Mapping[Any, Any], n_layers: int) -> str:
    accuracy = number(claim["accuracy"])
    low, high = number(claim["accuracy_low"]), number(claim["accuracy_high"])
    spread = "" if low is None or high is None else f" <small>{low:.2f}–{high:.2f}</small>"
    spread += "<small class='unable'>cannot do it</small>" * cannot_do(claim)
    held, word, (reason, published) = text(claim["layers_held"]), claim["verdict"], why(claim)
    place = escape(json.dumps([*(claim[key] for key in PLACE), int(claim["layer"])]))
    plane, untrained, null, control = (
        escape(r2_text(claim[key])) for key in ("plane_r2", "random_r2", "null_r2", "control_r2")
    )
    label = escape(control_name(text(claim["control"])))
    said = f"plane {plane}, random weights {untrained}, null {null}"
    said += f", best control label ({label}) {control}" if label else ""
    below = "; ".join(filter(None, [closure_text(claim), published and f"class-mean R², {published}"]))
    cells = (
        f'<button class="name" data-open="{place}" title="Show where it was read">{escape(claim["name"])}</button>',
        str(claim["period"]),
        "–" if accuracy is None else f"{accuracy:.2f}{spread}",
        _line(claim, said),
        f"<b>{plane}</b> <small>random {untrained}</small>" + (f" <small>control {control}</small>" if label else ""),
        f"{_layer_bar(held, int(claim['layer']), n_layers)}<small>{escape(held) or 'none'}</small>",
        f'<mark class="chip {word}">{word}</mark>',
        escape(reason) + (f"<small>{escape(below)}</small>" if below else ""),
    )
    kinds = ("name", "n", "accuracy", "line", "value", "layers", "verdict", "why")
    return '<div role="row" class="row">' + "".join(
        f'<span role="cell" class="c-{kind}">{cell}</span>' for kind, cell in zip(kinds, cells, strict=True)
    ) + "</div>"  # fmt: skip


def _line(claim: Mapping[Any, Any], said: str) -> str:
    """R² from `FLOOR` to 1: null band, interval, and the marks of random weights, plane and best control label."""
    low, high = float(claim["plane_r2_low"]), float(claim["plane_r2_high"])
    zero, band = _percent(0), f"calc({_percent(max(claim['null_r2'], 0))} - {_percent(0)})"
    interval = f"left:{_percent(low)};right:calc(100% - {_percent(high)})"
    # The last one drawn is on top: the diamond is the smallest and hollow.
    known = [(name, number(claim[f"{column}_r2"])) for name, column in MARKS.items()]
    marks = [(name, value) for name, value in known if value is not None]
    below = [name for name, value in marks if value < FLOOR]
    drawn = []
    for name, value in marks:
        top = f";top:{100 * (below.index(name) + 0.5) / len(below):.0f}%" if name in below and len(below) > 1 else ""
        drawn.append(f'<i class="dot {name}{" below" * (name in below)}" style="left:{_percent(value)}{top}"></i>')
    return (
        f'<span class="line" role="img" aria-label="{said}" title="{said}">'
        f'<i class="null" style="left:{zero};width:{band}"></i><i class="zero" style="left:{zero}"></i>'
        f'<i class="interval" style="{interval}"></i>{"".join(drawn)}</span>'
    )


def _percent(value: int | float) -> str:
    """Where a held-out R² lies on a line from `FLOOR` to 1, as CSS."""
    return f"{100 * (min(max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR):.1f}%"


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
