"""The plan of a causal run: its claims, dimensions and layers as experiments, and what they will cost.

`experiments_of` turns the words of a request into experiments. `plan` says what would be computed before it is - rows,
FLOPs and time, from the model's configuration alone. An edit at layer l of L re-runs, for each prompt, the nodes of its
answer tree (T of them) through the blocks behind it and the vocabulary head:

    FLOPs = T (2 (L - 1 - l) B + 2 d V)          B: parameters of one block, d: width, V: vocabulary

A multiply-add counts two; attention over the cached prompt is left out (4 d · length a block, about 1 % of 2 B). The
clean forward of the prompts, 2 (L B + d V / length) a token, is shared by all edits of a layer. How many edits a circle
has follows from the registry (`edits.INTERVENTIONS`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from causal.algorithms.dose import POINTS
from causal.algorithms.order_tests import DRAWS
from causal.attribution import neurons
from causal.attribution.donors import POSITIONS
from causal.controls.random_controls import TURNS
from causal.experiments import addition, succession
from causal.experiments.experiment import Experiment
from causal.experiments.moves import TRAINED_K, moves_of
from causal.interventions.directions import Accepted, Location, accepted
from causal.interventions.edits import INTERVENTIONS
from causal.interventions.trained_subspace import STEPS
from causal.run.config import CausalConfig
from llm_probe.activations.answers import AnswerTree
from llm_probe.models.layout import blocks
from llm_probe.models.loading import LoadedModel, check_layers
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import resolve
from sae.circles.latents import FeatureBasis, directions_of
from sae.training.saved import check_fits, load_sae
from toy.run.errors import InputError

PUBLISHED_CLAIM = "mod-add 23"
"""Whose questions a request without --claims uses, where no probe run names any."""
RATES = (1e14, 2e11)
"""FLOP/s of sustained work for which times are given: a large GPU in bfloat16, two CPU cores in float32."""
LENGTH = 16
"""Tokens of a question, about."""

# ---------------------------------------------------------------------------------------- from words to experiments


def experiments_of(config: CausalConfig, loaded: LoadedModel, known: Accepted) -> list[Experiment]:
    """The experiments of a run: its dimensions, features, locations, or the planes that a probe run accepted.

    Raises:
        InputError: a claim none of whose planes was accepted, a layer that the model lacks, or items that are numbers.
    """
    if config.quantity == "item" and not config.places:
        raise InputError("--quantity item needs the place of the item: give --places, as in 0:item")
    if config.names_no_probe:
        claims = [claim_of(name) for name in config.claims or (PUBLISHED_CLAIM,)]
        dims = [_dim(text) for text in config.dims]
        bases = [] if dims else [_features(text, loaded) for text in config.features]
        locations = [] if dims or bases else [_location(text) for text in config.places]
        if numbers := [one.domain.name for one in claims if config.quantity == "item" and one.is_arithmetic]:
            raise InputError(f"the operands of {numbers[0]} are numbers without a period: give words such as days")
        check_layers(loaded, [layer for layer, *_ in (*dims, *locations)])
        return [
            *(
                Experiment(loaded, config, one, (layer, "resid_post", "last"), (), d)
                for one in claims
                for layer, d in dims
            ),
            *(
                Experiment(loaded, config, one, (basis.layer, basis.site, "last"), (), features=basis)
                for one in claims
                for basis in bases
            ),
            *(
                Experiment(loaded, config, one, at, one.tested_frequencies, quantity=config.quantity)
                for one in claims
                for at in locations
            ),
        ]
    if unknown := [name for name in config.claims if name not in known]:
        raise InputError(f"no plane of {unknown[0]!r} was accepted in {config.source}: choose from {', '.join(known)}")
    return [
        Experiment(loaded, config, claim_of(name), location, frequencies)
        for name in config.claims or known
        for location, frequencies in known[name].items()
    ]


def claim_of(name: str) -> Claim:
    """`mod-add 7` or `days` as the claim about its sums.

    Raises:
        InputError: there is no such domain, or it has no questions.
    """
    word, _, number = name.partition(" ")
    if number and not number.isdigit():
        raise InputError(f"unknown claim {name!r}: write a domain and its modulus, as in 'mod-add 7'")
    domain = resolve([word], [int(number)] if number else [7])[0]
    if domain.name != name and domain.operands is not None:
        raise InputError(f"claim {name!r} needs its modulus, as in '{word} 7'")
    if domain.possible_answers != domain.items:
        raise InputError(f"the answers of {name} have no period of their own to turn: choose a domain with a modulus")
    if not domain.questions:
        raise InputError(f"{name} has no questions: its items are only mentioned, choose a domain with questions")
    return Claim(domain, "sum")


def _dim(text: str) -> tuple[int, int]:
    layer, _, dim = text.partition(":")
    if not (layer.isdigit() and dim.isdigit()):
        raise InputError(f"--dims {text!r} is not layer:dim: write for example 9:35")
    return int(layer), int(dim)


def _features(text: str, loaded: LoadedModel) -> FeatureBasis:
    where, _, numbers = text.rpartition(":")
    if not where or not all(number.isdigit() for number in numbers.split(",")):
        raise InputError(
            f"--features {text!r} is not SAE:latent,latent: write for example work/sae/x/1.resid_post/seed0:3,7"
        )
    saved = load_sae(where)
    check_fits(saved, loaded)
    latents = tuple(int(number) for number in numbers.split(","))
    if wrong := [latent for latent in latents if latent >= saved.latents]:
        raise InputError(f"{where} has no latent {wrong[0]}: its latents are 0 to {saved.latents - 1}")
    return directions_of(saved, latents, f"features {numbers}")


def _location(text: str) -> Location:
    layer, _, position = text.partition(":")
    if not layer.isdigit() or position not in POSITIONS:
        raise InputError(
            f"--places {text!r} is not layer:position: write for example 1:offset ({', '.join(POSITIONS)})"
        )
    return int(layer), "resid_post", position


def layers_of(words: Sequence[str], count: int, option: str = "--sweep") -> list[int]:
    """Layer numbers that an option was given, or all of `count`.

    Raises:
        InputError: neither.
    """
    if "all" in words:
        return list(range(count))
    if wrong := [word for word in words if not word.isdigit()]:
        raise InputError(f"{option} {wrong[0]!r} is no layer: give layer numbers, or all")
    return [int(word) for word in words]


# --------------------------------------------------------------------------------------------------- what it costs


def plan(config: CausalConfig) -> str:
    """What `run` would compute, in words; no weights are read.

    Raises:
        InputError: the model's configuration cannot be reached, or its probe run is not there.
    """
    shape, tokenizer = load_shape(config.model, config.revision)

    def counted(name: str) -> tuple[Claim, int]:
        claim = claim_of(name)
        return claim, nodes_of(tokenizer, claim)

    if config.sweep or config.dims or config.places:
        claims = [counted(name) for name in config.claims or (PUBLISHED_CLAIM,)]
        if config.sweep:
            return sweep_plan(config, shape, claims, layers_of(config.sweep, shape.layers))
        layers = [int(text.partition(":")[0]) for text in (*config.dims, *config.places)]
        return circles_plan(config, shape, [(*one, layer) for one in claims for layer in layers])
    if config.succession:
        each = sum(succession.SAMPLES.values())
        claims = [counted(name) for name in config.claims or succession.DOMAINS_ASKED]
        kinds = [(claim.domain.name, claim.period, nodes, claim.period * each) for claim, nodes in claims]
        return moves_plan(config, shape, kinds)
    if config.addition:
        number = sum(len(addition.prompts_of(part, max(addition.SHOTS))) for part in ("discovery", "causal"))
        nodes = tree_of(tokenizer, addition.ANSWERS)
        return moves_plan(config, shape, [(name, addition.DIGITS, nodes, number) for name in addition.POSITIONS])
    if config.neurons:
        return neurons_plan(config, shape, [counted(name) for name in config.claims or accepted(config.source, None)])
    known = accepted(config.source, None)
    chosen = {name: locations for name, locations in known.items() if name in (config.claims or known)}
    planned = [(*counted(name), layer) for name, locations in chosen.items() for layer, _, _ in locations]
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
    backbone = blocks(model.get_decoder(), type(model).__name__)
    block = sum(parameter.numel() for parameter in backbone[-1].parameters())
    return Shape(len(backbone), config.hidden_size, config.vocab_size, block)


def nodes_of(tokenizer: Any, claim: Claim) -> int:
    """Nodes of the tree of a claim's answers."""
    return tree_of(tokenizer, claim.domain.items)


def tree_of(tokenizer: Any, answers: Sequence[str]) -> int:
    """Nodes of the answer tree, at each of which an answer is decided."""
    ids = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
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


def moves_plan(config: CausalConfig, shape: Shape, kinds: Sequence[tuple[str, int, int, int]]) -> str:
    """The plan of `--succession` or `--addition` in words; `kinds`: name, items, nodes and prompts of both parts."""
    layers = layers_of(config.layers or ("all",), shape.layers, "--layers")
    names = ", ".join(name for name, *_ in kinds)
    rows = flops = 0
    for _, items, nodes, prompts in kinds:
        draws = sum(len(draws) for *_, draws in moves_of(torch.eye(items), config.seed))
        # Every draw is moved to each other item and ablated; subspaces are trained forwards and, twice as dear, back.
        edited = prompts * ((draws + len(TRAINED_K)) * items + len(TRAINED_K) * 3 * STEPS)
        rows += edited * len(layers)
        flops += sum(edited * shape.edit(layer, nodes) for layer in layers)
    return "\n".join(
        [
            f"model    {config.model}: {shape.layers} layers, width {shape.width:,}, vocabulary {shape.vocabulary:,}",
            f"moved    {names} behind {len(layers)} blocks, if the model answers at all",
            f"rows     {rows:,} edited prompts, at most",
            f"work     {flops:.2e} FLOPs, some times that where tokens stand between the item and the answer",
            *(f"time     {_time(flops / rate)} at {rate / 1e12:g} TFLOP/s" for rate in RATES),
        ]
    )


def neurons_plan(config: CausalConfig, shape: Shape, claims: Sequence[tuple[Claim, int]]) -> str:
    """The plan of `--neurons` in words; `claims` with their nodes, each of which is a forward of its own."""
    sets = 1 + neurons.DRAWS
    rows = len(claims) ** 2 * sets * neurons.ASKED
    # Once more for every domain: the means and, forwards and back, the importance.
    flops = sum(
        nodes * shape.clean(1) * (len(claims) * sets * neurons.ASKED + 4 * neurons.FITTED) for _, nodes in claims
    )
    return "\n".join(
        [
            f"model    {config.model}: {shape.layers} layers, width {shape.width:,}, vocabulary {shape.vocabulary:,}",
            f"sets     the neurons of {len(claims)} domains, each with {neurons.DRAWS} matched sets",
            f"rows     {rows:,} prompts with neurons held",
            f"work     {flops:.2e} FLOPs",
            *(f"time     {_time(flops / rate)} at {rate / 1e12:g} TFLOP/s" for rate in RATES),
        ]
    )


def circles_plan(config: CausalConfig, shape: Shape, circles: Sequence[tuple[Claim, int, int]]) -> str:
    """The plan of a full run in words; `circles`: claim, its nodes and its layer."""
    rows = flops = 0
    for claim, nodes, layer in circles:
        edits = sum(one.count(claim.period) for one in INTERVENTIONS.values())
        # At the last token, and over the answer where it has several; two fixed controls, removed and turned.
        edited = config.prompts * (edits * (1 + (nodes > 1)) + 2 * claim.period)
        # Random controls; patches and turns of the algorithm probe; turns of the tests of order.
        order = 2 * (1 + DRAWS) + claim.period + 1 + claim.period // 2
        # Directions are trained three times, each step forwards and, twice as dear, back; two dials.
        trained, dials = 3 * 3 * STEPS, 2 * (POINTS + 1)
        edited += config.control_prompts * (TURNS * config.draws + 26 + order + trained + dials)
        rows += edited
        flops += edited * shape.edit(layer, nodes) + (config.prompts + config.discovery) * shape.clean(nodes)
    return "\n".join(
        [
            f"model    {config.model}: {shape.layers} layers, width {shape.width:,}, vocabulary {shape.vocabulary:,}",
            f"circles  {len(circles)}, each with 3 × {config.draws} draws of controls",
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
    from transformers import AutoModelForCausalLM

    from llm_probe.models.hub import configuration, explained
    from llm_probe.models.tokenizer import load_tokenizer

    path, config = configuration(model, revision)
    tokenizer = load_tokenizer(path, model, revision=revision)
    with explained(model, revision, "the config.json"), torch.device("meta"):
        return shape_of(AutoModelForCausalLM.from_config(config)), tokenizer


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
