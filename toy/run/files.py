"""Files that appear whole or not at all: a reader never meets half a table, and a full disk loses nothing.

Tables are lists of rows, a row a dictionary, on disk csv files with a header; lines of metrics are JSON. A text that a
spreadsheet would run as a formula is written with an apostrophe before it (`inert`), which `as_given` takes away again.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from toy.run.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
PARTIAL = ".partial"
"""In the name of a file that is being written."""
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a text begins that a spreadsheet runs as a formula, or that was one and has its apostrophe."""


def write_atomic(path: Path, content: str) -> None:
    """Write a whole text file or nothing."""
    replace_with(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def replace_with(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, and move it there in one step once it is on the disk.

    Nothing is left of it if that fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending is kept: writers of pictures and films choose their format by it.
    # Machine and process keep two jobs that write the same file apart.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}@{gethostname()}{PARTIAL}{path.suffix}")
    try:
        write(temporary)
        flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or every file in a folder, is on the disk: a name must not survive a power cut without it."""
    for file in [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clear_partial(folder: Path, stem: str = "*") -> None:
    """Remove what killed writers of `stem` left in a folder. Only for who knows that nobody else is writing there."""
    for left in folder.glob(f".{stem}.*{PARTIAL}*"):
        left.unlink(missing_ok=True)


def clear_killed(folder: Path) -> None:
    """Remove the partial files of this machine's processes that are no more: kill -9 leaves nobody to do it."""
    written = re.compile(rf"\..*\.(\d+)@{re.escape(gethostname())}{re.escape(PARTIAL)}.*")
    for left in folder.glob(f".*{PARTIAL}*"):
        if (match := written.fullmatch(left.name)) and not _is_alive(int(match[1])):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no process number at all
        pass
    return True


@contextmanager
def writing_to(path: Path, advice: str = "free some space and run again", *errors: type[Exception]) -> Iterator[None]:
    """Turn an error of the disk inside the block into an InputError of one sentence that ends with `advice`.

    `errors` are further types that say so: torch reports a full disk as RuntimeError.
    """
    try:
        yield
    except (OSError, *errors) as error:
        raise InputError(f"cannot write to {path} ({getattr(error, 'strerror', None) or error}): {advice}") from error


def as_csv(rows: Sequence[Row]) -> str:
    """Rows of equal fields, words among them; of no rows an empty line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def frame_as_csv(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """A pandas table as CSV, its texts inert."""
    import pandas as pd

    columns = {}
    for name, column in frame.items():
        values = list(column)
        texts = [inert(value) for value in values]
        # Columns without such a text stay as they are: pandas would guess another type for them.
        if any(text is not value for text, value in zip(texts, values, strict=True)):
            columns[name] = pd.Series(texts, frame.index, dtype=object)
    return frame.assign(**columns).to_csv(index=False, float_format=float_format)


def inert(value: Any) -> Any:
    """A text that a spreadsheet does not run; numbers, also those that are written as texts, stay as they are."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) and not _is_number(value) else value


def as_given(value: Any) -> Any:
    """What `inert` was given."""
    is_inert = isinstance(value, str) and value.startswith("'") and FORMULA.match(value)
    return value[1:] if is_inert else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_tables(folder: Path, tables: Mapping[str, Sequence[Row]], summary: Mapping[str, float]) -> None:
    """`name`.csv of every table that has rows, and summary.json. Raises InputError if they cannot be written."""
    texts = {f"{name}.csv": as_csv(rows) for name, rows in tables.items() if rows}
    with writing_to(folder):
        for name, text in (texts | {"summary.json": json.dumps(summary, indent=1) + "\n"}).items():
            write_atomic(folder / name, text)


def read_table(folder: Path, name: str, columns: Collection[str]) -> pd.DataFrame:
    """The table of a csv file.

    Raises InputError if the file cannot be read, is empty or lacks one of `columns`.
    """
    import pandas as pd

    path = folder / name
    try:
        table = pd.read_csv(path, float_precision="round_trip")
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give the folder of a run that is measured") from error
    lacks = ["rows"] if table.empty else [column for column in columns if column not in table]
    if lacks:
        lacking = " and ".join([", ".join(lacks[:-1]), lacks[-1]] if lacks[1:] else lacks)
        raise InputError(f"{path} has no {lacking}: measure the run again with the script that trained it")
    return table


def read_lines(path: Path) -> list[Row]:
    """Lines of JSON, such as metrics.jsonl; none where the file is not kept, as in committed results.

    Raises InputError if a line is damaged.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rows.append({**json.loads(line)})
        except (ValueError, TypeError) as error:
            raise InputError(f"line {number} of {path} is damaged: train again with another --out") from error
    return rows


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """All lines at once, whole or not at all."""
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
