"""A run directory: what one training run leaves behind, and reading it again.

config.json            the resolved configuration
metrics.jsonl          step, train_loss, test_loss, train_accuracy, test_accuracy: one line an evaluation
checkpoints/           step-000100.pt, …: {"layout": "toy", "step", "config", "model": state dict}
state.pt               weights, optimiser and counters of the last checkpoint: what a resumed run starts from
STOP                   once it is there the run is over: a chained series of jobs ends
figures/, analysis.json   made by scripts/toys/analyze_toy.py
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toy.config import ToyConfig, from_mapping, read_config
from toy.networks.model import Toy, build
from toy.run.errors import InputError
from toy.run.files import Row, read_lines, replace_with, write_lines

LAYOUT = "toy"


@dataclass(frozen=True)
class Run:
    """A run directory that exists."""

    folder: Path
    config: ToyConfig

    def checkpoints(self) -> dict[int, Path]:
        """Step to file, ascending."""
        paths = (self.folder / "checkpoints").glob("step-*.pt")
        steps = {int(match[1]): path for path in paths if (match := re.fullmatch(r"step-(\d+)\.pt", path.name))}
        return dict(sorted(steps.items()))

    def checkpoint(self, step: int | None = None) -> Path:
        """The file of a step, by default the last one that was kept. Raises InputError if there is none."""
        kept = self.checkpoints()
        if not kept:
            raise InputError(f"{self.folder} holds no checkpoint yet: train it with scripts/train_toy.py")
        if step is not None and step not in kept:
            raise InputError(f"{self.folder} has no checkpoint of step {step}: choose from {', '.join(map(str, kept))}")
        return kept[max(kept) if step is None else step]

    def model(self, step: int | None = None) -> Toy:
        """The network at a step, by default the last one. Raises InputError if there is no such checkpoint."""
        return read_checkpoint(self.checkpoint(step))[0]

    def metrics(self) -> list[Row]:
        """The lines of metrics.jsonl in order."""
        return read_lines(self.folder / "metrics.jsonl")

    def write_metrics(self, rows: Sequence[Row]) -> None:
        """All lines at once, whole or not at all."""
        write_lines(self.folder / "metrics.jsonl", rows)

    def write_checkpoint(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights of a step."""
        content = {
            "layout": LAYOUT,
            "step": step,
            "config": asdict(self.config),
            "model": {name: weight.detach().cpu().clone() for name, weight in weights.items()},
        }
        path = self.folder / "checkpoints" / f"step-{step:06d}.pt"
        replace_with(path, lambda temporary: torch.save(content, temporary))


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory of ours."""
    return (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()


def open_run(folder: Path) -> Run:
    """The run that lies in a folder. Raises InputError if none does."""
    if not is_run(folder):
        raise InputError(
            f"{folder} is no run directory (config.json and checkpoints/): make one with scripts/train_toy.py"
        )
    return Run(folder, read_config(folder / "config.json"))


def read_content(path: Path) -> dict[str, Any]:
    """What a checkpoint file holds: plain containers and tensors, nothing in it is executed.

    Raises InputError if there is no such file, or if it cannot be read so.
    """
    try:
        # torch reads a file with a changed byte without a word, though its archive has checksums.
        if zipfile.is_zipfile(path) and (damaged := zipfile.ZipFile(path).testzip()):
            raise zipfile.BadZipFile(damaged)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}: give a .pt or .pth file, or a run directory") from error
    except Exception as error:  # torch raises many kinds on a damaged file, or on one that holds more than tensors
        raise InputError(
            f"{path} cannot be read as a checkpoint of plain tensors ({type(error).__name__}): give a .pt or .pth file"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__} and no checkpoint: give one with a state dict")
    return content


@contextmanager
def reading_state(path: Path) -> Iterator[None]:
    """Raises InputError for whatever is wrong with the state of a run that is to go on, and is read inside."""
    try:
        yield
    except (InputError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        cause = type(error.__cause__ or error).__name__
        raise InputError(
            f"{path} is damaged ({cause}), so that the run cannot go on: remove {path.parent} and train again, or give "
            "another --out"
        ) from error


def read_checkpoint(path: Path) -> tuple[Toy, ToyConfig, int]:
    """The network, its configuration and its step. Raises InputError if the file is no checkpoint of this project."""
    content = read_content(path)
    return *own_network(content, path), content["step"]


def own_network(content: Mapping[str, Any], path: Path) -> tuple[Toy, ToyConfig]:
    """The network of a checkpoint of ours. Raises InputError if it is none, or is damaged."""
    if content.get("layout") != LAYOUT:
        given = (
            f"`layout` is {content['layout']!r}, not {LAYOUT!r}" if "layout" in content else "key `layout` is missing"
        )
        raise InputError(f"{path} is no checkpoint of this project: its {given}")
    for key in ("config", "model"):
        if not isinstance(content.get(key), Mapping):
            raise InputError(f"{path} is a damaged checkpoint: its key `{key}` is missing")
    config = from_mapping(dict(content["config"]), ToyConfig(), str(path))
    model = build(config)
    expected = {name: list(weight.shape) for name, weight in model.state_dict().items()}
    check_names(content["model"], list(expected), path)
    for name, shape in expected.items():
        check_tensor(content["model"][name], name, shape, path)
    model.load_state_dict(content["model"])
    return model.requires_grad_(False).eval(), config


def check_names(stored: Mapping[str, Any], expected: Sequence[str], path: Path) -> None:
    """Raises InputError if a tensor is missing or stands there without a place in the network."""
    for name in expected:
        if name not in stored:
            raise InputError(f"{path} is no checkpoint of this network: its key `{name}` is missing")
    for name in stored:
        if name not in expected:
            raise InputError(f"{path} is no checkpoint of this network, which has nothing like its key `{name}`")


def check_tensor(weight: Any, name: str, expected: Sequence[int | str], path: Path, axes: str = "") -> None:
    """Raises InputError if a tensor has not the expected shape, in which a word is a size that is not known."""
    shape = list(weight.shape) if isinstance(weight, Tensor) else None
    if shape != list(expected):
        given, wanted = (f"({', '.join(map(str, sizes))})" for sizes in (shape or (), expected))
        stored = f"is a {type(weight).__name__}" if shape is None else f"has the shape {given}"
        raise InputError(f"{path}: `{name}` {stored}, expected {wanted}{axes}")
