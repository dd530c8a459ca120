"""The reference model's card: what it is and what was measured, from the measurement itself."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import torch

from llm_probe.models.reference.prompts import CALENDARS, HELD_OUT_SHARE, LARGEST_OPERAND, MODULI, Recipe

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
    rows = []
    for name, entry in measured["held-out accuracy"].items():
        (right, asked), (full, asked_full) = entry["published"], entry["full"]
        rows.append(f"| {name} | {right / asked:.4f} | {asked} | {full / asked_full:.4f} | {asked_full} |")
    return TEXT.format(
        parameters=measured["parameters"] / 1e6,
        layers=recipe.layers,
        d_model=recipe.d_model,
        moduli=", ".join(map(str, MODULI)),
        calendars=", ".join(CALENDARS),
        largest=LARGEST_OPERAND - 1,
        python=platform.python_version(),
        share=HELD_OUT_SHARE,
        rows="\n".join(rows),
        perplexity=measured["english perplexity"],
        unigram=measured["unigram perplexity"],
        seed=recipe.seed,
        torch=torch.__version__,
        recipe="\n".join(f"{key} = {value}" for key, value in asdict(recipe).items()),
    )
