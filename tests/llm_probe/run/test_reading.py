"""Tables and records that were edited, cut or mixed up are refused in one sentence; the committed ones all read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from llm_probe.run.reading import CHECKSUMS, checksum_of, read_frame, read_record
from llm_probe.run.schema import read_run
from llm_probe.run.table import ExampleRow, R2Row
from tests.llm_probe.written import Write
from tests.root import ROOT
from toy.run.errors import InputError
from toy.run.files import frame_as_csv

COMMITTED = sorted(
    path.parent for path in (ROOT / "results").glob("*/run.json") if (path.parent / "verdicts.csv").is_file()
)


def replace_value(folder: Path, table: str, column: str, value: object) -> None:
    """Put a value into the second row of a table."""
    path = folder / f"{table}.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.loc[1, column] = value
    rows.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("r2_table", "r2_heldout", "abc", "'abc' as r2_heldout in row 2"),
        ("r2_table", "n_prompts", "", "no value as n_prompts in row 2"),
        ("r2_table", "layer", "1.5", r"'1\.5' as layer in row 2"),
        ("verdicts", "verdict", "odd", "'odd' as verdict in row 2"),
        ("verdicts", "level", "", "no value as level in row 2"),
        ("verdicts", "cyclic", "perhaps", "'perhaps' as cyclic in row 2"),
        ("verdicts", "closure", "1,2", "'1,2' as closure in row 2"),
        ("circles", "x", "#REF!", "'#REF!' as x in row 2"),
        ("examples", "right", "2", "'2' as right in row 2"),
    ],
)
def test_an_edited_value_is_named(table: str, column: str, value: str, message: str, write_run: Write) -> None:
    folder = write_run("a")
    replace_value(folder, table, column, value)
    with pytest.raises(
        InputError, match=rf"{table}\.csv has {message}, which no run writes: it was edited; make it again"
    ):
        read_run(folder)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("layers", "many", "has the layers 'many'"),
        ("layers", True, "has the layers True"),
        ("d_model", 2.5, "has the d_model 2.5"),
        ("model", ["a"], r"has the model \['a'\]"),
        ("seconds", "long", "has the seconds 'long'"),
        ("model", None, "names no model"),
    ],
)
def test_an_edited_record_is_named(entry: str, value: object, message: str, write_run: Write) -> None:
    folder = write_run("a")
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
    with pytest.raises(InputError, match=rf"run\.json {message}"):
        read_run(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"run"', "\0\0", "\udcff"])
def test_a_damaged_record_is_named(content: str, write_run: Write) -> None:
    folder = write_run("a")
    (folder / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"run\.json"):
        read_run(folder)


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text[:-40], lambda text: "\0" * 99])
def test_a_cut_table_is_named(damage: Callable[[str], str], write_run: Write) -> None:
    folder = write_run("a")
    path = folder / "verdicts.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match="make it again with"):
        read_run(folder)


def sealed(folder: Path) -> Path:
    """The folder as a run leaves it now: its record knows the checksums of its tables."""
    path = folder / "run.json"
    checksums = {table.name: checksum_of(table.read_bytes()) for table in folder.glob("*.csv")}
    path.write_text(json.dumps({**json.loads(path.read_text()), CHECKSUMS: checksums}))
    return folder


def test_one_digit_that_was_changed_is_noticed(write_run: Write) -> None:
    folder = sealed(write_run("a"))
    assert read_run(folder).missing == ()
    replace_value(folder, "r2_table", "r2_heldout", "0.5")
    with pytest.raises(InputError, match=r"r2_table\.csv is not the table that run\.json was written with"):
        read_run(folder)


def test_a_run_that_was_killed_between_two_tables_is_noticed(write_run: Write) -> None:
    """Its first tables stand beside those of an earlier run, all of one schema."""
    folder, other = sealed(write_run("a")), write_run("b", lambda frames: frames["circles"].__setitem__("x", 0.25))
    shutil.copy(other / "circles.csv", folder / "circles.csv")
    with pytest.raises(InputError, match=r"circles\.csv is not the table .*another run was interrupted"):
        read_run(folder)
    (folder / "circles.csv").unlink()  # left out for its size: named, not refused
    assert read_run(folder).missing == ("circles",)


def test_texts_read_back_as_they_were(tmp_path: Path) -> None:
    answers = ["=1+1", "None", "007", "-2", "'=", "", "NA"]
    rows = [vars(ExampleRow("days", "prompt", "answer", answer, right=True)) for answer in answers]
    path = tmp_path / "examples.csv"
    path.write_text(frame_as_csv(pd.DataFrame(rows)))
    assert read_frame(path, ExampleRow)["model_answer"].fillna("").tolist() == answers


def test_a_record_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*run\.json"):
        read_record(tmp_path / "run.json")
    with pytest.raises(InputError, match=r"cannot read .*r2_table\.csv"):
        read_frame(tmp_path / "r2_table.csv", R2Row)


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_the_committed_runs_read(folder: Path) -> None:
    assert len(read_run(folder).frames["verdicts"])
