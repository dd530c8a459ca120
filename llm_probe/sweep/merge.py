"""The tables of all finished cells as one table each, CSV for people, Parquet for large sweeps; and a page of them.

A row is the cell's key, what was swept, and the row as the job wrote it; rows stand in the order of the plan, whoever
computed them and when, so a sweep that was killed and resubmitted merges to the same bytes. Cells stream through: what
is in memory is one batch of rows. `gaps.csv` names the cells that are not there and why.

The page of a sweep of probes has these gaps first, with the end of each log and the command that does the cell alone,
then the page of several runs (`llm_probe.page.ladder_page`), a cell in place of a run.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from llm_probe.run.config import ProbeConfig
from llm_probe.run.schema import check_one_model_a_name, read_run
from llm_probe.run.table import columns_of
from llm_probe.sweep.folder import Sweep, log_end
from llm_probe.sweep.grid import SweepPoint, in_words
from toy.run.errors import InputError
from toy.run.files import replace_with

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1 << 17
"""Rows that are written together."""
GAP_COLUMNS = ("cell", "name", "state", "reason", "command")


@dataclass(frozen=True)
class Merged:
    """The tables that a merge wrote."""

    folder: Path
    cells: int
    rows: dict[str, int]
    """Table to number of rows."""
    gaps: tuple[dict[str, str], ...]
    """The cells that are missing, by `GAP_COLUMNS`."""

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.rows.items())
        lines = [f"merged {self.cells} of {self.cells + len(self.gaps)} cells into {self.folder}: {counts} rows"]
        return "\n".join([*lines, *(f"missing ({gap['state']}) {gap['name']}  {gap['reason']}" for gap in self.gaps)])


def merge(sweep: Sweep) -> Merged:
    """Write every table of the finished cells, and the gaps, into `merged`.

    Raises:
        InputError: a cell's table has other columns than this version writes, or one name stands for two models.
    """
    import pandas as pd

    states, folder = sweep.states(), sweep.folder / "merged"
    done = [(cell, sweep.record(cell) or {}) for cell in sweep.cells if states[cell.key] == "done"]
    _check_models(sweep, done)
    rows = {}
    for name, kind in sweep.kind.tables().items():
        parts = [(cell, sweep.run_folder(cell) / f"{name}.csv") for cell, record in done if name in record["tables"]]
        if parts:
            rows[name] = _write(folder / name, kind, parts, sweep)
    gaps = gaps_of(sweep, states)
    table = pd.DataFrame(list(gaps), columns=list(GAP_COLUMNS))
    replace_with(folder / "gaps.csv", lambda path: table.to_csv(path, index=False))
    return Merged(folder, len(done), rows, gaps)


def gaps_of(sweep: Sweep, states: Mapping[str, str] | None = None) -> tuple[dict[str, str], ...]:
    """The cells that are not done, by `GAP_COLUMNS`, in the order of the plan."""
    states = states or sweep.states()
    gaps = []
    for cell in sweep.cells:
        if states[cell.key] != "done":
            values = (cell.key, cell.name, states[cell.key], sweep.failure(cell) or "", sweep.command(cell))
            gaps.append(dict(zip(GAP_COLUMNS, values, strict=True)))
    return tuple(gaps)


def _schema(kind: type) -> pa.Schema:
    """The columns of a row dataclass; a column that stands in a registry and not in the class is a number."""
    import pyarrow as pa

    def arrow_type(hint: Any) -> pa.DataType:
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(one for one in get_args(hint) if one is not type(None))
        return {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}.get(hint, pa.string())

    hints = get_type_hints(kind)
    return pa.schema([(name, arrow_type(hints.get(name, float))) for name in columns_of(kind)])


def _write(stem: Path, kind: type, parts: Sequence[tuple[SweepPoint, Path]], sweep: Sweep) -> int:
    """One table in both formats; how many rows."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    from pyarrow import parquet

    own, swept = _schema(kind), _swept(sweep, kind)
    schema = pa.schema([("cell", pa.string()), *((name, values.type) for name, values in swept.items()), *own])
    place = {cell.key: index for index, cell in enumerate(sweep.cells)}
    written = 0

    def tables() -> Iterator[pa.Table]:
        for cell, path in parts:
            table = _read(path, own, cell)
            first = [pa.repeat(pa.scalar(cell.key), len(table))]
            first += [pa.repeat(values[place[cell.key]], len(table)) for values in swept.values()]
            yield pa.Table.from_arrays([*first, *table.columns], schema=schema)

    def write(csv_path: Path, parquet_path: Path) -> None:
        nonlocal written
        options = arrow_csv.WriteOptions(quoting_style="needed")
        with (
            arrow_csv.CSVWriter(csv_path, schema, write_options=options) as text,
            parquet.ParquetWriter(parquet_path, schema) as columns,
        ):
            for batch in _batches(tables()):
                text.write_table(batch)
                columns.write_table(batch)
                written += len(batch)

    replace_with(
        stem.with_suffix(".csv"),
        lambda one: replace_with(stem.with_suffix(".parquet"), lambda other: write(one, other)),
    )
    return written


def _batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    import pyarrow as pa

    kept: list[pa.Table] = []
    for table in tables:
        kept.append(table)
        if sum(map(len, kept)) >= BATCH:
            yield pa.concat_tables(kept).combine_chunks()
            kept = []
    if kept:
        yield pa.concat_tables(kept).combine_chunks()


def _read(path: Path, schema: pa.Schema, cell: SweepPoint) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    records = path.parents[2] / "cells"
    again = f"remove {path.parent} and the file of {cell.key} in {records}, and run the sweep again"
    convert = arrow_csv.ConvertOptions(column_types=schema, null_values=[""], strings_can_be_null=True)
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=convert,
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read as this version's {path.stem}: {error}; {again}") from error
    if table.column_names != schema.names:
        other = sorted(set(table.column_names) ^ set(schema.names)) or ["their order"]
        raise InputError(f"{path} has other columns than this version writes ({', '.join(other)}): {again}")
    return table


def _swept(sweep: Sweep, kind: type) -> dict[str, pa.Array]:
    """Column to values over all cells: what was swept, and the model."""
    import pyarrow as pa

    names = dict.fromkeys(name for cell in sweep.cells for name in ("model", *cell.values))
    own = {*columns_of(kind), "cell"}
    columns = {}
    for name in names:
        values = [getattr(cell.config, name, None) for cell in sweep.cells]
        if all(value is None for value in values):
            continue
        if any(not isinstance(value, (bool, int, float, type(None))) for value in values):
            values = [None if value is None else in_words(value) for value in values]
        columns[f"swept_{name}" if name in own else name] = pa.array(values)
    return columns


def _check_models(sweep: Sweep, done: Sequence[tuple[SweepPoint, dict[str, Any]]]) -> None:
    seen: dict[tuple[Any, ...], tuple[str, SweepPoint]] = {}
    for cell, record in done:
        if not (fingerprint := record["run"].get("weights_fingerprint")):
            continue
        weights = sweep.kind.weights(cell)
        first, other = seen.setdefault(weights, (fingerprint, cell))
        if first != fingerprint:
            name = " ".join(str(part) for part in weights if part is not None)
            raise InputError(
                f"two different models are called {name}: the weights of cell {other.key} ({other.name}) are not those "
                f"of {cell.key} ({cell.name}); remove the older one's file in {sweep.folder / 'cells'} and run again"
            )


def page(sweep: Sweep, command: str = "", beside: Path = Path(), *, embed: bool = False) -> str:
    """The page as text; the arguments are those of `ladder_page.render`.

    What is missing is read off the sweep itself, so a page is never older than its cells.

    Raises:
        InputError: no sweep of probes, no finished cell, one that cannot be read, or two models under one name.
    """
    from llm_probe.page import TEMPLATES, ladder_page  # loads matplotlib
    from toy.run.templates import render

    if sweep.kind.config is not ProbeConfig:
        raise InputError(
            f"{sweep.folder} is a sweep of {sweep.name} jobs, and the page is one of a probe's verdicts: read its "
            f"tables, python scripts/sweep.py merge {sweep.folder}"
        )
    runs = []
    for cell in sweep.cells:
        if sweep.is_done(cell):
            run = read_run(sweep.run_folder(cell))
            # Of its tables only the verdicts stay in memory: there may be a thousand cells.
            runs.append(replace(run, name=cell.name, frames={"verdicts": run.frames["verdicts"]}))
    if not runs:
        raise InputError(f"no cell of {sweep.folder} is done: see python scripts/sweep.py status {sweep.folder}")
    check_one_model_a_name(runs)
    logs = {cell.key: "\n".join(log_end(sweep.run_folder(cell) / "log.txt")) for cell in sweep.missing()}
    gaps = [{**gap, "log": logs[gap["cell"]]} for gap in gaps_of(sweep)]
    first = render(TEMPLATES, "sweep.html", gaps=gaps, count=len(sweep.cells))
    return ladder_page.render(runs, command, beside, embed=embed, first=first)
