"""Nothing that interrupts a run changes where it ends, and its moduli are drawn once."""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import train_universal

from toy.run.errors import InputError
from toy.training.resumable import rate
from toy.universal import train as universal_train
from toy.universal.config import Split, UniversalConfig
from toy.universal.train import Training, batch, policy_loss

TINY = UniversalConfig(
    moduli="dense", d_model=16, d_mlp=8, n_blocks=1, frequencies=8, batch_size=32, steps=6, log_every=2, device="cpu"
)  # fmt: skip


@pytest.fixture(autouse=True)
def few_moduli(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at whole tables of large moduli cost more than these runs."""
    monkeypatch.setattr(universal_train, "draw_split", lambda config: Split((2, 5, 9), (3, 7)))


def same(one: Training, other: Training) -> bool:
    first, second = one.model.state_dict(), other.model.state_dict()
    return one.metrics == other.metrics and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("objective", ["cross_entropy", "policy_gradient"])
def test_an_interrupted_run_ends_where_the_whole_one_does(
    objective, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, objective=objective)
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
        Training.train(config, tmp_path / "killed"), whole
    )
    lines = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed")]
    assert lines[0] == lines[1] and lines[0].count(b"\n") == 3


def test_moduli_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training.train(TINY, tmp_path / "whole")
    assert Training.train(TINY, tmp_path / "parts", minutes=0.0).step == 0
    monkeypatch.setattr(universal_train, "draw_split", lambda config: Split((11,), (13,)))
    resumed = Training.train(TINY, tmp_path / "parts")
    assert resumed.split == Split((2, 5, 9), (3, 7)) and same(resumed, whole)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training.train(TINY, tmp_path / "whole")
    save, saved = torch.save, 0

    def full(content: dict, path: Path) -> None:
        nonlocal saved
        saved += 1
        if saved == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(InputError, match=r"No space left on device\): free some space"):
            Training.train(TINY, tmp_path / "full")
    assert not list(tmp_path.rglob("*partial*")) and Training.load(tmp_path / "full" / "checkpoint.pt").step == 2
    assert same(Training.train(TINY, tmp_path / "full"), whole)


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    Training.train(TINY, tmp_path)
    with pytest.raises(InputError, match=r"another d_mlp \(d_mlp 8, asked for 9\)"):
        Training.train(replace(TINY, d_mlp=9), tmp_path)
    with pytest.raises(InputError, match="batch_size is 0: give 1 or more"):
        Training.train(replace(TINY, batch_size=0), tmp_path / "other")
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        Training.train(TINY, tmp_path)
    torch.save({"layout": "toy"}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="no universal-modulus checkpoint"):
        Training.train(TINY, tmp_path)


def test_a_loss_that_is_no_number_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "update", lambda self: float("nan"))
    with pytest.raises(InputError, match="no longer a number"):
        Training.train(TINY, tmp_path)


def test_batches() -> None:
    questions = batch((4, 12), 4000, torch.Generator().manual_seed(0))
    modulus, a, b = questions.T
    assert bool(((a < modulus) & (b < modulus)).all()) and int(a.min()) == 0 and int(b.max()) == 11
    assert float((modulus == 12).double().mean()) == pytest.approx(0.75, abs=0.03)


def test_the_rate() -> None:
    config = replace(TINY, steps=1000, learning_rate=1.0)
    assert rate(config, 0, 50) == pytest.approx(0.02) and rate(config, 300, 50) == 1
    assert rate(config, 750, 50) == pytest.approx(0.51) and rate(config, 1000, 50) == pytest.approx(0.02)


def test_policy_gradient_is_that_of_the_chance_to_be_right() -> None:
    """On average: the gradient of E r = π(right) is what REINFORCE estimates, whatever the baseline."""
    config = replace(TINY, samples=200_000, entropy_bonus=0.0)
    logits, right = torch.tensor([[0.0, 1.0, -1.0], [0.5, 0.0, 0.0]], requires_grad=True), torch.tensor([0, 2])
    policy_loss(logits, right, config, torch.Generator().manual_seed(0)).backward()
    assert logits.grad is not None
    estimated, logits.grad = logits.grad, None
    (-logits.softmax(1)[[0, 1], right].mean()).backward()
    assert torch.allclose(estimated, logits.grad, atol=2e-3)


def test_who_is_always_right_learns_nothing() -> None:
    certain = torch.tensor([[50.0, -50.0]]).repeat(10, 1).requires_grad_()
    config = replace(TINY, entropy_bonus=0.0)
    policy_loss(certain, torch.zeros(10, dtype=torch.long), config, torch.Generator().manual_seed(0)).backward()
    assert certain.grad is not None and float(certain.grad.abs().max()) == 0


def test_a_run_from_before_a_field_existed_goes_on(tmp_path: Path) -> None:
    """It did what the field's default does."""
    path = tmp_path / "checkpoint.pt"
    Training.train(replace(TINY, steps=2), tmp_path)
    content = torch.load(path, weights_only=True)
    del content["config"]["samples"]
    torch.save(content, path)
    assert Training.load(path).step == 2
    with pytest.raises(InputError, match=r"another samples \(samples 16, asked for 3\)"):
        Training.train(replace(TINY, steps=2, samples=3), tmp_path)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--d-model 16 --d-mlp 8 --n-blocks 1 --frequencies 8 --steps 2 --log-every 1 --no-measure --device cpu"
    arguments = ["train_universal.py", *small.split(), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert train_universal.main() == 0 and "held_out_accuracy" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*arguments, "--seed", "5"])
    assert train_universal.main() == 2
    assert "error: " in (said := capsys.readouterr().err) and "another seed (seed 0, asked for 5)" in said
