"""Files that are cut short, that are no files but pointers, or that say what cannot be: one sentence names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.models.hub import configuration
from llm_probe.models.loading import load
from llm_probe.sweep.cost import size_of
from toy.run.errors import InputError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 135\n"


@pytest.fixture
def folder(tiny: Callable[[str], PreTrainedModel], tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    """A sound model in two shards."""
    tiny("llama").save_pretrained(tmp_path, max_shard_size="10KB")
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    return tmp_path


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors.index.json"]
)
def test_a_pointer_in_the_place_of_a_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER)
    with pytest.raises(InputError, match=f"{name} is a Git LFS pointer .*git lfs pull"):
        load(str(folder), device="cpu")


def test_weights_that_end_early_are_named(folder: Path) -> None:
    damaged = shards(folder)[1]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{damaged.name} is not whole"):
        load(str(folder), device="cpu")
    damaged.unlink()
    with pytest.raises(InputError, match=f"index.json names {damaged.name}, which is not there"):
        load(str(folder), device="cpu")


@pytest.mark.parametrize(("name", "content"), [
    ("config.json", "[]"), ("config.json", '{"model_type": "lla'), ("tokenizer.json", "{"), ("tokenizer.json", ""),
    ("tokenizer_config.json", "7"),
])  # fmt: skip
def test_json_that_is_none_is_named(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name} (is not whole|holds a)"):
        load(str(folder), device="cpu")


@pytest.mark.parametrize("change", [
    {"num_hidden_layers": 1_000_000_000}, {"num_hidden_layers": 0}, {"vocab_size": 0}, {"vocab_size": -5},
    {"hidden_size": -16}, {"hidden_size": "lots"}, {"hidden_size": 32}, {"model_type": ["llama"]},
    {"model_type": None}, {"num_attention_heads": 0}, {"num_attention_heads": 3}, {"hidden_act": "nope"},
    {"num_key_value_heads": 0}, {"vocab_size": 10**15}, {"rope_parameters": {"rope_type": "spiral"}},
    {"head_dim": 2.5},
])  # fmt: skip
def test_numbers_of_a_configuration_that_cannot_be(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"config\.json|shape|language model"):
        load(str(folder), device="cpu")


def test_a_plan_reads_the_same_configuration(folder: Path) -> None:
    assert size_of(str(folder)).layers == 4
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_attention_heads": 0}))
    with pytest.raises(InputError, match=r"config\.json"):
        size_of(str(folder))


def test_a_model_on_this_machine_has_no_revisions(folder: Path) -> None:
    for name in ("reference", str(folder)):
        with pytest.raises(InputError, match="leave out --revision v1"):
            load(name, revision="v1")
        with pytest.raises(InputError, match="leave out --revision v1"):
            configuration(name, "v1")


def test_an_adapter_is_not_passed_over(folder: Path) -> None:
    """Without the package peft transformers loads the base model's weights and says nothing."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    with pytest.raises(InputError, match="adapter, which needs the package peft"):
        load(str(folder), device="cpu")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="an adapter without its model"):
        load(str(folder), device="cpu")
