"""The page of a results folder with a section for everything that was run on it; only scripts know all of them."""

from pathlib import Path

from toy.errors import InputError


def rewrite(folder: Path) -> None:
    """Write report.html again from the tables on disk, if there is one and anything to add to it.

    Raises:
        InputError: the tables cannot be read, or the page cannot be written.
    """
    from causal.section import section
    from llm_probe import report
    from llm_probe.schema import read_run

    page = folder / "report.html"
    if not page.is_file() or not (found := section(folder)):
        return
    tables = read_run(folder)
    try:
        report.write(page, tables.frames, tables.run, [found])
    except OSError as error:
        raise InputError(f"cannot write {page}: {error.strerror}; the tables are complete") from error
