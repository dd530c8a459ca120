"""Training that goes on from one file, whatever interrupts it: the loop, the checkpoint and its checks.

`checkpoint.pt` holds everything and is replaced as a whole; `metrics.jsonl` beside it has the looks as lines. What
is trained is a `Trained`: it knows its step, updates itself, and looks at how well it does.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from toy.run.cells import check_writable
from toy.run.errors import Diverged, InputError
from toy.run.files import replace_with, write_atomic

Line = dict[str, int | float]


@runtime_checkable
class Trained(Protocol):
    """A network on its way."""

    config: Any
    """A dataclass with `steps`, `log_every` and `device`."""
    model: Any
    optimiser: Any
    metrics: list[Line]
    step: int

    def update(self) -> float:
        """One step; its loss."""
        ...

    def look(self, loss: float) -> Line:
        """How well it does."""
        ...


Run = TypeVar("Run", bound=Trained)


def train(
    folder: Path,
    begin: Callable[[], Run],
    resume: Callable[[Path], Run],
    save: Callable[[Path, Run], None],
    *,
    minutes: float,
    report: Callable[[Line], object] | None,
) -> Run:
    """Train in `folder`, or go on with what lies there; after `minutes` stop where it can be resumed.

    Raises:
        InputError: `folder` cannot be written.
        Diverged: the loss became NaN.
    """
    check_writable(folder)
    path, started = folder / "checkpoint.pt", time.monotonic()
    training = resume(path) if path.exists() else begin()
    while training.step < training.config.steps and time.monotonic() - started < 60 * minutes:
        loss = training.update()
        if not math.isfinite(loss):
            message = f"the loss is no longer a number at step {training.step}: lower --learning-rate, another --out"
            raise Diverged(message, training.step)
        if training.step % training.config.log_every == 0 or training.step == training.config.steps:
            training.metrics.append(training.look(loss))
            save(path, training)
            if report:
                report(training.metrics[-1])
    if training.step < training.config.steps:
        save(path, training)
    return training


def save(path: Path, layout: str, training: Trained, **also: Any) -> None:
    """The checkpoint as a whole, then its metrics as lines to read.

    Raises:
        InputError: it cannot be written.
    """
    content = {
        "layout": layout,
        "config": asdict(training.config),
        **also,
        "step": training.step,
        "model": training.model.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "metrics": training.metrics,
    }
    try:
        replace_with(path, lambda temporary: torch.save(content, temporary))
        write_atomic(path.with_name("metrics.jsonl"), "".join(json.dumps(row) + "\n" for row in training.metrics))
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {path} ({reason}): free some space and give the same command again") from error


def restore(path: Path, content: Mapping[str, Any], config: Any, begin: Callable[[], Run]) -> Run:
    """The run of a checkpoint's content, which must be of this configuration (but for the device).

    Raises:
        InputError: it is another run's.
    """
    # A run that was begun before a field existed did what its default does.
    asked, found = asdict(config), asdict(type(config)()) | content["config"]
    different = [name for name in asked if name != "device" and asked[name] != found[name]]
    if different:
        name = different[0]
        raise InputError(
            f"{path.parent} holds a run with another {', '.join(different)} ({name} {found[name]}, asked for "
            f"{asked[name]}): give another --out, or the same configuration to go on with it"
        )
    training = begin()
    training.model.load_state_dict(content["model"])
    training.optimiser.load_state_dict(content["optimiser"])
    training.metrics, training.step = content["metrics"], content["step"]
    return training


def read(path: Path, layout: str, name: str) -> dict[str, Any]:
    """What a checkpoint holds; `name`: what it is called in the message.

    Raises:
        InputError: the file is not there, is damaged, or is not one of these.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged or foreign file
        raise InputError(f"{path} cannot be read as a checkpoint ({type(error).__name__})") from error
    if not isinstance(content, dict) or content.get("layout") != layout:
        raise InputError(f"{path} is no {name} checkpoint: its key `layout` is not {layout!r}")
    return content
