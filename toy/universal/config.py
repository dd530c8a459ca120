"""What to train for a universal modulus, and which moduli it never sees: importable without torch.

The dense variant trains on all moduli 2 … 120 but eleven, 15, 25, …, 115, which are those that were published; the
sparse one on 24 moduli drawn from 2 … 199 and is tested on all others. The draw is a function of `split_seed`, is
stored with the weights, and is read back, never made again, when a run goes on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from toy.config import check_fields
from toy.run.errors import InputError

LARGEST = 199
"""The largest modulus that is asked for, hence numbers 0 … 198."""
DENSE_LARGEST = 120
SPARSE_COUNT = 24

Numbers = Literal["encoding", "rotations", "digits", "tokens"]


@dataclass(frozen=True)
class UniversalConfig:
    """One training run."""

    numbers: Numbers = "encoding"
    """How operands and answers are written: sinusoids, sinusoids that add by turning, three digits, or a row of weights
    a number, as published."""
    moduli: Literal["dense", "sparse"] = "dense"
    """Which moduli are trained on: 2 to 120 but the held-out ones, or 24 of 2 to 199."""
    held_out: Literal["published", "random"] = "published"
    """Held-out moduli of `dense`: 15, 25, …, 115, or as many drawn with `split_seed`."""
    split_seed: int = 0
    """Seed of the draw of moduli."""
    objective: Literal["cross_entropy", "policy_gradient"] = "cross_entropy"
    """Training objective; `policy_gradient` samples an answer and is told only whether it is right (REINFORCE)."""
    samples: int = 16
    """Number of answers that the policy gradient samples to each question."""
    entropy_bonus: float = 0.03
    """Weight of the answers' entropy in the policy gradient."""
    seed: int = 0
    """Seed of the initial weights and the batches."""
    frequencies: int = 10
    """Sinusoids of the encoding: one of period 400, twice the range of numbers, which tells large from small, and the
    others in geometric progression from period 2 to `longest_turn`."""
    longest_turn: float = 100.0
    """Period of the longest of these. Below 120, so that training shows them at every angle."""
    d_model: int = 128
    """Width of the residual stream."""
    d_mlp: int = 128
    """Number of neurons of a block, each a product of two linear forms."""
    n_blocks: int = 3
    """Number of blocks."""
    steps: int = 2000
    """Number of updates."""
    batch_size: int = 2048
    """Number of questions per update."""
    learning_rate: float = 3e-3
    """Learning rate of AdamW; it rises over 50 updates and falls linearly over the second half."""
    weight_decay: float = 0.3
    """Weight decay of AdamW, on matrices alone."""
    log_every: int = 100
    """Updates between two evaluations on the held-out moduli, each with a checkpoint."""
    device: str = "auto"
    """A torch device, or `auto`: cuda, else mps, else cpu."""

    def check(self) -> None:
        """Raises InputError if a field cannot be used."""
        check_fields(self)
        if self.frequencies < 3 or self.longest_turn <= 2:
            raise InputError("an encoding needs three frequencies or more and a longest turn above 2")


@dataclass(frozen=True)
class Split:
    """The moduli of a run."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]

    @property
    def largest(self) -> int:
        """One more than the largest number that training shows."""
        return max(self.train)


def draw_split(config: UniversalConfig) -> Split:
    """The moduli of a run that begins: a function of the configuration."""
    generator = random.Random(config.split_seed)
    if config.moduli == "sparse":
        everything = range(2, LARGEST + 1)
        train = set(generator.sample(everything, SPARSE_COUNT))
        return Split(tuple(sorted(train)), tuple(m for m in everything if m not in train))
    everything, published = range(2, DENSE_LARGEST + 1), range(15, 116, 10)
    held_out = set(published if config.held_out == "published" else generator.sample(everything, len(published)))
    return Split(tuple(m for m in everything if m not in held_out), tuple(sorted(held_out)))
