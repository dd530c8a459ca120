"""Residual states of one claim: what a streaming pass leaves behind.

The published grid is reduced to class means on the device, whatever its size. Discovery and confirmation prompts
are kept row by row, because held-out fits and the renaming null need them: (prompts x cells x d_model) float32,
bounded by `--prompts` and freed before the next claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, class_sums, rows, stream
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt, published_grid
from llm_probe.questions.tokens import encode
from llm_probe.run.table import Position, Site

Cell = tuple[int, Site, Position]
Batches = Iterator[tuple[Tensor, Tensor]]
"""(indices (rows,), states (rows, cells, d)) batch by batch."""


@dataclass(frozen=True)
class States:
    """Residual states of one claim under one set of weights."""

    cells: tuple[Cell, ...]
    discovery: Float[Tensor, "n cells d"]
    confirmation: Float[Tensor, "m cells d"]
    class_means: Float[Tensor, "cells labels d"] | None
    """Means over the published grid (for items: over the discovery statements); None without a grid."""


def read(
    loaded: LoadedModel,
    claim: Claim,
    discovery: Sequence[Prompt],
    confirmation: Sequence[Prompt],
    plan: ReadPlan,
    *,
    chat: bool = False,
    batch_tokens: int | None = None,
    on_prompts: Callable[[int], None] = lambda count: None,
    grid: bool = True,
) -> States:
    """Run every prompt of a claim through the model; `on_prompts` is told how many more are done.

    `grid`: whether the published grid is read too, where there is one.
    """

    def batches(prompts: Sequence[Prompt]):
        encoded = encode(loaded.tokenizer, prompts, chat=chat)
        for batch in stream(loaded, encoded, plan, batch_tokens=batch_tokens):
            on_prompts(len(batch[0]))
            yield batch

    together = [*discovery, *confirmation]
    kept = rows(batches(together), len(together))
    means = None
    if claim.quantity == "item":
        means = _means(iter([(torch.arange(len(discovery)), kept[: len(discovery)])]), discovery, claim.period)
    elif grid and claim.domain.has_grid:
        grid_prompts = published_grid(claim.domain)
        means = _means(batches(grid_prompts), grid_prompts, claim.period)
    return States(tuple(plan.cells), kept[: len(discovery)], kept[len(discovery) :], means)


def _means(batches, grid: Sequence[Prompt], period: int) -> Float[Tensor, "cells labels d"]:
    sums, counts = class_sums(batches, torch.tensor([prompt.label for prompt in grid]), period)
    return (sums / counts[:, None].clamp_min(1)).cpu()
