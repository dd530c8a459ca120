"""Nothing that interrupts a run changes where it ends, and bad input is one sentence."""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_addition

from toy.addition import pictures as addition
from toy.addition import tables as addition_tables
from toy.addition import train as addition_train
from toy.addition.config import AdditionConfig
from toy.addition.train import Training
from toy.pictures import style
from toy.run.errors import Diverged, InputError

TINY = AdditionConfig(
    d_model=16, d_mlp=8, n_heads=2, n_blocks=1, train_pairs=500, steps=6, batch_size=8, log_every=2, device="cpu"
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition_train, "PAIRS_EVALUATED", 50)


def same(one: Training, other: Training) -> bool:
    first, second = one.model.state_dict(), other.model.state_dict()
    return one.metrics == other.metrics and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("shape", ["decoder", "encoder-decoder"])
def test_an_interrupted_run_ends_where_the_whole_one_does(
    shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, shape=shape)
    whole = Training.train(config, tmp_path / "whole")
    update = Training.update

    def killed(self: Training) -> float:
        if self.step == 3:  # a step after the checkpoint of step 2
            raise KeyboardInterrupt
        return update(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            Training.train(config, tmp_path / "killed")
    assert Training.load(tmp_path / "killed" / "checkpoint.pt").step == 2
    assert same(Training.train(config, tmp_path / "killed"), whole) and same(
        Training.load(tmp_path / "killed" / "checkpoint.pt"), whole
    )


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: dict, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    Training.train(replace(TINY, steps=6), tmp_path, minutes=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(InputError, match=r"No space left on device\): free some space"):
            Training.train(TINY, tmp_path)
    assert Training.load(tmp_path / "checkpoint.pt").step == 0
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_another_run_a_foreign_file_and_a_lost_loss_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Training.train(TINY, tmp_path, minutes=0.0)
    with pytest.raises(InputError, match=r"another seed \(seed 0, asked for 1\): give another --out"):
        Training.train(replace(TINY, seed=1), tmp_path)
    torch.save({"layout": "universal"}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="no addition checkpoint"):
        Training.load(tmp_path / "other.pt")
    monkeypatch.setattr(Training, "update", lambda self: float("nan"))
    with pytest.raises(Diverged, match="lower --learning-rate"):
        Training.train(TINY, tmp_path)


def test_it_learns(tmp_path: Path) -> None:
    """One-digit sums of small numbers, from a handful of pairs."""
    config = replace(TINY, d_model=32, d_mlp=64, max_digits=2, steps=300, batch_size=64, learning_rate=1e-2)
    fresh = float(Training(config).loss().detach())
    losses = [line["loss"] for line in Training.train(replace(config, log_every=50), tmp_path).metrics]
    # Six seeds ended at 0.31 to 0.38 of a fresh network's loss; of three looks the best counts.
    assert min(losses[-3:]) < 0.55 * fresh


def test_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(addition_tables, "PAIRS_OF_A_GROUP", 20)
    row = dict.fromkeys(addition.NEURONS[2:], 0.5) | {"place": "decoder 0 at =", "k": 1, "period": 100.0}
    monkeypatch.setattr(addition_tables, "neuron_rows", lambda model: [row])
    written: dict[str, list[str]] = {}
    monkeypatch.setattr(style, "write", lambda folder, figures: written.update({folder.name: sorted(figures)}))
    sizes = {"d-model": 16, "d-mlp": 8, "n-heads": 2, "n-blocks": 1, "train-pairs": 500, "batch-size": 8, "steps": 2}
    options = [f"--{name}={value}" for name, value in sizes.items()]
    monkeypatch.setattr(sys, "argv", ["train_addition.py", *options, "--device=cpu", f"--out={tmp_path}"])
    assert train_addition.main() == 0
    assert "categories_mean" in capsys.readouterr().out and (tmp_path / "neurons.csv").exists()
    assert [name[:2] for name in written["figures"]] == ["01", "02", "03", "05", "06", "07", "08"]
    lines = (tmp_path / "accuracy.csv").read_text().splitlines()
    assert sum(line.startswith("category,") for line in lines) == 14 and "nan" not in "".join(lines)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--seed", "1"])
    assert train_addition.main() == 2 and "another --out" in capsys.readouterr().err
