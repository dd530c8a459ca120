"""Tiny random models of every supported architecture with a tokenizer of single characters; nothing is downloaded."""

from collections.abc import Callable

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tests.llm_probe.written import write_run

__all__ = ["write_run"]

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789+-=() "
ROTARY = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}
SETTINGS: dict[str, dict] = {
    "qwen3": ROTARY,
    "qwen2": ROTARY,
    "llama": ROTARY,
    "mistral": ROTARY,
    "gemma2": ROTARY | {"query_pre_attn_scalar": 4},
    "gemma3_text": ROTARY | {"query_pre_attn_scalar": 4},
    "gpt2": {"n_embd": 16, "n_layer": 4, "n_head": 4, "n_positions": 64},
    "gpt_neox": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 4},
    "bert": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 4},
}
"""transformers' model type to the sizes of a network of four blocks of width 16."""


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token per character."""
    vocabulary = {character: index for index, character in enumerate(["<unk>", "<end>", *CHARACTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>", pad_token="<end>")


@pytest.fixture(scope="session")
def tiny(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], PreTrainedModel]:
    """A fresh random model of an architecture, in evaluation mode.

    Norm weights are drawn too: at their initial value of one, a norm left out twice would go unnoticed.
    """

    def build(architecture: str) -> PreTrainedModel:
        config = AutoConfig.for_model(
            architecture, vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=1, eos_token_id=1,
            **SETTINGS[architecture],
        )  # fmt: skip
        torch.manual_seed(1)
        model = (AutoModel if architecture == "bert" else AutoModelForCausalLM).from_config(config)
        for name, parameter in model.named_parameters():
            spread = 0.3 if "norm" in name.lower() or "ln_" in name else 0.2
            torch.nn.init.normal_(parameter, 1.0 if spread == 0.3 else 0.0, spread)
        return model.eval()

    return build
