"""A circuits run: every question, of trained and of random weights, to tables. One question is a cell on disk.

attention, lens        one cell for each domain with questions
analogies              one cell for each domain with items, and one for the published words
embeddings, helix      one cell each
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from llm_probe.circuits.analogies import analogy_rows, word_rows
from llm_probe.circuits.attention import attention_rows
from llm_probe.circuits.embeddings import embedding_rows
from llm_probe.circuits.helix import check_numbers, helix_rows
from llm_probe.circuits.logit_lens import lens_rows
from llm_probe.circuits.table import TABLES, CircuitsConfig
from llm_probe.models.loading import LoadedModel, load, twin, weights_fingerprint
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import Domain, resolve
from llm_probe.run.study import provenance
from toy.run.cells import Cells, key_of, writing_results
from toy.run.files import write_atomic

CELL_VERSION = 1
"""Raise it when a change alters a cell's numbers or fields."""
Question = Callable[[LoadedModel], Sequence[Any]]
"""What answers one question of one model: rows of `table.TABLES`."""


@dataclass(frozen=True)
class CircuitsResult:
    """Tables by the names of `table.TABLES`, and where they came from."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    def __str__(self) -> str:
        lens, helix = self.frames["lens"], self.frames["helix"]
        parts = [f"{name}: {len(frame)} rows" for name, frame in self.frames.items()]
        if len(lens):
            last = lens.loc[(lens["part"] == "all") & (lens["layer"] == lens["layer"].max())]
            columns = ["weights", "domain", "accuracy", "chance"]
            parts.append(last.to_string(columns=columns, index=False, float_format="%.2f"))
        own = helix[helix["family"].isin(["helix", "polynomial", "digits"])]
        r2 = own.pivot_table(index=["context", "layer", "weights"], columns="family", values="r2")
        return "\n".join([*parts, r2.to_string(float_format="%.2f")])


def run(config: CircuitsConfig, command: str = "") -> CircuitsResult:
    """Answer every question of a configuration; finished cells are taken from the results folder.

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
    answering, skipped = questions(config, loaded, *domains)
    untrained = twin(loaded, config.seed + 1)
    contents = []
    for weights in ("trained", "random"):
        if weights == "random":
            loaded = untrained()
        # A bar that is silent where the output is not a terminal.
        for name, question in tqdm(
            answering.items(), desc=f"{weights} weights", unit="questions", disable=None, file=sys.stderr
        ):
            key = key_of({"question": name, "weights": weights, "model": fingerprint, **config.decides()})
            contents.append(cells.get(key, partial(_cell, question, loaded)))
    frames = {
        name: pd.DataFrame(
            [row for content in contents for row in content.get(name, [])],
            columns=[field.name for field in fields(row_type)],
        )
        for name, row_type in TABLES.items()
    }
    seconds = round(time.monotonic() - started, 1)
    return CircuitsResult(
        frames, {**record, "weights_fingerprint": fingerprint, "skipped": skipped, "seconds": seconds}
    )


def questions(
    config: CircuitsConfig, loaded: LoadedModel, questioned: Sequence[Domain], compared: Sequence[Domain]
) -> tuple[dict[str, Question], dict[str, str]]:
    """(name to what answers it, name to why it is left out)."""
    answering: dict[str, Question] = {}
    skipped: dict[str, str] = {}
    if getattr(loaded.model.config, "toy", None) is not None:
        skipped["attention, lens, analogies"] = "a toy has no sentences; its attention is measured by analyze_toy.py"
    else:
        for domain in compared:
            if domain.statements and domain.period > 4:
                answering[f"analogies {domain.name}"] = partial(
                    analogy_rows, claim=Claim(domain, "item"), config=config
                )
        answering["analogies words"] = partial(word_rows, config=config)
        if loaded.is_encoder:
            skipped["attention, lens"] = "an encoder writes no answer, so there is no place where it would be"
        for domain in [] if loaded.is_encoder else questioned:
            shared = {"claim": Claim(domain, "sum"), "size": config.prompts, "seed": config.seed}
            answering[f"attention {domain.name}"] = partial(attention_rows, **shared)
            answering[f"lens {domain.name}"] = partial(lens_rows, **shared)
    answering["embeddings"] = partial(embedding_rows, config=config)
    answering["helix"] = partial(helix_rows, config=config)
    return answering, skipped


def _cell(question: Question, loaded: LoadedModel) -> dict[str, list[dict[str, Any]]]:
    """Rows as dictionaries, under the names of their tables."""
    rows = question(loaded)
    tables = {name: [vars(row) for row in rows if type(row) is row_type] for name, row_type in TABLES.items()}
    return {name: own for name, own in tables.items() if own}


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
