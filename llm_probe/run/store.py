"""The cells of a probing run: one claim under one set of weights, and what the model answered in one domain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from llm_probe.run.table import BehaviourRow, CircleRow, ControlRow, ExampleRow, InvariantRow, R2Row, ScanRow
from llm_probe.statistics.gain_tables import Gains
from llm_probe.verdicts.analysis import Best, Choice, Findings, Published
from toy.run.cells import Cells

CELL_VERSION = 4
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
        content = self.cells.get(key, lambda: _content(make()))
        best, published = dict(content["best"]), content["best"]["published"]
        best |= {"layers_held": tuple(best["layers_held"]), "published": published and Published(**published)}
        return Findings(
            Best(**best),
            tuple(R2Row(**row) for row in content["rows"]),
            tuple(CircleRow(**row) for row in content["circles"]),
            tuple(ScanRow(**row) for row in content["scan"]),
            tuple(ControlRow(**row) for row in content["controls"]),
            tuple(InvariantRow(**row) for row in content["invariants"]),
            content["gains"] and Gains.of_content(content["gains"]),
        )

    def choice(self, key: str, made: Choice) -> Choice:
        """What was decided on discovery prompts, on disk before it is confirmed; one that is there stands."""
        return Choice(**self.cells.get(f"{key}-choice", lambda: asdict(made)))

    def gains(self, key: str, make: Callable[[], Gains]) -> Gains:
        """A column of the gain tables, computed if it is not there."""
        return Gains.of_content(self.cells.get(key, lambda: make().content()))

    def behaviour(self, key: str, make: Callable[[], Behaviour]) -> Behaviour:
        """The answers in a domain, asked if they are not there."""
        content = self.cells.get(key, lambda: asdict(make()))
        return Behaviour(
            tuple(BehaviourRow(**row) for row in content["rows"]),
            tuple(ExampleRow(**row) for row in content["examples"]),
        )


def _content(findings: Findings) -> dict[str, Any]:
    gains = findings.gains
    return asdict(replace(findings, gains=None)) | {"gains": gains and gains.content()}


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's shape and sum: two models in memory that differ do not share cells."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name}{tuple(weight.shape)}{float(weight.detach().double().sum()):.12e}".encode())
    return digest.hexdigest()[:16]
