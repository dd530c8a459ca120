"""Where the blocks of a transformer are, and what in them writes to the residual stream.

A transformer is a stack of blocks that each add to a stream of d_model numbers per token. A *site* is a place in
block l whose output is read, of shape (batch, position, d_model):

    resid_post   the block's output: the stream after block l, before any final norm
    attn_out     what attention adds to the stream
    mlp_out      what the MLP adds to the stream

Nothing is computed from the configuration: the blocks are the longest list of modules of one class, and their parts
are found by name. Where a block normalises a part's output before adding it (Gemma 2 and 3, OLMo 2), the site is
that norm, so that stream before + attn_out + mlp_out = stream after. BERT normalises after adding and has no MLP
module: its sites are `attention.output.dense` and `output.dense`, the two outputs that are added.
"""

from __future__ import annotations

from operator import attrgetter

from torch import nn

from llm_probe.run.table import Site

PART_NAMES: dict[Site, tuple[str, ...]] = {
    # A norm behind the MLP comes with one behind attention; without it `post_attention_layernorm` is the MLP's input.
    "mlp_out": ("post_feedforward_layernorm", "post_mlp_layernorm", "mlp", "feed_forward", "ffn", "output.dense"),
    "attn_out": ("self_attn", "attn", "attention.output.dense", "attention", "self_attention"),
}
"""Site to the names its module may have inside a block, the first that exists wins."""
ATTENTION_NORMS = {
    "post_feedforward_layernorm": "post_attention_layernorm",
    "post_mlp_layernorm": "post_self_attn_layernorm",
}
FINAL_NORM_NAMES = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


class ModelMapError(RuntimeError):
    """The blocks of this model are not where they were looked for."""


def blocks(stack: nn.Module, name: str) -> tuple[nn.Module, ...]:
    """The longest list of modules of one class; lists inside another list (experts, heads) are parts of a block."""
    lists = {path: module for path, module in stack.named_modules() if isinstance(module, nn.ModuleList)}
    outer = [
        list(module)
        for path, module in lists.items()
        if len({type(member) for member in module}) == 1
        and not any(path.startswith(f"{other}.") for other in lists if other != path)
    ]
    if not outer:
        raise ModelMapError(f"{name} ({type(stack).__name__}) holds no list of equal blocks: it is not supported")
    return tuple(max(outer, key=len))


def part(block: nn.Module, site: Site) -> nn.Module:
    norms = [norm for mlp, norm in ATTENTION_NORMS.items() if hasattr(block, mlp)] if site == "attn_out" else []
    for path in (*norms, *PART_NAMES[site]):
        try:
            return attrgetter(path)(block)
        except AttributeError:
            continue
    raise ModelMapError(
        f"{type(block).__name__} has no part of a known name for {site} ({', '.join(PART_NAMES[site])}): "
        "probe resid_post only"
    )


def final_norm(stack: nn.Module) -> nn.Module | None:
    """The norm between the last block and the vocabulary head, if the stack has one."""
    return next(filter(None, (getattr(stack, name, None) for name in FINAL_NORM_NAMES)), None)
