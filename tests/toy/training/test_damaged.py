"""A run whose files were damaged ends in one sentence; nothing in them is executed, nothing half read is trained."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toy.config import ToyConfig
from toy.run.errors import InputError
from toy.training import sweep, train
from toy.training.axes import Plan
from toy.universal import train as universal_train
from toy.universal.config import Split, UniversalConfig

TINY = ToyConfig(
    modulus=7, d_model=8, n_heads=2, d_mlp=8, steps=4, log_every=2, checkpoint_every=2, train_fraction=0.5, device="cpu"
)  # fmt: skip
UNIVERSAL = UniversalConfig(
    moduli="dense", d_model=16, d_mlp=8, n_blocks=1, frequencies=8, batch_size=32, steps=4, log_every=2, device="cpu"
)  # fmt: skip


class Hostile:
    """Makes a file where it is unpickled by somebody who trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def saved(content: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Put what `content` makes of the file's content in its place."""

    def save(path: Path) -> None:
        torch.save(content(torch.load(path, weights_only=True)), path)

    return save


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    """Change one byte of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
        start = path.read_bytes().index(archive.read(largest))
    content = bytearray(path.read_bytes())
    content[start] ^= 0x40
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut": cut,
    "one byte of a weight": flip,
    "text": lambda path: path.write_text("not a checkpoint") and None,
    "hostile": saved(lambda content: {"x": Hostile(Path("executed"))}),
    "a list": saved(lambda content: [1]),
    "a key is missing": saved(lambda content: {name: content[name] for name in [*content][1:2]}),
    "weights of another shape": saved(
        lambda content: content | {name: torch.zeros(3) for name in ("weights",) if name in content} | {"model": {}}
    ),
    "another optimiser": saved(lambda content: content | {"optimiser": {}}),
    "milestones": saved(lambda content: content | {"milestones": [7], "metrics": 7, "optimiser": None}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_ends_in_one_sentence(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train.train(TINY, tmp_path / "run")
    damage(tmp_path / "run" / "state.pt")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")}
    with pytest.raises(InputError, match=r"state\.pt is damaged .*remove .*run and train again"):
        train.train(replace(TINY, steps=8), tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")} == before
    assert not Path("executed").exists()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_ends_in_one_sentence(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(universal_train, "draw_split", lambda config: Split((2, 5, 9), (3, 7)))
    monkeypatch.chdir(tmp_path)
    universal_train.Training.train(UNIVERSAL, tmp_path / "run")
    damage(tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(InputError, match=r"checkpoint\.pt (is damaged|cannot be read|holds a list|is no)"):
        universal_train.Training.train(UNIVERSAL, tmp_path / "run")
    assert not Path("executed").exists()


def test_a_damaged_cell_of_a_sweep_is_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = Plan(TINY, {}, 1).cells()[0]
    first = sweep.compute(cell, tmp_path)
    path = next((tmp_path / "cells").glob("*.json"))
    path.write_text(path.read_text()[:-20])
    assert sweep.stored_results(tmp_path, [cell]) == []
    assert "1 of 1 cells to train" in sweep.preview([cell], tmp_path)
    again = sweep.compute(cell, tmp_path)
    assert "set aside" in capsys.readouterr().err
    same = [{**record, "seconds": 0} for record in first["outcomes"]]
    assert [{**record, "seconds": 0} for record in again["outcomes"]] == same
