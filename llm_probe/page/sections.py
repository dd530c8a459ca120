"""Parts of the page that later stages add: a section is data, and one template (section.html) writes it.

`finished_run` reads what such a stage left in a probe run's folder; `svg` draws small pictures that need no matplotlib.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from llm_probe.page import TEMPLATES
from llm_probe.run.reading import check_unchanged, read_frame, read_record
from toy.run.templates import render

Run = Mapping[str, Any]
Real = int | float
Element = tuple[str, Mapping[str, object], object]
"""Tag, attributes and content of an SVG element."""


@dataclass(frozen=True)
class Part:
    """A stretch of a section; what is empty is left out, the rest stands in this order."""

    heading: str = ""
    paragraphs: Sequence[str] = ()
    kind: str = ""
    """Class of the paragraphs: `summary` is large, `facts` is plain."""
    table: Sequence[Sequence[str]] = ()
    """Rows of text, the head first."""
    picture: Markup | None = None
    caption: str = ""
    content: Markup | str = ""
    """What a template of the section's own package made."""


@dataclass(frozen=True)
class Section:
    """A part of the page that a later stage makes, without a script of its own."""

    anchor: str
    """`causal`: its address on the page is #causal."""
    title: str
    parts: Sequence[Part]
    command: str = ""
    """What makes its tables again."""
    files: Sequence[str] = ()
    """Its tables, relative to the page."""

    @property
    def html(self) -> Markup:
        """What stands under the heading."""
        return render(TEMPLATES, "section.html", section=self)


def finished_run(
    folder: Path, tables: Mapping[str, type], required: Collection[str] = ()
) -> tuple[Run, dict[str, pd.DataFrame]] | None:
    """run.json and the tables with today's columns, a missing table empty; None of a run that has not finished.

    Raises:
        InputError: one of them cannot be read, or was edited.
    """
    if not (folder / "run.json").is_file() or not all((folder / f"{name}.csv").is_file() for name in required):
        return None
    paths = {name: folder / f"{name}.csv" for name in tables}
    frames = {
        name: (read_frame(path, tables[name], as_text=False) if path.is_file() else pd.DataFrame()).reindex(
            columns=[field.name for field in fields(tables[name])]
        )
        for name, path in paths.items()
    }
    record = read_record(folder / "run.json")
    check_unchanged(folder, record)
    return record, frames


def written_tables(folder: Path, tables: Collection[str]) -> list[str]:
    """The tables that a run's folder has, as links from the page above it."""
    return [f"{folder.name}/{name}.csv" for name in tables if (folder / f"{name}.csv").is_file()]


# ------------------------------------------------------------------------------------------------------ small pictures


def svg(label: str, width: Real, height: Real, elements: Sequence[Element], *, fixed: bool = True) -> Markup:
    """A picture of these elements; one that is not `fixed` grows with the page."""
    size = {"width": f"{width:.4g}", "height": f"{height:.4g}"}
    return render(TEMPLATES, "svg.html", label=label, elements=elements, fixed=fixed, **size)


def svg_text(x: Real, y: Real, words: object, anchor: str = "start", kind: str = "muted") -> Element:
    """Words at a place of a picture."""
    return "text", {"x": f"{x:.4g}", "y": f"{y:.4g}", "text-anchor": anchor, "class": kind}, words


def svg_path(path: str, **attributes: object) -> Element:
    """A path; `kind` is its class."""
    names = {"kind": "class"}
    return "path", {names.get(key, key.replace("_", "-")): value for key, value in attributes.items()} | {"d": path}, ""
