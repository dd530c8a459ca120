"""All committed verdicts as one table with provenance, in the form `datasets.load_dataset` reads.

python scripts/repository/export_verdicts.py                          every results/<model> that has a page
python scripts/repository/export_verdicts.py results/mine --out there  some of them, or your own

    verdicts.parquet, verdicts.jsonl   one row a claim and run: the columns of verdicts.csv, and those of `PROVENANCE`
    README.md                          the dataset card: what a row is, what every column means, how to add rows

To add rows of your own, put your results folder beside those of the repository and run the command again.
"""

from __future__ import annotations

import _root
from _command import ROOT, run

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from toy.run.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from llm_probe.run.schema import RunTables

PROVENANCE = {
    "run": "Name of the results folder.",
    "model": "Hub id, folder or file that was probed.",
    "revision": "Commit of the hub repository; empty for a folder or file.",
    "parameters": "Number of parameters, the vocabulary head included.",
    "model_layers": "Number of blocks of the model.",
    "d_model": "Width of the residual stream.",
    "quantization": "Of a GGUF file: what its weights were stored as before they were made float32.",
    "untrained": "Whether the weights that were probed were never trained: such rows are a null. Empty: not said.",
    "dtype": "Precision of the forward passes.",
    "chat": "Whether prompts were wrapped in the chat template.",
    "seed": "Of prompts, renamings, bootstrap and random weights.",
    "date": "When the run began.",
    "commit": "Commit of the code; a plus stands for changed files.",
    "configuration_hash": "Of everything that can change a number.",
    "weights_fingerprint": "Of the shapes and sums of all weights.",
    "command": "What makes the run again.",
    "schema": "Version of the tables the run was written in; columns that are younger are empty.",
}
"""Columns beside those of verdicts.csv, and what they mean."""
RENAMED = {"model_layers": "layers"}
"""Their names in run.json, where those differ."""
PROVENANCE_TYPES = dict.fromkeys(PROVENANCE, "str") | {
    "parameters": "int", "model_layers": "int", "d_model": "int", "seed": "int", "schema": "int",
    "untrained": "bool", "chat": "bool",
}  # fmt: skip
CARD = """---
pretty_name: Calibrated verdicts on cyclic quantities in language models
configs:
- config_name: default
  data_files: verdicts.parquet
---

# Calibrated verdicts on cyclic quantities in language models

One row a claim and run: does this model carry these sums, days, months or hours on a circle? The verdict is
`supported`, `refuted` or `undetermined`, `level` the most that was shown; rows with `untrained` are a null. {rows} rows
of {runs} runs: {names}.

    from datasets import load_dataset
    verdicts = load_dataset("parquet", data_files="verdicts.parquet", split="train")

Made by `{command}`. To add rows, run `python scripts/probe_llm.py --model …` and that command again.

| column | meaning |
|---|---|
{columns}
"""


@dataclass(frozen=True)
class Options:
    """Reads tables only: no model, a few seconds."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Results folders of scripts/probe_llm.py; none given: all of the repository."""
    out: Path = Path("results/verdicts")
    """Folder to write."""


def main() -> int:
    return run(__file__, Options, __doc__, export, "what was there is whole")


def export(options: Options, command: str) -> None:
    """Read, join, write.

    Raises:
        InputError: a folder that cannot be read or written, or none at all.
    """
    from llm_probe.run.schema import read_runs

    folders = options.runs or committed_runs()
    if not folders:
        raise InputError("no run to export: give results folders of scripts/probe_llm.py")
    runs = read_runs(folders)
    table = together(runs)
    write(table, runs, options.out, command)
    print(f"{len(table)} verdicts of {len(runs)} runs in {options.out}")


def committed_runs() -> list[Path]:
    """The folders of the repository's results with a page; one without is of rules long gone."""
    return sorted(path.parent for path in (ROOT / "results").glob("*/report.html") if _is_run(path.parent))


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file() and (folder / "verdicts.csv").is_file()


def together(runs: Sequence[RunTables]) -> pd.DataFrame:
    """All verdicts, each with its run's provenance before it."""
    import pandas as pd

    from llm_probe.run.verdict_row import VerdictRow

    parts = []
    for one in runs:
        verdicts = one.frames["verdicts"]
        known = {name: one.run.get(RENAMED.get(name, name)) for name in PROVENANCE}
        known |= {"run": one.name, "schema": one.schema}
        before = pd.DataFrame({name: [value] * len(verdicts) for name, value in known.items()})
        parts.append(pd.concat([before, verdicts.reset_index(drop=True)], axis=1).astype(object))
    table = pd.concat(parts, ignore_index=True)
    # By declaration: a column that is empty so far is of the type that its first value will have.
    types = PROVENANCE_TYPES | {field.name: str(field.type) for field in fields(VerdictRow)}
    return table.astype({name: _pandas_type(types.get(name, "float")) for name in table})


def _pandas_type(declared: str) -> str:
    """The type of a column that may be empty; whatever is declared as none of these numbers is text."""
    kinds = {"bool": "boolean", "int": "Int64", "float": "Float64"}
    return kinds.get(declared.removesuffix(" | None"), "string")


def write(table: pd.DataFrame, runs: Sequence[RunTables], folder: Path, command: str) -> None:
    """Both files and the card, each whole or not at all."""
    from llm_probe.run.columns import meanings
    from llm_probe.run.verdict_row import VerdictRow
    from toy.run.files import replace_with, write_atomic

    of_column = PROVENANCE | {name: meaning for name, _, meaning in meanings(VerdictRow)}
    card = CARD.format(
        rows=len(table),
        runs=len(runs),
        names=", ".join(one.name for one in runs),
        command=command,
        columns="\n".join(f"| `{name}` | {of_column.get(name, '').replace('|', chr(92) + '|')} |" for name in table),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_with(folder / "verdicts.parquet", lambda path: table.to_parquet(path, index=False))
        lines = table.to_json(orient="records", lines=True, force_ascii=False) or ""
        write_atomic(folder / "verdicts.jsonl", lines)
        write_atomic(folder / "README.md", card)
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder with --out") from error


if __name__ == "__main__":
    sys.exit(main())
