"""Training sums of many digits: any number of interruptions, one result.

The pairs to train on are drawn once, a function of the seed: digits of a and of b uniform in 1 … max_digits, held-out
pairs thrown away, in the order of their answers' length, so that the curriculum is a prefix. A batch is a function of
(seed, step). The loss is the cross-entropy of the answer's characters.

An answer is right if every character is. Because the networks are causal, greedy decoding is right exactly when each
character is the most likely one after the *true* ones before it, so that one forward judges a whole batch.
One file, `checkpoint.pt`, holds everything and is replaced as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from toy.addition.config import AdditionConfig, check, longest_answer
from toy.addition.network import (
    PAD,
    PAIRS_AT_ONCE,
    Addition,
    Pairs,
    answer_of,
    digits_of,
    draw,
    held_out,
    prompts,
    targets,
)
from toy.run import checkpoint
from toy.run.checkpoint import Line
from toy.run.device import chosen_device
from toy.run.memory import keep_freed_memory
from toy.training.descent import adamw, descend, rate

LAYOUT = "addition, 2"
"""With its version: the network of the first gave marks a place under the name of `abacus`."""
WARMUP = 100
LOOKED_AT = 1000


def random_pairs(config: AdditionConfig, count: int, seed: int, *, unseen: bool) -> Pairs:
    """Pairs in the range that is trained on, all held out (`unseen`) or none."""
    generator, found = torch.Generator().manual_seed(seed), []
    while sum(map(len, found)) < count:
        lengths = torch.randint(1, config.max_digits + 1, (2, 2 * count), generator=generator)
        pairs = draw(2 * count, (lengths[0], lengths[1]), generator)
        found.append(pairs[held_out(pairs, config.held_out, config.split_seed) == unseen])
    return torch.cat(found)[:count]


@dataclass
class Training:
    """A network on its way."""

    config: AdditionConfig
    pairs: Pairs
    """Those to train on, short answers first."""
    model: Addition
    optimiser: torch.optim.AdamW
    metrics: list[Line]
    step: int = 0

    @staticmethod
    def begin(config: AdditionConfig) -> Training:
        """A fresh network and its pairs."""
        keep_freed_memory()
        model = Addition(config).to(chosen_device(config.device))
        pairs = random_pairs(config, config.train_pairs, 2 * config.seed, unseen=False)
        return Training(
            config, pairs[digits_of(pairs.sum(1)).argsort(stable=True)], model, adamw(model, config.weight_decay), []
        )

    def batch(self) -> Pairs:
        """Pairs of the next update."""
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step)
        allowed = int((self.pairs.sum(1) < 10 ** longest_answer(self.config, self.step)).sum())
        return self.pairs[torch.randint(allowed, (self.config.batch_size,), generator=generator)]

    def update(self) -> float:
        """One optimiser step; the loss it started from."""
        pairs, device = self.batch(), self.model.W_U.device
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step + 500_000)
        start = torch.randint(self.config.starts, (len(pairs),), generator=generator).to(device)
        prompt, target = (text(pairs, self.config.order).to(device) for text in (prompts, targets))
        logits = self.model(prompt, answer_of(target), start)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)
        value = descend(self.model, self.optimiser, loss, rate(self.config, self.step, WARMUP), clip=1.0)
        self.step += 1
        return value

    def look(self, loss: float) -> Line:
        """Accuracy on pairs trained on, on held-out ones, and on held-out ones of one digit more than trained."""
        config, generator = self.config, torch.Generator().manual_seed(2 * self.config.seed + 1)
        seen = self.pairs[torch.randint(len(self.pairs), (LOOKED_AT,), generator=generator)]
        unseen = random_pairs(config, LOOKED_AT, 2 * config.seed + 1, unseen=True)
        length = torch.full((LOOKED_AT,), config.max_digits + 1)
        parts = {"train": seen, "held_out": unseen, "longer": draw(LOOKED_AT, (length, length), generator)}
        accuracy = {f"{name}_accuracy": float(right(self.model, part).float().mean()) for name, part in parts.items()}
        return {"step": self.step, "loss": loss, **accuracy}


@torch.no_grad()
def right_characters(model: Addition, pairs: Pairs) -> tuple[Bool[Tensor, "n t"], Int[Tensor, "n t"]]:
    """Whether each character of the answer is said after the true ones before it, and the target."""
    prompt, target = prompts(pairs, model.config.order), targets(pairs, model.config.order)
    parts = zip(prompt.split(PAIRS_AT_ONCE), answer_of(target).split(PAIRS_AT_ONCE), strict=True)
    device = model.W_U.device
    said = torch.cat([model(asked.to(device), answer.to(device)).argmax(2).cpu() for asked, answer in parts])
    return said == target, target


def right(model: Addition, pairs: Pairs) -> Bool[Tensor, " n"]:
    """Whether the whole answer is right, under greedy decoding."""
    good, target = right_characters(model, pairs)
    return (good | (target == PAD)).all(1)


def train(
    config: AdditionConfig,
    folder: Path,
    *,
    minutes: float = math.inf,
    report: Callable[[Line], object] | None = None,
) -> Training:
    """Train in `folder`, or go on with what lies there; after `minutes` stop where it can be resumed.

    Raises:
        InputError: `folder` holds another run or cannot be written, a field cannot be used, or the loss became NaN.
    """
    check(config)
    return checkpoint.train(
        folder,
        lambda: Training.begin(config),
        lambda path: resume(path, config),
        save,
        minutes=minutes,
        report=report,
    )


def save(path: Path, training: Training) -> None:
    """The checkpoint as a whole, then its metrics as lines to read.

    Raises:
        InputError: it cannot be written.
    """
    checkpoint.save(path, LAYOUT, training)


def resume(path: Path, config: AdditionConfig) -> Training:
    """The run of a checkpoint, which must be of this configuration.

    Raises:
        InputError: it cannot be read or is another run.
    """
    return checkpoint.restore(path, read(path), config, lambda: Training.begin(config))


def load(path: Path) -> Training:
    """The run of a checkpoint, on the CPU.

    Raises:
        InputError: it cannot be read.
    """
    return resume(path, replace(AdditionConfig(**read(path)["config"]), device="cpu"))


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        InputError: the file is not there, is damaged, or is not one of these.
    """
    return checkpoint.read(path, LAYOUT, "addition")
