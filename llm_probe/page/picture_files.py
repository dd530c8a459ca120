"""Pictures as files and as parts of a page: the same bytes for the same figure, each file whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from llm_probe.page.figures import KINDS
from toy.run.files import replace_with


def save_figures(folder: Path, figures: Mapping[str, Figure], salt: str, dpi: int) -> list[Path]:
    """Every picture as svg and png; `salt` keeps the names inside an svg apart from other packages' on one page."""
    written = []
    for name, figure in figures.items():
        for kind in KINDS:
            written.append(folder / f"{name}.{kind}")
            replace_with(written[-1], lambda path, figure=figure, kind=kind: _save(figure, path, kind, salt, dpi))
    return written


def as_svg(figure: Figure, salt: str, dpi: int) -> str:
    """A picture as one `<svg>` element for a page."""
    text = io.StringIO()
    _save(figure, text, "svg", salt, dpi)
    return text.getvalue()[text.getvalue().index("<svg") :]


def _save(figure: Figure, target: Any, kind: str, salt: str, dpi: int) -> None:
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(target, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else {})
