"""Does the working tree still give the tables of an earlier commit? Both are run here, and compared text for text.

python scripts/repository/same_tables.py                     against the last commit
python scripts/repository/same_tables.py bc63606 --minilm    against any other; MiniLM too (`make minilm` places it)
python scripts/repository/same_tables.py bc63606 --cost      what a run costs, both run anew one after the other

Sums round differently on other processors, so the committed tables of another machine cannot be compared byte for
byte: the earlier commit is checked out under work/same_tables and runs on this one (once: its tables are kept).
Columns that only one of the two has are named and are no difference; every value of a shared column must be the same
text. Exit code 1 if anything differs.
"""

from __future__ import annotations

import _root
from _command import ROOT, run

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from toy.run.errors import InputError

WORK = ROOT / "work" / "same_tables"
MINILM = ROOT / "work" / "all-MiniLM-L6-v2"
CLAIMS = "days months hours compass notes zodiac alphabet seasons numbers planets sizes grades"


@dataclass(frozen=True)
class Request:
    """What is compared with what."""

    base: Annotated[str, tyro.conf.Positional] = "HEAD"
    """The commit whose tables are asked for."""
    minilm: bool = False
    """Also the twelve domains of `make minilm`; the model must be in work/all-MiniLM-L6-v2."""
    cost: bool = False
    """Run the earlier commit anew too, and print the processor time of both runs and their ratio."""


def main() -> int:
    kept = f"tables that are complete are in {WORK}: the same command goes on"
    return run(__file__, Request, __doc__, compare, kept)


def compare(request: Request, _: str) -> int:
    """Probe with both, print every difference; 1 if there is one."""
    models = {"reference": ["--model", "reference"]}
    if request.minilm:
        if not MINILM.is_dir():
            raise InputError(f"{MINILM} is not there: `make minilm` installs and places the model")
        models["all-MiniLM-L6-v2"] = ["--model", str(MINILM), "--domains", *CLAIMS.split()]
    commit = commit_of(request.base)
    differences = 0
    for name, arguments in models.items():
        before, after = WORK / commit / name, WORK / "now" / name
        if request.cost:
            shutil.rmtree(before, ignore_errors=True)
        was = 0.0 if (before / "run.json").is_file() else _run(checkout(commit), before, arguments)
        shutil.rmtree(after, ignore_errors=True)
        seconds = _run(ROOT, after, arguments)
        if request.cost:
            print(f"{name}: {was:.0f} s of processor time before, {seconds:.0f} s now, ratio {seconds / was:.2f}")
        for table in sorted(path.name for path in before.glob("*.csv")):
            for line in differing(before / table, after / table):
                differences += not line.startswith("only")
                print(f"{name}/{table}: {line}")
    print(f"{differences} differences from {commit} in the tables of {', '.join(models)}")
    return 1 if differences else 0


def differing(before: Path, after: Path) -> Iterator[str]:
    """A line for every column of one table that is not the same text in both; `only …` for one that is in one alone."""
    import pandas as pd

    if not after.is_file():
        yield "the table is missing"
        return
    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (before, after))
    for where, extra in (("before", set(old) - set(new)), ("now", set(new) - set(old))):
        yield from (f"only {where}: {column}" for column in sorted(extra))
    if len(old) != len(new):
        yield f"{len(new)} rows instead of {len(old)}"
        return
    for column in (name for name in old if name in new):
        texts = list(zip(old[column].tolist(), new[column].tolist(), strict=True))
        changed = [row for row, (was, now) in enumerate(texts) if was != now]
        if changed:
            was, now = texts[changed[0]]
            yield f"{column} differs in {len(changed)} of {len(old)} rows, in row {changed[0]} {was!r} is {now!r}"


def commit_of(base: str) -> str:
    """The commit that a name stands for; InputError if it is none."""
    return _git("rev-parse", "--verify", f"{base}^{{commit}}")[:12]


def checkout(commit: str) -> Path:
    """A folder with that commit's files, made if it is not there."""
    folder = WORK / commit / "checkout"
    if not folder.is_dir():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(folder), commit)
    return folder


def _run(checkout: Path, out: Path, arguments: list[str]) -> float:
    """Probe, and say how many seconds of processor time it took."""
    print(f"probing {out.name} with the code in {checkout}", file=sys.stderr)
    command = [sys.executable, "scripts/probe_llm.py", *arguments, "--out", str(out)]
    before = os.times()
    subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
