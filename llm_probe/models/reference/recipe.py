"""What the reference model is trained on, in which order; importable without torch so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What is trained, in which order; every field may be overridden from the command line."""

    seed: int = 0
    vocabulary: int = 2048
    d_model: int = 128
    layers: int = 3
    first_steps: int = 6000
    """Steps with operands below the modulus."""
    second_steps: int = 5500
    """Steps with the curriculum: the operand ceiling grows over the first half."""
    constant_share: float = 0.6
    """Share of the second stage at the full rate; then linear to 2 %."""
    batch: int = 256
    """Questions a step."""
    windows: int = 16
    """English windows a step."""
    window: int = 64
    """Tokens of an English window."""
    english_weight: float = 0.3
    learning_rate: float = 2e-3
    first_decay: float = 1.0
    second_decay: float = 0.5
    bfloat16: bool = True
    """Matrix products in bfloat16 with float32 weights: four times as fast on a CPU that has the instructions."""
