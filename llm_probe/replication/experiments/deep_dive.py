"""The deep dive: every chosen experiment under trained and random weights, to tables, sentences and files.

settings  ->  Reader (trained)  ->  tables  ->  Reader (random twin)  ->  tables  ->  one sentence an experiment

An experiment is a module with `measure(reader) -> {table: rows}` and `conclude(tables) -> str`; its cells are on disk
as soon as they are computed, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.models.loading import load
from llm_probe.replication.experiments import calendars, composites, polynomials, primes, range_scan
from llm_probe.replication.experiments.reader import Reader
from llm_probe.replication.experiments.settings import DeepDiveConfig, checked
from llm_probe.run import table
from llm_probe.run.config import ProbeConfig
from llm_probe.run.study import provenance
from llm_probe.run.table import Weights
from toy.run.cells import Cells, key_of, writing_results
from toy.run.files import write_atomic

CELL_VERSION = 1
"""Raise it when a change alters a cell's numbers or fields."""


@dataclass(frozen=True)
class Experiment:
    """One published experiment."""

    question: str
    measure: Callable[[Reader], dict[str, list[Any]]]
    summary: Callable[[dict[str, pd.DataFrame]], pd.DataFrame]
    """The tables to one row a layer and set of weights."""
    conclude: Callable[[dict[str, pd.DataFrame]], str]
    tables: dict[str, type]
    """Name of each table it yields to its row."""


EXPERIMENTS: dict[str, Experiment] = {
    "primes": Experiment(
        "has each prime circuits of its own?",
        primes.measure, primes.summary, primes.conclude,
        {"primes": primes.PrimeRow, "primes_overlap": primes.PrimeOverlapRow},
    ),
    "range": Experiment(
        "a range detector, or two-digit operands?",
        range_scan.measure, range_scan.summary, range_scan.conclude,
        {"range": range_scan.RangeRow},
    ),
    "calendar": Experiment(
        "do the calendar and arithmetic share dimensions and planes?",
        calendars.measure, calendars.summary, calendars.conclude,
        {"calendar": calendars.CalendarRow},
    ),
    "polynomial": Experiment(
        "a Fourier pair, or a polynomial?",
        polynomials.measure, polynomials.summary, polynomials.conclude,
        {"polynomial": polynomials.PolynomialRow},
    ),
    "composites": Experiment(
        "is the best dimension of a composite better than nothing?",
        composites.measure, composites.summary, composites.conclude,
        {"composites": composites.CompositeRow},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class DeepDive:
    """What a deep dive found."""

    tables: dict[str, pd.DataFrame]
    conclusions: dict[str, str]
    """Experiment to its sentence."""
    run: dict[str, Any]

    def __str__(self) -> str:
        said = []
        for name, sentence in self.conclusions.items():
            found = EXPERIMENTS[name].summary(self.tables)
            said += [f"{name}: {EXPERIMENTS[name].question}", ""]
            said += [
                found.reset_index().to_string(index=False, float_format=lambda value: f"{value:.2f}", na_rep="-"),
                "",
            ]
            said += [*textwrap.wrap(sentence, 116, initial_indent="  ", subsequent_indent="  "), ""]
        return "\n".join(said)


def deep_dive(
    config: DeepDiveConfig, command: str = "", on_cell: Callable[[Weights, str], None] = lambda weights, name: None
) -> DeepDive:
    """Run the chosen experiments, the trained weights first, then their random twin.

    Raises:
        InputError: an unknown experiment, an encoder, a layer, dimension or modulus that cannot be used.
    """
    started, config = time.monotonic(), checked(config)
    cells = Cells(config.folder, CELL_VERSION)

    def make() -> Any:
        return load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)

    trained = Reader(config, cells, make, on_cell=on_cell)
    record = _record(config, trained, command)
    names = [name for name in EXPERIMENTS if name in config.experiments]
    found = {name: EXPERIMENTS[name].measure(trained) for name in names}
    random = trained.untrained()
    tables = {}
    for name in names:
        other = EXPERIMENTS[name].measure(random)
        for part, kind in EXPERIMENTS[name].tables.items():
            tables[part] = table.frame(found[name][part] + other[part], kind)
    conclusions = {name: EXPERIMENTS[name].conclude(tables) for name in names}
    record |= {"conclusions": conclusions, "seconds": round(time.monotonic() - started, 1)}
    return DeepDive(tables, conclusions, record)


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
