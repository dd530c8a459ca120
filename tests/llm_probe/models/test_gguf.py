"""A model in a GGUF file gives the states of its safetensors twin; what is no such file is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf import GGMLQuantizationType, LlamaFileType
from transformers import PreTrainedTokenizerFast

from llm_probe.models.gguf import dequantised, is_gguf
from llm_probe.models.loading import REFERENCE_FOLDER, load
from toy.run.errors import InputError

WORDS = PreTrainedTokenizerFast.from_pretrained(REFERENCE_FOLDER)
SHAPE: dict[str, Any] = {
    "vocab_size": len(WORDS), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "tie_word_embeddings": True,
    "pad_token_id": 0,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"head_dim": 16}),
    "qwen2": ("Qwen2", {}),
    # The formats of these two do not say the width of a head where it is the usual one.
    "qwen3": ("Qwen3", {"head_dim": 128}),
    "phi3": ("Phi3", {"num_key_value_heads": 4}),
    "gemma3": ("Gemma3", {"head_dim": 256, "sliding_window": 64}),
}
"""Architecture in GGUF to (class prefix in transformers, what differs in its shape)."""


def twin(architecture: str) -> Any:
    """A small random model of the architecture."""
    prefix, more = FAMILIES[architecture]
    suffix = "Text" if prefix == "Gemma3" else ""
    config = getattr(transformers, f"{prefix}{suffix}Config")(**{**SHAPE, **more})
    torch.manual_seed(0)
    return getattr(transformers, f"{prefix}ForCausalLM")(config).eval()


def write(
    path: Path, architecture: str, model: Any, kind: GGMLQuantizationType, named: str | None = None, without: str = "-"
) -> Path:
    """The model as llama.cpp's converter lays it out; `without`: a part of the names of tensors that are left out."""
    config, writer = model.config, gguf.GGUFWriter(path, named or architecture)
    writer.add_file_type({"Q8_0": LlamaFileType.MOSTLY_Q8_0, "F32": LlamaFileType.ALL_F32}[kind.name])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0 if architecture != "gemma3" else 1_000_000.0)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    _add_tokenizer(writer, architecture)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" or without in name:  # tied
            continue
        name_there = names.get_name(name, (".weight", ".bias"))
        assert name_there is not None, name
        values = _laid_out(architecture, name, weight, config)
        if kind is GGMLQuantizationType.Q8_0 and values.ndim > 1:
            writer.add_tensor(name_there, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name_there, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, architecture: str) -> None:
    own = json.loads(WORDS.backend_tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(WORDS.get_vocab().items(), key=lambda entry: entry[1])]
    special = set(WORDS.all_special_ids)
    writer.add_tokenizer_model("llama" if architecture in ("gemma3", "phi3") else "gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if index in special else 1 for index in range(len(tokens))])
    if architecture in ("gemma3", "phi3"):
        writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in own["merges"]])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id, writer.add_pad_token_id):
        add(min(special))


def _laid_out(architecture: str, name: str, weight: torch.Tensor, config: Any) -> np.ndarray:
    """llama.cpp pairs the halves of a rotated head (llama), and adds the one of a norm (gemma)."""
    values = weight.detach().float().numpy()
    if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        rows, columns = values.shape
        values = values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return values + 1 if architecture == "gemma3" and "norm" in name else values


def states(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        ids = torch.arange(4, 24)[None]
        return torch.stack(model(input_ids=ids, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_states_are_those_of_the_safetensors_twin(architecture: str, tmp_path: Path) -> None:
    model = twin(architecture)
    exact = load(str(write(tmp_path / "exact.gguf", architecture, model, GGMLQuantizationType.F32)), device="cpu")
    torch.testing.assert_close(states(exact.model), states(model), atol=1e-5, rtol=1e-4)
    coarse = load(str(write(tmp_path / "eight.gguf", architecture, model, GGMLQuantizationType.Q8_0)), device="cpu")
    # Q8_0 keeps 8 bits of the largest of 32 weights: an error of 1/254 of it.
    error = (states(coarse.model) - states(model)).norm() / states(model).norm()
    assert 1e-5 < float(error) < 0.02
    assert coarse.model.config.dequantized_from["quantization"] == "Q8_0"


def test_it_is_dequantised_once_and_anew_where_the_file_changed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "small.gguf", "llama", twin("llama"), GGMLQuantizationType.Q8_0)
    assert is_gguf(str(path)) and is_gguf(str(tmp_path)) and is_gguf("owner/name:small.gguf")
    assert not is_gguf("reference") and not is_gguf(str(REFERENCE_FOLDER))
    folder = dequantised(str(path))
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert not is_gguf(str(folder)) and "once" in capsys.readouterr().err
    assert dequantised(str(tmp_path)) == folder and capsys.readouterr().err == ""
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    write(path, "qwen2", twin("qwen2"), GGMLQuantizationType.F32)
    assert type(load(str(tmp_path), device="cpu").model).__name__ == "Qwen2ForCausalLM"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["small.gguf", "small.gguf.float32"]


def test_the_random_twin_has_no_weights_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "small.gguf", "llama", twin("llama"), GGMLQuantizationType.F32)
    trained, random = (load(str(path), device="cpu", random_weights=flag, seed=1) for flag in (False, True))
    assert random.weights == "random" and not torch.equal(states(trained.model), states(random.model))


def _refused(name: Path | str, folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        dequantised(str(name))
    assert not list(folder.glob("*float32*")), "nothing half-written"
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_is_no_whole_file_of_a_known_architecture_is_one_sentence(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf", "llama", twin("llama"), GGMLQuantizationType.F32).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:100], b"", b"words"):
        path = tmp_path / "damaged.gguf"
        path.write_bytes(content)
        assert "is not a whole GGUF file" in _refused(path, tmp_path)
        path.unlink()
    lacking = write(tmp_path / "lacking.gguf", "llama", twin("llama"), GGMLQuantizationType.F32, without="layers.1.mlp")
    assert "without model.layers.1.mlp.down_proj.weight" in _refused(lacking, tmp_path)
    lacking.unlink()
    other = write(tmp_path / "other.gguf", "llama", twin("llama"), GGMLQuantizationType.F32, named="rwkv9")
    assert "rwkv9 architecture" in _refused(other, tmp_path)
    assert "2 GGUF files (other.gguf, whole.gguf): name one" in _refused(tmp_path, tmp_path)
    assert "there is no file" in _refused(tmp_path / "none.gguf", tmp_path)
