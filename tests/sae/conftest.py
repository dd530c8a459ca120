"""A tiny random Qwen3 with a tokenizer of single characters, saved as a folder, and a text of many documents."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from llm_probe.models.loading import LoadedModel, load
from sae.config import SaeConfig

CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
D_MODEL = 16
QWEN3 = {
    "hidden_size": D_MODEL,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model and, beside it, `documents.txt`."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = {token: index for index, token in enumerate(["<unk>", "<end>", *CHARACTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = AutoConfig.for_model("qwen3", vocab_size=len(tokenizer), pad_token_id=1, eos_token_id=1, **QWEN3)
    model = AutoModelForCausalLM.from_config(config)
    # At its initial size the embedding leaves every prediction at chance, and nothing could be lost by an ablation.
    torch.nn.init.normal_(model.get_input_embeddings().weight, 0.0, 1.0)
    model.save_pretrained(folder)
    words = [f"document {number} says {number * 7919} times that all is well." for number in range(200)]
    (folder / "documents.txt").write_text("\n\n".join(words), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def loaded(folder: Path) -> LoadedModel:
    return load(str(folder))


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> SaeConfig:
    """Twelve steps in six blocks of two, of two layers."""
    return SaeConfig(
        model=str(folder), layers=(0, 2), width=32, k=4, tokens=768, batch=64, buffer_tokens=128, context=16,
        undertrained=True, text=folder / "documents.txt", task_share=0.25, domains=("days",), held_out_tokens=300,
        out=tmp_path / "saes",
    )  # fmt: skip


@pytest.fixture
def plain(config: SaeConfig) -> SaeConfig:
    """The same without text: task prompts only."""
    return replace(config, text=None, task_share=1.0)
