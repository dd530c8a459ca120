"""Cells: computed once, read back exactly, whole or not there, and a full disk or a wrong folder said in one line."""

from __future__ import annotations

import errno
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

from llm_probe.run.store import CELL_VERSION, Behaviour, Store, weights_fingerprint
from llm_probe.run.table import BehaviourRow, CircleRow, ControlRow, ExampleRow, InvariantRow, R2Row, ScanRow
from llm_probe.verdicts.analysis import Best, Findings, Published
from toy.run.errors import InputError

BEST = Best(
    layer=1,
    site="resid_post",
    position="last",
    frequency=2,
    r2=0.1 + 0.2,  # 0.30000000000000004: every digit counts
    r2_low=1 / 3,
    r2_high=math.nextafter(1, 0),
    discovery_r2=-1e-300,
    null_r2=5e-324,
    angle_error=math.pi,
    p_fwer=1 / 500,
    p_period=None,
    parabola_r2=0.5,
    closure=None,
    layers_held=(0, 1, 7),
    explained_by=None,
    published=Published(0.999, 5, 1, 2),
    n_discovery=800,
    n_confirmation=400,
)
PLACE: dict[str, Any] = {
    "weights": "trained", "domain": "days", "quantity": "sum", "site": "resid_post", "position": "last", "layer": 1,
}  # fmt: skip
ROW = R2Row(
    **dict.fromkeys(field.name for field in fields(R2Row))
    | PLACE
    | {"period": 7, "unit": "plane", "family": "fourier", "frequency": 2, "n_prompts": 800, "n_groups": 200}
    | {"r2_heldout": 0.7, "angle_error": math.pi / 7, "p_fwer": 0.002}
)
FINDINGS = Findings(
    BEST,
    (ROW, replace(ROW, layer=2)),
    (CircleRow(**PLACE, frequency=2, label=3, item="Thursday", x=1 / 7, y=-1 / 7),),
    (ScanRow("trained", "days", 1, "resid_post", "last", 7 / 3, 1e-17),),
    (ControlRow("days", 7, "sum", "shuffled", -1 / 3, 1, "resid_post", "last", 2, 800),),
    (
        InvariantRow(
            "trained", "days", 7, "sum", 1, "resid_post", "last", 2, 1 / 3, 0.5, 1 / 7, *[None] * 7, -1e-9, None
        ),
    ),
)
ANSWERS = Behaviour(
    (BehaviourRow("days", 7, "published", "plus", 49, 1 / 7, 0.1, 0.2, 0.3, 0.2, 0.4, 1 / 7),),
    (ExampleRow("days", "Friday + 3 days = ", "Monday", "Måndag\n", False),),
)


def never() -> Findings:
    raise AssertionError("a cell that is on disk was computed again")


def test_findings_come_back_exactly(tmp_path: Path) -> None:
    assert Store(tmp_path).findings("key", lambda: FINDINGS) == FINDINGS
    assert Store(tmp_path).findings("key", never) == FINDINGS
    bare = replace(FINDINGS, best=replace(BEST, published=None))
    assert Store(tmp_path).findings("bare", lambda: bare) == Store(tmp_path).findings("bare", never) == bare


def test_not_a_number_comes_back(tmp_path: Path) -> None:
    odd = replace(FINDINGS, best=replace(BEST, r2=math.nan, r2_low=-math.inf), rows=(), circles=(), scan=())
    Store(tmp_path).findings("odd", lambda: odd)
    best = Store(tmp_path).findings("odd", never).best
    assert math.isnan(best.r2) and best.r2_low == -math.inf


def test_answers_come_back_exactly(tmp_path: Path) -> None:
    assert Store(tmp_path).behaviour("key", lambda: ANSWERS) == ANSWERS
    assert Store(tmp_path).behaviour("key", lambda: pytest.fail("asked again")) == ANSWERS


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store(None).findings("key", lambda: FINDINGS) == FINDINGS
    assert list(tmp_path.iterdir()) == []


def test_cells_of_another_version_are_not_read(tmp_path: Path) -> None:
    Store(tmp_path).findings("key", lambda: FINDINGS)
    cell = tmp_path / "cells" / f"v{CELL_VERSION}-key.json"
    cell.rename(cell.with_name(f"v{CELL_VERSION + 1}-key.json"))
    with pytest.raises(AssertionError, match="computed again"):
        Store(tmp_path).findings("key", never)


def full_disk(half: bool) -> Callable[..., int]:
    """A `Path.write_text` that fails, after it wrote the first half if `half`."""

    def write(path: Path, text: str, **_: object) -> int:
        if half:
            path.write_bytes(text[: len(text) // 2].encode())
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    return write


@pytest.mark.parametrize("half", [False, True])
def test_a_full_disk_leaves_no_half_written_cell(half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.findings("first", lambda: FINDINGS)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_disk(half))
        with pytest.raises(InputError, match=r"cannot write .*second\.json: No space left on device; free some space"):
            store.findings("second", lambda: FINDINGS)
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [f"v{CELL_VERSION}-first.json"]
    assert store.findings("first", never) == FINDINGS
    assert store.findings("second", lambda: FINDINGS) == FINDINGS


def test_a_cell_that_is_stopped_while_it_is_computed_is_not_there(tmp_path: Path) -> None:
    def stopped() -> Findings:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).findings("key", stopped)
    assert not (tmp_path / "cells").exists()
    assert Store(tmp_path).findings("key", lambda: FINDINGS) == FINDINGS


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match=r"cannot write to .*a file.* give another folder with --out"):
            Store(folder)
    assert file.read_text() == "mine"


def test_a_nearly_full_disk_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(49_000_000))
    with pytest.raises(InputError, match="has 49 MB left, results need 50"):
        Store(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(50_000_000))
    Store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_models_in_memory_are_told_apart_by_their_weights() -> None:
    model = nn.Linear(3, 2)
    before = weights_fingerprint(model)
    assert before == weights_fingerprint(model)
    with torch.no_grad():
        model.weight[0, 0] += 1e-6
    assert weights_fingerprint(model) != before
