"""The page of a results folder with a section for everything that was run on it; only scripts know all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toy.run.errors import InputError

if TYPE_CHECKING:
    from llm_probe.page.report import Section


def sections(folder: Path) -> list[Section]:
    """What was run on the model of a probe run's folder, and stands there."""
    from causal.page.section import section as causal
    from llm_probe.circuits.section import section as circuits
    from sae.circles.section import section as features

    return [found for make in (causal, features, circuits) if (found := make(folder))]


def rewrite(folder: Path) -> None:
    """Write report.html again from the tables on disk, if there is one and anything to add to it.

    A folder that lacks tables keeps its page: a new one would show less.

    Raises:
        InputError: the tables cannot be read, or the page cannot be written.
    """
    from llm_probe.page import report
    from llm_probe.run.schema import read_run

    page = folder / "report.html"
    if not page.is_file() or not (found := sections(folder)):
        return
    tables = read_run(folder)
    if tables.missing:
        return
    try:
        report.write(page, tables.frames, tables.run, found)
    except OSError as error:
        raise InputError(f"cannot write {page}: {error.strerror}; the tables are complete") from error
