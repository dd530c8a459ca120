"""Loading a language model, and fresh random copies of it.

Three ways to a `LoadedModel`: `load` by name, `wrap` for a model already in memory, `randomised` for the null model
that every claim is compared with: the same architecture with weights that were never trained. What comes out has been
checked: its weights are all there and numbers (`weights`), its tokenizer is its own (`tokenizer`), and the map of its
blocks is true (`loaded_model`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_probe.models import layout
from llm_probe.models.hub import (
    REFERENCE_FOLDER,
    check_revision,
    commit,
    configuration,
    explained,
    is_toy,
    quiet_loading,
)
from llm_probe.models.layout import CHOOSE, ModelMapError
from llm_probe.models.loaded_model import LoadedModel, check_layers, evaluating, self_check, silence
from llm_probe.models.tokenizer import check_tokenizer, load_tokenizer
from llm_probe.models.weights import check_complete, check_numbers, weights_fingerprint
from llm_probe.run.vocabulary import Weights
from toy.run.device import chosen_device
from toy.run.errors import InputError

__all__ = [
    "REFERENCE_FOLDER", "LoadedModel", "ModelMapError", "check_layers", "evaluating", "load", "randomised",
    "self_check", "twin", "weights_fingerprint", "wrap",
]  # fmt: skip
NOTE = "weights_note"
"""Field of a model's configuration in which whoever made its weights without training says so."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    name: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "auto",
    trust_remote_code: bool = False,
    random_weights: bool = False,
    seed: int = 0,
) -> LoadedModel:
    """A model from the hub, a folder, a GGUF file (`gguf`), `reference` (the small model of this repository), or a toy:
    the run directory or checkpoint file of a network of `toy` (`toy_model`).

    `device` auto means cuda, else mps, else cpu; weights too large for one GPU are spread by accelerate.

    Raises:
        InputError: there is no such model, it cannot be reached, or it has no safetensors weights or fast tokenizer.
        ModelMapError: its blocks are not where this package expects them.
    """
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: choose from {', '.join(DTYPES)}")
    chosen_dtype, place = DTYPES[dtype], chosen_device(device)
    if is_toy(name):
        check_revision(name, revision)
        from llm_probe.models.toy_model import as_language_model
        from llm_probe.questions.toy_domain import toy_domain

        network, tokenizer, step = as_language_model(Path(name).expanduser())
        network, reached = (
            network.to(place, chosen_dtype).requires_grad_(False),
            None if step is None else f"step {step}",
        )
        toy = _mapped(network, tokenizer, name, reached, "trained", is_encoder=False)
        toy = replace(toy, own_domain=toy_domain(network.config.toy))
        return replace(randomised(toy, seed), own_domain=toy.own_domain, untrained=True) if random_weights else toy
    path, config = configuration(name, revision, trust_remote_code=trust_remote_code)
    # Pinned to the commit just seen: one model even if the repository moves, and one look-up when offline.
    seen = commit(path, revision)
    remote = {"revision": seen or revision, "trust_remote_code": trust_remote_code}
    tokenizer = load_tokenizer(path, name, **remote)
    encoder = encodes(config, name)
    family = auto_class(config, encoder)

    def build() -> Any:
        return family.from_config(config, trust_remote_code=trust_remote_code)

    has_head = True
    if random_weights:
        with explained(name, revision, "the config.json"):
            model = fresh(build, seed).to(place, chosen_dtype)
    else:
        with explained(name, revision, "the config.json"):
            placing = {"device_map": "auto"} if place.type == "cuda" and _too_large(build, chosen_dtype) else {}
        options = placing | remote | {"ignore_mismatched_sizes": True, "output_loading_info": True}
        with explained(name, revision, "the weights or the config.json"), quiet_loading():
            model, report = family.from_pretrained(path, dtype=chosen_dtype, use_safetensors=True, **options)
        has_head = check_complete(model, _backbone(model), report, name)
        check_numbers(model, name)
        model = model if placing else model.to(place)
    weights: Weights = "random" if random_weights else "trained"
    loaded = _mapped(model.requires_grad_(False).eval(), tokenizer, name, seen, weights, encoder)
    mute = loaded.mute or ("" if has_head else f"the weights of {name} have no vocabulary head")
    return replace(loaded, mute=mute, untrained=random_weights or hasattr(config, NOTE))


def wrap(model: nn.Module, tokenizer: Any, *, name: str = "model") -> LoadedModel:
    """A transformers model that is already in memory; its weights, mode and hooks stay as they are.

    Every pass over it runs in evaluation mode and restores the mode of every module (`evaluating`).
    """
    check_tokenizer(tokenizer, name)
    check_numbers(model, name)
    config: Any = copy.copy(model.config)
    config.architectures = [type(model).__name__]
    return _mapped(model, tokenizer, name, None, "trained", encodes(config, name))


def randomised(loaded: LoadedModel, seed: int) -> LoadedModel:
    """The same architecture, tokenizer, dtype and device with new random weights: the null model."""
    return twin(loaded, seed)()


def twin(loaded: LoadedModel, seed: int, *, keep_embeddings: bool = False) -> Callable[[], LoadedModel]:
    """What makes the null model, without holding on to the model it is the null of: two may not fit in memory.

    `keep_embeddings`: only the blocks are random; the trained token embeddings are held on to until then.
    """
    trained: Any = loaded.model
    family, config = type(trained), copy.deepcopy(trained.config)
    rest = (loaded.tokenizer, loaded.name, loaded.revision, "random", loaded.is_encoder)
    device, dtype = loaded.device, loaded.dtype
    table = trained.get_input_embeddings().weight.detach().cpu().clone() if keep_embeddings else None

    def make() -> LoadedModel:
        model = fresh(lambda: family(config), seed).to(device, dtype).requires_grad_(False).eval()
        if table is not None:
            model.get_input_embeddings().weight.copy_(table)
        return _mapped(model, *rest)

    return make


def _mapped(
    model: nn.Module, tokenizer: Any, name: str, revision: str | None, weights: Weights, is_encoder: bool
) -> LoadedModel:
    backbone = _backbone(model)
    d_model = getattr(model.config.get_text_config(), "hidden_size", None)  # type: ignore[union-attr,operator]
    if not isinstance(d_model, int):
        raise ModelMapError(f"{name} ({type(model).__name__}) has no stream of one width (hidden_size): {CHOOSE}")
    first = next(model.parameters())
    loaded = LoadedModel(
        model=model,
        backbone=backbone,
        tokenizer=tokenizer,
        name=name,
        revision=revision,
        weights=weights,
        layers=layout.blocks(backbone, name),
        final_norm=layout.final_norm(backbone),
        d_model=d_model,
        device=first.device,
        dtype=first.dtype,
        is_encoder=is_encoder,
    )
    self_check(loaded)
    return replace(loaded, mute=silence(loaded))


def _backbone(model: Any) -> nn.Module:
    """The part that reads text into states: the smallest model inside that holds both the embedding and blocks."""
    from transformers import PreTrainedModel

    embedding, backbone = model.get_input_embeddings(), model.get_decoder()
    for part in model.modules():
        inside = list(part.modules()) if isinstance(part, PreTrainedModel) else []
        if any(module is embedding for module in inside) and any(
            isinstance(module, nn.ModuleList) for module in inside
        ):
            backbone = part
    return backbone


def auto_class(config: Any, is_encoder: bool) -> Any:
    """The auto class that knows the model's type; what reads images, too, writes with its language model."""
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMultimodalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES as MULTIMODAL

    if is_encoder:
        return AutoModel
    return AutoModelForMultimodalLM if config.model_type in MULTIMODAL.keys() - CAUSAL.keys() else AutoModelForCausalLM


def encodes(config: Any, name: str) -> bool:
    """Decided by the class the weights were saved from, else by what transformers can build for the model type."""
    from transformers.models.auto import modeling_auto

    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{name} is an encoder-decoder model: choose a decoder (Qwen, Llama, GPT-2) or BERT")
    saved = " ".join(getattr(config, "architectures", None) or [])
    if "ForCausalLM" in saved or "LMHeadModel" in saved or "ForConditionalGeneration" in saved:
        return False
    if getattr(config, "is_decoder", False):
        return False
    writing = (
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys()
        | modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.keys()
    )
    return config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or config.model_type not in writing


def fresh(build: Callable[[], Any], seed: int) -> Any:
    """A model with new random weights, a function of the seed; the global generator is left as it was."""
    # Drawn on the CPU, whatever the device: the same null model everywhere.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()


def _too_large(build: Callable[[], Any], dtype: torch.dtype) -> bool:
    """Whether the weights and a tenth of working space exceed the first GPU's free memory."""
    if not torch.cuda.is_available():
        return False
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build().parameters())
    return 1.1 * parameters * dtype.itemsize > torch.cuda.mem_get_info(0)[0]
