"""A model in memory with the map of its parts, and the check that the map is true.

The map is checked on every model (`self_check`), because some traps are silent. The last entry of
`output_hidden_states` is taken after the final norm, and a hook on the last block before it. And what a module puts out
need not be what its block adds to the stream: BLOOM's MLP puts out the stream itself, Granite multiplies first. So a
site beside the stream is offered only where, in every block,

    before + attn_out + mlp_out = after                          most decoders
    norm2(norm1(before + attn_out) + mlp_out) = after            BERT and its kin, which normalise after adding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llm_probe.models import layout
from llm_probe.models.hub import one_line
from llm_probe.models.layout import CHOOSE, ModelMapError
from llm_probe.questions.domains import Domain
from llm_probe.run.vocabulary import EMBEDDING, Site, Weights
from toy.networks.hooks import capture, capture_input
from toy.run.errors import InputError

ADDED: tuple[Site, Site] = ("attn_out", "mlp_out")
"""The sites that are added to the stream."""
SITES: tuple[Site, ...] = ("resid_post", *ADDED)
Stream = Float[Tensor, "batch position d_model"]


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
    mute: str = ""
    """Why it writes no answers, where it does not."""
    untrained: bool = False
    """Its weights were drawn at random, as `load` was asked to do or as its configuration says (`NOTE`)."""
    own_domain: Domain | None = None
    """Of a toy: the questions of its own task, the only ones it knows."""

    def check_ids(self, rows: Iterable[Sequence[int]], further: int = 0) -> None:
        """Check that the model can read token ids, and `further` tokens that are written behind each row.

        Raises:
            InputError: an id that the embedding does not have, or more tokens than there are positions.
        """
        most = max_positions(self)
        vocabulary: int | None = getattr(_text_config(self.model), "vocab_size", None)
        for row in rows:
            if most is not None and len(row) + further > most:
                raise InputError(
                    f"a prompt of {len(row)} tokens{f' and {further} behind it' if further else ''} does not fit into "
                    f"the {most} positions of {self.name}: give shorter prompts or fewer worked examples"
                )
            if vocabulary is not None and max(row, default=0) >= vocabulary:
                raise InputError(
                    f"the tokenizer of {self.name} writes {self.tokenizer.decode([max(row)])!r} as token {max(row)}, "
                    f"but its embedding has {vocabulary}: give the tokenizer that the model was trained with"
                )

    def site_module(self, layer: int, site: Site) -> nn.Module:
        """The module whose output is the site.

        Raises:
            InputError: the layer does not exist.
            ModelMapError: the site cannot be read in this model.
        """
        check_layers(self, [layer])
        if site == "resid_post":
            return self.layers[layer]
        module = layout.part(self.layers[layer], site)
        if not self._sites_add_up:
            raise ModelMapError(
                f"{site} of {self.name} is not what its blocks ({type(self.layers[layer]).__name__}) add to the "
                "stream: probe resid_post only"
            )
        return module

    @cached_property
    def _sites_add_up(self) -> bool:
        """Checked when a site beside the stream is first asked for."""
        return added_to_stream(self)


def check_layers(loaded: LoadedModel, layers: Sequence[int]) -> None:
    """Raises InputError if a layer does not exist."""
    for layer in layers:
        if not 0 <= layer < len(loaded.layers):
            raise InputError(f"layer {layer} does not exist: {loaded.name} has layers 0 to {len(loaded.layers) - 1}")


def max_positions(loaded: LoadedModel) -> int | None:
    """Tokens that fit into the positions a model was made for; None where it names no limit."""
    most: int | None = getattr(_text_config(loaded.model), "max_position_embeddings", None)
    for path, module in loaded.backbone.named_modules():
        # RoBERTa and its kin count positions from behind the padding token's index.
        if path.endswith("position_embeddings") and (padding := getattr(module, "padding_idx", None)) is not None:
            return most and most - padding - 1
    return most


def _text_config(model: Any) -> Any:
    return model.config.get_text_config()


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

    Block l's output must be entry l + 1, the first block's input entry 0 (or, where no entry is what the first block
    reads, block l's output entry l); the last block's output must become the last entry through the final norm.

    Raises:
        ModelMapError: it is not so, or a block's output is not (batch, position, d_model).
    """
    seen: dict[str, Tensor] = {}
    blocks = {str(index): block for index, block in enumerate(loaded.layers)}
    keep_input = partial(seen.__setitem__, str(EMBEDDING))
    with torch.inference_mode(), evaluating(loaded.model):
        try:
            with capture(blocks, seen.__setitem__), capture_input(loaded.layers[0], keep_input):
                output = loaded.backbone(input_ids=_six_tokens(loaded), use_cache=False, output_hidden_states=True)
            states = output.hidden_states
        except Exception as error:
            kind, reason = type(loaded.model).__name__, one_line(error)
            raise ModelMapError(f"the blocks of {loaded.name} ({kind}) cannot be read ({reason}): {CHOOSE}") from error
        if states is None or len(states) != len(loaded.layers) + 1 or len(seen) != len(loaded.layers) + 1:
            raise ModelMapError(
                f"{loaded.name} reports {len(states or ()) - 1} hidden states, but {len(loaded.layers)} blocks were "
                f"found and {len(seen.keys() & blocks.keys())} of them ran: {CHOOSE}"
            )
        # What the first block reads may have a width of its own (an MLP that is read as a block).
        if any(seen[str(layer)].shape[-1] != loaded.d_model for layer in range(len(loaded.layers))):
            raise ModelMapError(
                f"the blocks of {loaded.name} do not put out {loaded.d_model} numbers a token: {CHOOSE}"
            )
        stream = [seen[str(layer)] for layer in range(EMBEDDING, len(states) - 1)]
        last = stream[-1] if loaded.final_norm is None else loaded.final_norm(stream[-1])
        # Mamba and its kin report what comes out of every block, and the last of it once more behind the norm.
        reported = {0: [*stream[:-1], last], 1: [*stream[1:], last]}
        first_wrong = {start: _first_difference(hooked, states) for start, hooked in reported.items()}
    if None not in first_wrong.values():
        place = first_wrong[0] or 0
        what = "input of the first block" if place == 0 else f"output of block {place - 1}"
        raise ModelMapError(
            f"the {what} of {loaded.name} is not its hidden state {place}, so that its stream cannot be read: {CHOOSE}"
        )


def _first_difference(hooked: Sequence[Tensor], states: Sequence[Tensor]) -> int | None:
    """Index of the first state that differs; None where none does.

    One forward made both, so only the final norm, computed twice, may differ by rounding. Longformer fills texts up
    inside, and cuts what it reports.
    """
    for index, (own, state) in enumerate(zip(hooked, states, strict=True)):
        cut = own[:, : state.shape[1]].to(state.device)
        if cut.shape != state.shape or not torch.allclose(cut, state, rtol=1e-3, atol=1e-5, equal_nan=True):
            return index
    return None


def silence(loaded: LoadedModel) -> str:
    """Why a model writes no answers; empty if it does."""
    if loaded.is_encoder:
        return f"{loaded.name} is an encoder, which continues no text"
    try:
        with torch.inference_mode(), evaluating(loaded.model):
            loaded.model(input_ids=_six_tokens(loaded), use_cache=True)
    except Exception as error:
        return f"{loaded.name} continues no text by itself ({one_line(error, 150)})"
    return ""


def added_to_stream(loaded: LoadedModel) -> bool:
    """Whether attention and MLP put out what their blocks add to the stream, in every block and on six tokens."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        seen[name] = output.clone()  # Falcon adds to what its MLP put out, in place

    modules = {f"{layer}.resid_post": block for layer, block in enumerate(loaded.layers)}
    modules |= {
        f"{layer}.{site}": layout.part(block, site) for layer, block in enumerate(loaded.layers) for site in ADDED
    }
    keep_input = partial(keep, f"{EMBEDDING}.resid_post")
    try:
        with (
            torch.inference_mode(),
            evaluating(loaded.model),
            capture(modules, keep),
            capture_input(loaded.layers[0], keep_input),
        ):
            loaded.backbone(input_ids=_six_tokens(loaded), use_cache=False)
        for layer, block in enumerate(loaded.layers):
            after, *others = (seen[f"{layer}.{site}"] for site in SITES)
            before, attention, mlp = (state.to(after.device) for state in (seen[f"{layer - 1}.resid_post"], *others))
            if not _adds_up(block, before, attention, mlp, after):
                return False
    except (TypeError, KeyError):  # a part that puts out something else than states, or that did not run
        return False
    return True


def _adds_up(block: nn.Module, before: Stream, attention: Stream, mlp: Stream, after: Stream) -> bool:
    if not before.shape == attention.shape == mlp.shape == after.shape:
        return False
    sums = [before + attention + mlp]
    norms = [module for module in block.modules() if "norm" in type(module).__name__.lower()]
    if len(norms) == 2:
        sums.append(norms[1](norms[0](before + attention) + mlp))
    # A block of a large stream adds what is partly lost in the rounding of the stream itself.
    rounding = 8 * torch.finfo(after.dtype).eps * (before.norm(dim=-1) + after.norm(dim=-1))
    allowed = 0.01 * (after - before).norm(dim=-1) + rounding
    return any(bool(((added - after).norm(dim=-1) <= allowed).all()) for added in sums)


def _six_tokens(loaded: LoadedModel) -> Int[Tensor, "1 6"]:
    return torch.arange(1, 7, device=loaded.device)[None]
