"""What becomes of every family of language models that transformers knows: the table of docs/models.md.

Of each family a tiny random model is made: the sizes of its default configuration become small (`SIZES`, `OWN`), and
lists with an entry for each block are cut. It then goes the way of any other model: its map is checked when it is
loaded, its sites are asked for, and a question is put to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from llm_probe.activations.behaviour import score
from llm_probe.models.hub import one_line
from llm_probe.models.loaded_model import ADDED, LoadedModel
from llm_probe.models.loading import auto_class, encodes, fresh, wrap
from llm_probe.questions.prompts import Prompt
from toy.run.errors import InputError

BLOCKS = 4
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "embedding_size", "emb_dim"), 16),
    **dict.fromkeys(("word_embed_proj_dim", "hidden_dim", "d_inner", "lru_width", "linear_attn_hidden_size"), 16),
    **dict.fromkeys(("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size", "ffn_dim"), 24),
    **dict.fromkeys(("d_ff", "n_inner", "ffn_hidden_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_size"), 24),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "num_blocks"), BLOCKS),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), BLOCKS),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("head_dim", "rotary_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 4),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1),
    **dict.fromkeys(("moe_k", "moe_topk", "num_experts_per_token", "router_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("mamba_n_heads", "n_mamba_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_headdim", "mamba_head_dim"), 4),
    **dict.fromkeys(("mamba_d_ssm", "attention_hidden_size"), 32),
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "vocab_size": 96,
    "max_position_embeddings": 256,
}
"""Attribute of a configuration to its value in a tiny model, where the family has the attribute."""
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "vocab_size_per_layer_input": 96,
        "hidden_size_per_layer_input": 4,
        "altup_num_inputs": 2,
        "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0] * BLOCKS,
        "intermediate_size": [24] * BLOCKS,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "gemma4": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 4},
    "gemma4_text": {"vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 4},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "glm4v_moe": {"mrope_section": [1, 0, 0]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "mamba2": {"num_heads": 8, "head_dim": 4},
    "reformer": {"axial_pos_embds": False},
    "xlstm": {"num_heads": 4},
    "zamba": {"n_mamba_heads": 2},
    "rwkv": {"attention_hidden_size": 16},
}
"""What a family needs beside these."""
LARGEST = 20_000_000
"""Parameters of a tiny model at most."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-= "
QUESTION = Prompt("2 + 3 = ", {"item": (0, 1), "offset": (4, 5)}, "plain", 2, 3, 5, 5, "5")


HEAD = """# Which models are read

Of every family of language models in transformers {version}, by `model_type`, a tiny random model was made and loaded
like any other: {read} of {of} families are read, {answering} of them can be asked. This page is written by
`python scripts/models/list_families.py`, and a test fails when a family that is read here no longer is.

A family is read when its map is true: what a hook sees behind each block is the hidden state that the model reports,
and the last one becomes the last reported state through the final norm. A site beside `resid_post` is offered when, in
every block, stream before + attn_out + mlp_out = stream after. A model that reads images, too, is read through its
language model.

| family | reads as | sites | answers |
|---|---|---|---|"""
REFUSED = """
## Refused

Each with the sentence that a user meets (exit code 2). `not tried`: no tiny model of this family was made; a real one
may be read all the same.

| family | why |
|---|---|"""


@dataclass(frozen=True)
class FamilyRow:
    """One family, by its model type."""

    family: str
    reads: str
    """`decoder` or `encoder`; empty if no model of the family could be read."""
    sites: tuple[str, ...]
    """The sites beside resid_post."""
    answers: bool
    """Whether it was asked a question and answered."""
    sentence: str
    """Why it is refused."""

    def __str__(self) -> str:
        if self.sentence:
            return f"| {self.family} | {self.sentence.replace('|', '/')} |"
        sites = ", ".join(("resid_post", *self.sites))
        return f"| {self.family} | {self.reads} | {sites} | {'yes' if self.answers else 'no'} |"


def families() -> list[str]:
    """The model types from which transformers makes something that reads and writes text."""
    from transformers.models.auto import modeling_auto

    kinds = ("CAUSAL_LM", "MASKED_LM", "MULTIMODAL_LM", "SEQ_TO_SEQ_CAUSAL_LM")
    return sorted(set().union(*(getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES") for kind in kinds)))


def family_row(family: str, tokenizer: Any, *, known: bool = False) -> FamilyRow:
    """What becomes of a family; `known`: its tiny model is known to be small."""
    try:
        loaded = wrap(tiny_model(family, known=known), tokenizer, name=family)
    except InputError as error:
        return FamilyRow(family, "", (), False, str(error))
    sites = tuple(site for site in ADDED if _has(loaded, site))
    reads = "encoder" if loaded.is_encoder else "decoder"
    return FamilyRow(family, reads, sites, _answers(loaded), "")


def tiny_model(family: str, *, known: bool = False) -> Any:
    """A random model of four narrow blocks; `known`: to be small.

    Raises:
        InputError: transformers cannot make one, or the family has models of another kind only.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.for_model(family)
        shrink(config, SIZES | OWN.get(family, {}))
        build = auto_class(config, encodes(config, family)).from_config
        with torch.device("meta"):
            size = 0 if known else sum(weight.numel() for weight in build(config).parameters())
        if size > LARGEST:
            raise InputError(f"not tried: a tiny model of this family has {size / 1e6:.0f} million parameters")
        return fresh(lambda: build(config), 0).eval()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"not tried: no tiny model could be made of it ({one_line(error, 120)})") from error


def shrink(config: Any, sizes: Mapping[str, Any]) -> None:
    """Make a configuration, and those inside it, small in place."""
    from transformers import PretrainedConfig

    blocks = getattr(config, "num_hidden_layers", None)
    for name, value in list(vars(config).items()):
        if isinstance(value, PretrainedConfig):
            shrink(value, sizes)
        elif isinstance(value, list) and value and len(value) == blocks:
            setattr(config, name, value[-BLOCKS:])
        elif name == "rope_parameters" and isinstance(value, dict) and "rope_type" in value:
            value["mrope_section"] = sizes.get("mrope_section", [1, 1, 0])
    if "kv_lora_rank" in vars(config):  # every head has keys of its own
        sizes = {**sizes, "num_key_value_heads": sizes["num_attention_heads"]}
    for name, size in sizes.items():
        if name in vars(config) and isinstance(size, list) >= isinstance(vars(config)[name], list | dict):
            setattr(config, name, size)


def character_tokenizer() -> Any:
    """One token a character."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {character: index for index, character in enumerate(["<unk>", "<end>", *CHARACTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>", pad_token="<end>")


def _has(loaded: LoadedModel, site: Any) -> bool:
    try:
        return all(loaded.site_module(layer, site) is not None for layer in range(len(loaded.layers)))
    except InputError:
        return False


def _answers(loaded: LoadedModel) -> bool:
    return not loaded.mute and len(score(loaded, [QUESTION], tuple("0123456789"))) == 1


def page(rows: Sequence[FamilyRow], version: str) -> str:
    """docs/models.md."""
    read = [row for row in rows if not row.sentence]
    counted = {"read": len(read), "of": len(rows), "answering": sum(row.answers for row in read), "version": version}
    parts = [HEAD.format(**counted), *map(str, read), REFUSED, *(str(row) for row in rows if row.sentence)]
    return "\n".join(parts) + "\n"
