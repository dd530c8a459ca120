"""The style of every figure outside `toy`: toy's palette and frame, what language models add to it, and saving.

Trained weights are blue, filled and solid; random weights orange, hollow and dashed; a null is a grey band. The other
colours tell families and statistics apart; all of them can be told apart by colour-blind readers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from toy.pictures.style import BAND, DPI, GREY, INK, MAGNITUDE, SIZE, TRAINED, frame, listed, span
from toy.pictures.style import UNTRAINED as RANDOM
from toy.run.files import replace_with

__all__ = ["BAND", "GREY", "INK", "RANDOM", "SIZE", "TRAINED", "frame", "listed", "span"]

OCHRE, GREEN, VIOLET, RED, SKY, RULE = "#8A6100", "#00735C", "#8A3B9B", "#A1223A", "#56B4E9", "#E4E7EB"
VERDICT_COLOURS = {"supported": TRAINED, "undetermined": OCHRE, "refuted": GREY}
_VARIABLES = {
    TRAINED.upper(): "trained", RANDOM.upper(): "random", INK: "ink", "#000000": "ink", GREY: "grey", BAND: "band",
    RULE: "rule", "#FFFFFF": "ground", OCHRE: "undetermined", GREEN: "green", VIOLET: "violet", RED: "red", SKY: "sky",
}  # fmt: skip
"""Colours to their variables in colours.css, which has a light and a dark value for each."""
KINDS = ("svg", "png")
Called = tuple[str, str]
"""What figures and pages call the weights that were probed, and those that they are compared with."""
TRAINED_AND_RANDOM: Called = ("trained weights", "random weights")
UNTRAINED: Called = ("these random weights", "other random weights")
"""Of a run whose own weights were never trained."""


def magnitude(value: int | float) -> str:
    """The colour of a value between 0 and 1, as HTML writes it."""
    return to_hex(colormaps[MAGNITUDE](min(max(value, 0.0), 1.0)))


SCALE = tuple(magnitude(step / 8) for step in range(9))
"""The colours of `magnitude` from 0 to 1."""
GRADIENT = ", ".join(SCALE)
"""The same as the stops of a CSS gradient."""


def save_figures(
    folder: Path, figures: Mapping[str, Figure], salt: str, kinds: Sequence[str] = KINDS, *, embed: bool = False
) -> list[Path]:
    """Write every figure as svg and png, the same bytes for the same figure, each file whole or not at all.

    `salt` keeps the names inside an svg apart from those of other packages on one page; `embed`: an svg with the
    outlines of its letters, so that it looks the same where the font is missing. A pdf always holds its fonts.
    """
    written = [folder / f"{name}.{kind}" for name in figures for kind in kinds]
    for path in written:
        figure, kind = figures[path.name.removesuffix(path.suffix)], path.suffix[1:]
        replace_with(path, lambda target, figure=figure, kind=kind: _save(figure, target, kind, salt, embed=embed))
    return written


def css(colour: str) -> str:
    """A colour as a page writes it: as the variable that follows the page into the dark, where there is one."""
    name = _VARIABLES.get(colour.upper())
    return f"var(--{name})" if name else colour


def as_svg(figure: Figure, salt: str) -> Markup:
    """A figure as one `<svg>` element for a page, in the colours and the type of the page."""
    text = io.StringIO()
    _save(figure, text, "svg", salt)
    # Matplotlib names twelve fonts at every word and writes millionths of a pixel: more than the rest of a page.
    element = re.sub(r" font-family: [^;\"]+;", "", text.getvalue()[text.getvalue().index("<svg") :])
    element = re.sub(r' (?:d|x|y)="[^"]+"', lambda place: re.sub(r"\d+\.\d{3,}", _hundredths, place[0]), element)
    return Markup(re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda colour: css(colour[0]), element))


def _hundredths(written: re.Match[str]) -> str:
    return f"{float(written[0]):.2f}"


def _save(figure: Figure, target: Any, kind: str, salt: str, *, embed: bool = False) -> None:
    # Type 42 fonts can be edited, and journals that refuse type 3 take them.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": "path" if embed else "none", "pdf.fonttype": 42}):
        figure.savefig(target, format=kind, dpi=DPI, metadata=undated.get(kind, {}))
