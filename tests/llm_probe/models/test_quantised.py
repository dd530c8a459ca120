"""A quantised model without the package that reads it names the package."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.models.loading import load
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
