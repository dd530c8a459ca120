"""The page of a sweep of probes: what is missing and why, then the verdicts of all finished cells beside each other.

    missing   a line a cell that is not done: state, reason, the end of its log, the command that does it alone
    the rest  the page of several runs (`llm_probe.page.ladder_page`), a cell in place of a run

What is missing is read off the sweep itself, as `merge` does for gaps.csv, so a page is never older than its cells.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from llm_probe.page import TEMPLATES, ladder_page
from llm_probe.run.config import ProbeConfig
from llm_probe.run.schema import RunTables, check_one_model_a_name, read_run
from llm_probe.sweep.folder import Sweep, log_end
from llm_probe.sweep.grid import SweepPoint
from llm_probe.sweep.merge import gaps_of
from toy.run.errors import InputError
from toy.run.templates import render as render_template


def render(sweep: Sweep, command: str = "", beside: Path = Path(), *, embed: bool = False) -> str:
    """The page as text; the arguments are those of `ladder_page.render`.

    Raises:
        InputError: no sweep of probes, no finished cell, one that cannot be read, or two models under one name.
    """
    if sweep.kind.config is not ProbeConfig:
        raise InputError(
            f"{sweep.folder} is a sweep of {sweep.name} jobs, and the page is one of a probe's verdicts: read its "
            f"tables, python scripts/sweep.py merge {sweep.folder}"
        )
    runs = [_run(sweep, cell) for cell in sweep.cells if sweep.is_done(cell)]
    if not runs:
        raise InputError(f"no cell of {sweep.folder} is done: see python scripts/sweep.py status {sweep.folder}")
    check_one_model_a_name(runs)
    return ladder_page.render(runs, command, beside, embed=embed, first=_missing(sweep))


def _run(sweep: Sweep, cell: SweepPoint) -> RunTables:
    """A cell under its name. Of its tables only the verdicts stay in memory: there may be a thousand cells."""
    run = read_run(sweep.run_folder(cell))
    return replace(run, name=cell.name, frames={"verdicts": run.frames["verdicts"]})


def _missing(sweep: Sweep) -> str:
    """The section of the gaps; a sweep without any says so."""
    gaps = [
        {**gap, "log": "\n".join(log_end(sweep.folder / "runs" / gap["cell"] / "log.txt"))} for gap in gaps_of(sweep)
    ]
    return render_template(TEMPLATES, "sweep.html", gaps=gaps, count=len(sweep.cells))
