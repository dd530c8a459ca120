"""What a request names - claims, dimensions, places, layers - as experiments."""

from __future__ import annotations

from collections.abc import Sequence

from causal.experiments.experiment import Experiment
from causal.experiments.maps import POSITIONS
from causal.interventions.directions import Accepted, Place
from causal.run.config import CausalConfig
from llm_probe.models.loading import LoadedModel, check_layers
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import resolve
from sae.circles.latents import FeatureBasis, directions_of
from sae.training.saved import check_fits, load_sae
from toy.run.errors import InputError

PUBLISHED_CLAIM = "mod-add 23"
"""Whose questions a request without --claims asks, where no probe run names any."""


def experiments_of(config: CausalConfig, loaded: LoadedModel, known: Accepted) -> list[Experiment]:
    """The experiments of a run: its dimensions, its places, or the planes that a probe run accepted.

    Raises:
        InputError: a claim none of whose planes was accepted, or a layer that the model lacks.
    """
    if config.dims:
        places = [_dim(text) for text in config.dims]
        check_layers(loaded, [layer for layer, _ in places])
        return [
            Experiment(loaded, config, claim_of(name), (layer, "resid_post", "last"), (), dim)
            for name in config.claims or (PUBLISHED_CLAIM,)
            for layer, dim in places
        ]
    if config.features:
        found = [_features(text, loaded) for text in config.features]
        return [
            Experiment(loaded, config, claim_of(name), (one.layer, one.site, "last"), (), features=one)
            for name in config.claims or (PUBLISHED_CLAIM,)
            for one in found
        ]
    if config.places:
        places = [_place(text) for text in config.places]
        check_layers(loaded, [layer for layer, _, _ in places])
        return [
            Experiment(loaded, config, claim, place, claim.tested_frequencies)
            for claim in map(claim_of, config.claims or (PUBLISHED_CLAIM,))
            for place in places
        ]
    if unknown := [name for name in config.claims if name not in known]:
        raise InputError(f"no plane of {unknown[0]!r} was accepted in {config.source}: choose from {', '.join(known)}")
    return [
        Experiment(loaded, config, claim_of(name), place, frequencies)
        for name in config.claims or known
        for place, frequencies in known[name].items()
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
    if not domain.questions:
        raise InputError(f"{name} asks nothing: its items are only mentioned, choose a domain with questions")
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


def _place(text: str) -> Place:
    layer, _, position = text.partition(":")
    if not layer.isdigit() or position not in POSITIONS:
        raise InputError(
            f"--places {text!r} is not layer:position: write for example 1:offset ({', '.join(POSITIONS)})"
        )
    return int(layer), "resid_post", position


def layers_of(words: Sequence[str], count: int) -> list[int]:
    """Layer numbers, or all of `count`.

    Raises:
        InputError: neither.
    """
    if "all" in words:
        return list(range(count))
    if wrong := [word for word in words if not word.isdigit()]:
        raise InputError(f"--sweep {wrong[0]!r} is no layer: give layer numbers, or all")
    return [int(word) for word in words]
