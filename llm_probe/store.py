"""Cells on disk: one claim under one set of weights is computed once, whatever interrupts the run.

A cell is a JSON file under the hash of what it was made from. It appears whole or not at all, so Ctrl-C, kill -9
and a full disk lose at most the cell in progress, and the same command goes on to the identical tables (JSON
writes every float so that it reads back the same).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from llm_probe.analysis import Best, Findings, Published
from llm_probe.errors import InputError
from llm_probe.table import BehaviourRow, CircleRow, ExampleRow, R2Row, ScanRow, write_atomic

CELL_VERSION = 3
"""Raise it when a change alters a cell's numbers or fields: cells of other versions are then not read."""


@dataclass(frozen=True)
class Behaviour:
    """What the model answered in one domain."""

    rows: tuple[BehaviourRow, ...]
    examples: tuple[ExampleRow, ...]


class Store:
    """Cells of one run, in `folder`/cells; with folder None nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder / "cells" if folder else None
        if folder:
            check_writable(folder)

    def findings(self, key: str, make: Callable[[], Findings]) -> Findings:
        """The findings of a cell, computed if they are not there."""
        content = self._cell(key, lambda: asdict(make()))
        best, published = dict(content["best"]), content["best"]["published"]
        best |= {"layers_held": tuple(best["layers_held"]), "published": published and Published(**published)}
        return Findings(
            Best(**best),
            tuple(R2Row(**row) for row in content["rows"]),
            tuple(CircleRow(**row) for row in content["circles"]),
            tuple(ScanRow(**row) for row in content["scan"]),
        )

    def behaviour(self, key: str, make: Callable[[], Behaviour]) -> Behaviour:
        """The answers in a domain, asked if they are not there."""
        content = self._cell(key, lambda: asdict(make()))
        return Behaviour(
            tuple(BehaviourRow(**row) for row in content["rows"]),
            tuple(ExampleRow(**row) for row in content["examples"]),
        )

    def _cell(self, key: str, make: Callable[[], dict]) -> dict:
        path = self.folder / f"v{CELL_VERSION}-{key}.json" if self.folder else None
        if path is not None and path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(make())
        if path is not None:
            try:
                write_atomic(path, text)
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror}; free some space and run again") from error
        return json.loads(text)


def check_writable(folder: Path) -> None:
    """Fail now rather than after the run.

    Raises:
        InputError: the folder cannot be made or written, or its disk has less than 50 MB left.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder with --out") from error
    free = shutil.disk_usage(folder).free
    if free < 50_000_000:
        raise InputError(f"{folder} has {free // 1_000_000} MB left, results need 50: free some or give another --out")


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's shape and sum: two models in memory that differ do not share cells."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name}{tuple(weight.shape)}{float(weight.detach().double().sum()):.12e}".encode())
    return digest.hexdigest()[:16]
