"""The export of verdicts: rows with provenance, types whatever is empty, and read back as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from repository.export_verdicts import Options, committed_runs, export

from llm_probe.run.schema import version
from llm_probe.run.table import TABLES
from tests.llm_probe.made_up import CLAIMS, RUN, made_up
from toy.run.errors import InputError


def run_folder(folder: Path, **facts: object) -> Path:
    """A results folder as a run leaves it."""
    folder.mkdir()
    for name, frame in made_up(CLAIMS, layers=1).items():
        if name in TABLES:
            frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "run.json").write_text(json.dumps({**RUN, "schema": version(), **facts}))
    return folder


def test_verdicts_of_two_runs_are_one_dataset(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one", model="a/b", revision="r1", untrained=False)
    two = run_folder(tmp_path / "two", model="a/c", revision="r2", untrained=True, quantization="Q4_1")
    export(Options((one, two), tmp_path / "out"), "a test")
    rows = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out/verdicts.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 2 * len(CLAIMS)
    assert set(rows["run"]) == {"one", "two"}
    assert {(row["run"], row["untrained"], row["quantization"]) for row in rows} == {
        ("one", False, None), ("two", True, "Q4_1"),
    }  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out/verdicts.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == list(rows["verdict"])
    assert "2 runs" in (card := (tmp_path / "out/README.md").read_text())
    assert all(f"| `{name}` | " in card for name in rows.column_names)
    assert "|  |" not in card


def test_a_column_that_is_empty_everywhere_has_its_declared_type(tmp_path: Path) -> None:
    export(Options((run_folder(tmp_path / "one"),), tmp_path / "out"), "a test")
    features = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out/verdicts.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    ).features
    assert features["quantization"].dtype == features["explained_by"].dtype == features["model"].dtype
    assert (features["p_redrawn"].dtype, features["period"].dtype) == ("float64", "int64")


def test_the_committed_runs_are_found_and_no_folder_is_an_error(tmp_path: Path) -> None:
    assert {"reference", "SmolLM2-135M-Instruct"} <= {path.name for path in committed_runs()}
    with pytest.raises(InputError, match=r"is no folder"):
        export(Options((tmp_path / "none",), tmp_path / "out"), "a test")
    assert not (tmp_path / "out").exists()
