"""The level of a claim as a word and as a small picture, and its closest rival in words.

    nothing      an empty dotted outline          ordered   an open bow of dots
    decodable    dots without an order            helix     a coil
    clusters     three groups of dots             circle    a closed ring of dots

Glyphs take the colour of the text beside them, so that they print and can be told apart without colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from llm_probe.page.sections import Element, Real, svg, svg_path
from llm_probe.page.views import number, text

SIZE = 18
"""Of a glyph, in px both ways."""
MEANINGS = {
    "nothing": "nothing: no plane reads it better than under renamed labels",
    "decodable": "decodable: each has a direction of its own, without an order",
    "clusters": "clusters: they go together in groups",
    "ordered": "ordered: a line, an open or a folded arc, or an order that is not yet a circle's",
    "helix": "helix: the integer itself is held, so that every period can be read",
    "circle": "circle: they stand in order round a closed circle",
}
"""Every level of `Level`, from the least to the most, in a phrase."""
WITH_RIVAL = ("clusters", "ordered", "circle")
"""Levels at which a shape was shown; below them, and where the integer is held, comparing shapes says nothing."""

Row = Mapping[Any, Any]


def level_text(claim: Row) -> str:
    """The level and what exactly it is, such as `circle` or `ordered: open arc`; empty in tables without levels."""
    level, shape = text(claim.get("level")), text(claim.get("shape"))
    if level == "helix" and shape:
        return f"helix {shape}" if shape.startswith("T") else f"helix, {shape}"
    return f"{level}: {shape}" if level and shape else level


def rival_text(claim: Row) -> str:
    """The circle's closest rival and how much less likely it is; empty if no shape was shown or the reason names it."""
    if text(claim.get("level")) not in WITH_RIVAL:
        return ""
    rival, nats = text(claim.get("rival")), number(claim.get("rival_ratio"))
    if not rival or nats is None or "likelier than the circle" in text(claim.get("reason")):
        return ""
    size = f"{abs(nats):.0f}" if abs(nats) >= 10 else f"{abs(nats):.1f}"
    family, _, partition = rival.partition(": ")
    name = f"{family} ({partition})" if partition else {"runs": "runs of neighbours"}.get(family, family)
    return f"closest rival: {name}, {size} nats {'less' if nats > 0 else 'more'} likely"


def glyph(level: str) -> Markup:
    """The picture of a level as an inline SVG in the colour of the text; nothing for a level that is not known."""
    if level not in MEANINGS:
        return Markup("")
    return svg(MEANINGS[level], SIZE, SIZE, _ELEMENTS[level])


def glyphs() -> dict[str, Markup]:
    """The picture of every level."""
    return {level: glyph(level) for level in MEANINGS}


def _dots(places: Iterable[tuple[float, float]], radius: Real = 1.5) -> list[Element]:
    return [
        ("circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": radius, "fill": "currentColor"}, "") for x, y in places
    ]


def _round(angles: Iterable[Real], radius: Real = 6.3) -> list[tuple[float, float]]:
    """Places at these angles (degrees, clockwise from the right) round the middle of a glyph."""
    middle = SIZE / 2
    radians = map(math.radians, angles)
    return [(middle + radius * math.cos(angle), middle + radius * math.sin(angle)) for angle in radians]


def _arc(places: list[tuple[float, float]], radius: Real) -> str:
    """The path of the circle's smaller arc from the first to the last of some places on it."""
    (x, y), (end_x, end_y) = places[0], places[-1]
    return f"M{x:.1f},{y:.1f}A{radius},{radius} 0 0 1 {end_x:.1f},{end_y:.1f}"


def _coil(turns: Real = 2.5, steps: int = 60) -> str:
    """The path of a coil seen from the side."""
    places = []
    for step in range(steps + 1):
        along = step / steps
        ((x, y),) = _round([180 + 360 * turns * along], 1)
        places.append(f"{SIZE / 2 + 2.3 * (x - SIZE / 2) + 11 * (along - 0.5):.1f},{SIZE / 2 + 6 * (y - SIZE / 2):.1f}")
    return "M" + "L".join(places)


_STROKE = {"fill": "none", "stroke": "currentColor", "stroke-width": 1.2}
_GROUPS = [(9.0, 3.0), (6.6, 5.6), (11.4, 5.6), (3.2, 12.0), (3.6, 15.6), (6.8, 14.0), (14.8, 12.0), (14.4, 15.6),
           (11.2, 14.0)]  # fmt: skip
_SCATTERED = [(3.2, 4.6), (9.4, 2.8), (14.6, 6.4), (6.2, 9.6), (11.6, 11.2), (3.0, 14.4), (9.0, 15.6), (15.2, 15.0)]
_BOW = [(x, y + 3.5) for x, y in _round((184, 227, 270, 313, 356), 7)]
_ELEMENTS: dict[str, list[Element]] = {
    "nothing": [
        ("rect", {"x": 3, "y": 3, "width": 12, "height": 12, "rx": 2, **_STROKE, "stroke-dasharray": "1.5 2.5"}, "")
    ],
    "decodable": _dots(_SCATTERED, 1.4),
    "clusters": _dots(_GROUPS, 1.7),
    "ordered": [svg_path(_arc(_BOW, 7), **_STROKE), *_dots(_BOW, 1.7)],
    "helix": [svg_path(_coil(), **_STROKE)],
    "circle": [
        ("circle", {"cx": SIZE / 2, "cy": SIZE / 2, "r": 6.3, **_STROKE}, ""),
        *_dots(_round(range(0, 360, 60)), 1.8),
    ],
}
