"""Models of other libraries behind the face of transformers, so that they can be probed and steered as they are.

    PeftModel (peft)                      its base model, in whose modules the adapters already are
    NNsight (nnsight)                     the transformers model that it wraps, as a LanguageModel or TransformersModel
    TransformerBridge (TransformerLens)   the transformers model that it wraps, whose modules are the bridge's
    HookedTransformer (TransformerLens)   a forward of its own: `HookedForCausalLM` gives it the face

None of these libraries is imported here: a model is known by the name of its class. A HookedTransformer may have been
processed when it was loaded (layer norms folded into the weights, writing weights centred); its stream is then another
one than that of the transformers model, and what is said of it is said of this stream.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

from jaxtyping import Int
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput

from toy.networks.hooks import capture, capture_input
from toy.run.errors import InputError


def as_transformers(model: Any) -> Any:
    """The model itself, or what stands for it where it is another library's.

    Raises:
        InputError: an nnsight model without weights.
    """
    for kind in type(model).__mro__:
        adapter = ADAPTERS.get((kind.__module__.partition(".")[0], kind.__name__))
        if adapter is not None:
            return as_transformers(adapter(model))
    return model


def _dispatched(model: Any) -> Any:
    """The model that nnsight wraps, once its weights are there."""
    wrapped = model.__dict__["_module"]
    if any(weight.is_meta for weight in wrapped.parameters()):
        raise InputError("this nnsight model has no weights yet: make it with dispatch=True")
    return wrapped


@dataclass
class HookedConfig:
    """The part of a transformers configuration that this package reads."""

    kind: type[nn.Module]
    """HookedTransformer."""
    of_network: Any
    """Its HookedTransformerConfig."""
    model_type: str = "hooked_transformer"

    @property
    def hidden_size(self) -> int:
        """d_model."""
        return self.of_network.d_model

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary."""
        return self.of_network.d_vocab

    def get_text_config(self) -> HookedConfig:
        """Itself."""
        return self


class HookedBackbone(nn.Module):
    """Embedding and blocks: ids (batch, position) to the streams (batch, position, d_model) around the blocks."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: Int[Tensor, "batch pos"], output_hidden_states: bool = False, **_: Any
    ) -> CausalLMOutput:
        """Runs the blocks; a cache is neither taken nor returned."""
        seen: dict[str, Tensor] = {}
        blocks = {str(index): block for index, block in enumerate(self.network.blocks)}
        with ExitStack() as hooks:
            if output_hidden_states:
                hooks.enter_context(capture_input(self.network.blocks[0], partial(seen.__setitem__, "embedding")))
                hooks.enter_context(capture(blocks, seen.__setitem__))
            self.network(input_ids, stop_at_layer=len(blocks))
        return CausalLMOutput(hidden_states=tuple(seen.values()) or None)  # type: ignore[arg-type]


class HookedForCausalLM(nn.Module):
    """A HookedTransformer as transformers would have it; made from a configuration alone, its weights are random."""

    def __init__(self, config: HookedConfig, network: Any = None) -> None:
        super().__init__()
        if network is None:
            of_network = copy.deepcopy(config.of_network)
            of_network.init_weights = True  # one that was loaded has its weights from a file
            network = config.kind(of_network)
        self.config = config
        self.model = HookedBackbone(network)
        self.name_or_path = config.of_network.model_name or config.kind.__name__

    @staticmethod
    def of(network: Any) -> HookedForCausalLM:
        """A network that is in memory."""
        return HookedForCausalLM(HookedConfig(type(network), network.cfg), network)

    def get_decoder(self) -> HookedBackbone:
        """The part without the vocabulary head."""
        return self.model

    def get_input_embeddings(self) -> SimpleNamespace:
        """W_E by the name transformers gives it: `weight` (vocabulary, d_model)."""
        return SimpleNamespace(weight=self.model.network.embed.W_E)

    def forward(self, input_ids: Int[Tensor, "batch pos"], logits_to_keep: int = 0, **_: Any) -> CausalLMOutput:
        """Logits of the last `logits_to_keep` positions (0: all)."""
        logits = self.model.network(input_ids, return_type="logits")
        return CausalLMOutput(logits=logits[:, -logits_to_keep:])


ADAPTERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("peft", "PeftModel"): lambda model: model.get_base_model(),
    ("nnsight", "Envoy"): _dispatched,
    ("transformer_lens", "TransformerBridge"): lambda model: model.original_model,
    ("transformer_lens", "HookedTransformer"): HookedForCausalLM.of,
}
"""Package and class, or one that it is made of, to what stands for the model; a new library is one more entry."""
