"""Loading a language model, fresh random copies of it, and the check that its map is true.

A `LoadedModel` is a model, its tokenizer and the map of its blocks (`layout`): where the stream of d_model numbers
per token can be read. The map is checked on every model (`self_check`), because one trap is silent: the last entry
of `output_hidden_states` is taken after the final norm, and a hook on the last block before it.

Three ways to one: `load` by name, `wrap` for a model already in memory, `randomised` for the null model that every
claim is compared with: the same architecture with weights that were never trained.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from llm_probe.models import layout
from llm_probe.models.layout import ModelMapError
from llm_probe.questions.domains import Domain
from llm_probe.run.vocabulary import EMBEDDING, Site, Weights
from toy.networks.hooks import capture, capture_input
from toy.run.device import chosen_device
from toy.run.errors import InputError

REFERENCE_FOLDER = Path(__file__).parent / "reference" / "weights"
NOTE = "weights_note"
"""Field of a model's configuration in which whoever made its weights without training says so."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model, its tokenizer and the map of its blocks."""

    model: nn.Module
    """The transformers model: with its vocabulary head, unless it is an encoder."""
    backbone: nn.Module
    """The part of `model` that holds the blocks: called instead of it where no vocabulary head is wanted."""
    tokenizer: Any
    name: str
    revision: str | None
    """Commit of the hub repository, or the training step of a toy; None for a folder or a model in memory."""
    weights: Weights
    layers: tuple[nn.Module, ...]
    final_norm: nn.Module | None
    d_model: int
    device: torch.device
    """Where token ids go."""
    dtype: torch.dtype
    is_encoder: bool
    """Reads in both directions (BERT): its states can be read, but it writes no answers."""
    untrained: bool = False
    """Its weights were drawn at random, as `load` was asked to do or as its configuration says (`NOTE`)."""
    own_domain: Domain | None = None
    """Of a toy: the questions of its own task, the only ones it knows."""

    def site_module(self, layer: int, site: Site) -> nn.Module:
        """The module whose output is the site.

        Raises:
            InputError: the layer does not exist.
            ModelMapError: the block has no part of a known name.
        """
        check_layers(self, [layer])
        block = self.layers[layer]
        return block if site == "resid_post" else layout.part(block, site)


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
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

    from llm_probe.models.hub import commit, explained, is_toy, no_loading_bar, source

    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: choose from {', '.join(DTYPES)}")
    chosen_dtype, place = DTYPES[dtype], chosen_device(device)
    if is_toy(name):
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
    path = source(name, REFERENCE_FOLDER, revision)
    remote = {"revision": revision, "trust_remote_code": trust_remote_code}
    with explained(name, revision):
        config = AutoConfig.from_pretrained(path, **remote)
        # Pinned to the commit just seen: one model even if the repository moves, and one look-up when offline.
        seen = commit(path, revision)
        remote["revision"] = seen or revision
        tokenizer = AutoTokenizer.from_pretrained(path, **remote)
    check_tokenizer(tokenizer, name)
    encoder = _is_encoder(config, name)
    family: Any = AutoModel if encoder else AutoModelForCausalLM

    def build() -> Any:
        return family.from_config(config, trust_remote_code=trust_remote_code)

    if random_weights:
        model = _fresh(build, seed).to(place, chosen_dtype)
    else:
        placing = {"device_map": "auto"} if place.type == "cuda" and _too_large(build, chosen_dtype) else {}
        with explained(name, revision), no_loading_bar():
            model = family.from_pretrained(path, dtype=chosen_dtype, use_safetensors=True, **placing, **remote)
        model = model if placing else model.to(place)
    weights: Weights = "random" if random_weights else "trained"
    loaded = _mapped(model.requires_grad_(False).eval(), tokenizer, name, seen, weights, encoder)
    return replace(loaded, untrained=random_weights or hasattr(config, NOTE))


def wrap(model: nn.Module, tokenizer: Any, *, name: str = "model") -> LoadedModel:
    """A transformers model that is already in memory; its weights, mode and hooks stay as they are.

    Every pass over it runs in evaluation mode and restores the mode of every module (`evaluating`).
    """
    check_tokenizer(tokenizer, name)
    config: Any = copy.copy(model.config)
    config.architectures = [type(model).__name__]
    return _mapped(model, tokenizer, name, None, "trained", _is_encoder(config, name))


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
        model = _fresh(lambda: family(config), seed).to(device, dtype).requires_grad_(False).eval()
        if table is not None:
            model.get_input_embeddings().weight.copy_(table)
        return _mapped(model, *rest)

    return make


def check_layers(loaded: LoadedModel, layers: Sequence[int]) -> None:
    """Raises InputError if a layer does not exist."""
    for layer in layers:
        if not 0 <= layer < len(loaded.layers):
            raise InputError(f"layer {layer} does not exist: {loaded.name} has layers 0 to {len(loaded.layers) - 1}")


def check_tokenizer(tokenizer: Any, name: str) -> None:
    """Raises InputError without a fast tokenizer: operands are located by its character offsets."""
    # Where its files are missing, transformers makes a fast tokenizer that knows special tokens only, and says nothing.
    if not getattr(tokenizer, "is_fast", False) or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(
            f"{name} has no fast tokenizer (tokenizer.json), whose character offsets locate the operands; "
            f"{type(tokenizer).__name__} was found: choose a model that has one"
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block, and each module's own mode after it."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def self_check(loaded: LoadedModel) -> None:
    """Compare the hooks with `output_hidden_states` on six tokens.

    Block l's output must be entry l + 1, the first block's input entry 0; the last block's output must become the last
    entry through the final norm.

    Raises:
        ModelMapError: it is not so, or a block's output is not (batch, position, d_model).
    """
    ids = torch.arange(1, 7, device=loaded.device)[None]
    seen: dict[str, Tensor] = {}
    blocks = {str(index): block for index, block in enumerate(loaded.layers)}
    keep_input = partial(seen.__setitem__, str(EMBEDDING))
    with torch.inference_mode(), evaluating(loaded.model):
        try:
            with capture(blocks, seen.__setitem__), capture_input(loaded.layers[0], keep_input):
                states = loaded.backbone(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        except TypeError as error:
            raise ModelMapError(f"the blocks of {loaded.name} cannot be read: {error}") from error
        if len(states) != len(loaded.layers) + 1 or len(seen) != len(loaded.layers) + 1:
            raise ModelMapError(
                f"{loaded.name} reports {len(states) - 1} hidden states, but {len(loaded.layers)} blocks were found "
                f"and {len(seen.keys() & blocks.keys())} of them ran"
            )
        last = seen[str(len(states) - 2)]
        if loaded.final_norm is not None:
            seen[str(len(states) - 2)] = loaded.final_norm(last)
    for layer, state in enumerate(states, start=EMBEDDING):
        hooked = seen[str(layer)].to(state.device)
        # One forward made both, so only the final norm, computed twice, may differ by rounding. What the first block
        # reads may have a width of its own (an MLP that is read as a block).
        width = state.shape[-1] if layer == EMBEDDING else loaded.d_model
        if hooked.shape[-1] != width or not torch.allclose(hooked, state, rtol=1e-3, atol=1e-5, equal_nan=True):
            what = "input of the first block" if layer == EMBEDDING else f"output of block {layer}"
            raise ModelMapError(
                f"the {what} of {loaded.name} is not its hidden state {layer + 1}: this architecture is not supported"
            )


def _mapped(
    model: nn.Module, tokenizer: Any, name: str, revision: str | None, weights: Weights, is_encoder: bool
) -> LoadedModel:
    config: Any = model.config
    backbone: Any = model.base_model if is_encoder else model.get_decoder()  # type: ignore[operator]
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
        d_model=config.get_text_config().hidden_size,
        device=first.device,
        dtype=first.dtype,
        is_encoder=is_encoder,
    )
    self_check(loaded)
    return loaded


def _is_encoder(config: Any, name: str) -> bool:
    """Decided by the class the weights were saved from, else by what transformers can build for the model type."""
    from transformers.models.auto import modeling_auto

    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{name} is an encoder-decoder model: choose a decoder (Qwen, Llama, GPT-2) or BERT")
    saved = " ".join(getattr(config, "architectures", None) or [])
    if "ForCausalLM" in saved or "LMHeadModel" in saved or "ForConditionalGeneration" in saved:
        return False
    if getattr(config, "is_decoder", False):
        return False
    masked = config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return masked or config.model_type not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def _fresh(build: Callable[[], Any], seed: int) -> Any:
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


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of every parameter's shape and sum: two models in memory that differ do not share cells."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name}{tuple(weight.shape)}{float(weight.detach().double().sum()):.12e}".encode())
    return digest.hexdigest()[:16]
