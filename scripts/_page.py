"""The page of a results folder, with a section for every study of the same model that stands in the folder.

Each package makes its own section; only scripts know all packages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toy.run.errors import InputError

if TYPE_CHECKING:
    from llm_probe.page.sections import Section
    from llm_probe.run.schema import RunTables


def sections(folder: Path) -> list[Section]:
    """The sections of the studies whose tables stand in the folder of a probe run."""
    from causal.page.addition import section as addition
    from causal.page.neurons import section as neurons
    from causal.page.section import section as causal
    from causal.page.succession import section as succession
    from llm_probe.circuits.page import section as circuits
    from llm_probe.emergence.page import section as series
    from sae.circles.page import section as features

    every = (causal, succession, addition, neurons, features, circuits, series)
    return [section for make in every if (section := make(folder))]


def write_page(tables: RunTables, page: Path) -> None:
    """Write the page of a probe run, with a section for everything that was run on its model.

    Raises:
        InputError: the page cannot be written.
    """
    from llm_probe.page import report

    try:
        report.write(page, tables.frames, tables.run, sections(tables.folder))
    except OSError as error:
        raise InputError(
            f"cannot write {page} ({error.strerror}): the tables are complete; "
            f"python scripts/report.py {tables.folder} --out makes the page in another place"
        ) from error


def rewrite(folder: Path) -> None:
    """Write report.html again from the tables on disk, if there is one and anything to add to it.

    A folder that lacks tables keeps its page: a new one would show less.

    Raises:
        InputError: the tables cannot be read, or the page cannot be written.
    """
    from llm_probe.run.schema import read_run

    page = folder / "report.html"
    if page.is_file() and sections(folder) and not (tables := read_run(folder)).missing:
        write_page(tables, page)
