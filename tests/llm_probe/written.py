"""Made-up runs on disk, as scripts/probe_llm.py leaves them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.llm_probe.made_up import CLAIMS, RUN, made_up

Write = Callable[..., Path]
DOMAINS = ("days", "months", "hours", "mod-add 7", "mod-add 23", "numbers")
"""Seven cyclic claims, four of them supported, and a linear control."""
MOST_LAYERS = 6
"""Deeper runs have tables of their first layers only."""


@functools.cache
def tables(layers: int) -> dict[str, pd.DataFrame]:
    """Made-up tables of so many layers, made once."""
    return made_up([claim for claim in CLAIMS if claim[0].name in DOMAINS], layers=layers)


@pytest.fixture
def write_run(tmp_path: Path) -> Write:
    """Writes a run and gives its folder; `change` may edit the tables, keywords replace entries of run.json."""

    def write(name: str, change: Callable[[dict[str, pd.DataFrame]], Any] = lambda frames: None, **run: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        record = {**RUN, "layers": 3, "weights_fingerprint": "f00", **run}
        frames = {table: rows.copy() for table, rows in tables(min(int(record["layers"]), MOST_LAYERS)).items()}
        change(frames)
        for table, rows in frames.items():
            rows.to_csv(folder / f"{table}.csv", index=False, float_format="%.6g")
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        return folder

    return write
