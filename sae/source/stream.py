"""Batches of residual states as a function of (seed, step), from one forward for every layer and site.

    block b      about `buffer_tokens` tokens: passages (`sources`), one forward, states kept (places, tokens, d)
    kept         states no longer than `largest_norm` times the block's median: a few tokens of some models (the first,
                 a delimiter) are hundreds of times longer than the rest, and an SAE would be trained on them alone
    order        a permutation of the kept ones, its beginning repeated where some were left out
    step t       the slice t mod n of block t div n, n = buffer_tokens div batch

A block depends on (seed, b) alone, so a run that was interrupted goes on with the batches it would have had. Memory is
one block: places x buffer_tokens x d float32, whatever the length of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from llm_probe.activations.streaming import check_numbers
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.tokens import buckets
from llm_probe.run.vocabulary import Site
from sae.source.sources import Passage, Source
from toy.networks.hooks import capture, stop_after

Place = tuple[int, Site]
"""A layer, counted from 0, and one of its outputs."""


@dataclass
class Stream:
    """`stream(t)`: the batch of step t at every place."""

    loaded: LoadedModel
    source: Source
    places: Sequence[Place]
    batch: int
    buffer_tokens: int
    largest_norm: float = 10.0
    batch_tokens: int = 8192
    read: int = 0
    """Number of states of one place in the current block."""
    dropped: dict[Place, int] = field(default_factory=dict)
    """Number of states of the current block that were left out because of their norm."""
    _block: int = -1
    _states: dict[Place, Tensor] = field(default_factory=dict)

    @property
    def batches_a_block(self) -> int:
        """n: steps that one block serves."""
        return self.buffer_tokens // self.batch

    def __call__(self, step: int) -> dict[Place, Float[Tensor, "batch d"]]:
        """The states of a step, on the model's device, in float32."""
        block, place_in_block = divmod(step, self.batches_a_block)
        if block != self._block:
            self._fill(block)
        start = place_in_block * self.batch
        return {place: states[start : start + self.batch] for place, states in self._states.items()}

    def _fill(self, block: int) -> None:
        self._states = {}  # freed before the next block is read: memory holds one
        passages = self.source.passages(block, self.buffer_tokens)
        states = read_states(self.loaded, passages, self.places, self.batch_tokens)
        self.read = states.shape[1]
        for index, place in enumerate(self.places):
            kept = ordinary(states[index], self.largest_norm).nonzero()[:, 0]
            self.dropped[place] = states.shape[1] - len(kept)
            seed = torch.Generator().manual_seed(self.source.seed * 2**32 + block)
            order = kept[torch.randperm(len(kept), generator=seed).to(kept.device)]
            order = order.repeat(-(-self.buffer_tokens // len(order)))[: self.buffer_tokens]
            self._states[place] = states[index][order]
        self._block = block


def ordinary(states: Float[Tensor, "n d"], largest_norm: float) -> Bool[Tensor, " n"]:
    """Which states are no longer than `largest_norm` times the median; 0 keeps all."""
    norms = states.norm(dim=-1)
    return norms <= (largest_norm or torch.inf) * norms.median()


def read_states(
    loaded: LoadedModel, passages: Sequence[Passage], places: Sequence[Place], batch_tokens: int
) -> Float[Tensor, "places tokens d"]:
    """The states of every token of every passage, passages in their order, on the model's device.

    The forward pass stops after the last of these layers.
    """
    loaded.check_ids(passage.ids for passage in passages)
    ends = torch.tensor([len(passage.ids) for passage in passages]).cumsum(0)
    states = torch.empty(len(places), int(ends[-1]), loaded.d_model, device=loaded.device)
    modules = {name_of(place): loaded.site_module(*place) for place in places}
    rows = {name: row for row, name in enumerate(modules)}
    deepest = loaded.layers[max(layer for layer, _ in places)]
    with torch.inference_mode(), evaluating(loaded.model):
        for indices, ids in batched(passages, batch_tokens):
            length = ids.shape[1]
            columns = ((ends[indices] - length)[:, None] + torch.arange(length)).flatten().to(loaded.device)

            def keep(name: str, output: Tensor, columns: Tensor = columns) -> None:
                states[rows[name]].index_copy_(0, columns, output.flatten(0, 1).to(states))

            with capture(modules, keep), stop_after(deepest):
                loaded.backbone(input_ids=ids.to(loaded.device), use_cache=False)
    check_numbers(loaded, states.transpose(0, 1), places)
    return states


def batched(passages: Sequence[Passage], batch_tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(indices (rows,), ids (rows, length)) of passages of equal length, without padding."""
    for indices in buckets([len(passage.ids) for passage in passages], batch_tokens):
        yield torch.tensor(indices), torch.tensor([passages[index].ids for index in indices])


def name_of(place: Place) -> str:
    """`1.resid_post`, the name of the folder of a place's SAEs."""
    return f"{place[0]}.{place[1]}"
