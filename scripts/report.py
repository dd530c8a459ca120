"""Make the page again from a run's tables, or one page for several runs, or for the cells of a sweep.

python scripts/report.py results/reference                                       results/reference/report.html
python scripts/report.py results/reference results/all-MiniLM-L6-v2 --out page.html
python scripts/report.py results/sweeps/x                                        its cells; what is missing comes first
"""

from _command import ended

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from _page import sections

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


def make(options: Options, command: str) -> Path:
    """Read the tables and write the page.

    Raises:
        InputError: a folder that cannot be read or written or lacks tables, no folder, or two models under one name.
    """
    from llm_probe.page import ladder_page, report
    from llm_probe.run.schema import read_runs
    from toy.run.files import write_atomic

    if not options.runs:
        raise InputError("no run to report: give one or more results folders of scripts/probe_llm.py")
    first, alone = options.runs[0], len(set(options.runs)) == 1
    out = options.out or (first / "report.html" if alone else Path("results") / "ladder.html")
    content, beside = "", out.resolve().parent
    if is_sweep := len(options.runs) == 1 and (first / "sweep.json").is_file():
        from _kinds import KINDS
        from llm_probe.sweep import page
        from llm_probe.sweep.folder import open_sweep

        content = page.render(open_sweep(first, KINDS), command, beside, embed=options.embed)
    runs = [] if is_sweep else read_runs(list(dict.fromkeys(options.runs)))
    if len(runs) > 1:
        content = ladder_page.render(runs, command, beside, embed=options.embed)
    elif runs and runs[0].missing and not options.out:
        raise InputError(
            f"{first} has no {', '.join(f'{name}.csv' for name in runs[0].missing)}: its page would lose what they "
            "show; give --out to make another one"
        )
    try:
        if content:
            write_atomic(out, content)
        else:
            report.write(out, runs[0].frames, runs[0].run, sections(first))
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror}): give another file with --out") from error
    return out


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/report.py")
    command = shlex.join(["python", "scripts/report.py", *sys.argv[1:]])
    return ended(lambda: print(f"page  {make(options, command)}"), "the page that was there is whole")


if __name__ == "__main__":
    sys.exit(main())
