"""The bridge: a toy checkpoint as a language model, so that the probe meets a network whose circuit is known.

The toy is used as it is - its embedding, its blocks, its unembedding - behind the face that `models.LoadedModel`
expects. The vocabulary is its p numbers and "=", and one token more, the end of text:

    ids     12 5 = <end>   ->   12, 5, p, p + 1          (the tokenizer splits at spaces and round "=")
    stream  W_E[id] + W_pos[position], then the blocks    (batch, position, d_model); no final norm
    logits  stream W_U                                    (batch, position, p + 2)

A toy has learnt one length, n operands and "=". What comes after is defined so that the tools for language models
work, and is never read by the probe: later positions have no positional embedding, and the text ends behind the
answer with certainty. Attention is causal, so none of it reaches the question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput

from toy.config import ToyConfig
from toy.networks.model import Transformer
from toy.run.errors import InputError
from toy.training.layouts import load_checkpoint

END_OF_TEXT = "<end>"
SMALLEST_MODULUS = 5
"""Of a model whose map is checked on six different tokens."""


@dataclass
class BridgeConfig:
    """The part of a transformers configuration that this package reads."""

    toy: ToyConfig
    model_type: str = "toy"

    @property
    def hidden_size(self) -> int:
        """d_model."""
        return self.toy.d_model

    def get_text_config(self) -> BridgeConfig:
        """Itself."""
        return self


class ToyBackbone(nn.Module):
    """Embedding and blocks: ids (batch, position) to the streams (batch, position, d_model) around the blocks."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Int[Tensor, "batch pos"], **_: Any) -> CausalLMOutput:
        """Every hidden state; a cache is neither taken nor returned."""
        embedding, positions = self.network.W_E, self.network.W_pos
        # The end of text and positions behind "=" are nothing the toy knows.
        end = torch.zeros_like(embedding[:1])
        length = input_ids.shape[1]
        behind = positions.new_zeros(max(0, length - len(positions)), positions.shape[1])
        states = [torch.cat([embedding, end])[input_ids] + torch.cat([positions, behind])[:length]]
        for block in self.network.blocks:
            states.append(block(states[-1]))
        return CausalLMOutput(hidden_states=tuple(states))


class ToyForCausalLM(nn.Module):
    """A toy with the vocabulary head of a language model.

    Made from a configuration alone, its weights are initialised anew, from torch's own generator and not from the toy's
    seed: the untrained twin must not be the network that training began with.
    """

    def __init__(self, config: BridgeConfig, network: Transformer | None = None) -> None:
        super().__init__()
        if network is None:
            network = Transformer(replace(config.toy, seed=int(torch.randint(2**31, (1,)))))
        self.config = config
        self.model = ToyBackbone(network)

    def get_decoder(self) -> ToyBackbone:
        """The part without the vocabulary head."""
        return self.model

    def get_input_embeddings(self) -> SimpleNamespace:
        """W_E by the name transformers gives it: `weight` (p + 1, d_model)."""
        return SimpleNamespace(weight=self.model.network.W_E)

    def forward(self, input_ids: Int[Tensor, "batch pos"], logits_to_keep: int = 0, **options: Any) -> CausalLMOutput:
        """Logits of the last `logits_to_keep` positions (0: all)."""
        states = self.model(input_ids, **options).hidden_states
        network = self.model.network
        shown = network.W_U.shape[1]
        known = states[-1] @ network.W_U
        logits = known.new_full((*known.shape[:2], len(network.W_E) + 1), -torch.inf)
        logits[..., :shown] = known
        answered = len(network.W_pos)
        logits[:, answered:] = -torch.inf
        logits[:, answered:, -1] = 0
        return CausalLMOutput(logits=logits[:, -logits_to_keep:], hidden_states=states)


def as_language_model(path: Path) -> tuple[ToyForCausalLM, Any, int | None]:
    """(model, tokenizer, training step) of a run directory's last checkpoint, or of a checkpoint file.

    Raises:
        InputError: it cannot be read, is an MLP (which has no residual stream), or its modulus is below 5.
    """
    network, config, step = load_checkpoint(path)
    if not isinstance(network, Transformer):
        raise InputError(f"{path} is an MLP, which has no residual stream to probe: give a transformer's checkpoint")
    if config.modulus < SMALLEST_MODULUS:
        raise InputError(f"{path} has modulus {config.modulus}: give a toy of modulus {SMALLEST_MODULUS} or more")
    return ToyForCausalLM(BridgeConfig(config), network).eval(), number_tokenizer(config.modulus), step


def number_tokenizer(modulus: int) -> Any:
    """One token for each number below the modulus and for "=", with the ids of the toy's own embedding."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*map(str, range(modulus)), "=", END_OF_TEXT]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=END_OF_TEXT))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("=", "isolated")]
    )
    special = dict.fromkeys(("unk_token", "eos_token", "pad_token"), END_OF_TEXT)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)
