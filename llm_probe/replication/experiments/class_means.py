"""Class means of a prompt grid: one streaming pass, reduced on the device, for every layer asked for.

    means[layer, s] = mean over the prompts with label s of the residual stream after block `layer`

Layers are numbered from 0 by the block whose output is read. The published numbers count the same way, but theirs
come from `hidden_states[layer + 1]`, and the last of those is taken after the final norm: the published "layer 27" of
28 is norm(block 27). `published_layers` reads it so; otherwise the stream is read before the norm at every layer.

The forward is float32 (as loaded), the sums are float64: the published residue means differ by as little as 1e-4
around 4, where float32 means would lose a thousandth of the R².
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, class_sums, rows, stream
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import encode
from llm_probe.replication.experiments.grids import Grid
from llm_probe.run.table import Position

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ClassMeans:
    """What one pass over a grid leaves."""

    layers: tuple[int, ...]
    positions: tuple[Position, ...]
    means: Float[Tensor, "cells n d"]
    """float64; cells are layer by layer, in each the positions."""
    rows: Float[Tensor, "prompts cells d"] | None
    """Every prompt, float32, if asked for."""

    def at(self, layer: int, position: Position = "last") -> Float[Tensor, "n d"]:
        """Class means of one layer and position."""
        return self.means[self.layers.index(layer) * len(self.positions) + self.positions.index(position)]


def class_means(
    loaded: LoadedModel,
    grid: Grid,
    layers: Sequence[int],
    *,
    positions: tuple[Position, ...] = ("last",),
    keep_rows: bool = False,
    published_layers: bool = False,
    batch_tokens: int | None = None,
) -> ClassMeans:
    """Read every prompt of a grid once.

    Raises:
        InputError: a layer or a position that does not exist.
    """
    prompts = grid.prompts()
    plan = ReadPlan(tuple(layers), positions=positions)
    batches: Batches = _batches(loaded, prompts, plan, published_layers, batch_tokens)
    kept = None
    if keep_rows:
        kept = rows(batches, len(prompts))
        batches = iter([(torch.arange(len(prompts)), kept)])
    sums, counts = class_sums(batches, labels_of(prompts), grid.period)
    return ClassMeans(plan.layers, positions, (sums / counts[:, None]).cpu(), kept)


def prompt_rows(
    loaded: LoadedModel, prompts: Sequence[Prompt], layers: Sequence[int], *, batch_tokens: int | None = None
) -> Float[Tensor, "prompts layers d"]:
    """The last token's state of any prompts, one row each, float32."""
    return rows(_batches(loaded, prompts, ReadPlan(tuple(layers)), False, batch_tokens), len(prompts))


def labels_of(prompts: Sequence[Prompt]) -> Int[Tensor, " prompts"]:
    return torch.tensor([prompt.label for prompt in prompts])


def _batches(
    loaded: LoadedModel, prompts: Sequence[Prompt], plan: ReadPlan, published_layers: bool, batch_tokens: int | None
) -> Batches:
    last = [cell for cell, (layer, _, _) in enumerate(plan.cells) if layer == len(loaded.layers) - 1]
    for indices, cells in stream(loaded, encode(loaded.tokenizer, prompts), plan, batch_tokens=batch_tokens):
        if published_layers and last and loaded.final_norm is not None:
            with torch.inference_mode(), evaluating(loaded.final_norm):
                normed = loaded.final_norm(cells[:, last].to(loaded.dtype)).to(cells.dtype)
            cells[:, last] = normed
        yield indices, cells
