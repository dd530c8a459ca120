"""A run directory: what one training run leaves behind, and reading it again.

config.json            the resolved configuration
metrics.jsonl          step, train_loss, test_loss, train_accuracy, test_accuracy: one line a look
checkpoints/           step-000100.pt, …: {"layout": "toy", "step", "config", "model": state dict}
state.pt               weights, optimiser and counters of the last checkpoint: what a resumed run starts from
STOP                   once it is there the run is over: a chained series of jobs ends
figures/, analysis.json   made by scripts/analyze_toy.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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
        found = {}
        for path in (self.folder / "checkpoints").glob("step-*.pt"):
            if match := re.fullmatch(r"step-(\d+)\.pt", path.name):
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def model(self, step: int | None = None) -> Toy:
        """The network at a step, by default the last one that was kept.

        Raises:
            InputError: there is no such checkpoint.
        """
        found = self.checkpoints()
        if not found:
            raise InputError(f"{self.folder} holds no checkpoint yet: train it with scripts/train_toy.py")
        step = max(found) if step is None else step
        if step not in found:
            raise InputError(
                f"{self.folder} has no checkpoint of step {step}: choose from {', '.join(map(str, found))}"
            )
        return read_checkpoint(found[step])[0]

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
    """The run that lies in a folder.

    Raises:
        InputError: none does.
    """
    if not is_run(folder):
        raise InputError(
            f"{folder} is no run directory (config.json and checkpoints/): make one with scripts/train_toy.py"
        )
    return Run(folder, read_config(folder / "config.json"))


def read_checkpoint(path: Path) -> tuple[Toy, ToyConfig, int]:
    """The network, its configuration and its step from a checkpoint of this project.

    Raises:
        InputError: the file cannot be read or is not one.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged or foreign file
        raise InputError(f"{path} cannot be read as a checkpoint ({type(error).__name__}): give a .pt file") from error
    if not isinstance(content, dict) or content.get("layout") != LAYOUT:
        raise InputError(f"{path} is no checkpoint of this project: its key `layout` is missing or not {LAYOUT!r}")
    config = from_mapping(content["config"], ToyConfig(), str(path))
    model = build(config)
    model.load_state_dict(content["model"])
    return model.requires_grad_(False).eval(), config, content["step"]
