"""Training a universal modulus, by its answers or by reward, and the accuracy on whole tables.

A batch is a function of (seed, step): moduli with probability proportional to p (so that the question counts of p²
do not drown the small ones), then a, b uniform below p. Cross-entropy, or REINFORCE (Williams 1992): some answers are
sampled to each question, their reward r is 1 if right, the loss -(r - mean r) log π(answer) - bonus · entropy.

All numbers 0 … 198 compete as answers, in training and in every accuracy: where only those below 120 do, larger ones
win later, because nothing ever taught them not to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from toy.training import resumable
from toy.training.resumable import Line
from toy.universal.config import Split, UniversalConfig, draw_split
from toy.universal.network import Questions, Universal, answers, pairs

QUESTIONS_AT_ONCE = 8192


class Training(resumable.Training):
    """The training of one network for every modulus."""

    layout = "universal"
    name = "universal-modulus"
    warmup = 50
    config_class = UniversalConfig
    network = Universal

    def __init__(self, config: UniversalConfig) -> None:
        """A fresh network, and the draw of its moduli, which a checkpoint keeps and which is never made again."""
        super().__init__(config)
        self.split = draw_split(config)

    def stored(self) -> dict[str, Any]:
        return {"split": asdict(self.split)}

    def restore(self, content: Mapping[str, Any]) -> None:
        super().restore(content)
        self.split = Split(*(tuple(content["split"][part]) for part in ("train", "held_out")))

    def loss(self) -> Tensor:
        """Cross-entropy or REINFORCE on the questions of this step."""
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step)
        questions = batch(self.split.train, self.config.batch_size, generator).to(self.model.W_U.device)
        logits = self.model(questions)
        if self.config.objective == "cross_entropy":
            return cross_entropy(logits, answers(questions))
        return policy_loss(logits, answers(questions), self.config, generator)

    def evaluate(self) -> Line:
        """Accuracy over whole tables of the held-out moduli and of as many training ones."""
        some = self.split.train[:: max(1, len(self.split.train) // 11)]
        seen = accuracies(self.model, some)
        held = accuracies(self.model, self.split.held_out)
        return {
            "train_accuracy": sum(seen.values()) / len(seen),
            "held_out_accuracy": sum(held.values()) / len(held),
            "held_out_lowest": min(held.values()),
        }


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
    sampled = torch.multinomial(policy.detach().cpu(), config.samples, replacement=True, generator=generator)
    sampled = sampled.to(right.device)
    reward = (sampled == right[:, None]).float()
    gained = (reward - reward.mean()) * log_policy.gather(1, sampled)
    return -gained.mean() + config.entropy_bonus * (policy * log_policy).sum(1).mean()


def accuracies(model: Universal, moduli: Sequence[int]) -> dict[int, float]:
    """Share of right answers over all p² pairs of each modulus."""
    questions = {modulus: pairs(modulus) for modulus in moduli}
    return {modulus: share(some, answered(model, some) == answers(some)) for modulus, some in questions.items()}


@torch.no_grad()
def answered(model: Universal, questions: Questions) -> Int[Tensor, " n"]:
    """What the network answers."""
    parts = questions.to(model.W_U.device).split(QUESTIONS_AT_ONCE)
    return torch.cat([model(some).argmax(1).cpu() for some in parts])


def share(questions: Questions, holds: Bool[Tensor, " n"]) -> float:
    """Share of ordered pairs for which something holds, given it for `pairs`, where each mirror image counts once."""
    twice = torch.where(questions[:, 1] < questions[:, 2], 2, 1)
    return int((holds * twice).sum()) / int(twice.sum())
