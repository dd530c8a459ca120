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

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from llm_probe.models.loading import LoadedModel, load
from llm_probe.replication.experiments import calendars, composites, polynomials, primes, range_scan
from llm_probe.replication.experiments.reader import DeepDiveConfig, Reader, checked
from llm_probe.run.config import ProbeConfig
from llm_probe.run.study import Frames, Result, Rows, Session, Study, stage, together
from llm_probe.run.table import frame
from toy.run.cells import key_of

EXPERIMENTS: dict[str, ModuleType] = {
    "primes": primes,
    "range": range_scan,
    "calendar": calendars,
    "polynomial": polynomials,
    "composites": composites,
}


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.replication.experiments import pictures

    pictures.save_all(folder, result.frames)


def _words(result: Result) -> str:
    """Every experiment's question, summary and sentence."""
    lines = []
    for name, conclusion in result.run["conclusions"].items():
        summary = EXPERIMENTS[name].summary(result.frames).reset_index()
        lines += [f"{name}: {EXPERIMENTS[name].QUESTION}", ""]
        lines += [summary.to_string(index=False, float_format=lambda value: f"{value:.2f}", na_rep="-"), ""]
        lines += [*textwrap.wrap(conclusion, 116, initial_indent="  ", subsequent_indent="  "), ""]
    return "\n".join(lines)


TABLES = {name: row for experiment in EXPERIMENTS.values() for name, row in experiment.TABLES.items()}
DEEP_DIVE = Study(TABLES, cell_version=2, figures=_figures, words=_words, record="deep_dive.json")


def deep_dive(config: DeepDiveConfig, command: str = "") -> Result:
    """Run the chosen experiments, the trained weights first, then their random twin; only they have tables.

    Raises:
        InputError: an unknown experiment, an encoder, a layer, dimension or modulus that cannot be used.
    """
    config = checked(config)
    chosen = {name: experiment for name, experiment in EXPERIMENTS.items() if name in config.experiments}
    tables = {name: TABLES[name] for experiment in chosen.values() for name in experiment.TABLES}
    return replace(DEEP_DIVE, tables=tables).run(config.folder, lambda session: _rows(config, chosen, session), command)


def _rows(config: DeepDiveConfig, experiments: dict[str, ModuleType], session: Session) -> Rows:
    def make() -> LoadedModel:
        return load(config.model, revision=config.revision, dtype=config.dtype, device=config.device)

    reader = Reader(config, session, make)
    _describe(config, reader)
    trained = _measured(reader, experiments)
    rows = together([*trained, *_measured(reader.untrained(), experiments)])
    tables = {name: frame(rows[name], row_type) for name, row_type in session.study.tables.items()}
    session.facts["conclusions"] = {name: conclude(experiment, tables) for name, experiment in experiments.items()}
    return rows


def _measured(reader: Reader, experiments: dict[str, ModuleType]) -> Sequence[Rows]:
    """The rows of every experiment under one set of weights."""
    rows = []
    with stage(f"{reader.weights} weights", len(experiments), "experiments") as bar:
        reader.on_cell = bar.set_postfix_str
        for experiment in experiments.values():
            rows.append(experiment.measure(reader))
            bar.update()
    return rows


def conclude(experiment: ModuleType, tables: Frames) -> str:
    """What the numbers of an experiment say, layer by layer."""
    summary, sentences = experiment.summary(tables), []
    for layer in summary.index.unique("layer"):
        of_layer = {name: tables[name][tables[name]["layer"] == layer] for name in experiment.TABLES}
        sentences.append(f"after block {layer} {experiment.sentence(summary.loc[layer], of_layer)}")
    return "; ".join(sentences)


def _describe(config: DeepDiveConfig, reader: Reader) -> None:
    """Where the tables come from: `deep_dive.json`."""
    model = {name: getattr(config, name) for name in ("model", "revision", "dtype", "seed")}
    reader.session.describe(ProbeConfig(**model, out=config.folder), reader.loaded, reader.layers, reader.fingerprint)
    facts = reader.session.facts
    for name in ("prompts", "renamings", "positions", "sites", "chat"):
        del facts[name]
    settings = {name: value for name, value in asdict(config).items() if name not in ("out", "batch_tokens")}
    facts |= {"configuration_hash": key_of(settings)[:12], "settings": settings}
