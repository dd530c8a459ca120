"""Quantised models without their package, and models with an adapter around them."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.models.loading import load, randomised, twin, weights_fingerprint, wrap
from toy.run.errors import InputError

Tiny = Callable[[str], PreTrainedModel]
QUANTISED: dict[str, tuple[str, dict[str, Any]]] = {
    "gptq": ("optimum", {"bits": 4, "group_size": 128}),
    "awq": ("gptqmodel", {"bits": 4, "group_size": 128}),
    "bitsandbytes": ("bitsandbytes", {"load_in_8bit": True}),
    "compressed-tensors": ("compressed_tensors", {"format": "pack-quantized"}),
    "hqq": ("hqq", {}),
    "aqlm": ("aqlm", {}),
    "quanto": ("optimum", {"weights": "int8"}),
}
"""Method to the package that it needs and its other settings."""


@pytest.mark.parametrize("method", QUANTISED)
def test_a_quantised_model_without_its_package_names_it(
    method: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    package, settings = QUANTISED[method]
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    tiny("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"quantization_config": {"quant_method": method} | settings})
    )
    with pytest.raises(InputError, match=rf"needs a package that is not installed: .*(?i:{package.replace('_', '.')})"):
        load(str(tmp_path), device="cpu")


class Adapted(nn.Module):
    """A model as peft wraps it: the adapter is a module inside, the wrapper's own class takes no configuration."""

    def __init__(self, base: PreTrainedModel, scale: float, name: str) -> None:
        super().__init__()
        self.base, self.name = base, name
        self.config = base.config
        projection = base.model.layers[0].self_attn.q_proj
        projection.adapter = nn.Linear(16, 16, bias=False)
        nn.init.normal_(projection.adapter.weight, 0.0, scale)
        projection.register_forward_hook(lambda module, given, output: output + module.adapter(given[0]))

    def get_base_model(self) -> PreTrainedModel:
        return self.base

    def forward(self, *given: Any, **options: Any) -> Any:
        return self.base(*given, **options)


def test_the_null_of_a_model_with_an_adapter_is_its_base_model(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> None:
    base = tiny("llama")
    plain = wrap(tiny("llama"), tokenizer)
    adapted = wrap(Adapted(base, 1.0, "lora"), tokenizer)
    ids = torch.arange(1, 7)[None]
    with torch.no_grad():
        states, before = (loaded.backbone(input_ids=ids).last_hidden_state for loaded in (adapted, plain))
    assert adapted.mute == "" and (states - before).abs().max() > 0.01
    null, same = randomised(adapted, 3), randomised(plain, 3)
    assert type(null.model) is type(base)
    assert weights_fingerprint(null.model) == weights_fingerprint(same.model)
    kept = twin(adapted, 3, keep_embeddings=True)()
    torch.testing.assert_close(kept.model.get_input_embeddings().weight, base.get_input_embeddings().weight)  # type: ignore[operator]
