"""A run: every question of every kind of weights to tables. A question of a domain is a cell on disk (`toy.run.cells`).

attention, lens        domains with questions: a cell each
analogies              domains with items, and the published words: a cell each
embeddings, helix      one cell each
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from llm_probe.circuits.analogies import analogy_rows
from llm_probe.circuits.attention import attention_rows
from llm_probe.circuits.config import CircuitsConfig
from llm_probe.circuits.embeddings import embedding_rows
from llm_probe.circuits.helix import check_numbers, helix_rows
from llm_probe.circuits.logit_lens import lens_rows
from llm_probe.circuits.table import TABLES
from llm_probe.circuits.words import word_rows
from llm_probe.models.loading import LoadedModel, load, twin, weights_fingerprint
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import Domain, resolve
from llm_probe.run.study import provenance
from toy.run.cells import Cells, key_of, writing_results
from toy.run.files import write_atomic

CELL_VERSION = 1
"""Raise it when a change alters a cell's numbers or fields."""
Tables = dict[str, list[Any]]
Question = Callable[[LoadedModel], Tables]
"""What answers one question of one model."""


@dataclass(frozen=True)
class CircuitsResult:
    """Tables by the names of `table.TABLES`, and where they came from."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        lens, helix = self.frames["lens"], self.frames["helix"]
        said = [f"{name}: {len(frame)} rows" for name, frame in self.frames.items()]
        if len(lens):
            last = lens.loc[(lens["part"] == "all") & (lens["layer"] == lens["layer"].max())]
            shown = ["weights", "domain", "accuracy", "chance"]
            said.append(last.to_string(columns=shown, index=False, float_format="%.2f"))
        own = helix[helix["family"].isin(["helix", "polynomial", "digits"])]
        shown = own.pivot_table(index=["context", "layer", "weights"], columns="family", values="r2")
        return "\n".join([*said, shown.to_string(float_format="%.2f")])


def run(config: CircuitsConfig, command: str = "") -> CircuitsResult:
    """What the command line runs.

    Raises:
        InputError: an unknown model or domain, or too few or too many integers.
    """
    check_numbers(config)
    started, cells = time.monotonic(), Cells(config.folder, CELL_VERSION)
    domains = resolve(list(config.domains), list(config.moduli)), resolve(list(config.items), [])
    loaded = load(
        config.model,
        revision=config.revision,
        dtype=config.dtype,
        device=config.device,
        trust_remote_code=config.trust_remote_code,
    )
    record = provenance(config.probed, loaded, tuple(range(len(loaded.layers))), command)
    fingerprint = weights_fingerprint(loaded.model)
    asked, skipped = questions(config, loaded, *domains)
    untrained = twin(loaded, config.seed + 1)
    found = []
    for weights in ("trained", "random"):
        if weights == "random":
            loaded = untrained()
        for name, question in _bar(asked, weights):
            key = key_of({"question": name, "weights": weights, "model": fingerprint, **config.decides()})
            found.append(cells.get(key, partial(_as_cell, question, loaded)))
    frames = {}
    for name, row in TABLES.items():
        columns = [field.name for field in fields(row)]
        frames[name] = pd.DataFrame([one for cell in found for one in cell.get(name, [])], columns=columns)
    seconds = round(time.monotonic() - started, 1)
    more = {"weights_fingerprint": fingerprint, "skipped": skipped, "seconds": seconds}
    return CircuitsResult(frames, record | more)


def questions(
    config: CircuitsConfig, loaded: LoadedModel, asked: Sequence[Domain], compared: Sequence[Domain]
) -> tuple[dict[str, Question], dict[str, str]]:
    """(name to what answers it, name to why it is left out)."""
    found: dict[str, Question] = {}
    skipped: dict[str, str] = {}
    if getattr(loaded.model.config, "toy", None) is not None:
        skipped["attention, lens, analogies"] = "a toy has no sentences; its attention is measured by analyze_toy.py"
    else:
        for domain in compared:
            if domain.statements and domain.period > 4:
                item = Claim(domain, "item")
                found[f"analogies {domain.name}"] = lambda model, item=item: _one(analogy_rows(model, item, config))
        found["analogies words"] = lambda model: _one(word_rows(model, config))
        size, seed = config.prompts, config.seed
        for domain in [] if loaded.is_encoder else asked:
            claim = Claim(domain, "sum")
            found[f"attention {domain.name}"] = lambda model, claim=claim: _one(
                attention_rows(model, claim, size, seed)
            )
            found[f"lens {domain.name}"] = lambda model, claim=claim: _one(lens_rows(model, claim, size, seed))
        if loaded.is_encoder:
            skipped["attention, lens"] = "an encoder writes no answer, so there is no place where it would be"
    found["embeddings"] = lambda model: dict(zip(("embeddings", "points"), embedding_rows(model, config), strict=True))
    found["helix"] = lambda model: _one(helix_rows(model, config))
    return found, skipped


def _one(rows: Sequence[Any]) -> Tables:
    """Rows under the name of their table."""
    name = next(name for name, row in TABLES.items() if isinstance(rows[0], row))
    return {name: list(rows)}


def _as_cell(question: Question, loaded: LoadedModel) -> dict[str, list[dict[str, Any]]]:
    return {name: [vars(row) for row in rows] for name, rows in question(loaded).items()}


def _bar(asked: dict[str, Question], weights: str) -> Iterable[tuple[str, Question]]:
    """A bar of questions, silent where the output is not a terminal."""
    return tqdm(asked.items(), desc=f"{weights} weights", unit="questions", disable=None, file=sys.stderr)


def write_results(result: CircuitsResult, folder: Path) -> None:
    """Tables, run.json and figures; each file appears whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from llm_probe.circuits.figures import save_all

    with writing_results(folder):
        for name, frame in result.frames.items():
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.5g"))
        write_atomic(folder / "run.json", json.dumps(result.run, indent=1) + "\n")
        save_all(folder / "figures", result.frames)
