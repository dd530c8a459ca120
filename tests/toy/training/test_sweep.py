"""Sweeps: each cell is trained once, whatever interrupts it, and a network that diverges is a result."""

from __future__ import annotations

import csv
import errno
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sweep_toy
import torch
import train_toy
import tyro

from tests.root import ROOT
from toy.config import ToyConfig, preset
from toy.run.errors import InputError
from toy.training import sweep, train
from toy.training.axes import Plan, parse_axes
from toy.training.runs import open_run
from toy.training.train import Training

TINY = ToyConfig(
    modulus=11, train_fraction=0.7, d_model=16, n_heads=2, d_mlp=32, steps=40, log_every=5, checkpoint_every=10
)
OPTIONS = (
    "--modulus", "11", "--train-fraction", "0.7", "--d-model", "16", "--n-heads", "2", "--d-mlp", "32",
    "--steps", "40", "--log-every", "5", "--checkpoint-every", "10", "--seeds", "1",
)  # fmt: skip
TIMED = {"seconds", "seconds_per_seed"}


def plan(*axes: str, seeds: int = 2) -> Plan:
    return Plan(TINY, parse_axes(axes), seeds)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that `toy.training.train.train` was called for."""
    folders, real = [], train.train

    def counted(config: ToyConfig, folder: Path, **options: Any) -> Any:
        folders.append(folder)
        return real(config, folder, **options)

    monkeypatch.setattr(train, "train", counted)
    return folders


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """scripts/toys/sweep_toy.py in this process: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweep_toy.py", *arguments])
        code = sweep_toy.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def table(folder: Path, name: str = "sweep") -> list[dict[str, str]]:
    """A table without the columns that no two runs share."""
    with (folder / f"{name}.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in TIMED} for row in csv.DictReader(file)]


def timeless(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name not in TIMED} for one in outcomes]


# ------------------------------------------------------------------------------------------------------------- cells


def test_a_cell_says_what_its_runs_say(tmp_path: Path) -> None:
    (cell,) = plan("weight_decay=1").cells()
    content = sweep.compute(cell, tmp_path)
    finished = train.train(cell.config, tmp_path / "alone", seeds=2)
    for one, run, milestones in zip(content["outcomes"], finished.runs, finished.milestones, strict=True):
        last = run.metrics()[-1]
        assert (one["seed"], one["steps_trained"], one["diverged_at"]) == (run.config.seed, 40, None)
        assert (one["memorised_at"], one["grokked_at"]) == (milestones.memorised_at, milestones.grokked_at)
        assert all(one[name] == last[name] for name in sweep.MEASURED) and one["seconds"] > 0
    assert content["config"]["weight_decay"] == 1.0 and content["device"] in {"cpu", "cuda", "mps"}


def test_milestones_are_read_off_the_metrics(tmp_path: Path) -> None:
    config = replace(TINY, modulus=5, d_model=32, d_mlp=64, weight_decay=0.1)
    (one,) = sweep.outcomes(config, tmp_path, 1)
    passed = [row["step"] for row in open_run(tmp_path).metrics() if row["train_accuracy"] >= train.THRESHOLD]
    assert passed and one["memorised_at"] == passed[0] > 0


def test_what_is_there_is_not_computed_again(tmp_path: Path, called: list[Path]) -> None:
    first = [sweep.compute(cell, tmp_path) for cell in plan("weight_decay=1,2").cells()]
    assert len(called) == 2
    assert [sweep.compute(cell, tmp_path) for cell in plan("weight_decay=1,2").cells()] == first
    assert len(called) == 2
    for cell in plan("weight_decay=2,3,1").cells():
        sweep.compute(cell, tmp_path)
    assert len(called) == 3


def test_only_metrics_are_kept_unless_asked(tmp_path: Path) -> None:
    small, full = plan("weight_decay=1,2").cells()
    sweep.compute(small, tmp_path)
    sweep.compute(full, tmp_path, keep_checkpoints=True)
    sweep.compute(full, tmp_path)  # found there: what was kept stays
    kept = {path.name for path in (tmp_path / "runs" / small.key).rglob("*") if path.is_file()}
    assert kept == {"config.json", "metrics.jsonl"}
    assert list(open_run(tmp_path / "runs" / full.key / "seed1").checkpoints()) == [0, 10, 20, 30, 40]


def test_a_cell_that_was_lost_is_trained_again_where_it_was(tmp_path: Path) -> None:
    (cell,) = plan("weight_decay=1").cells()
    first = sweep.compute(cell, tmp_path)
    next((tmp_path / "cells").iterdir()).unlink()
    assert timeless(sweep.compute(cell, tmp_path)["outcomes"]) == timeless(first["outcomes"])


def test_a_half_trained_cell_goes_on(tmp_path: Path) -> None:
    (cell,) = plan("weight_decay=1").cells()
    steps: list[int] = []

    def interrupted(step: int, lines: Any) -> None:
        steps.append(step)
        if step == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.compute(cell, tmp_path, report=interrupted)
    assert sweep.stored_results(tmp_path, [cell]) == [] and "begun: weight_decay=1.0" in sweep.preview([cell], tmp_path)
    steps.clear()
    content = sweep.compute(cell, tmp_path, report=lambda step, lines: steps.append(step))
    assert steps == [25, 30, 35, 40]
    assert timeless(content["outcomes"]) == timeless(sweep.compute(cell, tmp_path / "whole")["outcomes"])


def test_a_stop_marker_ends_a_cell_where_it_is(tmp_path: Path) -> None:
    (cell,) = plan("weight_decay=1").cells()
    marker = tmp_path / "runs" / cell.key / "STOP"

    content = sweep.compute(cell, tmp_path, report=lambda step, lines: marker.touch() if step == 15 else None)
    assert [one["steps_trained"] for one in content["outcomes"]] == [15, 15]


# -------------------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_rate_that_diverges_is_a_result_and_the_sweep_goes_on(seeds: int, tmp_path: Path) -> None:
    cells = plan("learning_rate=1e9,0.01", seeds=seeds).cells()
    wild, tame = (sweep.compute(cell, tmp_path)["outcomes"] for cell in cells)
    assert [one["seed"] for one in wild] == list(range(seeds))
    assert all(one["diverged_at"] in range(5, 20) and one["grokked_at"] is None for one in wild)
    assert all(one["steps_trained"] < one["diverged_at"] for one in wild)
    assert all(one["diverged_at"] is None and one["steps_trained"] == 40 for one in tame)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight of seed 1 becomes NaN at its step 23."""
    update = Training.update

    def spoil(self: Training) -> torch.Tensor:
        loss = update(self)
        if self.step == 23 and 1 in self.seeds:
            self.seed_batch.flat[self.seeds.index(1), 5] = torch.nan
        return loss

    monkeypatch.setattr(Training, "update", spoil)


def expected(folder: Path) -> list[dict[str, Any]]:
    """The seeds, each trained alone."""
    alone = [sweep.outcomes(replace(TINY, seed=seed), folder / str(seed), 1)[0] for seed in range(3)]
    assert [one["diverged_at"] for one in alone] == [None, 25, None]
    return timeless(alone)


@pytest.mark.usefixtures("spoilt")
def test_one_seed_that_diverges_leaves_the_others_alone(tmp_path: Path) -> None:
    (cell,) = plan(seeds=3).cells()
    steps: list[int] = []
    content = sweep.compute(cell, tmp_path / "cell", report=lambda step, lines: steps.append(step))
    assert timeless(content["outcomes"]) == expected(tmp_path)
    assert content["outcomes"][1]["steps_trained"] == 20
    # Together to the look before the NaN, then each from the checkpoint at 20.
    assert steps == [0, 5, 10, 15, 20, *(25, 30, 35, 40), *(25, 30, 35, 40)]


@pytest.mark.usefixtures("spoilt")
def test_killed_while_the_others_go_on_alone(tmp_path: Path) -> None:
    (cell,) = plan(seeds=3).cells()
    seen: list[int] = []

    def interrupted(step: int, lines: Any) -> None:
        seen.append(step)
        if step == 35 and seen.count(35) == 2:  # of seed 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.compute(cell, tmp_path / "cell", report=interrupted)
    seen.clear()
    content = sweep.compute(cell, tmp_path / "cell", report=lambda step, lines: seen.append(step))
    assert timeless(content["outcomes"]) == expected(tmp_path)
    assert seen == [35, 40]  # nothing of seed 0 again, of seed 2 from its own checkpoint at 30


# ------------------------------------------------------------------------------------------- shards, the command line


def test_shards_are_a_partition() -> None:
    cells = plan("weight_decay=1,2,3", "modulus=11,13,17").cells()
    parts = [sweep.shard(cells, f"{i}/4") for i in range(1, 5)]
    assert [len(part) for part in parts] == [3, 2, 2, 2]
    assert sorted(cells.index(cell) for part in parts for cell in part) == list(range(9))
    for wrong in ("0/4", "5/4", "4", "a/b", "-1/4", "1/0"):
        with pytest.raises(InputError, match=r"give i/n with i from 1 to n"):
            sweep.shard(cells, wrong)


def test_shards_together_are_the_whole(tmp_path: Path, script: Callable[..., tuple[int, str, str]]) -> None:
    axes = ("--set", "weight_decay=1,2", "learning_rate=0.01,1e9", *OPTIONS)
    assert script(*axes, "--out", str(tmp_path / "whole"))[0] == 0
    code, out, _ = script(*axes, "--out", str(tmp_path / "parts"), "--shard", "1/2")
    assert code == 0 and "2 of 4 cells are there" in out
    assert [row["learning_rate"] for row in table(tmp_path / "parts", "summary")] == ["0.01", "0.01"]
    code, out, _ = script(*axes, "--out", str(tmp_path / "parts"), "--shard", "2/2")
    assert code == 0 and "4 of 4 cells are there" in out
    for name in ("sweep", "summary", "survival"):
        assert table(tmp_path / "parts", name) == table(tmp_path / "whole", name)
    assert len(table(tmp_path / "whole")) == 4 and (tmp_path / "whole" / "survival.png").stat().st_size > 5000
    assert list(table(tmp_path / "whole")[0])[:3] == ["weight_decay", "learning_rate", "run_seed"]


def test_a_dry_run_prints_the_runs_and_does_nothing(
    tmp_path: Path, script: Callable[..., tuple[int, str, str]], called: list[Path]
) -> None:
    arguments = ("--set", "weight_decay=1,2", "--set", "equals_logit=true,false", *OPTIONS)
    out = ("--out", str(tmp_path / "out"))
    code, printed, _ = script(*arguments, *out, "--dry-run")
    commands = [line.strip() for line in printed.splitlines() if "train_toy.py" in line]
    assert code == 0 and len(commands) == 4 and printed.count("to do: ") == 4
    assert "4 of 4 cells to train, 160 steps over all seeds" in printed
    assert called == [] and list(tmp_path.iterdir()) == []
    script(*arguments, *out, "--shard", "1/2")
    code, printed, _ = script(*arguments, *out, "--dry-run")
    assert printed.count("done: ") == 2 and printed.count("to do: ") == 2


def test_the_printed_commands_train_the_cells(tmp_path: Path) -> None:
    axes = ("weight_decay=1,3.5", "batch_size=none,16", "equals_logit=true,false", "schedule=cosine")
    for cell in Plan(preset("nanda"), parse_axes(axes), 5).cells():
        words = shlex.split(sweep.command(cell, tmp_path))
        assert words[:2] == ["python", "scripts/train_toy.py"]
        options = tyro.cli(train_toy.Options, args=words[2:], default=train_toy.Options(preset("fast")))
        assert (options.toy, options.seeds) == (cell.config, 5)
        assert options.out == tmp_path / "runs" / cell.key


def test_ctrl_c_says_how_to_go_on_and_shows_what_is_there(
    tmp_path: Path, script: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--set", "weight_decay=1,2", *OPTIONS, "--out", str(tmp_path / "out"))
    compute, started = sweep.compute, []

    def interrupted(*given: Any, **options: Any) -> Any:
        started.append(given)
        if len(started) == 2:
            raise KeyboardInterrupt
        return compute(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "compute", interrupted)
        code, out, err = script(*arguments)
    assert code == 130 and "the same command goes on" in err and "1 of 2 cells are there" in out
    assert script(*arguments)[0] == 0 and len(table(tmp_path / "out")) == 2


DYING = """
import os, signal, sys
sys.path[:0] = [".", "scripts", "scripts/toys"]
import sweep_toy
from toy.training.train import Training

update = Training.update

def dying(self):
    if self.config.weight_decay == 3 and self.step == 25:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self)

Training.update = dying
sweep_toy.main()
"""
"""A sweep that is killed in the middle of its third cell."""


def test_a_killed_sweep_goes_on_to_the_same_tables(
    tmp_path: Path, script: Callable[..., tuple[int, str, str]], called: list[Path]
) -> None:
    arguments = ("--set", "weight_decay=1,2,3,4", *OPTIONS)
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", DYING, *arguments, "--out", str(killed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert len(list((killed / "cells").glob("*.json"))) == 2 and len(list(killed.glob("runs/*/state.pt"))) == 1
    assert not list(killed.glob("*.csv"))
    assert script(*arguments, "--out", str(killed))[0] == 0
    assert len(called) == 2  # the half-trained cell and the one behind it
    assert script(*arguments, "--out", str(tmp_path / "whole"))[0] == 0
    for name in ("sweep", "summary", "survival"):
        assert table(killed, name) == table(tmp_path / "whole", name)
    assert not list(killed.rglob("*partial*")) and not list(killed.rglob("state.pt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "depth=1,2"), "names 'depth', which is no field"),
        (("--set", "weight_decay=heavy"), "sets weight_decay to 'heavy': give float"),
        (("--set", "weight_decay="), "weight_decay no list of values"),
        (("--set", "modulus=11,2"), "modulus=2 cannot be trained: modulus 2 cannot be used"),
        (("--set", "train_fraction=0.5,1"), "train_fraction=1.0 cannot be trained: a train fraction of 1 leaves"),
        (("--set", "task=add,root"), "task=root cannot be trained: unknown task 'root'"),
        (("--set", "d_model=16,18", "n_heads=4"), "d_model 18 cannot be shared by 4 heads"),
        (("--set", "n_layers=1,2", "--forward", "factored"), "the factored forward is exact for"),
        (("--set", "batch_size=0,16"), "batch_size is 0: give 1 or more"),
        (("--set", "decay_steps=0"), "decay_steps is 0: give 1 or more"),
        (("--set", "device=cpu,tpu"), "device 'tpu' is not there"),
        (("--set", "weight_decay=1,2", "--weight-decay", "3"), "weight_decay is set to 3.0 and also swept"),
        (("--seeds", "0"), "0 seeds cannot be trained"),
        (("--shard", "3/2"), "shard '3/2' does not exist"),
        (("--preset", "quick"), "unknown preset 'quick'"),
        (("--config", "none.yaml"), "cannot read the configuration none.yaml"),
        (("--set", "modulus=2", "--dry-run"), "modulus 2 cannot be used"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: Path, script: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = script(*arguments, "--out", str(tmp_path / "x"))
    assert (code, out) == (2, "") and list(tmp_path.iterdir()) == []
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize("kind", ["cell", "table", "picture"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(
    kind: str, tmp_path: Path, script: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--set", "weight_decay=1,2", *OPTIONS, "--out", str(tmp_path / "out"))
    ending = {"cell": ".json", "table": ".csv", "picture": ".png"}[kind]
    replaced = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.suffix == ending and target.name != "config.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return replaced(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        code, out, err = script(*arguments)
    assert code == 2 and out == "" and err.count("error: ") == 1 and "No space left on device" in err
    assert not list(tmp_path.rglob("*partial*"))
    assert script(*arguments)[0] == 0 and len(table(tmp_path / "out")) == 2


def test_a_sweep_from_a_file(tmp_path: Path, script: Callable[..., tuple[int, str, str]]) -> None:
    (tmp_path / "two.yaml").write_text(
        "seeds: 1\nfields: {modulus: 11, train_fraction: 0.7, d_model: 16, n_heads: 2, d_mlp: 32, steps: 10}\n"
        "axes: {weight_decay: [1, 2]}\n"
    )
    out = tmp_path / "out"
    code, printed, _ = script("--config", str(tmp_path / "two.yaml"), "--d-mlp", "16", "--out", str(out))
    assert code == 0 and "2 of 2 cells are there" in printed and len(table(out)) == 2
    assert {content["config"]["d_mlp"] for _, content in sweep.stored_results(out, _cells(out))} == {16}


def _cells(out: Path) -> list[Any]:
    base = replace(TINY, d_mlp=16, steps=10, log_every=25, checkpoint_every=100)
    return Plan(base, parse_axes(["weight_decay=1,2"]), 1).cells()
