"""Training sums of many digits, and which answers of a network are right.

The pairs to train on are drawn once, a function of the seed: digits of a and of b uniform in 1 … max_digits, held-out
pairs thrown away, in the order of their answers' length, so that the curriculum is a prefix. The loss is the
cross-entropy of the answer's characters.

An answer is right if every character is. Because the networks are causal, greedy decoding is right exactly when each
character is the most likely one after the *true* ones before it, so that one forward judges a whole batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from toy.addition.config import AdditionConfig, longest_answer
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
from toy.training import resumable
from toy.training.resumable import Line

PAIRS_EVALUATED = 1000


class Training(resumable.Training):
    """The training of one network that adds."""

    layout = "addition, 2"
    """With its version: the network of the first gave marks a place under the name of `abacus`."""
    name = "addition"
    warmup = 100
    clip = 1.0
    config_class = AdditionConfig
    network = Addition

    def __init__(self, config: AdditionConfig) -> None:
        """A fresh network, and its pairs, short answers first."""
        super().__init__(config)
        pairs = random_pairs(config, config.train_pairs, 2 * config.seed, unseen=False)
        self.pairs = pairs[digits_of(pairs.sum(1)).argsort(stable=True)]

    def batch(self) -> Pairs:
        """Pairs of the next update."""
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step)
        allowed = int((self.pairs.sum(1) < 10 ** longest_answer(self.config, self.step)).sum())
        return self.pairs[torch.randint(allowed, (self.config.batch_size,), generator=generator)]

    def loss(self) -> Tensor:
        """Cross-entropy of the answers' characters, the first place drawn at random."""
        pairs, device = self.batch(), self.model.W_U.device
        generator = torch.Generator().manual_seed(1_000_003 * (self.config.seed + 1) + self.step + 500_000)
        start = torch.randint(self.config.starts, (len(pairs),), generator=generator).to(device)
        prompt, target = (text(pairs, self.config.order).to(device) for text in (prompts, targets))
        logits = self.model(prompt, answer_of(target), start)
        return cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)

    def evaluate(self) -> Line:
        """Accuracy on pairs trained on, on held-out ones, and on held-out ones of one digit more than trained."""
        config, generator = self.config, torch.Generator().manual_seed(2 * self.config.seed + 1)
        seen = self.pairs[torch.randint(len(self.pairs), (PAIRS_EVALUATED,), generator=generator)]
        unseen = random_pairs(config, PAIRS_EVALUATED, 2 * config.seed + 1, unseen=True)
        length = torch.full((PAIRS_EVALUATED,), config.max_digits + 1)
        parts = {"train": seen, "held_out": unseen, "longer": draw(PAIRS_EVALUATED, (length, length), generator)}
        return {f"{name}_accuracy": float(right(self.model, part).float().mean()) for name, part in parts.items()}


def random_pairs(config: AdditionConfig, count: int, seed: int, *, unseen: bool) -> Pairs:
    """Pairs in the range that is trained on, all held out (`unseen`) or none."""
    generator, batches = torch.Generator().manual_seed(seed), []
    while sum(map(len, batches)) < count:
        lengths = torch.randint(1, config.max_digits + 1, (2, 2 * count), generator=generator)
        pairs = draw(2 * count, (lengths[0], lengths[1]), generator)
        batches.append(pairs[held_out(pairs, config.held_out, config.split_seed) == unseen])
    return torch.cat(batches)[:count]


@torch.no_grad()
def right_characters(model: Addition, pairs: Pairs) -> tuple[Bool[Tensor, "n t"], Int[Tensor, "n t"]]:
    """Whether each character of the answer is said after the true ones before it, and the target."""
    prompt, target = prompts(pairs, model.config.order), targets(pairs, model.config.order)
    parts = zip(prompt.split(PAIRS_AT_ONCE), answer_of(target).split(PAIRS_AT_ONCE), strict=True)
    device = model.W_U.device
    said = torch.cat([model(some.to(device), answer.to(device)).argmax(2).cpu() for some, answer in parts])
    return said == target, target


def right(model: Addition, pairs: Pairs) -> Bool[Tensor, " n"]:
    """Whether the whole answer is right, under greedy decoding."""
    good, target = right_characters(model, pairs)
    return (good | (target == PAD)).all(1)
