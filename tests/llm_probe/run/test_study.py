"""Cells: computed once, read back exactly, whole or not there, and a full disk or a wrong folder said in one line."""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from llm_probe.models.loading import weights_fingerprint
from llm_probe.run.study import Result, Rows, Session, Study
from llm_probe.run.table import BehaviourRow, ControlRow, ExampleRow, R2Row
from llm_probe.verdicts.evidence import Evidence
from tests.llm_probe.verdicts.by_hand import GOOD, changed
from toy.run.errors import InputError

VERSION = 7
ROW = R2Row(
    **dict.fromkeys(field.name for field in fields(R2Row))
    | {"weights": "trained", "domain": "days", "quantity": "sum", "site": "resid_post", "position": "last", "layer": 1}
    | {"period": 7, "unit": "plane", "family": "fourier", "frequency": 2, "n_prompts": 800, "n_groups": 200}
    | {"r2_heldout": 0.1 + 0.2, "angle_error": math.pi / 7, "p_renaming": 1 / 500}  # every digit counts
)
CONTROL = ControlRow("days", 7, "sum", "shuffled", -1 / 3, 1, "resid_post", "last", 2, 800)
EVIDENCE = changed(
    GOOD, r2=0.1 + 0.2, low=1 / 3, high=math.nextafter(1, 0), discovery_r2=-1e-300, null_r2=5e-324, p_period=None,
    closure=None, closure_low=None, closure_high=None,
    rows={"r2_table": [ROW, replace(ROW, layer=2)], "controls": [CONTROL]},
)  # fmt: skip
ANSWERS: Rows = {
    "behaviour": [BehaviourRow("days", 7, "published", "plus", 49, 1 / 7, 0.1, 0.2, 0.3, 0.2, 0.4, 1 / 7)],
    "examples": [ExampleRow("days", "Friday + 3 days = ", "Monday", "Måndag\n", False)],
}


def draw(folder: Path, result: Result) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "a.svg").write_text(f"{len(result.frames)} tables")


STUDY = Study(
    {"behaviour": BehaviourRow, "examples": ExampleRow}, VERSION, lambda result: f"{len(result.frames)} tables", draw
)


def never() -> Any:
    raise AssertionError("a cell that is on disk was computed again")


def session(folder: Path | None) -> Session:
    return Session(STUDY, folder)


def test_evidence_comes_back_exactly() -> None:
    def read_back(evidence: Evidence) -> Evidence:
        return Evidence.of_content(json.loads(json.dumps(evidence.content())))

    assert read_back(EVIDENCE) == EVIDENCE
    assert read_back(replace(EVIDENCE, class_mean=None)).class_mean is None
    odd = read_back(changed(r2=math.nan, low=-math.inf)).confirmation
    assert math.isnan(odd.r2) and odd.low == -math.inf


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    assert session(tmp_path).rows("key", lambda: ANSWERS) == ANSWERS
    assert session(tmp_path).rows("key", never) == ANSWERS


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert session(None).rows("key", lambda: ANSWERS) == ANSWERS
    assert list(tmp_path.iterdir()) == []


def test_cells_of_another_version_are_not_read(tmp_path: Path) -> None:
    session(tmp_path).rows("key", lambda: ANSWERS)
    cell = tmp_path / "cells" / f"v{VERSION}-key.json"
    cell.rename(cell.with_name(f"v{VERSION + 1}-key.json"))
    with pytest.raises(AssertionError, match="computed again"):
        session(tmp_path).rows("key", never)


def test_a_study_writes_its_tables_its_record_and_its_figures(tmp_path: Path) -> None:
    def work(run: Session) -> Rows:
        run.facts["model"] = "made up"
        return {**run.rows("key", lambda: ANSWERS), "examples": []}

    result = STUDY.run(tmp_path, work)
    result.write(tmp_path)
    assert str(result) == "2 tables"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "behaviour.csv", "cells", "examples.csv", "figures", "run.json",
    ]  # fmt: skip
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["model"] == "made up" and record["seconds"] >= 0
    assert (tmp_path / "examples.csv").read_text() == "domain,prompt,answer,model_answer,right\n"
    Result(result.frames, result.run, replace(STUDY, leaves_out_empty=True)).write(tmp_path)
    assert not (tmp_path / "examples.csv").exists()


def test_rows_of_a_table_that_is_not_declared_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="does not declare: \\['verdicts'\\]"):
        STUDY.run(None, lambda run: {"verdicts": []})


ONE = {"model": "A/run", "revision": None, "weights_fingerprint": "1a", "dtype": "float32", "device": "cpu"}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"model": "./A/run"}, True),  # the same weights by another path
        ({"weights_fingerprint": "2b"}, False),
        ({"model": "B/run", "weights_fingerprint": "2b"}, False),
        # Sums of weights round otherwise in another dtype or on another device: then the names decide.
        ({"weights_fingerprint": "2b", "dtype": "bfloat16"}, True),
        ({"weights_fingerprint": "2b", "device": "cuda:0", "revision": "main"}, False),
        ({"weights_fingerprint": "2b", "device": "cuda:0", "model": "B/run"}, False),
    ],
)
def test_results_of_another_model_are_not_overwritten(changes: dict[str, str], same: bool, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(ONE))
    if same:
        session(tmp_path).identify(ONE | changes)
        return
    with pytest.raises(InputError, match=r"holds the results of A/run .*give another --out"):
        session(tmp_path).identify(ONE | changes)


@pytest.mark.parametrize("record", ["", "[]", '{"model": "A/run", "revision": null}'])
def test_a_record_that_says_less_is_no_obstacle(record: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(record)
    run = session(tmp_path)
    run.identify(ONE)
    assert run.facts["model"] == "A/run"


def full_disk(half: bool) -> Callable[..., int]:
    """A `Path.write_text` that fails, after it wrote the first half if `half`."""

    def write(path: Path, text: str, **_: object) -> int:
        if half:
            path.write_bytes(text[: len(text) // 2].encode())
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    return write


@pytest.mark.parametrize("half", [False, True])
def test_a_full_disk_leaves_no_half_written_cell(half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = session(tmp_path)
    run.rows("first", lambda: ANSWERS)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk(half))
        with pytest.raises(InputError, match=r"cannot write .*second\.json: No space left on device; free some space"):
            run.rows("second", lambda: ANSWERS)
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [f"v{VERSION}-first.json"]
    assert run.rows("first", never) == ANSWERS
    assert run.rows("second", lambda: ANSWERS) == ANSWERS


def test_a_cell_that_is_stopped_while_it_is_computed_is_not_there(tmp_path: Path) -> None:
    def stopped() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session(tmp_path).rows("key", stopped)
    assert not (tmp_path / "cells").exists()
    assert session(tmp_path).rows("key", lambda: ANSWERS) == ANSWERS


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match=r"cannot write to .*a file.* give another folder with --out"):
            session(folder)
    assert file.read_text() == "mine"


def test_a_nearly_full_disk_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(49_000_000))
    with pytest.raises(InputError, match="has 49 MB left, results need 50"):
        session(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(50_000_000))
    session(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_models_in_memory_are_told_apart_by_their_weights() -> None:
    model = nn.Linear(3, 2)
    before = weights_fingerprint(model)
    assert before == weights_fingerprint(model)
    with torch.no_grad():
        model.weight[0, 0] += 1e-6
    assert weights_fingerprint(model) != before
