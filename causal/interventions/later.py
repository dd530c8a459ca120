"""Starting a transformer in the middle: the blocks behind an edited one, on states that are handed in.

    with behind(loaded, layer, states):      block `layer` puts out `states`, the blocks before it do nothing
        loaded.model(inputs_embeds=…)        final norm and vocabulary head follow as always

Nothing is known of the architecture but where its blocks are (`models.layout`): for the time of the `with` block
the `forward` of block `layer` returns the states, and that of the blocks before it returns its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from llm_probe.models.loading import LoadedModel


@contextmanager
def behind(loaded: LoadedModel, layer: int, states: Float[Tensor, "rows columns d"]) -> Iterator[None]:
    """Let forwards start with block `layer`'s output."""

    def same(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states

    def given(*_: Any, **__: Any) -> Tensor:
        return states

    with ExitStack() as stack:
        for block in loaded.layers[:layer]:
            stack.enter_context(_forward(block, same))
        stack.enter_context(_forward(loaded.layers[layer], given))
        yield


@contextmanager
def _forward(block: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a module's forward; what stood on the instance before is put back."""
    own = block.__dict__.get("forward")
    block.forward = function  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own is None:
            del block.__dict__["forward"]
        else:
            block.forward = own  # type: ignore[method-assign]
