"""Tiny random models whose questions have answers of one and of two tokens; nothing is downloaded."""

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import Prompt, question_set

CHARACTERS = "abcdefghijklmnopqrstuvwxyzCQ0123456789+-=%():,.? "
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token per character."""
    vocabulary = {character: index for index, character in enumerate(["<unk>", "<end>", *CHARACTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>", pad_token="<end>")


@pytest.fixture(scope="session", params=["qwen3", "gpt_neox"])
def loaded(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    """A random model of two architectures, with weights large enough that every position matters."""
    options = {key: value for key, value in SIZES.items() if request.param == "qwen3" or key != "num_key_value_heads"}
    config = AutoConfig.for_model(
        request.param, vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=1, eos_token_id=1, **options
    )
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, float("norm" in name), 0.2)
    return wrap(model.eval(), tokenizer, name=request.param)


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Sums mod 12: ten answers of one token and two of two."""
    return question_set(modular("add", 12), "causal", 11)
