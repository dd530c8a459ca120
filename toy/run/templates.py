"""Pages as templates and data: HTML stands in jinja2 templates, and Python hands them plain values.

Every value is escaped where a template prints it, unless it is `Markup` already: the result of another template, or a
picture that was drawn here. A name that a template uses and nobody passed is an error, never an empty place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render(folder: Path, template: str, **values: object) -> Markup:
    """The template of this name in a folder, filled in."""
    return Markup(_environment(folder).get_template(template).render(values))


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
