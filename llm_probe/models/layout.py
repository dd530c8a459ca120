"""Where the blocks of a transformer are, and what in them writes to the residual stream.

A transformer is a list of blocks that each add to a stream of d_model numbers per token. A *site* is a place in
block l whose output is read, of shape (batch, position, d_model):

    resid_post   the block's output: the stream after block l, before any final norm
    attn_out     what attention adds to the stream
    mlp_out      what the MLP adds to the stream

Nothing is computed from the configuration: the blocks are the longest list of modules, and their parts
are found by name (`PART_NAMES`, one entry a family). Where a block normalises a part's output before adding it (Gemma 2
and 3, OLMo 2), the site is that norm, so that stream before + attn_out + mlp_out = stream after. BERT normalises after
adding and has no MLP module: its sites are the two linear layers whose outputs are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from torch import nn

from llm_probe.run.vocabulary import Site
from toy.run.errors import InputError


@dataclass(frozen=True)
class PartNames:
    """What one model family calls the parts of its blocks, as paths inside the block, and its last norm."""

    attention: str | None
    mlp: str | None
    attention_norm: str | None = None
    """The norm between attention and the stream; None where attention's own output is added."""
    mlp_norm: str | None = None
    """The norm between the MLP and the stream; a family has both norms or neither."""
    recurrence: str | None = None
    """What some blocks have in attention's place: a convolution, a state space."""
    final_norm: str | None = "norm"
    """What stands between the last block and the vocabulary head, a name inside the module that holds the blocks."""


PART_NAMES: dict[str, PartNames] = {
    "llama": PartNames("self_attn", "mlp"),  # Qwen and Mistral, too
    "gemma": PartNames("self_attn", "mlp", "post_attention_layernorm", "post_feedforward_layernorm"),
    "glm4": PartNames("self_attn", "mlp", "post_self_attn_layernorm", "post_mlp_layernorm"),
    "afmoe": PartNames("self_attn", "mlp", "post_attention_layernorm", "post_mlp_layernorm"),
    "llama4": PartNames("self_attn", "feed_forward"),
    "gpt2": PartNames("attn", "mlp", final_norm="ln_f"),
    "distilbert": PartNames("attention", "ffn", final_norm=None),
    "bert": PartNames("attention.output.dense", "output.dense", final_norm=None),
    "mpnet": PartNames("attention.attn", "output.dense", final_norm=None),
    "gpt_neox": PartNames("attention", "mlp", final_norm="final_layer_norm"),
    "bloom": PartNames("self_attention", "mlp", final_norm="ln_f"),
    "phi": PartNames("self_attn", "mlp", final_norm="final_layernorm"),
    "mpt": PartNames("attn", "ffn", final_norm="norm_f"),
    "xglm": PartNames("self_attn", "fc2", final_norm="layer_norm"),
    "opt": PartNames("self_attn", "fc2", final_norm="project_out"),
    "modernbert": PartNames("attn", "mlp", final_norm="final_norm"),
    "lfm2": PartNames("self_attn", "feed_forward", recurrence="conv", final_norm="embedding_norm"),
    "recurrent_gemma": PartNames(None, "mlp_block", recurrence="temporal_block", final_norm="final_norm"),
    "qwen3_next": PartNames("self_attn", "mlp", recurrence="linear_attn"),
    "jamba": PartNames("self_attn", "feed_forward", recurrence="mamba", final_norm="final_layernorm"),
    "mamba": PartNames(None, None, final_norm="norm_f"),
    "esm": PartNames("attention.output.dense", "output.dense", final_norm="encoder.emb_layer_norm_after"),
    "ctrl": PartNames("multi_head_attention", "ffn", final_norm="layernorm"),
    "megatron": PartNames("attention.output.dense", "output.dense", final_norm="encoder.ln"),
    "roberta_xl": PartNames("attention.output.dense", "output.dense", final_norm="encoder.LayerNorm"),
    "roberta_prelayernorm": PartNames("attention.output.dense", "output.dense", final_norm="LayerNorm"),
    "rwkv": PartNames("attention", "feed_forward", final_norm="ln_out"),
}
"""Every family whose parts have names of their own; a new family is one more entry. Blocks are not matched with a
family as a whole: for each kind of part the first of all names that exists in the block is taken."""


CHOOSE = "choose another model (docs/models.md lists those that are read)"


class ModelMapError(InputError):
    """The blocks of this model, or their parts, are not where they were looked for."""


def blocks(backbone: nn.Module, name: str) -> tuple[nn.Module, ...]:
    """The longest list of modules; lists inside another list (experts, heads) are parts of a block."""
    lists = {path: module for path, module in backbone.named_modules() if isinstance(module, nn.ModuleList)}
    outer = [
        list(module)
        for path, module in lists.items()
        if len(module) and not any(path.startswith(f"{other}.") for other in lists if other != path)
    ]
    if not outer:
        raise ModelMapError(f"{name} ({type(backbone).__name__}) holds no list of blocks: {CHOOSE}")
    # Blocks of several classes (attention, recurrence) are one list, too.
    return tuple(max(outer, key=lambda members: (len(members), -len({type(member) for member in members}))))


def paths(kind: str) -> list[str]:
    """What the families call one kind of part (a field of `PartNames`), longer paths before their beginnings."""
    names = dict.fromkeys(getattr(family, kind) for family in PART_NAMES.values())
    return sorted(filter(None, names), key=lambda path: -path.count("."))


def output_norms(block: nn.Module) -> list[PartNames]:
    """Families that a block with norms between its parts and the stream may be of; empty if it has no such norms."""
    # The norm behind the MLP decides: without it, `post_attention_layernorm` is the norm before the MLP.
    return [names for names in PART_NAMES.values() if names.mlp_norm and hasattr(block, names.mlp_norm)]


def part(block: nn.Module, site: Site) -> nn.Module:
    """The module of a block whose output is added to the stream, at `attn_out` or `mlp_out`.

    Raises:
        ModelMapError: none of the families' names exists in the block.
    """
    kind = "mlp" if site == "mlp_out" else "attention"
    names = [*(getattr(family, f"{kind}_norm") for family in output_norms(block)), *paths(kind)]
    names += paths("recurrence") if kind == "attention" else []
    for path in names:
        try:
            return attrgetter(path)(block)
        except AttributeError:
            continue
    raise ModelMapError(
        f"{type(block).__name__} has no part of a known name for {site} ({', '.join(names)}): probe resid_post only"
    )


def final_norm(backbone: nn.Module) -> nn.Module | None:
    """What stands between the last block and the vocabulary head, if there is anything."""
    modules = dict(backbone.named_modules())
    return next((modules[path] for path in paths("final_norm") if path in modules), None)
