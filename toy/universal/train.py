"""Training a universal modulus: any number of interruptions, one result.

A batch is a function of (seed, step): moduli with probability proportional to p (so that the question counts of p²
do not drown the small ones), then a, b uniform below p. Cross-entropy, or REINFORCE (Williams 1992): some answers are
sampled to each question, their reward r is 1 if right, the loss -(r - mean r) log π(answer) - bonus · entropy.

One file, `checkpoint.pt`, holds configuration, split, weights, optimiser and metrics, and is replaced as a whole:
kill -9 or a full disk lose the updates since the last look. All numbers 0 … 198 compete as answers, in training and in
every accuracy: where only those below 120 do, larger ones win later, because nothing ever taught them not to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from toy.run import checkpoint
from toy.run.checkpoint import Line
from toy.run.device import chosen_device
from toy.run.memory import keep_freed_memory
from toy.training.descent import adamw, descend, rate
from toy.universal.config import Split, UniversalConfig, check, draw_split
from toy.universal.network import Questions, Universal, answers, pairs

LAYOUT = "universal"
WARMUP = 50
QUESTIONS_AT_ONCE = 8192


@dataclass
class Training:
    """A network on its way."""

    config: UniversalConfig
    split: Split
    model: Universal
    optimiser: torch.optim.AdamW
    metrics: list[Line]
    step: int = 0

    @staticmethod
    def begin(config: UniversalConfig) -> Training:
        """A fresh network, and the draw of its moduli."""
        keep_freed_memory()
        model = Universal(config).to(chosen_device(config.device))
        return Training(config, draw_split(config), model, adamw(model, config.weight_decay), [])

    def update(self) -> float:
        """One optimiser step; the loss it started from."""
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step)
        questions = batch(self.split.train, self.config.batch_size, generator).to(self.model.W_U.device)
        logits = self.model(questions)
        if self.config.objective == "cross_entropy":
            loss = cross_entropy(logits, answers(questions))
        else:
            loss = policy_loss(logits, answers(questions), self.config, generator)
        value = descend(self.model, self.optimiser, loss, rate(self.config, self.step, WARMUP))
        self.step += 1
        return value

    def look(self, loss: float) -> Line:
        """Accuracy over whole tables of the held-out moduli and of as many training ones."""
        some = self.split.train[:: max(1, len(self.split.train) // 11)]
        seen = accuracies(self.model, some)
        held = accuracies(self.model, self.split.held_out)
        return {
            "step": self.step,
            "loss": loss,
            "train_accuracy": sum(seen.values()) / len(seen),
            "held_out_accuracy": sum(held.values()) / len(held),
            "held_out_lowest": min(held.values()),
        }


def train(
    config: UniversalConfig,
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


def batch(moduli: Sequence[int], size: int, generator: torch.Generator) -> Questions:
    """Questions of a training step."""
    known = torch.tensor(moduli)
    modulus = known[torch.multinomial(known.double(), size, replacement=True, generator=generator)]
    operands = torch.rand(2, size, generator=generator, dtype=torch.float64) * modulus
    return torch.stack([modulus, *operands.long()], dim=1)


def policy_loss(
    logits: Float[Tensor, "n N"], right: Int[Tensor, " n"], config: UniversalConfig, generator: torch.Generator
) -> Float[Tensor, ""]:
    """REINFORCE with the batch's mean reward as baseline.

    The baseline is not each question's own: where every sampled answer is wrong, all of them are to become rarer.
    """
    log_policy = logits.log_softmax(1)
    policy = log_policy.exp()
    drawn = torch.multinomial(policy.detach().cpu(), config.samples, replacement=True, generator=generator)
    sampled = drawn.to(right.device)
    reward = (sampled == right[:, None]).float()
    gained = (reward - reward.mean()) * log_policy.gather(1, sampled)
    return -gained.mean() + config.entropy_bonus * (policy * log_policy).sum(1).mean()


def accuracies(model: Universal, moduli: Sequence[int]) -> dict[int, float]:
    """Share of right answers over all p² pairs of each modulus."""
    asked = {modulus: pairs(modulus) for modulus in moduli}
    return {modulus: share(some, answered(model, some) == answers(some)) for modulus, some in asked.items()}


@torch.no_grad()
def answered(model: Universal, questions: Questions) -> Int[Tensor, " n"]:
    """What the network answers."""
    parts = questions.to(model.W_U.device).split(QUESTIONS_AT_ONCE)
    return torch.cat([model(some).argmax(1).cpu() for some in parts])


def share(questions: Questions, holds: Bool[Tensor, " n"]) -> float:
    """Share of ordered pairs for which something holds, given it for `pairs`, where each mirror image counts once."""
    twice = torch.where(questions[:, 1] < questions[:, 2], 2, 1)
    return int((holds * twice).sum()) / int(twice.sum())


def save(path: Path, training: Training) -> None:
    """The checkpoint as a whole, then its metrics as lines to read.

    Raises:
        InputError: it cannot be written.
    """
    checkpoint.save(path, LAYOUT, training, split=asdict(training.split))


def resume(path: Path, config: UniversalConfig) -> Training:
    """The run of a checkpoint, which must be of this configuration, with the moduli it was begun with.

    Raises:
        InputError: it cannot be read or is another run.
    """
    content = read(path)
    training = checkpoint.restore(path, content, config, lambda: Training.begin(config))
    training.split = Split(*(tuple(content["split"][part]) for part in ("train", "held_out")))
    return training


def load(path: Path) -> Training:
    """The run of a checkpoint, on the CPU.

    Raises:
        InputError: it cannot be read.
    """
    return resume(path, replace(UniversalConfig(**read(path)["config"]), device="cpu"))


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        InputError: the file is not there, is damaged, or is not one of these.
    """
    return checkpoint.read(path, LAYOUT, "universal-modulus")
