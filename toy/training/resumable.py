"""A training that goes on from one file, whatever interrupts it: the skeleton of the addition and the universal toy.

    checkpoint.pt   configuration, weights, optimiser and metrics, replaced as a whole
    metrics.jsonl   one line an evaluation

kill -9 or a full disk lose the updates since the last evaluation. A batch is a function of (seed, step), so that a
resumed run ends where the uninterrupted one does. The optimiser is torch's AdamW; matrices decay, gains and biases do
not. Its rate rises over `warmup` updates, stays, and falls linearly to 2 % over the second half of T steps:

    rate(t) = learning_rate · min(1, (t + 1) / warmup) · (1 - 0.98 max(0, 2t/T - 1))

The toys that grok have a loop of their own (train.py), because there every seed of a batch has its own rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from toy.run.cells import check_writable
from toy.run.device import chosen_device, keep_freed_memory, without_denormals
from toy.run.errors import Diverged, InputError
from toy.run.files import replace_with, write_lines, writing_to
from toy.training.runs import read_content, reading_state

Line = dict[str, int | float]
Run = TypeVar("Run", bound="Training")


class Training:
    """A network on its way. A toy's own training says what its network, its loss and its evaluation are."""

    layout: ClassVar[str]
    """Value of the key `layout` of its checkpoints."""
    name: ClassVar[str]
    """What its checkpoints are called in messages."""
    warmup: ClassVar[int]
    """Updates over which the rate rises."""
    clip: ClassVar[float | None] = None
    """Largest norm of the gradient."""
    config_class: ClassVar[type]
    """Its configuration: a dataclass with steps, log_every, learning_rate, weight_decay, device and `check`."""
    network: ClassVar[Callable[..., nn.Module]]
    """Makes the network of a configuration."""

    def __init__(self, config: Any) -> None:
        """A fresh network."""
        keep_freed_memory()
        self.config = config
        self.model: Any = type(self).network(config).to(chosen_device(config.device))
        matrices = [weight for weight in self.model.parameters() if weight.ndim > 1]
        others = [weight for weight in self.model.parameters() if weight.ndim == 1]
        groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=config.weight_decay)
        self.metrics: list[Line] = []
        self.step = 0

    def loss(self) -> Tensor:
        """The loss on the batch of this step."""
        raise NotImplementedError

    def evaluate(self) -> Line:
        """Accuracies on trained and on held-out questions."""
        raise NotImplementedError

    def stored(self) -> dict[str, Any]:
        """What its checkpoint holds beside the configuration, the weights and the optimiser."""
        return {}

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's content."""
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.metrics, self.step = content["metrics"], content["step"]

    def update(self) -> float:
        """One optimiser step; the loss it started from."""
        loss = self.loss()
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.config, self.step, self.warmup)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    @classmethod
    def train(
        cls: type[Run],
        config: Any,
        folder: Path,
        *,
        minutes: float = math.inf,
        report: Callable[[Line], object] | None = None,
    ) -> Run:
        """Train in `folder`, or go on with what lies there; after `minutes` stop where it can be resumed.

        Raises InputError if a field cannot be used, or if `folder` holds another run or cannot be written, and
        Diverged if the loss became NaN.
        """
        config.check()
        check_writable(folder)
        path, started = folder / "checkpoint.pt", time.monotonic()
        training = cls.load(path, config) if path.exists() else cls(config)
        while training.step < config.steps and time.monotonic() - started < 60 * minutes:
            with without_denormals():
                loss = training.update()
            if not math.isfinite(loss):
                raise Diverged(
                    f"the loss is no longer a number at step {training.step}: lower --learning-rate, another --out",
                    training.step,
                )
            if training.step % config.log_every == 0 or training.step == config.steps:
                training.metrics.append({"step": training.step, "loss": loss, **training.evaluate()})
                training.save(path)
                if report:
                    report(training.metrics[-1])
        if training.step < config.steps:
            training.save(path)
        return training

    def save(self, path: Path) -> None:
        """The checkpoint as a whole, then its metrics as lines. Raises InputError if they cannot be written."""
        content = {
            "layout": self.layout,
            "config": asdict(self.config),
            **self.stored(),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "metrics": self.metrics,
        }
        with writing_to(path, "free some space and give the same command again", RuntimeError):
            replace_with(path, lambda temporary: torch.save(content, temporary))
            write_lines(path.with_name("metrics.jsonl"), self.metrics)

    @classmethod
    def load(cls: type[Run], path: Path, config: Any = None) -> Run:
        """The run of a checkpoint, to go on with `config`; without one as it is, on the CPU.

        Raises InputError if the checkpoint cannot be read or is of another configuration.
        """
        content = read_content(path)
        if content.get("layout") != cls.layout:
            raise InputError(f"{path} is no {cls.name} checkpoint: its key `layout` is not {cls.layout!r}")
        with reading_state(path):
            # A run that was begun before a field existed did what its default does.
            begun = cls.config_class(**content["config"])
        config = config or replace(begun, device="cpu")
        given, stored = asdict(config), asdict(begun)
        if different := [name for name in given if name != "device" and given[name] != stored[name]]:
            name = different[0]
            raise InputError(
                f"{path.parent} holds a run with another {', '.join(different)} ({name} {stored[name]}, asked for "
                f"{given[name]}): give another --out, or the same configuration to go on with it"
            )
        training = cls(config)
        with reading_state(path):
            training.restore(content)
        return training


def rate(config: Any, step: int, warmup: int) -> float:
    """The learning rate of the update after `step` updates; see the formula above."""
    late = max(0.0, 2 * step / config.steps - 1)
    return config.learning_rate * min(1.0, (step + 1) / warmup) * (1 - 0.98 * late)
