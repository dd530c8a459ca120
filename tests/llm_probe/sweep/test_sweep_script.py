"""scripts/sweep.py as a user meets it: kinds, one line for every mistake, one model for many cells."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _kinds
import pandas as pd
import pytest
import sweep as script
import torch

from llm_probe.sweep.folder import open_sweep, plan
from llm_probe.sweep.grid import Grid
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import work

FIXED = {"domains": ["sizes"], "prompts": 40, "renamings": 9, "random_control": False, "behaviour": False}


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sweep.py", *words])
    return script.main()


def test_cells_of_one_model_load_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_probe.run import probe

    loads = []
    monkeypatch.setattr(
        probe, "load", lambda *given, real=probe.load, **how: loads.append(given) or real(*given, **how)
    )
    kind = _kinds.KINDS["probe"]
    cells = Grid("probe", FIXED, {"layers": [0, [1, 2]]}).cells(kind, 10)
    sweep = plan(tmp_path, "probe", kind, cells, "a test")
    assert work(sweep, sweep.cells) == 2 and [sweep.failure(cell) for cell in cells] == [None, None]
    assert len(loads) == 1
    result = merge(sweep)
    table = pd.read_csv(result.folder / "r2_table.csv")
    read = {(row.layers, row.layer) for row in table.itertuples()}
    assert read == {("0", -1), ("0", 0), ("1+2", -1), ("1+2", 1), ("1+2", 2)}
    assert set(table["model"]) == {"reference"}
    command = sweep.record(cells[1])["run"]["command"]  # type: ignore[index]
    assert command.startswith("python scripts/probe_llm.py --domains sizes --layers 1 2 --prompts 40")


def test_sparse_features_are_swept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae.circles import probe
    from tests.sae.planted_dictionary import saved

    def dictionary(name: str) -> Any:
        """40 random directions of the reference model's last block."""
        directions = torch.randn(40, 128, generator=torch.Generator().manual_seed(int(name[-1])))
        rows = torch.nn.functional.normalize(directions, dim=1)
        return saved(rows, rows, name=name, layer=2)

    monkeypatch.setattr(probe, "load_sae", dictionary)
    monkeypatch.setattr(probe, "places_of", list)
    monkeypatch.setattr(probe, "check_fits", lambda saved, loaded: None)
    kind = _kinds.KINDS["sae"]
    fixed = {"domains": ["seasons"], "prompts": 40, "renamings": 9}
    cells = Grid("sae", fixed, {"saes": ["a/seed0", ["a/seed1", "a/seed2"]]}).cells(kind, 10)
    sweep = plan(tmp_path, "sae", kind, cells, "a test")
    assert work(sweep, cells[1:]) == 1 and sweep.failure(cells[1]) is None
    table = pd.read_csv(merge(sweep).folder / "sae_table.csv")
    assert set(zip(table["saes"], table["sae"], strict=True)) == {
        ("a/seed1+a/seed2", "a/seed1"),
        ("a/seed1+a/seed2", "a/seed2"),
    }
    command = sweep.record(cells[1])["run"]["command"]  # type: ignore[index]
    assert command.startswith("python scripts/probe_sae.py a/seed1 a/seed2 --domains seasons --prompts 40")
    again = open_sweep(tmp_path, _kinds.KINDS)
    assert [cell.key for cell in again.cells] == [cell.key for cell in cells]


def test_networks_of_the_toy_are_swept_too(tmp_path: Path) -> None:
    kind = _kinds.KINDS["toy"]
    fixed = {"modulus": 7, "steps": 20, "d_model": 16, "d_mlp": 16, "n_heads": 2}
    cells = Grid("toy", fixed, {"seed": [3, 4]}).cells(kind, 10)
    sweep = plan(tmp_path, "toy", kind, cells, "a test")
    work(sweep, sweep.cells)
    assert [sweep.failure(cell) for cell in cells] == [None, None]
    table = pd.read_parquet(merge(sweep).folder / "outcomes.parquet")
    assert table["seed"].tolist() == table["swept_seed"].tolist() == [3, 4]
    assert table["steps_trained"].tolist() == [20, 20] and table["train_loss"].notna().all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.yaml",), "cannot read the grid nowhere.yaml"),
        (("--kind", "dream"), "unknown kind 'dream': choose from probe, series, causal, sae, toy"),
        (("--set", "seed="), "axis seed has no list of values: the grid multiplies to nothing"),
        (("--kind", "sae", "--set", "seed=0"), "the grid does not set saes, which has no default"),
        (("--set", "seed=0,1,2", "--max-cells", "2"), "the grid has 3 cells, more than 2"),
        (("--set", "seed=0", "--workers", "0"), "0 workers cannot be started"),
        (
            ("--set", "seed=0", "--executor", "slurm"),
            "there is no Slurm here (no sbatch on the path): use --executor local",
        ),
        (("--set", "seed=0", "--executor", "slurm", "--time", "soon"), "--time 'soon' is no time"),
        (("status", "nowhere"), "nowhere holds no sweep"),
    ],
)
def test_a_mistake_is_one_line(
    words: Sequence[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = () if words[0] == "status" else ("--out", str(tmp_path / "out"))
    assert run(monkeypatch, *words, *out) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and message in errors[0]


def test_a_plan_for_batch_files_and_the_stop_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--set", "seed=0,1", "--executor", "none", "--out", str(tmp_path)) == 0
    assert ", 2 to do; a worker: python scripts/sweep.py work" in capsys.readouterr().out
    assert run(monkeypatch, "stop", str(tmp_path)) == 0
    assert run(monkeypatch, "work", str(tmp_path), "--share", "1/2") == 0
    assert "0 cells computed" in capsys.readouterr().err
    assert run(monkeypatch, "merge", str(tmp_path)) == 1  # there are gaps
    assert "missing (to do) seed=0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "minutes"), [("4:00:00", 240), ("90", 90), ("0:30", 1), ("1-0", 1440), ("2-3:30", 3090), ("10:30", 11)]
)
def test_slurms_times(text: str, minutes: int) -> None:
    from llm_probe.sweep.workers import minutes as read

    assert read(text) == minutes
