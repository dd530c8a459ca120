"""The page of a sweep of probes: what is missing and why, then the verdicts of all finished cells beside each other.

    missing   a line a cell that is not done: state, reason, the end of its log, the command that does it alone
    the rest  the page of several runs (`llm_probe.page.ladder_page`), a cell in place of a run

What is missing is read off the sweep itself, as `merge` does for gaps.csv, so a page is never older than its cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from llm_probe.page import ladder_page
from llm_probe.run.config import ProbeConfig
from llm_probe.run.schema import RunTables, check_one_model_a_name, read_run
from llm_probe.sweep.folder import Sweep, log_end
from llm_probe.sweep.grid import SweepPoint
from llm_probe.sweep.merge import gaps_of
from toy.run.errors import InputError


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
    return ladder_page.render(runs, command, beside, embed=embed, first=_missing(sweep, gaps_of(sweep)))


def _run(sweep: Sweep, cell: SweepPoint) -> RunTables:
    """A cell under its name. Of its tables only the verdicts stay in memory: there may be a thousand cells."""
    run = read_run(sweep.run_folder(cell))
    return replace(run, name=cell.name, frames={"verdicts": run.frames["verdicts"]})


def _missing(sweep: Sweep, gaps: Sequence[Mapping[str, str]]) -> str:
    """The section of the gaps; a sweep without any says so."""
    count = len(sweep.cells)
    if not gaps:
        return f'<p class="empty">All {count} cells of the sweep are here.</p>'
    head = "".join(f'<th scope="col">{name}</th>' for name in ("cell", "state", "why", "alone"))
    lines = "".join(
        f'<tr><th scope="row">{escape(gap["name"])}</th><td>{escape(gap["state"])}</td><td>{_why(sweep, gap)}</td>'
        f"<td><code>{escape(gap['command'])}</code></td></tr>"
        for gap in gaps
    )
    return (
        '<section aria-labelledby="h-missing"><h2 id="h-missing">Missing</h2>'
        f"<p>{len(gaps)} of {count} cells are not in what follows. The sweep's command, given again, does them.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Missing"><table class="runs">'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _why(sweep: Sweep, gap: Mapping[str, str]) -> str:
    log = "\n".join(log_end(sweep.folder / "runs" / gap["cell"] / "log.txt"))
    said = f"<details><summary>end of its log</summary><pre>{escape(log)}</pre></details>" if log else ""
    return f"{escape(gap['reason'])}{said}" or "–"
