"""The cells of a probing run: one claim under one set of weights, and what the model answered in one domain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from llm_probe.analysis import Best, Findings, Published
from llm_probe.table import BehaviourRow, CircleRow, ExampleRow, R2Row, ScanRow
from toy.cells import Cells

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
        self.cells = Cells(folder, CELL_VERSION)

    def findings(self, key: str, make: Callable[[], Findings]) -> Findings:
        """The findings of a cell, computed if they are not there."""
        content = self.cells.get(key, lambda: asdict(make()))
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
        content = self.cells.get(key, lambda: asdict(make()))
        return Behaviour(
            tuple(BehaviourRow(**row) for row in content["rows"]),
            tuple(ExampleRow(**row) for row in content["examples"]),
        )


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's shape and sum: two models in memory that differ do not share cells."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name}{tuple(weight.shape)}{float(weight.detach().double().sum()):.12e}".encode())
    return digest.hexdigest()[:16]
