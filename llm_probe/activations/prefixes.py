"""Beginnings that prompts of one batch have in common, computed once.

In a causal model the keys and values of a token depend on the tokens before it only. A batch of n prompts of equal
length L is cut behind its first k tokens; its u distinct beginnings run once, and the n remainders attend to them:

    tokens without sharing   n L
    tokens with sharing      u k + n (L - k)

    "1 + 1 =", "1 + 2 =", "2 + 1 =", "2 + 2 ="   with k = 2: "1 +", "2 +" and "1 =", "2 =", "1 =", "2 ="

Every position that is read lies behind the cut. The cut is the k of fewest tokens; what it saves must pay for the
second forward. Keys and values are handed out to their rows one layer at a time: memory never holds all layers'.

Where it stays off, without a word, and every prompt is computed whole: encoders, models whose code is not
transformers' own, caches that keep anything but every key and value (sliding windows, recurrent states), and models
on which the first shared batch of a pass differs from its first and last prompt computed whole (`agree`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from llm_probe.models.loading import LoadedModel
from toy.networks.hooks import stop_after

WORTHWHILE = 0.8
"""Sharing has to leave at most this share of the tokens."""
CPU_FORWARD_TOKENS = 64
GPU_FORWARD_TOKENS = 8192
"""What one more forward costs before its first token, in tokens: on a GPU the launches of its kernels."""
TOLERANCE = 1e-5
HALF_TOLERANCE = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Relative difference that rounding may make."""


@dataclass(frozen=True)
class Prefixes:
    """Where a batch is cut, and which beginning each of its rows has."""

    length: int
    distinct: tuple[tuple[int, ...], ...]
    owner: tuple[int, ...]
    """Row to its index in `distinct`."""
    tokens: int
    """Computed with this cut."""


@dataclass
class Sharing:
    """Whether a pass shares beginnings: until its first shared batch has been checked, that is a hope."""

    allowed: bool
    checked: bool = False


def shared_prefixes(ids: Sequence[tuple[int, ...]], first_read: int) -> Prefixes | None:
    """The cut of fewest tokens for prompts of equal length, at most `first_read`; None where no cut saves any."""
    n, length = len(ids), len(ids[0])
    # In sorted order a row begins a new prefix of k tokens if it shares fewer than k with the row before it.
    rows = torch.tensor(sorted(ids))
    common = (rows[1:] == rows[:-1]).long().cumprod(dim=1).sum(dim=1).tolist()
    tokens = [k * (1 + sum(c < k for c in common)) + n * (length - k) for k in range(first_read + 1)]
    cut = tokens.index(min(tokens))
    if cut == 0:
        return None
    number = {prefix: index for index, prefix in enumerate(dict.fromkeys(row[:cut] for row in ids))}
    return Prefixes(cut, tuple(number), tuple(number[row[:cut]] for row in ids), tokens[cut])


def worthwhile(ids: Sequence[tuple[int, ...]], first_read: int, device: torch.device) -> Prefixes | None:
    """The best cut if its tokens and those that a second forward is worth are at most 0.8 of all tokens."""
    shared = shared_prefixes(ids, first_read)
    forward = CPU_FORWARD_TOKENS if device.type == "cpu" else GPU_FORWARD_TOKENS
    return shared if shared and shared.tokens + forward <= WORTHWHILE * len(ids) * len(ids[0]) else None


def can_share(loaded: LoadedModel, longest: int) -> bool:
    """A causal model of transformers' own code whose cache keeps every key and value of prompts of `longest` tokens.

    A layer with a sliding window keeps and sees them all where the window is at least as long.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    if loaded.is_encoder or not type(loaded.backbone).__module__.startswith("transformers."):
        return False
    config: Any = loaded.model.config
    try:
        layers = DynamicCache(config=config).layers
    except (AttributeError, KeyError, ValueError):  # some architectures have a cache of their own
        return False
    return all(
        type(layer) is DynamicLayer or (type(layer) is DynamicSlidingWindowLayer and longest <= layer.sliding_window)
        for layer in layers
    )


def prefix_cache(backbone: nn.Module, last: nn.Module, shared: Prefixes, device: torch.device) -> Any:
    """The beginnings' keys and values up to the block `last`, as a cache for a forward of the remainders."""
    from transformers.cache_utils import DynamicCache

    # Ours from the start: a forward that ends behind `last` returns none.
    cache: Any = DynamicCache()
    with stop_after(last):
        backbone(input_ids=torch.tensor(shared.distinct, device=device), past_key_values=cache, use_cache=True)
    owner = torch.tensor(shared.owner, device=device)

    def behind(layer_keys: Tensor, layer_values: Tensor, keys: Tensor, values: Tensor, *_: Any, **__: Any):
        """What a layer of the remainders attends to, in place of `DynamicLayer.update`; nothing is kept."""
        rows = owner.to(keys.device)
        return torch.cat([layer_keys[rows], keys], dim=-2), torch.cat([layer_values[rows], values], dim=-2)

    for layer in cache.layers:
        layer.update = partial(behind, layer.keys, layer.values)
    return cache


def agree(shared: Float[Tensor, "rows cells d"], whole: Float[Tensor, "rows cells d"], dtype: torch.dtype) -> bool:
    """Whether each vector differs by rounding only."""
    tolerance = HALF_TOLERANCE.get(dtype, TOLERANCE)
    return bool(((shared - whole).norm(dim=-1) <= tolerance * whole.norm(dim=-1)).all())
