"""Training of the toys that go on from one checkpoint: a line a look, and what is said when the time is up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def finished(train: Callable[..., Any], config: Any, folder: Path, minutes: float) -> Any:
    """The run when all its steps are done, None if `minutes` ended it before."""

    def show(line: dict[str, int | float]) -> None:
        print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), flush=True)

    training = train(config, folder, minutes=minutes, report=show)
    if training.step < config.steps:
        print(f"time is up at step {training.step}: the same command goes on   {folder}")
        return None
    return training
