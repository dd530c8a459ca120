"""What the reference model is trained on, in which order, and the card that says what came of it.

Importable without torch, so that the script's `--help` is instant.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

MODULI = (7, 11, 12, 13, 17, 19, 23, 24)
CALENDARS = ("days", "months", "hours", "hours24")
LARGEST_OPERAND = 100
HELD_OUT_SHARE = 0.2


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
    held_out_share: float = HELD_OUT_SHARE
    """Share of the operand pairs that are never trained on; of 0.6 half as many are left to train on as of 0.2."""
    bfloat16: bool = True
    """Matrix products in bfloat16 with float32 weights: four times as fast on a CPU that has the instructions, and
    fourteen times slower on one that has not (AVX2 alone: 7.8 s a step; without it 0.6 s)."""


TEXT = """# Reference language model

A Qwen3 of {parameters:.2f} M parameters ({layers} layers, {d_model} wide, tied embeddings, float32) with a tokenizer of
its own that splits text as Qwen does: every digit is a token. It was trained from scratch on addition mod {moduli};
on {calendars} with offsets up to {largest}; and on English (the help topics of Python {python}). Of the operand
pairs of every domain {share:.0%} were never trained on.

It exists so that the probe has a language model whose answer is known and that fits in a repository. It is no
use for anything else.

## Measured on operand pairs never trained on

Every answer token and the end of the answer are the arg-max (teacher-forced), over all nine templates.

| domain | operands below n | asked | operands up to {largest} | asked |
|---|---:|---:|---:|---:|
{rows}

English perplexity per token on held-out topics: {perplexity:.1f}; a unigram model of the training topics has
{unigram:.0f}.

## Made by

`python scripts/models/train_reference_lm.py` (seed {seed}, one thread, torch {torch}); the same machine and versions
give the same weights. Recipe:

```
{recipe}
```
"""


def card(recipe: Recipe, measured: dict[str, Any]) -> str:
    """Markdown with every measured number."""
    import torch

    rows = [
        f"| {name} | {right / questions:.4f} | {questions} | {right_full / questions_full:.4f} | {questions_full} |"
        for name, grids in measured["held-out accuracy"].items()
        for (right, questions), (right_full, questions_full) in [(grids["published"], grids["full"])]
    ]
    return TEXT.format(
        **asdict(recipe),
        parameters=measured["parameters"] / 1e6,
        moduli=", ".join(map(str, MODULI)),
        calendars=", ".join(CALENDARS),
        largest=LARGEST_OPERAND - 1,
        python=platform.python_version(),
        share=recipe.held_out_share,
        rows="\n".join(rows),
        perplexity=measured["english perplexity"],
        unigram=measured["unigram perplexity"],
        torch=torch.__version__,
        recipe="\n".join(f"{key} = {value}" for key, value in asdict(recipe).items()),
    )
