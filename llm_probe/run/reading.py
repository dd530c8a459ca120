"""Tables and records as they were written: a file that was edited, cut or mixed up is refused in one sentence.

A row type says which values its columns admit, and a run.json which tables were written with it (their checksums).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from llm_probe.run.table import columns_of
from toy.run.errors import InputError
from toy.run.files import FORMULA, as_given

Row = TypeVar("Row")
CHECKSUMS = "sha256"
"""The entry of run.json that names every table with its checksum."""
ENTRIES: dict[str, tuple[type, ...]] = {
    "model": (str,), "layers": (int,), "d_model": (int,), "parameters": (int,), "n_prompts": (int,), "schema": (int,),
    "seconds": (int, float), "untrained": (bool,), "command": (str,), CHECKSUMS: (dict,),
}  # fmt: skip
"""Entries of run.json that are computed with, and their types; any may be absent or null."""


def read_record(path: Path) -> dict[str, Any]:
    """A run.json, whose entries have their types.

    Raises:
        InputError: it cannot be read, or is no such record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({str(error).splitlines()[0]})") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} holds a {type(record).__name__} and no record of a run")
    for name, kinds in ENTRIES.items():
        if (value := record.get(name)) is not None and type(value) not in kinds:
            raise InputError(f"{path} has the {name} {value!r}, which no run writes: it was edited")
    return record


def check_unchanged(folder: Path, record: Mapping[str, Any]) -> None:
    """Raises InputError if a table that stands there is not the one that its record was written with."""
    for name, checksum in (record.get(CHECKSUMS) or {}).items():
        path = folder / name
        if path.is_file() and checksum_of(path.read_bytes()) != checksum:
            raise InputError(
                f"{path} is not the table that run.json was written with: it was edited, or another run was "
                "interrupted while it wrote"
            )


def checksum_of(content: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_frame(path: Path, row_type: type, *, as_text: bool = True) -> pd.DataFrame:
    """A table of such rows; `as_text`: a text stays text where it looks like a number, or like nothing (`None`).

    Raises:
        InputError: it cannot be read, or has a value that the row type does not admit.
    """
    texts = {field.name: str for field in fields(row_type) if "str" in str(field.type)} if as_text else {}
    options: Any = {"dtype": texts, "keep_default_na": False, "na_values": [""]} if as_text else {}
    try:
        frame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({str(error).splitlines()[0]})") from error
    for name, column in frame.items():
        if not is_numeric_dtype(column) and any(isinstance(value, str) and FORMULA.match(value) for value in column):
            frame[name] = [as_given(value) for value in column]
    hints = dict.fromkeys(columns_of(row_type), float | None) | get_type_hints(row_type)
    for name in map(str, frame):
        if name in hints and (row := _wrong_row(frame[name], hints[name])) is not None:
            value = frame[name].iloc[row]
            said = "no value" if pd.isna(value) else repr(str(value))
            raise InputError(f"{path} has {said} as {name} in row {row + 1}, which no run writes: it was edited")
    return frame


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """The rows of a table, every value of its field's type; an empty one is None.

    Raises:
        InputError: as `read_frame`.
    """
    frame, hints = read_frame(path, row_type), get_type_hints(row_type)
    numbers = {name: kind for name, hint in hints.items() if (kind := _options(hint)[0]) in (int, float)}
    return [
        row_type(**{
            str(name): None if pd.isna(value) else numbers.get(str(name), lambda same: same)(value)
            for name, value in row.items()
        })
        for row in frame.to_dict("records")
    ]  # fmt: skip


def _options(hint: Any) -> tuple[Any, ...]:
    """The types a field may have, None last."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(sorted(options, key=lambda option: option is NoneType))


def _wrong_row(column: pd.Series, hint: Any) -> int | None:
    """The first row whose value a column of this type does not have; None where there is none."""
    kind, *options = _options(hint)
    if kind is str:
        return None
    empty = column.isna()
    if get_origin(kind) is Literal:
        right = column.isin(get_args(kind))
    elif kind is bool:
        right = column.astype(str).isin(["True", "False"])
    else:
        numbers = pd.Series(pd.to_numeric(column, errors="coerce"))
        right = numbers % 1 == 0 if kind is int else numbers.notna()
    wrong = np.asarray(~right & ~empty if NoneType in options else ~right)
    return int(wrong.argmax()) if wrong.any() else None
