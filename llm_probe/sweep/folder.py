"""A sweep on disk: what is to be done, what is done, and who is doing what.

    sweep.json             the plan: kind, cells in order, the command that made it
    cells/v1-<key>.json    a finished cell: written whole, after its tables; what is there is not computed again
    runs/<key>/            its tables, log.txt, claim.json (who took it last), failed.txt (why it failed)
    claims.lock            one byte a cell; a cell is computed by who holds the lock on its byte
    STOP                   once it is there workers end before their next cell
    merged/                the tables of all cells

Locks are POSIX record locks: the system takes them back when their process ends, however it ends, so nothing is ever
left locked, on this machine or (NFS, Lustre with `flock`) on another.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from llm_probe.sweep.grid import Cell, Kind, content_of, from_content, kind_of
from toy.run.cells import Cells
from toy.run.errors import InputError
from toy.run.files import clear_partial, write_atomic

VERSION = 1
"""Of the plan and of what a finished cell holds."""

State = Literal["done", "running", "failed", "interrupted", "to do"]


class Sweep:
    """A sweep whose plan is on disk."""

    def __init__(self, folder: Path, name: str, kind: Kind, cells: Sequence[Cell]) -> None:
        self.folder, self.name, self.kind, self.cells = folder, name, kind, tuple(cells)
        self.store = Cells(folder, VERSION)

    def run_folder(self, cell: Cell) -> Path:
        return self.folder / "runs" / cell.key

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """What a finished cell holds; None if it is not finished."""
        path = self._record_path(cell)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def is_done(self, cell: Cell) -> bool:
        return self._record_path(cell).exists()

    def failure(self, cell: Cell) -> str | None:
        """Why a cell failed, in a sentence."""
        path = self.run_folder(cell) / "failed.txt"
        return path.read_text(encoding="utf-8").strip() if path.exists() else None

    def _record_path(self, cell: Cell) -> Path:
        path = self.store.path(cell.key)
        assert path is not None  # the sweep has a folder
        return path

    @property
    def is_stopped(self) -> bool:
        return (self.folder / "STOP").exists()

    def clear_partial(self, cell: Cell) -> None:
        """Remove the half-written files of a worker that was killed. Only for who holds the cell's lock."""
        record = self._record_path(cell)
        clear_partial(record.parent, record.stem)
        clear_partial(self.run_folder(cell))

    def missing(self) -> list[Cell]:
        """The cells that are not done."""
        return [cell for cell in self.cells if not self.is_done(cell)]

    def forget_failures(self) -> None:
        """Failed cells are tried again, and a stopped sweep goes on: what giving the command again means."""
        (self.folder / "STOP").unlink(missing_ok=True)
        for cell in self.cells:
            (self.run_folder(cell) / "failed.txt").unlink(missing_ok=True)

    def states(self) -> dict[str, State]:
        """The state of every cell, by its key."""
        claims = Claims(self.folder)
        return {cell.key: self._state(cell, claims) for cell in self.cells}

    def _state(self, cell: Cell, claims: Claims) -> State:
        if self.is_done(cell):
            return "done"
        if claims.is_held(cell.key):
            return "running"
        if self.failure(cell) is not None:
            return "failed"
        return "interrupted" if (self.run_folder(cell) / "claim.json").exists() else "to do"


class Claims:
    """The locks of a sweep. One object a process: closing the file gives back every lock the process has on it."""

    def __init__(self, folder: Path) -> None:
        self.file = (folder / "claims.lock").open("a+b")

    @contextmanager
    def held(self, key: str) -> Iterator[bool]:
        """Whether the cell is this process's own inside the block."""
        # Twice, because somebody who only looks whether it is held has it for a moment.
        mine = self._locked(key, fcntl.LOCK_EX) or (time.sleep(0.02) or self._locked(key, fcntl.LOCK_EX))
        try:
            yield mine
        finally:
            if mine:
                fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _byte(key))

    def is_held(self, key: str) -> bool:
        """Whether another process has it."""
        free = self._locked(key, fcntl.LOCK_SH)
        if free:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _byte(key))
        return not free

    def _locked(self, key: str, how: int) -> bool:
        try:
            fcntl.lockf(self.file, how | fcntl.LOCK_NB, 1, _byte(key))
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise InputError(
                f"the file system of {self.file.name} cannot lock files ({error.strerror}): give --out on another"
            ) from error
        return True


def _byte(key: str) -> int:
    """A key is 64 bits; an offset must be less than 2^63."""
    return int(key, 16) >> 2


def plan(folder: Path, name: str, kind: Kind, cells: Sequence[Cell], command: str) -> Sweep:
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


def open_sweep(folder: Path, kinds: dict[str, Kind]) -> Sweep:
    """The sweep in a folder.

    Raises:
        InputError: there is none, or one of another version.
    """
    content = _content(folder)
    kind = kind_of(kinds, content["kind"])
    return Sweep(folder, content["kind"], kind, [from_content(kind, content["kind"], one) for one in content["cells"]])


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no sweep: start one with scripts/sweep.py grid.yaml --out {folder}"
        ) from error
    if content.get("version") != VERSION:
        raise InputError(
            f"{folder} was made by version {content.get('version')} of sweeps, this is {VERSION}: move it away and run "
            f"again ({content.get('command')})"
        )
    return content
