"""Turning a claim's circle in a model while it computes: what `ProbeResult.steer` does.

    h' = h + A (R - I) Wᵀ (h - μ)         R turns the plane of every frequency k by 2πk · steps / p (`patterns`)

at the plane's site, where the prompt's last token stands (prompts of a batch are padded on the left, as `generate` has
it), or at every token. What `generate` writes behind the prompt comes token by token, each by itself: those are left
alone unless every token is turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from llm_probe.models import layout
from llm_probe.models.adapters import as_transformers
from llm_probe.statistics.directions import CirclePlane
from toy.networks.hooks import rewrite
from toy.run.errors import InputError

Tokens = Literal["prompt", "all"]
"""Which tokens are turned: the last of several that are read at once, which is the prompt's, or all."""


@contextmanager
def steering(model: Any, plane: CirclePlane, steps: int | float, tokens: Tokens | None = None) -> Iterator[None]:
    """Inside, the model computes with the circle turned by `steps` items; `tokens`: none given, `prompt` for a circle
    that was read at the last token, else `all`.

    Raises:
        InputError: the model has no such block, or a stream of another width.
    """
    where = tokens or ("prompt" if plane.position == "last" else "all")

    def edit(_: str, states: Tensor) -> Tensor:
        if where == "all":
            return plane.turn(states.flatten(0, 1), steps).view_as(states)
        if states.shape[1] == 1:
            return states
        return torch.cat([states[:, :-1], plane.turn(states[:, -1], steps)[:, None]], dim=1)

    with rewrite({plane.name: site_of(model, plane)}, edit):
        yield


def site_of(model: Any, plane: CirclePlane) -> nn.Module:
    """The module whose output is the site of the plane.

    Raises:
        InputError: the model has no such block.
    """
    network: Any = as_transformers(model)
    blocks = layout.blocks(network.get_decoder() if hasattr(network, "get_decoder") else network, type(model).__name__)
    if plane.layer >= len(blocks):
        raise InputError(
            f"the plane of {plane.name} lies behind block {plane.layer} and {type(model).__name__} has blocks 0 to "
            f"{len(blocks) - 1}: give the model that was probed"
        )
    block = blocks[plane.layer]
    return block if plane.site == "resid_post" else layout.part(block, plane.site)
