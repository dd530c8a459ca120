"""The rows of a table of prompts, exactly as CSV, JSON or Parquet has them, each with the place where it stands.

Every cell of a CSV file is text: `NA`, `null` and `None` are these words, and an empty cell is the empty text. JSON and
Parquet have types, and what is null there is None. A row that cannot be read is named by its line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toy.run.errors import InputError

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Where a row stands, such as `line 3`, and its cells by column."""


def read_rows(path: Path) -> Rows:
    """The rows of a table of prompts.

    Raises:
        InputError: an unknown file type, no such file, or a line that cannot be read.
    """
    if path.suffix not in READERS or not path.is_file():
        raise InputError(f"cannot read prompts from {path}: give an existing {', '.join(READERS)} file")
    try:
        yield from READERS[path.suffix](path)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read prompts from {path}: {' '.join(str(error).split())}") from error


def _csv_rows(path: Path) -> Rows:
    # A spreadsheet begins its CSV files with a byte order mark.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            columns = next(reader, [])
            for cells in reader:
                if cells and len(cells) != len(columns):
                    raise ValueError(f"{len(cells)} cells instead of {len(columns)}")
                if cells:
                    yield f"line {reader.line_num}", dict(zip(columns, cells, strict=True))
        except (ValueError, csv.Error) as error:
            raise ValueError(f"line {reader.line_num or 1}: {error}") from error


def _json_rows(path: Path) -> Rows:
    """A list of objects, or an object a line."""
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        for number, row in enumerate(json.loads(text), 1):
            yield f"row {number}", _json_object(row, f"row {number}")
        return
    # Not `splitlines`: a JSON text may hold further kinds of line ends.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON object ({error})") from error
            yield f"line {number}", _json_object(row, f"line {number}")


def _json_object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{place} is no JSON object")
    if any(isinstance(value, dict) for value in row.values()):
        raise ValueError(f"{place} holds columns instead of a row: write it with orient='records', lines=True")
    return row


def _parquet_rows(path: Path) -> Rows:
    from pyarrow import parquet

    with path.open("rb") as file:
        for number, row in enumerate(parquet.ParquetFile(file).read().to_pylist(), 1):
            yield f"row {number}", row


READERS = {".csv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows, ".parquet": _parquet_rows}
