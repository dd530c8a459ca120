"""A tokenizer is its model's own, and what it writes can be read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.activations.streaming import ReadPlan, stream
from llm_probe.models.loading import load, wrap
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import encode
from toy.run.errors import InputError

Tiny = Callable[[str], PreTrainedModel]


@pytest.fixture
def byte_level() -> PreTrainedTokenizerFast:
    """A tokenizer of the kind GPT-2 has."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["3 days after Monday is Thursday"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", pad_token="<end>", bos_token="<end>")


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, tokenizer_class: str | None) -> str:
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": tokenizer_class}))
    return str(folder)


@pytest.mark.parametrize(
    ("architecture", "tokenizer_class"),
    [
        ("gemma2", "GemmaTokenizer"),
        ("gemma2", None),
        ("gpt_neox", None),
        ("llama", "LlamaTokenizerFast"),
        ("qwen2", None),
    ],
)
def test_what_the_file_says_is_followed_whatever_class_is_named(
    architecture: str, tokenizer_class: str | None, tiny: Tiny, byte_level: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    loaded = load(save(tiny(architecture), byte_level, tmp_path, tokenizer_class), device="cpu")
    for text in ("3 days after Monday", "It's  Thursday, 12:30"):
        assert loaded.tokenizer(text)["input_ids"] == byte_level(text)["input_ids"]
    assert loaded.tokenizer.eos_token == "<end>"


def test_padding_that_is_set_in_the_file_is_no_other_tokenizer(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(tiny("gpt2"), tokenizer, tmp_path, "TokenizersBackend")
    saved = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    saved.enable_padding(length=128)
    saved.enable_truncation(3)
    saved.save(str(tmp_path / "tokenizer.json"))
    capsys.readouterr()
    load(folder, device="cpu")
    assert capsys.readouterr().err == ""


def test_a_class_that_splits_otherwise_is_said(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class that transformers takes for every Qwen2 splits at spaces first."""
    loaded = load(save(tiny("qwen2"), tokenizer, tmp_path, "TokenizersBackend"), device="cpu")
    assert loaded.tokenizer("1 + 2")["input_ids"] == tokenizer("1 + 2")["input_ids"]
    assert "its tokenizer is the one of its tokenizer.json" in capsys.readouterr().err


def read(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    loaded = wrap(model, tokenizer, name="tiny")
    list(stream(loaded, encode(tokenizer, [Prompt(text, {}, "plain", 0, 0, 0, 0, None)]), ReadPlan((0,))))


def test_tokens_that_the_embedding_does_not_have(tiny: Tiny, byte_level: PreTrainedTokenizerFast) -> None:
    model = tiny("llama")
    model.resize_token_embeddings(len(byte_level) - 10)
    with pytest.raises(InputError, match=r"writes .* as token \d+, but its embedding has"):
        read(model, byte_level, "Monday after Monday")
    read(model, byte_level, "3")


@pytest.mark.parametrize(("architecture", "most"), [("gpt2", 64), ("llama", 2048)])
def test_a_prompt_that_is_longer_than_the_positions(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, architecture: str, most: int
) -> None:
    read(tiny(architecture), tokenizer, "a" * most)
    with pytest.raises(InputError, match=f"a prompt of {most + 1} tokens does not fit into the {most} positions"):
        read(tiny(architecture), tokenizer, "a" * (most + 1))
