"""Checkpoints that are not those of their configuration are refused, what no state depends on may be missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.models.loading import load, wrap
from toy.run.errors import InputError

Tiny = Callable[[str], PreTrainedModel]
Edit = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture
def saved(tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Callable[[str, Edit], Path]:
    """The folder of a tiny model whose tensors were edited after saving."""

    def save(architecture: str, edit: Edit) -> Path:
        folder = tmp_path / architecture
        tiny(architecture).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        weights = folder / "model.safetensors"
        save_file(edit(load_file(weights)), weights, metadata={"format": "pt"})
        return folder

    return save


def without(*parts: str) -> Edit:
    return lambda tensors: {key: value for key, value in tensors.items() if not any(part in key for part in parts)}


def renamed(prefix: str) -> Edit:
    return lambda tensors: {prefix + key: value for key, value in tensors.items()}


def with_more(**more: Tensor) -> Edit:
    return lambda tensors: tensors | {name.replace("__", "."): value for name, value in more.items()}


@pytest.mark.parametrize(
    ("architecture", "edit", "message"),
    [
        ("llama", without("layers.1."), r"without model\.layers\.1\..* and 7 more"),
        ("llama", without("model.norm"), r"without model\.norm\.weight"),
        ("gpt2", without("wte"), r"without transformer\.wte\.weight"),
        ("gpt_neox", without("layers.3.attention.dense.bias"), r"without gpt_neox\.layers\.3\.attention\.dense\.bias"),
        ("bert", without("layer.0.output"), r"without encoder\.layer\.0\.output"),
        ("qwen3", renamed("_orig_mod."), r"without model\.embed_tokens\.weight.*; with _orig_mod\."),
        ("gemma2", renamed("base_model.model."), r"without model\.embed_tokens\.weight.*; with base_model\."),
        ("llama", with_more(model__layers__4__mlp__up_proj__weight=torch.ones(24, 16)), r"with model\.layers\.4\.mlp"),
        ("qwen2", with_more(model__layers__0__self_attn__q_proj__lora_A__weight=torch.ones(2, 16)), r"with .*lora_A"),
        ("llama", with_more(model__norm__weight=torch.ones(8)), r"model\.norm\.weight is 8 there and 16 here"),
    ],
)
def test_a_checkpoint_that_is_not_the_models_is_refused(
    saved: Callable[[str, Edit], Path], architecture: str, edit: Edit, message: str
) -> None:
    with pytest.raises(InputError, match=f"weights of .* are not those of its config.json.*{message}"):
        load(str(saved(architecture, edit)), device="cpu")


def test_a_head_that_is_missing_leaves_a_model_that_can_be_read(saved: Callable[[str, Edit], Path]) -> None:
    folder = saved("gpt_neox", without("embed_out"))
    loaded = load(str(folder), device="cpu")
    assert "no vocabulary head" in loaded.mute
    assert load(str(folder), device="cpu", random_weights=True).mute == ""


@pytest.mark.parametrize(
    ("architecture", "edit"),
    [
        ("bert", without("pooler")),
        ("bert", with_more(cls__predictions__bias=torch.ones(5))),
        # Old checkpoints hold the causal mask beside the weights.
        ("gpt2", with_more(transformer__h__0__attn__bias=torch.ones(1, 1, 64, 64))),
        ("llama", with_more(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(2))),
        ("llama", with_more(score__weight=torch.ones(2, 16))),
    ],
)
def test_what_no_state_depends_on_may_differ(saved: Callable[[str, Edit], Path], architecture: str, edit: Edit) -> None:
    assert bool(load(str(saved(architecture, edit)), device="cpu").mute) == (architecture == "bert")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tiny: Tiny, tokenizer: PreTrainedTokenizerFast, number: float) -> None:
    model = tiny("llama")
    model.model.layers[2].mlp.up_proj.weight.data[3, 1] = number
    with pytest.raises(
        InputError, match=r"model\.layers\.2\.mlp\.up_proj\.weight of tiny is NaN or infinite in float32: give"
    ):
        wrap(model, tokenizer, name="tiny")


def test_weights_that_overflow_in_a_narrower_dtype(saved: Callable[[str, Edit], Path]) -> None:
    folder = saved("llama", lambda tensors: tensors | {"model.norm.weight": torch.full((16,), 1e5)})
    assert load(str(folder), device="cpu").mute == ""
    with pytest.raises(InputError, match=r"model\.norm\.weight .* in float16: .*--dtype float32"):
        load(str(folder), device="cpu", dtype="float16")
