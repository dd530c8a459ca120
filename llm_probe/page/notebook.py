"""A result as a notebook shows it: the verdicts, each with its circle, in the colours of the notebook.

A circle is the class means on the claim's best plane at the place of its verdict: trained filled, random weights hollow
and small, the target circle as a thin line. Names stand on the points, for the mouse. Neither script nor style sheet,
which viewers of notebooks take out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from llm_probe.page import TEMPLATES
from llm_probe.page.glyphs import glyph, level_text
from llm_probe.page.sections import Element, svg, svg_path
from llm_probe.page.style import RANDOM, TRAINED
from llm_probe.page.terminal import facts, short_name, why
from llm_probe.page.views import PLACE, at, ordered, p_text, r2_text, step_round
from toy.run.templates import render

SIZE, RADIUS = 88, 26
"""Of a circle's picture, and of the target circle in it, in px."""
REACH = 1.5
"""Farthest that a point is drawn from the middle, in radii of the target circle."""
ABOUT = ("layers", "d_model", "n_prompts", "seconds")


def html(frames: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> str:
    """The result as one piece of HTML."""
    claims = [
        {**claim, "reason": why(claim)[0], "picture": picture(claim, frames["circles"])}
        for claim in ordered(frames["verdicts"]).to_dict("records")
    ]
    about = " · ".join([short_name(run), *facts(run, ABOUT), f"control: {run.get('control') or 'none'}"])
    functions = {"glyph": glyph, "level_text": level_text, "p_text": p_text, "r2_text": r2_text}
    not_asked = run.get("not_asked") or {}
    return str(render(TEMPLATES, "notebook.html", about=about, claims=claims, not_asked=not_asked, **functions))


def picture(claim: Mapping[Any, Any], circles: pd.DataFrame) -> Markup:
    """The circle of one claim, trained and random in one frame."""
    points = at(circles, **{key: claim[key] for key in (*PLACE, "layer")})
    rim = {"cx": SIZE / 2, "cy": SIZE / 2, "r": RADIUS, "fill": "none", "stroke": "currentColor", "stroke-opacity": 0.3}
    elements: list[Element] = [("circle", rim, "")]
    for weights, colour, size in (("random", RANDOM, 1.6), ("trained", TRAINED, 3.0)):
        elements += _dots(at(points, weights=weights).sort_values("label"), colour, size, filled=weights == "trained")
    return svg(f"{claim['name']}: class means on the plane", SIZE, SIZE, elements)


def _dots(rows: pd.DataFrame, colour: str, size: float, *, filled: bool) -> Iterator[Element]:
    """A set of class means; trained ones joined in the order of the circle."""
    places = [_place(x, y) for x, y in zip(rows["x"], rows["y"], strict=True)]
    if filled and places:
        step = step_round(len(places), int(rows["frequency"].iloc[0]))
        around = [places[index * step % len(places)] for index in range(len(places) + 1)]
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in around)
        yield svg_path(path, fill="none", stroke=colour, stroke_opacity=0.6)
    for (x, y), item in zip(places, rows["item"], strict=True):
        style = {"fill": colour} if filled else {"fill": "none", "stroke": colour}
        named = Markup("<title>{}</title>").format(escape(item))
        yield "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": size, **style}, named


def _place(x: float, y: float) -> tuple[float, float]:
    """A point of the plane in the picture; one that lies too far out is drawn at its edge."""
    length = max((x * x + y * y) ** 0.5 / REACH, 1.0)
    return SIZE / 2 + RADIUS * x / length, SIZE / 2 - RADIUS * y / length
