"""Does the search for groups recover circles that are known to be there?

    planted     states x = Σ_i on_i (cos(2π s_i / p) u_i + sin(2π s_i / p) v_i) + noise, x (n, d): on_i is 1 with
                probability `presence`, s_i a random point of p on circle i, u_i and v_i (rows of `planes[i]`, (2, d))
                orthonormal for one circle and random between circles. With 2 circles > d the planes must overlap:
                superposition, which sparse coding is there to undo. An SAE is trained on these states. The plane of a
                group is that of the two largest principal components of its part r of the states; agreement = mean of
                the cosines of the two principal angles between it and the planted one. 1 is the same plane.
    toy         the planes of the key frequencies of a + b in the stream before the unembedding, Q_k (d, 2) from the
                class means of every sum (`planes.basis`). share = 1 - Σ |Qᵀ(x - r)|² / Σ |Qᵀx|², x and r centred,
                over all questions: how much of the plane's variance the best single group writes. A share of the
                best group says nothing if the group is half of the dictionary, so its size stands beside it.

Groups are made as in the probe, without a label; only the choice of the best one uses the known planes. For a toy there
is also `needed`: the fewest latents, added one by one to the plane's variance on one half of the questions, that write
0.9 of it on the other half - what the dictionary holds, whether or not one group gathers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_probe.models.loading import load
from sae.circles.claims import Features, label_means
from sae.circles.latents import encode, groups_of, kept_latents
from sae.circles.probe import places_of
from sae.config import SaeConfig
from sae.source.stream import Place
from sae.training.saved import Saved, check_fits, load_sae
from sae.training.train import fit, new_run
from toy.analysis import keys, planes
from toy.analysis.readout import answer_positions, grid
from toy.networks.tasks import circle_order
from toy.run.errors import InputError
from toy.training.layouts import load_checkpoint

PLACE: Place = (0, "resid_post")
SPANNED = 0.9
"""Share of a plane's variance that counts as spanned."""
N_STATES = 20_000
"""Fresh states on which planted circles are searched."""


@dataclass(frozen=True)
class PlantedStates:
    """States and the circles in them."""

    states: Float[Tensor, "n d"]
    steps: Int[Tensor, "n circles"]
    """s: where on each circle a state would be."""
    present: Bool[Tensor, "n circles"]
    """Which circles are in it."""


@dataclass(frozen=True)
class Circles:
    """The planted circles."""

    planes: Float[Tensor, "circles 2 d"]
    period: int
    presence: float
    noise: float

    def draw(self, n: int, seed: int) -> PlantedStates:
        """`n` states, a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        circles, _, d = self.planes.shape
        steps = torch.randint(self.period, (n, circles), generator=generator)
        present = torch.rand(n, circles, generator=generator) < self.presence
        angle = steps * (2 * torch.pi / self.period)
        at = torch.stack([angle.cos(), angle.sin()], dim=-1) * present[..., None]
        noise = self.noise * torch.randn(n, d, generator=generator)
        return PlantedStates(torch.einsum("nct,ctd->nd", at, self.planes) + noise, steps, present)


@dataclass(frozen=True)
class PlaneMatch:
    """One known plane, and the group that fits it best."""

    plane: str
    agreement: float
    """Mean cosine (planted), or share of the plane's variance (toy)."""
    group: str
    size: int
    n_latents: int
    """Kept latents, of which the groups were made."""
    needed: int | None = None
    """Toy: the fewest latents that write 0.9 of the plane's variance on new questions; None where all do not."""


def plant(
    circles: int = 48, d: int = 64, *, period: int = 12, presence: float = 0.05, noise: float = 0.02, seed: int = 0
) -> Circles:
    """Random planes in d dimensions, on average circles · presence of them in a state."""
    generator = torch.Generator().manual_seed(seed)
    bases = torch.linalg.qr(torch.randn(circles, d, 2, generator=generator)).Q.transpose(1, 2)
    return Circles(bases.contiguous(), period, presence, noise)


def trained_on(circles: Circles, config: SaeConfig, seed: int = 0) -> Saved:
    """An SAE of the configuration's settings, in memory, trained on states that are drawn as it goes.

    Raises:
        InputError: the settings are impossible.
    """
    config = replace(config, buffer_tokens=16 * config.batch, out=Path("none"))
    run = new_run(config, PLACE, seed, circles.planes.shape[2], torch.device("cpu"))
    first = (seed + 1) * 2**32
    fit(config, [run], lambda step: {PLACE: circles.draw(config.batch, first + step).states}, every=float("inf"))
    return Saved(run.trainer.sae.requires_grad_(False), "synthetic", *PLACE, None)


def on_planted(circles: int, config: SaeConfig, seed: int) -> dict[str, list[PlaneMatch]]:
    """Train an SAE of these settings on planted circles, and search for them."""
    known = plant(circles, seed=seed)
    return {"synthetic": planted_matches(trained_on(known, config, seed), known, N_STATES, seed)}


def on_toy(toy: Path, saes: Sequence[str]) -> dict[str, list[PlaneMatch]]:
    """Search for the key planes of a toy in SAEs that were trained on it, by the names of the SAEs.

    Raises:
        InputError: no SAE, one of other weights, a toy without keys, or an MLP.
    """
    loaded, config = load(str(toy)), load_checkpoint(toy)[1]
    operands, order = grid(config.task, config.modulus), circle_order(config.task, config.modulus)
    ids = torch.cat([operands, torch.full((len(operands), 1), config.modulus)], dim=1).to(loaded.device)
    answers = answer_positions(config.task, config.modulus, operands)
    network: Any = loaded.model
    frequencies = keys.of_matrix(network.get_input_embeddings().weight.detach()[order])
    if not frequencies or not saes:
        raise InputError(f"{toy} has {len(frequencies)} key frequencies and {len(saes)} SAEs were given: give both")
    matches = {}
    for saved in map(load_sae, places_of(saes)):
        check_fits(saved, loaded)
        with torch.inference_mode():
            states = loaded.backbone(input_ids=ids).hidden_states[saved.layer + 1][:, -1].cpu()
        means = label_means(states, answers, len(order))
        matches[saved.name] = toy_matches(saved, states, {f"key {k}": planes.basis(means, k) for k in frequencies})
    return matches


def planted_matches(saved: Saved, circles: Circles, n: int, seed: int) -> list[PlaneMatch]:
    """Every planted circle's best group, on `n` fresh states."""
    states = circles.draw(n, seed).states
    features, latents = _features(saved, states)
    parts = (part - part.mean(dim=0) for part in group_writes(features, latents))
    principal = torch.stack([torch.linalg.eigh(part.T @ part).eigenvectors[:, -2:] for part in parts])
    cosines = torch.linalg.svdvals(circles.planes.double()[:, None] @ principal).mean(dim=2)
    return [_best(f"circle {i}", own, features) for i, own in enumerate(cosines.tolist())]


def toy_matches(saved: Saved, states: Float[Tensor, "n d"], bases: dict[str, Float[Tensor, "d 2"]]) -> list[PlaneMatch]:
    """Every known plane's best group by the share of the states' variance on the plane that it writes."""
    features, latents = _features(saved, states)
    matches = []
    for name, basis in bases.items():
        shares = [plane_share(states, part, basis) for part in group_writes(features, latents)]
        needed = fewest_latents(states, latents, features.decoder, basis)
        matches.append(replace(_best(name, shares, features), needed=needed))
    return matches


def fewest_latents(
    states: Float[Tensor, "n d"],
    latents: Float[Tensor, "n a"],
    decoder: Float[Tensor, "a d"],
    basis: Float[Tensor, "d 2"],
) -> int | None:
    """How many latents write `SPANNED` of a plane: added one by one on half of the rows, held out on the others."""
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))
    own, written = states.double() @ basis, latents.double()[:, :, None] * (decoder.double() @ basis)[None]
    own, written = own - own.mean(dim=0), written - written.mean(dim=0)
    fitted, held = order[::2], order[1::2]
    left, left_held, count = own[fitted], own[held], 0
    while float(left_held.square().sum() / own[held].square().sum()) > 1 - SPANNED:
        gain = 2 * torch.einsum("nc,nac->a", left, written[fitted]) - written[fitted].square().sum(dim=(0, 2))
        best = int(gain.argmax())
        if float(gain[best]) <= 0:
            return None
        left, left_held, count = left - written[fitted, best], left_held - written[held, best], count + 1
        written[:, best] = 0
    return count


def group_writes(features: Features, latents: Float[Tensor, "n a"]) -> Iterator[Float[Tensor, "n d"]]:
    """Every group's part of the states, in the stream."""
    for group in features.groups:
        columns = list(group.columns)
        yield latents[:, columns].double() @ features.decoder[columns].double()


def plane_share(states: Float[Tensor, "n d"], part: Float[Tensor, "n d"], basis: Float[Tensor, "d 2"]) -> float:
    """Share of the states' variance on a plane that a part of them accounts for; can be negative."""
    own, left = ((some.double() - some.double().mean(dim=0)) @ basis for some in (states, states.double() - part))
    return float(1 - left.square().sum() / own.square().sum())


def _features(saved: Saved, states: Float[Tensor, "n d"]) -> tuple[Features, Float[Tensor, "n a"]]:
    index = kept_latents(saved, [states])
    latents, decoder = encode(saved, states, index), saved.decoder[index].cpu()
    return Features(index, decoder, tuple(groups_of(latents, decoder)), len(saved.decoder)), latents


def _best(plane: str, scores: Sequence[float], features: Features) -> PlaneMatch:
    at = max(range(len(scores)), key=lambda i: scores[i])
    group = features.groups[at]
    return PlaneMatch(plane, scores[at], group.name, len(group.columns), len(features.index))
