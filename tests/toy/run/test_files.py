"""Texts in tables: nothing that a spreadsheet would run, and everything reads back as it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toy.run.cells import check_writable
from toy.run.errors import InputError, printable
from toy.run.files import as_csv, as_given, frame_as_csv, inert, read_lines, replace_with

FORMULAS = ["=HYPERLINK(1)", "+1+1", "@SUM(1)", "-2+3", "\t=1", "\r=1", "-", "'=1", "''+x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_inert(text: str) -> None:
    assert inert(text) == f"'{text}"
    assert as_given(inert(text)) == text


@pytest.mark.parametrize("value", ["-2", "+1e3", "Monday", "", "'quoted'", "C sharp", -2, 0.5, None, True])
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    assert inert(value) is value
    assert as_given(value) is value


@given(st.text(alphabet="'=+-@\t\r1a "))
def test_every_text_reads_back(text: str) -> None:
    assert as_given(inert(text)) == text


def test_no_cell_of_a_table_begins_as_a_formula() -> None:
    columns = {"item": ["=cmd|calc!A1", "low", None], "whole": pd.array([1, None, 3], "Int64"), "mixed": [1, None, "x"]}
    frame = pd.DataFrame(columns)
    text = frame_as_csv(frame, "%.6g")
    assert text == "item,whole,mixed\n'=cmd|calc!A1,1,1\nlow,,\n,3,x\n"
    assert as_csv([{"item": "=1+1", "n": -2.5}]) == "item,n\n'=1+1,-2.5\n"
    plain = frame.drop(columns="item")
    assert frame_as_csv(plain, "%.6g") == plain.to_csv(index=False, float_format="%.6g")


def test_a_damaged_line_of_metrics_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for damaged in ("{", "[1]", "7", '{"step": \0}'):
        path.write_text(f'{{"step": 0}}\n{damaged}\n')
        with pytest.raises(InputError, match=r"line 2 of .*metrics\.jsonl is damaged"):
            read_lines(path)


def test_what_steers_a_terminal_is_shown_and_does_not() -> None:
    assert printable("days\x1b[31m\x07 \x9b \u202egnp") == r"days\x1b[31m\x07 \x9b \u202egnp"
    assert printable("Größe\n\t日本 é 👩‍🚀") == "Größe\n\t日本 é 👩‍🚀"


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    """By the next run in that folder; what a living process, another machine or a person has there stays."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here, cells = gethostname(), tmp_path / "cells"
    cells.mkdir()
    left = [tmp_path / f".r2_table.{dead.pid}@{here}.partial.csv", cells / f".v1-a.{dead.pid}@{here}.partial.json"]
    kept = [
        tmp_path / f".scan.{os.getpid()}@{here}.partial.csv",
        tmp_path / f".scan.{dead.pid}@another{here}.partial.csv",
        tmp_path / ".mine.partial.csv",
        tmp_path / f".huge.{10**30}@{here}.partial.csv",
    ]
    for path in (*left, *kept):
        path.touch()
    check_writable(tmp_path)
    assert [path for path in (*left, *kept) if path.exists()] == kept


def test_a_file_is_written_under_a_name_that_can_be_removed(tmp_path: Path) -> None:
    names: list[str] = []
    replace_with(tmp_path / "a.csv", lambda path: (names.append(path.name), path.touch()))
    assert names == [f".a.{os.getpid()}@{gethostname()}.partial.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
