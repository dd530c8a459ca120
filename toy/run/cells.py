"""Cells on disk: a unit of work is computed once, whatever interrupts the run.

A cell is a JSON file named by what it was made from. It appears whole or not at all, so Ctrl-C, kill -9 and a full
disk lose at most the cell in progress, and the same command goes on to the identical result (JSON writes every
float so that it reads back the same). Several jobs may share a folder: at worst a cell is computed twice.

    {"sha256": "…", "content": {…}}

The checksum is of the file's name and the content's text. A cell that is empty, cut, edited, another one's under this
name, or older than the checksums does not have it: it is set aside as .damaged and computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toy.run.errors import InputError
from toy.run.files import clear_killed, write_atomic

SUBFOLDERS = ("cells", "figures", "checkpoints", "merged")
"""Folders of a run in which files are written."""


class Cells:
    """Cells in `folder`/cells; with folder None nothing is kept."""

    def __init__(self, folder: Path | None, version: int) -> None:
        """`version` is raised when a change alters a cell's numbers or fields: others are then not read."""
        self.folder = folder / "cells" if folder else None
        self.version = version
        self.resumed = False
        """Whether a cell of an earlier run was taken."""
        self._written: set[str] = set()
        if folder:
            check_writable(folder)

    def get(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell of this key, computed if it is not there as it was written. Raises InputError if it cannot be."""
        path = self.path(key)
        if (kept := self.read(key)) is not None:
            self.resumed |= key not in self._written
            return kept
        if path is not None:
            _set_aside(path)
        body = json.dumps(make())
        self._written.add(key)
        if path is not None:
            try:
                write_atomic(path, _sealed(path.name, body))
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror}; free some space and run again") from error
        return json.loads(body)

    def read(self, key: str) -> dict[str, Any] | None:
        """The cell of this key; None if it is not there as it was written. Raises InputError if it cannot be read."""
        path = self.path(key)
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path else ""
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror}): remove it, or give another --out") from error
        body = text[HEAD:-TAIL]
        return json.loads(body) if path and text == _sealed(path.name, body) else None

    def path(self, key: str) -> Path | None:
        """Where the cell is or will be."""
        return self.folder / f"v{self.version}-{key}.json" if self.folder else None


def _sealed(name: str, body: str) -> str:
    """The text of a cell: a JSON text with the checksum of itself and the file's name."""
    checksum = hashlib.sha256(f"{name}\n{body}".encode()).hexdigest()
    return f'{{"sha256": "{checksum}", "content": {body}}}\n'


HEAD, TAIL = _sealed("", "|").index("|"), len("}\n")
"""Characters of a cell before its content, and behind it."""


def _set_aside(path: Path) -> None:
    """Keep a damaged cell under another name, and say so; nothing if there is none."""
    aside = path.with_suffix(".damaged")
    with suppress(OSError):  # there is none, another job was faster, or nothing can be written either
        path.replace(aside)
        print(f"{path} has no valid checksum: set aside as {aside.name} and computed again", file=sys.stderr)


@contextmanager
def writing_results(folder: Path) -> Iterator[None]:
    """What is written inside comes from finished cells: a full disk or a folder that cannot be written is one sentence.

    Raises InputError if it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or folder}: {error.strerror}; free some space or give another --out, "
            "finished cells are kept"
        ) from error


def key_of(description: dict[str, Any]) -> str:
    """A name made from a configuration: equal content, equal name, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_writable(folder: Path) -> None:
    """Fail now rather than after the run; what killed runs left half-written there is removed.

    Raises InputError if the folder cannot be made or written, or its disk has less than 50 MB left.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder with --out") from error
    for place in (folder, *(folder / name for name in SUBFOLDERS)):
        clear_killed(place)
    free = shutil.disk_usage(folder).free
    if free < 50_000_000:
        raise InputError(f"{folder} has {free // 1_000_000} MB left, results need 50: free some or give another --out")
