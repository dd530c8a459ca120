"""The deep dive: every chosen experiment under trained and random weights, to tables, sentences and files.

configuration  ->  Reader (trained)  ->  rows  ->  Reader (random twin)  ->  rows  ->  one sentence an experiment

An experiment is a module with

    QUESTION                         what the published experiment left open
    TABLES                           name of each table it yields to its row
    measure(reader)                  {table: rows} under one set of weights, from cells that are kept on disk
    summary(tables)                  one row a layer and set of weights
    sentence(summary, tables)        what the numbers of one layer say; the summary has one row a set of weights

so an interrupted run goes on where it was, and trained and random weights go through the same code.
"""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from llm_probe.models.loading import load
from llm_probe.replication.experiments import calendars, composites, polynomials, primes, range_scan
from llm_probe.replication.experiments.reader import DeepDiveConfig, Reader, checked
from llm_probe.run import table
from llm_probe.run.config import ProbeConfig
from llm_probe.run.study import provenance
from llm_probe.run.table import Weights
from toy.run.cells import Cells, key_of, writing_results
from toy.run.files import write_atomic

CELL_VERSION = 1
"""Raise it when a change alters a cell's numbers or fields."""
EXPERIMENTS: dict[str, ModuleType] = {
    "primes": primes,
    "range": range_scan,
    "calendar": calendars,
    "polynomial": polynomials,
    "composites": composites,
}


@dataclass(frozen=True)
class DeepDive:
    """The tables of a deep dive and what they say."""

    tables: dict[str, pd.DataFrame]
    conclusions: dict[str, str]
    """Experiment to its sentence."""
    run: dict[str, Any]

    def __str__(self) -> str:
        lines = []
        for name, sentence in self.conclusions.items():
            summary = EXPERIMENTS[name].summary(self.tables).reset_index()
            lines += [f"{name}: {EXPERIMENTS[name].QUESTION}", ""]
            lines += [summary.to_string(index=False, float_format=lambda value: f"{value:.2f}", na_rep="-"), ""]
            lines += [*textwrap.wrap(sentence, 116, initial_indent="  ", subsequent_indent="  "), ""]
        return "\n".join(lines)


def deep_dive(
    config: DeepDiveConfig, command: str = "", on_cell: Callable[[Weights, str], None] = lambda weights, name: None
) -> DeepDive:
    """Run the chosen experiments, the trained weights first, then their random twin.

    Raises:
        InputError: an unknown experiment, an encoder, a layer, dimension or modulus that cannot be used.
    """
    started, config = time.monotonic(), checked(config)

    def make() -> Any:
        return load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)

    reader = Reader(config, Cells(config.folder, CELL_VERSION), make, on_cell=on_cell)
    record = _record(config, reader, command)
    names = [name for name in EXPERIMENTS if name in config.experiments]
    trained = [EXPERIMENTS[name].measure(reader) for name in names]
    reader = reader.untrained()
    tables = {}
    for name, rows in zip(names, trained, strict=True):
        random = EXPERIMENTS[name].measure(reader)
        for part, kind in EXPERIMENTS[name].TABLES.items():
            tables[part] = table.frame(rows[part] + random[part], kind)
    conclusions = {name: conclude(EXPERIMENTS[name], tables) for name in names}
    record |= {"conclusions": conclusions, "seconds": round(time.monotonic() - started, 1)}
    return DeepDive(tables, conclusions, record)


def conclude(experiment: ModuleType, tables: dict[str, pd.DataFrame]) -> str:
    """What the numbers of an experiment say, layer by layer."""
    summary, sentences = experiment.summary(tables), []
    for layer in summary.index.unique("layer"):
        here = {name: tables[name][tables[name]["layer"] == layer] for name in experiment.TABLES}
        sentences.append(f"after block {layer} {experiment.sentence(summary.loc[layer], here)}")
    return "; ".join(sentences)


def _record(config: DeepDiveConfig, reader: Reader, command: str) -> dict[str, Any]:
    """Where the tables come from: `deep_dive.json`."""
    shared = ProbeConfig(model=config.model, revision=config.revision, dtype=config.dtype, seed=config.seed)
    record = provenance(shared, reader.loaded, reader.layers, command)
    for name in ("prompts", "renamings", "positions", "sites", "chat"):
        record.pop(name, None)
    settings = {name: value for name, value in asdict(config).items() if name not in ("out", "batch_tokens")}
    record |= {"out": str(config.folder), "weights_fingerprint": reader.fingerprint}
    return record | {"configuration_hash": key_of(settings)[:12], "settings": settings}


def write(result: DeepDive, folder: Path) -> None:
    """Tables, figures and provenance; each file appears whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from llm_probe.replication.experiments import pictures

    with writing_results(folder):
        for name, frame in result.tables.items():
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
        # allow_nan=False: a number that is none would make the file no JSON.
        write_atomic(folder / "deep_dive.json", json.dumps(result.run, indent=1, allow_nan=False) + "\n")
        pictures.save_all(folder / "figures", result.tables)
