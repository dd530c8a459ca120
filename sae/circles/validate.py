"""Does the search for groups find circles that are known to be there?

    synthetic   planted planes P_i (d, 2) (`synthetic`). The plane of a group is that of the two largest principal
                components of its part r of the states; agreement = mean of the cosines of the two principal angles
                between it and P_i, the best group counts. 1 is the same plane.
    toy         the planes of the key frequencies of a + b in the stream before the unembedding, Q_k (d, 2) from the
                class means of every sum (`planes.basis`). share = 1 - Σ |Qᵀ(x - r)|² / Σ |Qᵀx|², x and r centred,
                over all questions: how much of the plane's variance the best single group writes. A share of the
                best group says nothing if the group is half of the dictionary, so its size stands beside it.

Groups are found as in the probe, without a label; only which of them is best is chosen by looking. For a toy there is
also `needed`: the fewest latents, added one by one to the plane's variance on one half of the questions, that write 0.9
of it on the other half - what the dictionary holds, whether or not a group was found for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.models.loading import load
from sae.circles.claims import Features, label_means
from sae.circles.groups import groups_of
from sae.circles.latents import encode, kept_latents
from sae.circles.probe import places_of
from sae.source.synthetic import Circles, plant, trained_on
from sae.training.config import SaeConfig
from sae.training.saved import Saved, check_fits, load_sae
from toy.analysis import keys, planes
from toy.analysis.readout import answer_positions, grid
from toy.networks.tasks import circle_order
from toy.run.errors import InputError
from toy.training.layouts import load_checkpoint

SPANNED = 0.9
"""Share of a plane's variance that counts as spanned."""
N_STATES = 20_000
"""Fresh states on which planted circles are looked for."""


@dataclass(frozen=True)
class Found:
    """One known plane, and the group that fits it best."""

    plane: str
    agreement: float
    """Mean cosine (synthetic), or share of the plane's variance (toy)."""
    group: str
    size: int
    n_latents: int
    """Kept latents, of which the groups were made."""
    needed: int | None = None
    """Toy: the fewest latents that write 0.9 of the plane's variance on new questions; None where all do not."""


def on_planted(circles: int, config: SaeConfig, seed: int) -> dict[str, list[Found]]:
    """Train an SAE of these settings on planted circles, and look for them."""
    known = plant(circles, seed=seed)
    return {"synthetic": planted(trained_on(known, config, seed), known, N_STATES, seed)}


def on_toy(toy: Path, saes: Sequence[str]) -> dict[str, list[Found]]:
    """Look for the key planes of a toy in SAEs that were trained on it, by their names.

    Raises:
        InputError: no SAE, one of other weights, a toy without keys, or an MLP.
    """
    loaded, config = load(str(toy)), load_checkpoint(toy)[1]
    operands = grid(config.task, config.modulus)
    ids = torch.cat([operands, torch.full((len(operands), 1), config.modulus)], dim=1).to(loaded.device)
    answers, n = answer_positions(config.task, config.modulus, operands), len(circle_order(config.task, config.modulus))
    network: Any = loaded.model
    embedding = network.get_input_embeddings().weight.detach()[circle_order(config.task, config.modulus)]
    frequencies = keys.of_matrix(embedding)
    if not frequencies or not saes:
        raise InputError(f"{toy} has {len(frequencies)} key frequencies and {len(saes)} SAEs were given: give both")
    found = {}
    for saved in map(load_sae, places_of(saes)):
        check_fits(saved, loaded)
        with torch.inference_mode():
            states = loaded.backbone(input_ids=ids).hidden_states[saved.layer + 1][:, -1].cpu()
        means = label_means(states, answers, n)
        bases = {f"key {k}": planes.basis(means, k) for k in frequencies}
        found[saved.name] = spanned(saved, states, bases)
    return found


def planted(saved: Saved, circles: Circles, n: int, seed: int) -> list[Found]:
    """Every planted circle's best group, on `n` fresh states."""
    states = circles.draw(n, seed).states
    features, latents = _features(saved, states)
    found = [principal_plane(part) for part in parts(features, latents)]
    return [
        _best(f"circle {i}", [plane_cosine(plane.double().T, own) for own in found], features)
        for i, plane in enumerate(circles.planes)
    ]


def spanned(saved: Saved, states: Float[Tensor, "n d"], bases: dict[str, Float[Tensor, "d 2"]]) -> list[Found]:
    """Every known plane's best group by the share of the states' variance on the plane that it writes."""
    features, latents = _features(saved, states)
    shares = [[plane_share(states, part, basis) for basis in bases.values()] for part in parts(features, latents)]
    found = [_best(name, [own[i] for own in shares], features) for i, name in enumerate(bases)]
    needed = [fewest(states, latents, features.decoder, basis) for basis in bases.values()]
    return [replace(one, needed=count) for one, count in zip(found, needed, strict=True)]


def fewest(
    states: Float[Tensor, "n d"],
    latents: Float[Tensor, "n a"],
    decoder: Float[Tensor, "a d"],
    basis: Float[Tensor, "d 2"],
) -> int | None:
    """How many latents write `SPANNED` of a plane: added one by one on half of the rows, held out on the others."""
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))
    own, written = states.double() @ basis, latents.double()[:, :, None] * (decoder.double() @ basis)[None]
    own, written = own - own.mean(dim=0), written - written.mean(dim=0)
    fit, held = order[::2], order[1::2]
    left, left_held, count = own[fit], own[held], 0
    while float(left_held.square().sum() / own[held].square().sum()) > 1 - SPANNED:
        gain = 2 * torch.einsum("nc,nac->a", left, written[fit]) - written[fit].square().sum(dim=(0, 2))
        best = int(gain.argmax())
        if float(gain[best]) <= 0:
            return None
        left, left_held, count = left - written[fit, best], left_held - written[held, best], count + 1
        written[:, best] = 0
    return count


def parts(features: Features, latents: Float[Tensor, "n a"]) -> Iterator[Float[Tensor, "n d"]]:
    """Every group's part of the states, in the stream."""
    for group in features.groups:
        chosen = list(group.columns)
        yield latents[:, chosen].double() @ features.decoder[chosen].double()


def principal_plane(part: Float[Tensor, "n d"]) -> Float[Tensor, "d 2"]:
    """The two principal components of largest variance."""
    centred = part - part.mean(dim=0)
    return torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:]


def plane_cosine(one: Float[Tensor, "d 2"], other: Float[Tensor, "d 2"]) -> float:
    """Mean cosine of the principal angles between two planes given by orthonormal bases."""
    return float(torch.linalg.svdvals(one.T @ other).mean())


def plane_share(states: Float[Tensor, "n d"], part: Float[Tensor, "n d"], basis: Float[Tensor, "d 2"]) -> float:
    """Share of the states' variance on a plane that a part of them accounts for; can be negative."""
    own, left = ((some.double() - some.double().mean(dim=0)) @ basis for some in (states, states.double() - part))
    return float(1 - left.square().sum() / own.square().sum())


def _features(saved: Saved, states: Float[Tensor, "n d"]) -> tuple[Features, Float[Tensor, "n a"]]:
    index = kept_latents(saved, [states])
    latents, decoder = encode(saved, states, index), saved.decoder[index].cpu()
    return Features(index, decoder, tuple(groups_of(latents, decoder)), len(saved.decoder)), latents


def _best(plane: str, scores: Sequence[float], features: Features) -> Found:
    at = max(range(len(scores)), key=lambda i: scores[i])
    group = features.groups[at]
    return Found(plane, scores[at], group.name, len(group.columns), len(features.index))
