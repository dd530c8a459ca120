"""What a causal run will compute, before it does: rows, FLOPs and time, from the model's configuration alone.

An edit at layer l of L re-runs, for each prompt, the nodes of its answer tree (T of them) through the later blocks and
the vocabulary head:

    FLOPs = T (2 (L - 1 - l) B + 2 d V)          B: parameters of one block, d: width, V: vocabulary

A multiply-add counts two; attention over the cached prompt is left out (4 d · length a block, about 1 % of 2 B). The
clean forward of the prompts, 2 (L B + d V / length) a token, is shared by all edits of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from causal.experiments.requested import PUBLISHED_CLAIM, claim_of, layers_of
from causal.interventions.directions import accepted
from causal.run.config import CausalConfig
from llm_probe.activations.answers import AnswerTree
from llm_probe.models.layout import blocks
from llm_probe.questions.claims import Claim

RATES = (1e14, 2e11)
"""FLOP/s of sustained work for which times are given: a large GPU in bfloat16, two CPU cores in float32."""
LENGTH = 16
"""Tokens of a question, about."""


def plan(config: CausalConfig) -> str:
    """What `run` would compute, in words; no weights are read.

    Raises:
        InputError: the model's configuration cannot be reached, or its probe run is not there.
    """
    shape, tokenizer = load_shape(config.model, config.revision)
    if config.sweep or config.dims or config.places:
        claims = [claim_of(name) for name in config.claims or (PUBLISHED_CLAIM,)]
        counted = [(claim, nodes_of(tokenizer, claim)) for claim in claims]
        if config.sweep:
            return sweep_plan(config, shape, counted, layers_of(config.sweep, shape.layers))
        layers = [int(text.partition(":")[0]) for text in (*config.dims, *config.places)]
        return circles_plan(config, shape, [(*one, layer) for one in counted for layer in layers])
    known = accepted(config.source, None)
    claims = [(claim_of(name), places) for name, places in known.items() if name in (config.claims or known)]
    planned = [(claim, nodes_of(tokenizer, claim), layer) for claim, places in claims for layer, _, _ in places]
    return circles_plan(config, shape, planned)


@dataclass(frozen=True)
class Shape:
    """What costs time in a model."""

    layers: int
    width: int
    vocabulary: int
    block: int
    """Parameters of one block."""

    def edit(self, layer: int, nodes: int) -> int:
        """FLOPs of one edit of one prompt."""
        return nodes * 2 * ((self.layers - 1 - layer) * self.block + self.width * self.vocabulary)

    def clean(self, nodes: int) -> int:
        """FLOPs of one prompt's clean forward."""
        return 2 * ((LENGTH + nodes) * self.layers * self.block + nodes * self.width * self.vocabulary)


def shape_of(model: Any) -> Shape:
    """The shape of a model that may have no weights (device meta)."""
    config = model.config.get_text_config()
    stack = blocks(model.get_decoder(), type(model).__name__)
    block = sum(parameter.numel() for parameter in stack[-1].parameters())
    return Shape(len(stack), config.hidden_size, config.vocab_size, block)


def nodes_of(tokenizer: Any, claim: Claim) -> int:
    """Places where an answer is decided: nodes of the answer tree."""
    ids = tokenizer(list(claim.domain.items), add_special_tokens=False)["input_ids"]
    return len(AnswerTree(tuple(tuple(one) for one in ids)).nodes)


def sweep_plan(config: CausalConfig, shape: Shape, claims: Sequence[tuple[Claim, int]], layers: Sequence[int]) -> str:
    """The plan of `--sweep` in words; `claims` with their nodes."""
    edits = len(layers) * shape.width
    rows = edits * config.prompts * len(claims)
    flops = sum(
        config.prompts * (shape.clean(nodes) + shape.width * shape.edit(layer, nodes))
        for _, nodes in claims
        for layer in layers
    )
    whole = sum(rows // len(claims) * shape.clean(nodes) for _, nodes in claims)
    return "\n".join(
        [
            f"model      {config.model}: {shape.layers} layers, width {shape.width:,}, vocabulary {shape.vocabulary:,}",
            f"questions  {', '.join(f'{claim.domain.name} ({nodes} tokens decide)' for claim, nodes in claims)}",
            f"edits      {edits:,} dimensions × {config.prompts:,} prompts × {len(claims)} domains = {rows:,} rows",
            f"work       {flops:.2e} FLOPs; the whole model for every edit would be {whole / flops:.0f} times that",
            *(f"time       {_time(flops / rate)} at {rate / 1e12:g} TFLOP/s" for rate in RATES),
        ]
    )


def circles_plan(config: CausalConfig, shape: Shape, places: Sequence[tuple[Claim, int, int]]) -> str:
    """The plan of a full run in words; `places`: claim, its nodes and its layer."""
    rows = flops = 0
    for claim, nodes, layer in places:
        turns = claim.period - 1
        edited = config.prompts * (6 + 2 * turns + (6 + 2 * turns) * (nodes > 1) + 2 * (1 + turns))
        edited += config.control_prompts * (6 * config.draws + 26)
        rows += edited
        flops += edited * shape.edit(layer, nodes) + (config.prompts + config.discovery) * shape.clean(nodes)
    return "\n".join(
        [
            f"model    {config.model}: {shape.layers} layers, width {shape.width:,}, vocabulary {shape.vocabulary:,}",
            f"circles  {len(places)}, each with 3 × {config.draws} draws of controls",
            f"rows     {rows:,} edited prompts, about (text, maps, routing and other questions not counted)",
            f"work     {flops:.2e} FLOPs",
            *(f"time     {_time(flops / rate)} at {rate / 1e12:g} TFLOP/s" for rate in RATES),
        ]
    )


def load_shape(model: str, revision: str | None) -> tuple[Shape, Any]:
    """(shape, tokenizer) from configuration and tokenizer files; no weights are read.

    Raises:
        InputError: they cannot be reached.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from llm_probe.models.hub import explained, source
    from llm_probe.models.loading import REFERENCE_FOLDER

    path = source(model, REFERENCE_FOLDER)
    with explained(model, revision):
        config = AutoConfig.from_pretrained(path, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    with torch.device("meta"):
        return shape_of(AutoModelForCausalLM.from_config(config)), tokenizer


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
