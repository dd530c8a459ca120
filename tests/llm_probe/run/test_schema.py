"""Reading runs back: earlier schemas are migrated, mixed ones and two models under one name are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from llm_probe.run import schema, table
from llm_probe.run.schema import ADDED, columns_of, read_run, read_runs
from tests.llm_probe.written import Write
from toy.run.errors import InputError

NEW = [column for tables in ADDED.values() for column in tables.get("verdicts", ())]


def older(folder: Path) -> Path:
    """The same folder as schema 1 would have written it."""
    path = folder / "verdicts.csv"
    pd.read_csv(path).drop(columns=NEW).to_csv(path, index=False)
    for name, version in (("r2_table", 3), ("behaviour", 6), ("circles", 7)):
        path = folder / f"{name}.csv"
        pd.read_csv(path).drop(columns=list(ADDED[version][name])).to_csv(path, index=False)
    for name in ("controls", "invariants", "points"):
        (folder / f"{name}.csv").unlink()
    return folder


def test_a_changed_row_type_is_noticed() -> None:
    """If this fails: raise VERSION, say in ADDED what is new, set FINGERPRINT to what `fingerprint()` gives now."""
    assert schema.fingerprint() == schema.FINGERPRINT
    assert max(ADDED) == schema.VERSION


def test_columns_of_a_version_are_todays_without_later_ones() -> None:
    assert set(columns_of("verdicts")) - set(columns_of("verdicts", 1)) == set(NEW)
    assert columns_of("controls", 1) == ()
    assert set(columns_of("r2_table")) - set(columns_of("r2_table", 2)) == {"p_renaming"}


def test_a_run_reads_back_as_it_was_written(write_run: Write) -> None:
    run = read_run(write_run("a", lambda frames: frames["verdicts"].__setitem__("layers_held", "2")))
    assert (run.name, run.schema, run.missing) == ("a", schema.VERSION, ())
    assert {name: tuple(frame.columns) for name, frame in run.frames.items()} == {
        name: columns_of(name) for name in table.TABLES
    }
    assert set(run.frames["verdicts"]["layers_held"]) == {"2"}  # text, not a number


def test_an_earlier_schema_is_read_with_empty_columns(write_run: Write) -> None:
    run = read_run(older(write_run("a")))
    assert run.schema == 1
    assert run.missing == ()  # what did not exist then is not missing
    assert run.frames["verdicts"][NEW].isna().all(axis=None)
    assert run.frames["controls"].empty and list(run.frames["controls"]) == list(columns_of("controls"))


def test_a_table_left_out_for_its_size_is_named(write_run: Write) -> None:
    folder = write_run("a")
    (folder / "r2_table.csv").unlink()
    run = read_run(folder)
    assert run.missing == ("r2_table",) and run.frames["r2_table"].empty


def test_mixed_schemas_in_one_folder_are_refused(write_run: Write) -> None:
    folder = write_run("a")
    verdicts = pd.read_csv(folder / "verdicts.csv")
    verdicts.drop(columns=NEW).to_csv(folder / "verdicts.csv", index=False)
    with pytest.raises(InputError, match=r"mixes schemas.*verdicts\.csv is 1, behaviour\.csv is 6.*probe_llm\.py"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.assign(mood=1), r"verdicts\.csv has the unknown column 'mood'.*make it again with"),
        (lambda rows: rows.drop(columns="plane_r2"), r"lacks the column 'plane_r2'"),
        (lambda rows: rows.drop(columns="p_holm"), r"lacks the column 'p_holm'"),
    ],
)
def test_an_unknown_schema_is_refused_with_the_command_that_makes_it_again(write_run: Write, change, message) -> None:  # type: ignore[no-untyped-def]
    folder = write_run("a")
    change(pd.read_csv(folder / "verdicts.csv")).to_csv(folder / "verdicts.csv", index=False)
    with pytest.raises(InputError, match=message):
        read_run(folder)


def test_a_record_that_contradicts_its_tables_is_refused(write_run: Write) -> None:
    with pytest.raises(InputError, match=r"run\.json says schema 1, its tables are of 7"):
        read_run(write_run("a", schema=1))


def test_what_is_no_run_is_said(tmp_path: Path, write_run: Write) -> None:
    with pytest.raises(InputError, match=r"is no folder: there is no run\.json"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no run\.json"):
        read_run(tmp_path / "empty")
    broken = write_run("broken")
    (broken / "run.json").write_text("{")
    with pytest.raises(InputError, match="cannot read"):
        read_run(broken)
    blank = write_run("blank")
    (blank / "verdicts.csv").write_text("")
    with pytest.raises(InputError, match="cannot read"):
        read_run(blank)
    (blank / "run.json").write_text(json.dumps([]))
    with pytest.raises(InputError):
        read_run(blank)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"weights_fingerprint": "bad"}, False),
        ({"d_model": 8}, False),
        ({"weights_fingerprint": "bad", "revision": "another"}, True),
        ({"weights_fingerprint": "bad", "dtype": "bfloat16"}, True),
        ({"weights_fingerprint": "bad", "model": "other"}, True),
        ({"seed": 3}, True),
    ],
)
def test_two_models_under_one_name_are_refused(write_run: Write, changed: dict, same: bool) -> None:
    folders = [write_run("a"), write_run("b", **changed)]
    if same:
        assert [run.name for run in read_runs(folders)] == ["a", "b"]
    else:
        with pytest.raises(InputError, match=r"/a and .*/b are two models under one name, made/Up-0\.6B"):
            read_runs(folders)


def test_equal_folder_names_are_told_apart(write_run: Write) -> None:
    runs = read_runs([write_run("x/run"), write_run("y/run")])
    assert [run.name for run in runs] == ["x/run", "y/run"]
