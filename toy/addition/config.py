"""What to train for sums of many digits: importable without torch.

The published network (unixsysdev/grokking-fourier) is an encoder-decoder of 3 + 3 blocks that reads and writes the
highest digit first, with a learnt row a place: `--shape encoder-decoder --order plain --positions absolute`. The
defaults are the remedy: a decoder alone, lowest digit first, places counted within each number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toy.config import check_fields
from toy.run.errors import InputError

CURRICULUM = ((0.05, 3), (0.15, 4), (0.3, 5))
"""Until this share of the updates, answers of at most so many digits."""


@dataclass(frozen=True)
class AdditionConfig:
    """One training run."""

    shape: Literal["decoder", "encoder-decoder"] = "decoder"
    """A decoder that reads "a+b=" and goes on, or an encoder for "a+b" and a decoder for the answer, as published."""
    order: Literal["reversed", "plain"] = "reversed"
    """Every number lowest digit first, or as people write it."""
    positions: Literal["abacus", "abacus-marks", "absolute"] = "abacus"
    """A digit's place is counted within its number, from a random start in training (McLeish et al. 2024); the same,
    and + and = have a place, too; or every character's is counted from the beginning of the text."""
    starts: int = 12
    """Number of starts that training with an abacus draws from. All rows up to there are trained, so that longer
    numbers find them."""
    max_digits: int = 5
    """Digits of the longest operand that is trained on."""
    train_pairs: int = 50_000
    """How many pairs are drawn to train on, as many as published."""
    held_out: float = 0.1
    """Share of all unordered pairs {a, b} that is never trained on."""
    split_seed: int = 0
    """Seed that chooses the held-out share."""
    curriculum: bool = True
    """Whether training begins with short answers."""
    d_model: int = 64
    """Width of the residual stream."""
    d_mlp: int = 256
    """Number of neurons of a block."""
    n_heads: int = 4
    """Number of attention heads of a block."""
    n_blocks: int = 2
    """Number of blocks of the decoder, and of the encoder if there is one."""
    steps: int = 12_000
    """Number of updates."""
    batch_size: int = 128
    """Number of pairs per update."""
    learning_rate: float = 3e-3
    """Learning rate of AdamW; it rises over 100 updates and falls linearly over the second half."""
    weight_decay: float = 0.1
    """Weight decay of AdamW, on matrices alone."""
    log_every: int = 1000
    """Updates between two evaluations on held-out pairs, each with a checkpoint."""
    seed: int = 0
    """Seed of the initial weights, the training pairs and the batches."""
    device: str = "auto"
    """A torch device, or `auto`: cuda, else mps, else cpu."""

    def check(self) -> None:
        """Raises InputError if a field cannot be used."""
        check_fields(self)
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}: give a share between 0 and 1")
        # Sums of five digits more than trained on are tested, and must fit into 64 bits and the table of places.
        if not 2 <= self.max_digits <= 12 or self.starts > 40:
            raise InputError(f"max_digits {self.max_digits}, starts {self.starts}: give 2 to 12, and 1 to 40")
        if self.d_model % self.n_heads:
            raise InputError(f"{self.n_heads} heads do not divide d_model {self.d_model}")


def longest_answer(config: AdditionConfig, step: int) -> int:
    """Digits of the longest answer that the update after `step` may show."""
    limits = [digits for share, digits in CURRICULUM if step < share * config.steps]
    return min([*limits, config.max_digits + 1]) if config.curriculum else config.max_digits + 1
