"""A sweep on disk: what is to be done, what is done, who is doing what, and the status that `sweep.py status` prints.

    sweep.json             the plan: kind, cells in order, the command that made it
    cells/v1-<key>.json    a finished cell: written whole, after its tables; what is there is not computed again
    runs/<key>/            its tables, log.txt, claim.json (who took it last), failed.txt (why it failed)
    claims.lock            one byte for each cell; a cell is computed by who holds the lock on its byte
    STOP                   once it is there workers end before their next cell
    merged/                the tables of all cells

Locks are POSIX record locks: the system takes them back when their process ends, however it ends, so nothing is ever
left locked, on this machine or (NFS, Lustre with `flock`) on another.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from llm_probe.sweep.grid import Kind, SweepPoint, content_of, from_content, kind_of
from toy.run.cells import Cells
from toy.run.errors import InputError, printable
from toy.run.files import clear_partial, write_atomic

VERSION = 1
"""Version of the plan and of the record of a finished cell."""
LOG_LINES = 5

TAKE, TOUCH = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_SH | fcntl.LOCK_NB

State = Literal["done", "running", "damaged", "failed", "interrupted", "to do"]


class Sweep:
    """A sweep whose plan is on disk."""

    def __init__(self, folder: Path, name: str, kind: Kind, cells: Sequence[SweepPoint]) -> None:
        self.folder, self.name, self.kind, self.cells = folder, name, kind, tuple(cells)
        self.store = Cells(folder, VERSION)
        self._whole: set[str] = set()

    @property
    def is_stopped(self) -> bool:
        return (self.folder / "STOP").exists()

    def run_folder(self, cell: SweepPoint) -> Path:
        return self.folder / "runs" / cell.key

    def command(self, cell: SweepPoint) -> str:
        """The command that computes this cell alone."""
        return shlex.join(cell.words(self.kind, self.run_folder(cell)))

    def record(self, cell: SweepPoint) -> dict[str, Any] | None:
        """The record of a finished cell; None if it is not finished, or its record is damaged."""
        return self.store.read(cell.key)

    def is_done(self, cell: SweepPoint) -> bool:
        """Whether its record is there and whole, which is checked once: a bar of progress asks ten times a second."""
        if cell.key not in self._whole and self.record(cell) is not None:
            self._whole.add(cell.key)
        return cell.key in self._whole and self._record_path(cell).exists()

    def failure(self, cell: SweepPoint) -> str | None:
        """Why a cell failed, in a sentence."""
        path = self.run_folder(cell) / "failed.txt"
        return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else None

    def missing(self) -> list[SweepPoint]:
        """The cells that are not done."""
        return [cell for cell in self.cells if not self.is_done(cell)]

    def clear_partial(self, cell: SweepPoint) -> None:
        """Remove the half-written files of a worker that was killed. Only for who holds the cell's lock."""
        record = self._record_path(cell)
        clear_partial(record.parent, record.stem)
        clear_partial(self.run_folder(cell))

    def forget_failures(self) -> None:
        """Failed cells are tried again, and a stopped sweep goes on: what giving the command again means."""
        (self.folder / "STOP").unlink(missing_ok=True)
        for cell in self.cells:
            (self.run_folder(cell) / "failed.txt").unlink(missing_ok=True)

    def states(self) -> dict[str, State]:
        """The state of every cell, by its key."""
        locks = CellLocks(self.folder)
        return {cell.key: self._state(cell, locks) for cell in self.cells}

    def _state(self, cell: SweepPoint, locks: CellLocks) -> State:
        if self.is_done(cell):
            return "done"
        if locks.is_held(cell.key):
            return "running"
        if self._record_path(cell).exists():
            return "damaged"
        if self.failure(cell) is not None:
            return "failed"
        return "interrupted" if (self.run_folder(cell) / "claim.json").exists() else "to do"

    def _record_path(self, cell: SweepPoint) -> Path:
        path = self.store.path(cell.key)
        assert path is not None  # the sweep has a folder
        return path


class CellLocks:
    """The locks of a sweep. One object a process: closing the file gives back every lock the process has on it."""

    def __init__(self, folder: Path) -> None:
        self.file = (folder / "claims.lock").open("a+b")

    @contextmanager
    def held(self, key: str) -> Iterator[bool]:
        """Whether the cell is this process's own inside the block."""
        # Twice, because a process that only asks whether it is held has it for a moment.
        mine = self._lock(key, TAKE) or (time.sleep(0.02) or self._lock(key, TAKE))
        try:
            yield mine
        finally:
            if mine:
                self._lock(key, fcntl.LOCK_UN)

    def is_held(self, key: str) -> bool:
        """Whether another process has it."""
        return not (self._lock(key, TOUCH) and self._lock(key, fcntl.LOCK_UN))

    def _lock(self, key: str, how: int) -> bool:
        """Lock or unlock the cell's byte, and whether that was possible; an offset must be less than 2^63."""
        try:
            fcntl.lockf(self.file, how, 1, int(key, 16) >> 2)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise InputError(
                f"the file system of {self.file.name} cannot lock files ({error.strerror}): give --out on another"
            ) from error
        return True


def plan(folder: Path, name: str, kind: Kind, cells: Sequence[SweepPoint], command: str) -> Sweep:
    """A sweep of these cells in a folder; those of an earlier plan that are done stay done.

    Raises:
        InputError: the folder cannot be written or belongs to another kind of sweep.
    """
    if (folder / "sweep.json").exists() and (there := _content(folder)["kind"]) != name:
        raise InputError(f"{folder} is a sweep of {there} jobs, not of {name}: give another --out")
    sweep = Sweep(folder, name, kind, cells)
    content = {"version": VERSION, "kind": name, "command": command, "cells": [content_of(cell) for cell in cells]}
    write_atomic(folder / "sweep.json", json.dumps(content, indent=1) + "\n")
    return sweep


def open_sweep(folder: Path, kinds: Mapping[str, Kind]) -> Sweep:
    """The sweep in a folder.

    Raises:
        InputError: there is none, or one of another version.
    """
    content = _content(folder)
    kind = kind_of(kinds, content["kind"])
    try:
        cells = [from_content(kind, content["kind"], one) for one in content["cells"]]
        edited = [one["key"] for one, cell in zip(content["cells"], cells, strict=True) if one["key"] != cell.key]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{_plan_of(folder)} is damaged ({error!r}): {_again(content)}") from error
    if edited:
        raise InputError(
            f"{_plan_of(folder)} was edited or is another version's: cell {edited[0]} is not what its name was made "
            f"of; {_again(content)}"
        )
    return Sweep(folder, content["kind"], kind, cells)


def _plan_of(folder: Path) -> Path:
    return folder / "sweep.json"


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads(_plan_of(folder).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} holds no sweep: start one with scripts/sweep.py grid.yaml --out {folder}"
        ) from error
    except ValueError as error:
        raise InputError(f"{_plan_of(folder)} is damaged ({error}): {_again({})}") from error
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
        raise InputError(f"{_plan_of(folder)} is damaged (it names no kind): {_again({})}")
    if content.get("version") != VERSION:
        raise InputError(
            f"{folder} was made by version {content.get('version')} of sweeps, this is {VERSION}: move it away and run "
            f"again ({content.get('command')})"
        )
    return content


def _again(content: Mapping[str, Any]) -> str:
    """What makes a plan again; finished cells stay."""
    return f"remove it and give the sweep's command again ({content.get('command', 'scripts/sweep.py grid.yaml')})"


def status(sweep: Sweep) -> str:
    """Counts by state; below them every cell that is running or has to be computed again, with the end of its log."""
    states = sweep.states()
    counts = Counter(states.values())
    # What the missing cells would take one after the other, if they were like those that are done.
    seconds = [record["seconds"] for cell in sweep.cells if (record := sweep.record(cell))]
    missing = len(sweep.cells) - len(seconds)
    left = f"; about {in_time(missing * sum(seconds) / len(seconds))} of work left" if seconds and missing else ""
    summary = ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])
    lines = [f"{sweep.folder}: {len(sweep.cells)} {sweep.name} cells: {summary}{left}"]
    if sweep.is_stopped:
        lines.append("stopped: the file STOP is there; the same command takes it away and goes on")
    for cell in sweep.cells:
        folder, state = sweep.run_folder(cell), states[cell.key]
        if state in ("running", "damaged", "failed", "interrupted"):
            lines.append(f"{state:<11} {cell.name}  {_claim_in_words(folder / 'claim.json')}")
        if state == "damaged":
            lines.append("    its record has no valid checksum: the sweep's command computes it again")
        if state == "failed":
            lines.append(f"    {sweep.failure(cell)}")
        if state in ("failed", "interrupted"):
            lines += [*(f"    | {line}" for line in log_end(folder / "log.txt")), f"    alone: {sweep.command(cell)}"]
    return printable("\n".join(lines))


def log_end(path: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log; none if there is no log."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] if path.exists() else []


def in_time(seconds: float) -> str:
    """12 s, 3 min, 4.5 h, 2.1 days"""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _claim_in_words(path: Path) -> str:
    """Who took a cell, and when."""
    try:
        claim = json.loads(path.read_text(encoding="utf-8"))
        job = f" job {claim['job']}" if claim["job"] else ""
        ago = in_time(max(0.0, time.time() - claim["started"]))
        return f"{claim['host']} process {claim['process']}{job}, {ago} ago"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return f"taken, but {path} is damaged"
