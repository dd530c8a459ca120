"""Training: it groks, and nothing that interrupts it changes where it ends."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_toy

from tests.root import ROOT
from toy.config import ToyConfig
from toy.run.device import without_denormals
from toy.run.errors import InputError
from toy.training import runs, train
from toy.training.runs import Run, is_run, open_run, read_checkpoint
from toy.training.train import Milestones, Training

TINY = ToyConfig(
    modulus=11, train_fraction=0.7, d_model=16, n_heads=2, d_mlp=32, steps=40, log_every=5, checkpoint_every=10,
    decay_start=20, decay_steps=10, device="cpu",
)  # fmt: skip


def _denormals(training: Training) -> int:
    """How many weights and moments are smaller than a normal number and not zero."""
    numbers = (training.seed_batch.flat, training.optimiser.mean, training.optimiser.square)
    return sum(int(((each != 0) & (each.abs() < torch.finfo().tiny)).sum()) for each in numbers)


@pytest.mark.parametrize("flushed", [True, False])
def test_weights_that_decay_leave_no_denormal_numbers(flushed: bool) -> None:
    """Of 1.5e-38 four steps that take a tenth each leave 1e-38: below the smallest normal number, 1.18e-38."""
    training = Training(replace(TINY, weight_decay=1.0, learning_rate=0.1, decay_start=100, warmup_steps=0), [0])
    training.seed_batch.flat.fill_(1.5e-38)  # with next to no gradient: products of such weights are zero
    with without_denormals() if flushed else nullcontext():
        for _ in range(4):
            training.update()
    assert (_denormals(training) == 0) == flushed


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return open_run(folder).model().state_dict()


def _same(one: Path, other: Path) -> bool:
    first, second = _weights(one), _weights(other)
    return all(torch.equal(first[name], second[name]) for name in first) and (
        open_run(one).metrics() == open_run(other).metrics()
    )


def test_it_groks(tmp_path: Path) -> None:
    """One of three seeds is enough: of eight, seven grokked within 600 steps, the first two at step 150."""
    config = replace(
        TINY, modulus=23, train_fraction=0.8, d_model=32, n_heads=4, d_mlp=128, steps=500, log_every=25,
        checkpoint_every=500,
    )  # fmt: skip
    finished = train.train(config, tmp_path, seeds=3)
    grokked = [each for each in finished.milestones if each.grokked_at is not None]
    assert grokked
    for each in grokked:
        assert each.memorised_at is not None and each.grokked_at is not None and each.memorised_at <= each.grokked_at
    last = [run.metrics()[-1] for run in finished.runs]
    assert {row["step"] for row in last} == {500}
    assert max(row["train_accuracy"] for row in last) == 1 and max(row["test_accuracy"] for row in last) >= 0.99
    assert json.loads((tmp_path / "STOP").read_text())["step"] == 500


def test_what_a_run_directory_holds(tmp_path: Path) -> None:
    train.train(TINY, tmp_path)
    run = open_run(tmp_path)
    assert run.config == TINY and list(run.checkpoints()) == [0, 10, 20, 30, 40]
    rows = run.metrics()
    assert [row["step"] for row in rows] == list(range(0, 45, 5))
    assert list(rows[0]) == ["step", "train_loss", "test_loss", "train_accuracy", "test_accuracy"]
    network, config, step = read_checkpoint(run.checkpoints()[20])
    assert (config, step) == (TINY, 20)
    out = network(torch.tensor([[3, 4]]))
    assert out.shape == (1, 11) and not torch.equal(out, run.model()(torch.tensor([[3, 4]])))
    assert not list(tmp_path.rglob("*partial*"))


@pytest.mark.parametrize("batch_size", [None, 16])
def test_a_run_in_pieces_is_the_run(batch_size: int | None, tmp_path: Path) -> None:
    config = replace(TINY, batch_size=batch_size)
    train.train(config, tmp_path / "whole")
    train.train(replace(config, steps=20), tmp_path / "pieces")
    assert json.loads((tmp_path / "pieces" / "STOP").read_text())["step"] == 20
    again = train.train(config, tmp_path / "pieces")
    assert again.step == 40 and _same(tmp_path / "whole", tmp_path / "pieces")


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config = replace(TINY, steps=80, checkpoint_every=20)
    program = (  # kill -9 after a look whose line is written and whose weights are not
        "import os, signal, sys, torch; from pathlib import Path; from toy.config import ToyConfig\n"
        f"from toy.training.train import train; torch.set_num_threads({torch.get_num_threads()})\n"
        "kill = lambda step, _: step == 45 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"train({config!r}, Path(sys.argv[1]), report=kill)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "killed")], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    run = open_run(tmp_path / "killed")
    assert max(run.checkpoints()) == 40 and run.metrics()[-1]["step"] == 45
    for name in ("killed", "whole"):
        train.train(config, tmp_path / name)
    assert _same(tmp_path / "whole", tmp_path / "killed")


def test_seeds_together_are_the_seeds_alone(tmp_path: Path) -> None:
    finished = train.train(TINY, tmp_path / "both", seeds=2)
    assert [run.config.seed for run in finished.runs] == [0, 1]
    assert [run.folder.name for run in finished.runs] == ["seed0", "seed1"]
    train.train(replace(TINY, seed=1), tmp_path / "one")
    assert _same(tmp_path / "both" / "seed1", tmp_path / "one")


def test_each_network_slows_down_when_it_has_grokked() -> None:
    training = Training(TINY, [0, 1])
    training.milestones = [Milestones(5, 8), Milestones(5, None)]
    training.step = 30
    training.update()
    assert training.rate[:, 0].tolist() == pytest.approx([TINY.learning_rate * 0.02, TINY.learning_rate])


def test_batches_cover_an_epoch_and_do_not_depend_on_what_came_before() -> None:
    training = Training(replace(TINY, batch_size=16), [0, 1])
    per_epoch = training.train.shape[1] // 16
    seen = []
    for training.step in range(per_epoch):
        seen.append(training._batch())
    rows = torch.cat(seen, dim=1)
    for own, batch_rows in zip(training.train.tolist(), rows.tolist(), strict=True):
        assert len(set(batch_rows)) == len(batch_rows) == per_epoch * 16 and set(batch_rows) <= set(own)
    training.step = per_epoch + 2
    resumed_batch = training._batch()
    fresh = Training(replace(TINY, batch_size=16), [0, 1])
    fresh.step = per_epoch + 2
    assert torch.equal(resumed_batch, fresh._batch())


def test_a_stop_marker_ends_a_chain(tmp_path: Path) -> None:
    tmp_path.joinpath("STOP").touch()
    finished = train.train(TINY, tmp_path)
    assert (finished.reason, finished.step) == ("stop marker", 0)
    assert train.train(TINY, tmp_path).step == 0
    tmp_path.joinpath("STOP").unlink()
    assert train.train(TINY, tmp_path).reason == "all steps done"


def test_a_chain_of_short_jobs(tmp_path: Path) -> None:
    jobs = 0
    while train.train(TINY, tmp_path / "chain", minutes=0.0).reason == "time is up":
        jobs += 1
        run = open_run(tmp_path / "chain")
        train.train(replace(TINY, steps=max(run.checkpoints()) + 10), tmp_path / "chain")
    train.train(TINY, tmp_path / "whole")
    assert jobs >= 3 and _same(tmp_path / "whole", tmp_path / "chain")


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    train.train(replace(TINY, steps=10), tmp_path)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(InputError, match=r"another modulus, weight_decay \(modulus 11, asked for 13\)"):
        train.train(replace(TINY, modulus=13, weight_decay=0.5), tmp_path)
    with pytest.raises(InputError, match="holds 1 seeds, asked for 2"):
        train.train(replace(TINY, steps=20), tmp_path, seeds=2)
    assert (tmp_path / "config.json").read_text() == before


def test_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Training.update

    def spoilt(self: Training) -> torch.Tensor:
        loss = update(self)
        if self.step == 23:
            self.seed_batch.flat[0, 5] = torch.nan
        return loss

    monkeypatch.setattr(Training, "update", spoilt)
    with pytest.raises(InputError, match="seed 0 is no longer a number at step 25"):
        train.train(TINY, tmp_path)
    run = open_run(tmp_path)
    assert max(run.checkpoints()) == run.metrics()[-1]["step"] == 20
    assert all(weight.isfinite().all() for weight in run.model().state_dict().values())


@pytest.mark.parametrize("kind", ["checkpoint", "metrics", "state"])
def test_a_full_disk_loses_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train.train(replace(TINY, steps=20), tmp_path)
    write, save, count = runs.write_lines, torch.save, 0

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def saving(content: dict, path: Path) -> None:
        nonlocal count
        count += 1
        if (kind == "checkpoint" and "layout" in content) or (kind == "state" and "optimiser" in content):
            path.write_bytes(b"half")
            full()
        save(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", saving)
        if kind == "metrics":
            patch.setattr(runs, "write_lines", full)
        with pytest.raises(InputError, match=r"No space left on device\): free some space"):
            train.train(TINY, tmp_path)
    assert runs.write_lines is write and not list(tmp_path.rglob("*partial*"))
    train.train(TINY, tmp_path)
    train.train(TINY, tmp_path.with_name("whole"))
    assert _same(tmp_path, tmp_path.with_name("whole"))


def test_what_is_no_run(tmp_path: Path) -> None:
    assert not is_run(tmp_path)
    with pytest.raises(InputError, match="no run directory"):
        open_run(tmp_path)
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        read_checkpoint(tmp_path / "x.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "y.pt")
    with pytest.raises(InputError, match="key `layout`"):
        read_checkpoint(tmp_path / "y.pt")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no checkpoint yet"):
        open_run(tmp_path).model()
    run = Run(tmp_path, TINY)
    run.write_checkpoint(10, Training(TINY, [0]).seed_batch.of(0))
    with pytest.raises(InputError, match="no checkpoint of step 20: choose from 10"):
        run.model(20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "quick"], "unknown preset 'quick'"),
        (["--modulus", "2"], "integer of 3 or more"),
        (["--train-fraction", "1"], "both need at least one"),
        (["--task", "root"], "unknown task 'root'"),
        (["--config", "none.yaml"], "cannot read the configuration none.yaml"),
        (["--seeds", "0"], "0 seeds cannot be trained"),
        (["--device", "tpu"], "device 'tpu' is not there"),
        (["--log-every", "0"], "log_every is 0"),
        (["--batch-size", "0"], "batch_size is 0"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_toy.py", *arguments, "--out", str(tmp_path / "x")])
    assert train_toy.main() == 2 and not (tmp_path / "x").exists()
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and message in said
