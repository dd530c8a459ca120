"""One runner for every study of a model: work is kept cell by cell, and what comes out is tables with their provenance.

    Study      what a kind of run is, as a literal: its tables (name to row type), figures, page and words
    Session    one run of it: cells on disk, bars of progress, the facts of run.json
    Result     the tables and where they came from; `write` puts them into a folder, each file whole or not at all

A study is run by `study.run(folder, work, command)`, where `work(session)` computes rows by table. Everything that it
gives to `session.rows(key, make)` is a cell: computed once, whatever interrupts the run (`toy.run.cells`), so that the
same command goes on to the identical tables. Adding a study is one such literal and one such function; a table, a
column or a figure of it is an entry of the literal or a field of a row type.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm import tqdm

from llm_probe.models.gguf import MADE_FROM
from llm_probe.run import schema
from llm_probe.run.reading import CHECKSUMS, checksum_of
from llm_probe.run.table import frame
from toy.run.cells import Cells, writing_results
from toy.run.errors import InputError, printable
from toy.run.files import frame_as_csv, replace_with, write_atomic

if TYPE_CHECKING:
    from llm_probe.models.loading import LoadedModel
    from llm_probe.run.config import ProbeConfig

Rows = Mapping[str, Sequence[Any]]
"""Table name to rows, each of the table's row type."""
Frames = Mapping[str, pd.DataFrame]
PACKAGES = ("torch", "transformers", "numpy", "scipy", "pandas")


@dataclass(frozen=True)
class Study:
    """What one kind of run yields."""

    tables: Mapping[str, type]
    """Table name to the dataclass of its rows; the docstrings of the fields explain the columns everywhere."""
    cell_version: int
    """Raised when a change alters a cell's numbers or fields: cells of other versions are then not read."""
    words: Callable[[Result], str]
    """What the terminal prints at the end."""
    figures: Callable[[Path, Result], object] | None = None
    """Draws the tables into a folder."""
    page: Callable[[Path, Result], object] | None = None
    """Writes the page, where the study has one of its own."""
    page_name: str = "report.html"
    files: Mapping[str, Callable[[Path, Result], object]] = field(default_factory=dict)
    """Further files beside the tables: name to what writes one."""
    digits: int | None = 6
    """Significant digits of the numbers in the CSV files; None writes every digit."""
    record: str = "run.json"
    """Name of the file with the provenance."""
    leaves_out_empty: bool = False
    """Whether a table without rows has no file; one that an earlier run left there is removed."""

    def run(self, folder: Path | None, work: Callable[[Session], Rows], command: str = "") -> Result:
        """Compute the rows and make tables of them; with folder None nothing is kept on disk.

        Raises:
            InputError: the folder cannot be written, or `work` raises it.
        """
        started, session = time.monotonic(), Session(self, folder, command, origin(command))
        rows = work(session)
        unknown = sorted(set(rows) - set(self.tables))
        assert not unknown, f"rows of tables that the study does not declare: {unknown}"
        frames = {name: frame(list(rows.get(name, ())), kind) for name, kind in self.tables.items()}
        # The seconds of a run that went on from an earlier one's cells would not be those of the run.
        spent = {} if session.cells.resumed else {"seconds": round(time.monotonic() - started, 1)}
        return Result(frames, session.facts | spent, self)


@dataclass(frozen=True)
class Result:
    """Tables by the names of their study's `tables`, and their provenance."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]
    """The content of run.json."""
    study: Study

    def write(self, folder: str | Path) -> None:
        """Tables as CSV, provenance, page and figures.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        folder = Path(folder)
        checksums: dict[str, str] = {}
        with writing_results(folder):
            for name, rows in self.frames.items():
                path = folder / f"{name}.csv"
                if rows.empty and self.study.leaves_out_empty:
                    path.unlink(missing_ok=True)
                    continue
                content = _csv(rows, self.study.tables[name], self.study.digits)
                checksums[path.name] = checksum_of(content.encode())
                write_atomic(path, content)
            for name, make in self.study.files.items():
                replace_with(folder / name, lambda path, make=make: make(path, self))
            # Behind the tables: where a kill left some of them and the record of an earlier run, checksums say so.
            record = json.dumps({**self.run, CHECKSUMS: checksums}, indent=1, default=str)
            write_atomic(folder / self.study.record, record + "\n")
            if self.study.page:
                self.study.page(folder / self.study.page_name, self)
            if self.study.figures:
                self.study.figures(folder / "figures", self)

    def __str__(self) -> str:
        return printable(self.study.words(self))


def _csv(rows: pd.DataFrame, row_type: type, digits: int | None) -> str:
    if digits is not None:
        return frame_as_csv(rows, f"%.{digits}g")
    # Whole numbers with gaps would be written as 7.0.
    whole = {field.name: "Int64" for field in fields(row_type) if field.type == "int | None"}
    return frame_as_csv(rows.astype(whole))


@dataclass
class Session:
    """One run of a study."""

    study: Study
    folder: Path | None = None
    """None: nothing is kept on disk."""
    command: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    """What run.json will say; the study adds to it."""

    def __post_init__(self) -> None:
        self.cells = Cells(self.folder, self.study.cell_version)

    def rows(self, key: str, make: Callable[[], Rows]) -> dict[str, list[Any]]:
        """The rows of a cell, computed if they are not on disk; read back from JSON in either case."""
        content = self.cells.get(key, lambda: {name: [vars(row) for row in some] for name, some in make().items()})
        return {name: [self.study.tables[name](**row) for row in some] for name, some in content.items()}

    def describe(self, config: ProbeConfig, loaded: LoadedModel, layers: Sequence[int], fingerprint: str) -> None:
        """Note the model and its configuration for run.json. Raises InputError as `identify`."""
        self.identify(provenance(config, loaded, tuple(layers)) | {"weights_fingerprint": fingerprint})

    def identify(self, facts: dict[str, Any]) -> None:
        """Note for run.json what is studied: model, revision, weights_fingerprint, dtype, device, and more.

        Raises:
            InputError: the folder holds the results of another model, which would be lost.
        """
        if self.folder:
            check_same_model(self.folder, self.study.record, facts)
        self.facts |= facts


def check_same_model(folder: Path, record: str, facts: Mapping[str, Any]) -> None:
    """Check that a folder holds no results of another model; `record` is the file that says whose they are.

    Two folders may go by one name, and a hub's model has many revisions: the weights tell them apart, where both were
    read in one dtype on one kind of device, and else the names.

    Raises:
        InputError: it does.
    """
    try:
        before = json.loads((folder / record).read_text(encoding="utf-8"))
        alike = [before.get(key) == facts.get(key) for key in ("dtype", "device")]
    except (OSError, ValueError, AttributeError):
        return
    told_by = ("weights_fingerprint",) if all(alike) and before.get("weights_fingerprint") else ("model", "revision")
    if any(before.get(key) != facts.get(key) for key in told_by):
        raise InputError(
            f"{folder} holds the results of {_called(before)}, and this is {_called(facts)}: give another --out, or "
            "remove that folder"
        )


def _called(facts: Mapping[str, Any]) -> str:
    known = (f"{key.split('_')[0]} {facts[key]}" for key in ("revision", "weights_fingerprint") if facts.get(key))
    return f"{facts.get('model')} ({', '.join(known)})"


def together(parts: Sequence[Rows]) -> dict[str, list[Any]]:
    """The rows of several cells, table by table, in order."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: [row for part in parts for row in part.get(name, ())] for name in names}


@contextmanager
def stage(name: str, total: int | None, unit: str) -> Iterator[tqdm]:
    """A bar on a terminal; elsewhere one line when the stage is done."""
    started = time.monotonic()
    with tqdm(total=total, desc=name, unit=f" {unit}", disable=None, leave=False) as bar:
        yield bar
    if not sys.stderr.isatty():
        counted = "" if total is None else f"{total:,} {unit} in "
        print(f"{name}: {counted}{time.monotonic() - started:.0f} s", file=sys.stderr)


def origin(command: str) -> dict[str, Any]:
    """What every record says: when, by which command, code and versions, and in which shape the tables were written."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command,
        "schema": schema.version(),
        "versions": {name: installed(name) for name in PACKAGES},
        "commit": commit(),
    }


def provenance(config: ProbeConfig, loaded: LoadedModel, layers: tuple[int, ...]) -> dict[str, Any]:
    """What a record says of the model and the configuration, beside its `origin`."""
    return {
        "model": config.model,
        "revision": loaded.revision,
        "layers": len(loaded.layers),
        "layers_probed": list(layers),
        "d_model": loaded.d_model,
        "parameters": sum(weight.numel() for weight in loaded.model.parameters()),
        "untrained": loaded.untrained,
        "quantization": getattr(loaded.model.config, MADE_FROM, {}).get("quantization"),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "attention": getattr(loaded.model.config, "_attn_implementation", None),
        "control": "same architecture, random weights" if config.random_control else None,
        "seed": config.seed,
        "configuration_hash": config.hash(),
        "chat": config.chat,
        "prompts": config.prompts,
        "renamings": config.renamings,
        "positions": list(config.position) or ["last (questions)", "item (statements)"],
        "sites": list(config.site),
        "out": str(config.folder),
    }


def installed(package: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The checkout's commit, with a plus if files differ from it; None outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).resolve().parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
