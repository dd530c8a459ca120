"""Rows as csv text, and what a measured run writes beside its checkpoint."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toy.run.errors import InputError
from toy.run.files import write_atomic

Row = dict[str, Any]


def as_csv(rows: Sequence[Row]) -> str:
    """Rows of equal fields, words among them; of no rows an empty line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_tables(folder: Path, tables: Mapping[str, Sequence[Row]], summary: Mapping[str, float]) -> None:
    """`name`.csv of every table that has rows, and summary.json.

    Raises:
        InputError: they cannot be written.
    """
    texts = {f"{name}.csv": as_csv(rows) for name, rows in tables.items() if rows}
    try:
        for name, text in (texts | {"summary.json": json.dumps(summary, indent=1) + "\n"}).items():
            write_atomic(folder / name, text)
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): free some space and run again") from error
