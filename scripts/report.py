"""Make the page again from a run's tables, or one page for several runs, or for the cells of a sweep.

python scripts/report.py results/reference                                       results/reference/report.html
python scripts/report.py results/reference results/all-MiniLM-L6-v2 --out page.html
python scripts/report.py results/sweeps/x                                        its cells; what is missing comes first
python scripts/report.py results/reference --paper figures                       one figure a claim, as PDF and SVG
"""

from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from _page import write_page

from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """Reads tables only: no model, a few seconds."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Results folders of scripts/probe_llm.py: one gives its own page, several their common one; or one sweep's."""
    out: Path | None = None
    """The file; none given: report.html in the folder of one run or sweep, results/ladder.html for several."""
    embed: bool = False
    """Carry the runs' own pages inside the common one, as downloads, instead of linking them."""
    paper: Path | None = None
    """Folder for figures instead of a page: one a claim, 3.25 and 5.5 inches wide, as PDF and SVG; of several runs in
    folders of their names."""


def make(options: Options, command: str) -> Path:
    """Read, render, write.

    Raises:
        InputError: a folder that cannot be read or written or lacks tables, no folder, or two models under one name.
    """
    from llm_probe.page import ladder_page
    from llm_probe.run.schema import read_runs

    if not options.runs:
        raise InputError("no run to report: give one or more results folders of scripts/probe_llm.py")
    if len(options.runs) == 1 and (options.runs[0] / "sweep.json").is_file():
        return make_sweep(options, command)
    if options.paper:
        return make_figures(options.runs, options.paper)
    runs = read_runs(list(dict.fromkeys(options.runs)))
    alone = len(runs) == 1
    if alone and runs[0].missing and not options.out:
        raise InputError(
            f"{runs[0].folder} has no {', '.join(f'{name}.csv' for name in runs[0].missing)}: its page would lose what "
            "they show; give --out to make another one"
        )
    out = options.out or (runs[0].folder / "report.html" if alone else Path("results") / "ladder.html")
    if alone:
        write_page(runs[0], out)
    else:
        write(out, ladder_page.render(runs, command, out.resolve().parent, embed=options.embed))
    return out


def make_figures(folders: tuple[Path, ...], folder: Path) -> Path:
    """One figure a claim of every run.

    Raises:
        InputError: a run cannot be read or has nothing to draw, or the folder cannot be written.
    """
    from llm_probe.page.paper import save_claims
    from llm_probe.page.terminal import called
    from llm_probe.run.schema import read_runs
    from toy.run.files import writing_to

    runs = read_runs(list(dict.fromkeys(folders)))
    with writing_to(folder, "give another folder with --paper"):
        for run in runs:
            save_claims(folder if len(runs) == 1 else folder / run.name, run.frames, called(run.run))
    return folder


def make_sweep(options: Options, command: str) -> Path:
    """The page of a sweep's cells.

    Raises:
        InputError: as `llm_probe.sweep.merge.page`, or the page cannot be written.
    """
    from _kinds import KINDS

    from llm_probe.sweep.folder import open_sweep
    from llm_probe.sweep.merge import page

    folder = options.runs[0]
    out = options.out or folder / "report.html"
    write(out, page(open_sweep(folder, KINDS), command, out.resolve().parent, embed=options.embed))
    return out


def write(out: Path, content: str) -> None:
    """One file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    from toy.run.files import write_atomic

    try:
        write_atomic(out, content)
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror}): give another file with --out") from error


def main() -> int:
    def work(options: Options, command: str) -> None:
        print(f"{'figures' if options.paper else 'page'}  {make(options, command)}")

    return run(__file__, Options, __doc__, work, "the page that was there is whole")


if __name__ == "__main__":
    sys.exit(main())
