"""The version of the tables, and reading a results folder that may have been written by an earlier one.

The row types of `table` are the schema. Columns and tables are only ever added: `ADDED` says which came with which
version, so that a folder of version v has exactly the columns of today without those added after v. An earlier folder
is read with the newer columns empty ("not measured"); anything else is refused, with the run's own command, which
makes it again.

    VERSION       raise it when a row type of `table` changes, name what is new in ADDED, and renew FINGERPRINT
    FINGERPRINT   of today's table and column names: a test compares it, so that no change goes unnoticed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.run import table
from llm_probe.run.reading import check_unchanged, read_frame, read_record
from toy.run.errors import InputError

VERSION = 7
FINGERPRINT = "0cb4b34af422"
ADDED: dict[int, dict[str, tuple[str, ...]]] = {
    2: {
        "verdicts": (
            "p_holm", "p_selective", "p_assignment", "assignment_effect", "control", "control_r2", "explained_by",
        ),
        "controls": ("*",),
        "invariants": ("*",),
    },
    3: {"verdicts": ("p_renaming",), "r2_table": ("p_renaming",)},
    4: {
        "verdicts": (
            "embedding_r2", "embedding_p", "origin", "agreement", "agreement_low", "agreement_high", "p_contrast",
            "p_repeats", "p_order", "p_axes", "circle_share", "rival", "rival_ratio", "p_shape", "p_integer",
            "helix_periods", "level", "shape", "stopped_by",
        ),
    },
    5: {"verdicts": ("closure_low", "closure_high", "order_null", "p_redrawn", "p_redrawn_axes")},
    6: {"behaviour": ("shots",)},
    7: {"circles": ("z",), "points": ("*",)},
}  # fmt: skip
"""Version to what it added: columns by table; `*` is a whole new table."""
RULES = max(version for version, tables in ADDED.items() if "verdicts" in tables)
"""The version since which verdicts are made by the rules of today."""
NEEDED = ("run.json", "verdicts.csv")
"""A results folder has these; the other tables may have been left out for their size."""


@dataclass(frozen=True)
class RunTables:
    """A finished run as it was read back."""

    name: str
    """The folder's name; `named_apart` makes several of them differ."""
    folder: Path
    run: dict[str, Any]
    """run.json."""
    frames: dict[str, pd.DataFrame]
    """Every table of `table.TABLES` with today's columns; one without a file is empty."""
    schema: int
    """The version its files were written by."""
    missing: tuple[str, ...]
    """Tables of that version that have no file."""


def version() -> int:
    """The version of the tables that are written now: a registered column may be younger than the declared ones."""
    registered = [since for row_type in table.TABLES.values() for since in table.columns_of(row_type).values()]
    return max(VERSION, *registered)


def fingerprint() -> str:
    """A short name for today's tables and declared columns, in order."""
    columns = {name: columns_of(name, VERSION) for name in table.TABLES}
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:12]


def columns_of(name: str, at: int | None = None) -> tuple[str, ...]:
    """The columns a table had in a version (`at`; default: now), in order; none where it did not exist yet."""
    at = version() if at is None else at
    newer = {column for since, tables in ADDED.items() if since > at for column in tables.get(name, ())}
    if "*" in newer:
        return ()
    columns = table.columns_of(table.TABLES[name])
    return tuple(column for column, since in columns.items() if column not in newer and since <= at)


def read_run(folder: Path) -> RunTables:
    """A results folder of scripts/probe_llm.py.

    Raises:
        InputError: no such folder, a file that cannot be read, or tables of an unknown or of several versions.
    """
    lacking = [name for name in NEEDED if not (folder / name).is_file()]
    if lacking:
        why = "has no" if folder.is_dir() else "is no folder: there is no"
        raise InputError(f"{folder} {why} {lacking[0]}; give a results folder of scripts/probe_llm.py")
    try:
        run = read_record(folder / "run.json")
        check_unchanged(folder, run)
        present = {name: row_type for name, row_type in table.TABLES.items() if _file(folder, name).is_file()}
        tables = {name: read_frame(_file(folder, name), row_type) for name, row_type in present.items()}
    except InputError as error:
        raise InputError(f"{error}; {_again(folder)}") from error
    if not run.get("model"):
        raise InputError(f"{folder / 'run.json'} names no model; {_again(folder)}")
    written = _version(folder, run, {name: tuple(frame.columns) for name, frame in tables.items()})
    frames = {name: tables.get(name, table.frame([], row)).reindex(columns=list(columns_of(name)))
              for name, row in table.TABLES.items()}  # fmt: skip
    missing = tuple(name for name in table.TABLES if name not in tables and columns_of(name, written))
    return RunTables(folder.resolve().name, folder, run, frames, written, missing)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.csv"


def _version(folder: Path, run: dict[str, Any], columns: dict[str, tuple[str, ...]]) -> int:
    """The one version that all files of a folder belong to."""
    of_table = {
        name: {at for at in range(1, version() + 1) if set(columns_of(name, at)) == set(present)}
        for name, present in columns.items()
    }
    for name, versions in of_table.items():
        if not versions:
            known, present = set(columns_of(name)), set(columns[name])
            odd = sorted(present - known) or sorted(known - present)
            what = "has the unknown" if present - known else "lacks the"
            raise InputError(
                f"{_file(folder, name)} {what} column {odd[0]!r}: it is of no schema up to {version()}; "
                f"{_again(folder)}"
            )
    fitting = set.intersection(*of_table.values())
    if not fitting:
        said = ", ".join(f"{name}.csv is {'/'.join(map(str, sorted(versions)))}" for name, versions in of_table.items())
        raise InputError(f"{folder} mixes schemas ({said}): a run was interrupted there; {_again(folder)}")
    said = run.get("schema", max(fitting))
    if said not in fitting:
        raise InputError(f"{folder}: run.json says schema {said}, its tables are of {max(fitting)}; {_again(folder)}")
    return int(said)


def _again(folder: Path) -> str:
    """How to make a folder anew."""
    try:
        command = json.loads((folder / "run.json").read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        command = "python scripts/probe_llm.py --model …"
    return f"make it again with `{command}`"


def read_runs(folders: Sequence[Path]) -> list[RunTables]:
    """Several folders, each under a name of its own.

    Raises:
        InputError: one cannot be read, or two different models go by one name.
    """
    runs = [read_run(folder) for folder in folders]
    check_one_model_a_name(runs)
    return named_apart(runs)


def check_one_model_a_name(runs: Sequence[RunTables]) -> None:
    """Refuse two models under one name: their rows would look like one model's.

    A model is named by `model` and `revision`. Shape and number of parameters must then agree; and the weights too
    where both were read in one dtype on one kind of device, because sums round differently elsewhere.

    Raises:
        InputError: the two folders, and what differs.
    """
    shape, weights = ("layers", "d_model", "parameters"), ("weights_fingerprint",)
    first: dict[tuple[object, ...], RunTables] = {}
    for one in runs:
        for keys, alike in ((shape, ()), (weights, ("dtype", "device"))):
            place = (keys, *(one.run.get(key) for key in ("model", "revision", *alike)))
            other = first.setdefault(place, one)
            for key in keys:
                mine, theirs = one.run.get(key), other.run.get(key)
                if None not in (mine, theirs) and mine != theirs:
                    raise InputError(
                        f"{other.folder} and {one.folder} are two models under one name, {one.run['model']} "
                        f"({key.replace('_', ' ')} {theirs} and {mine}): rename one in its run.json, or probe it again"
                    )


def named_apart(runs: Sequence[RunTables]) -> list[RunTables]:
    """Folder names, with as much of the path before them as it takes to tell them apart."""
    parts = [one.folder.resolve().parts for one in runs]
    length = 1
    while length < max(map(len, parts), default=1) and len({path[-length:] for path in parts}) < len(set(parts)):
        length += 1
    return [
        RunTables("/".join(path[-length:]), one.folder, one.run, one.frames, one.schema, one.missing)
        for one, path in zip(runs, parts, strict=True)
    ]
