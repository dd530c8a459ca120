"""The latents that are active on a claim's prompts, which of them belong together, and whether other seeds have them.

    z = encode(h)        h (n, d) residual states, z (n, latents) >= 0, mostly 0

**Kept latents.** A latent is kept if it is active on at least `RARE` of the discovery prompts of some claim, a rule
without labels, so that every renaming keeps the same ones. With L0 active latents a prompt at most L0 / RARE can be
kept, whatever the width: that, and encoding `ROWS_AT_ONCE` prompts at a time, bounds memory. The kept latents are the
columns (n, a) that all searches run on; `index` (a,) are their places in the dictionary.

**Groups.** One latent cannot carry a circle: it is one coordinate, and non-negative. A circle in a dictionary is a
*group*, which either spans the plane together or cuts the circle into arcs. Groups are made without a label, by two
affinities (a, a):

    decoder        cos²(d_i, d_j): the share of one direction that lies along the other, whatever its sign
    coactivation   z_iᵀ z_j / (|z_i| |z_j|): they are active on the same prompts, to the same degree

How many latents a circle has is not known beforehand, so no number of clusters is chosen: average linkage (scipy) on
1 - affinity makes a tree, and every branch of `SMALLEST` to `LARGEST` latents is a group; of an affinity's branches the
`MOST_GROUPS` that last longest (the height at which a branch merges with another minus the height at which it is
complete). Groups of both affinities are searched together, equal ones once. Engels et al. 2024 cut decoder cosines by
spectral clustering into a number of clusters given beforehand; on 48 planted circles (`validate`) that recovered 19 and
this recovered all. The group's part of a state is r = Σ_i z_i d_i. With Dᵀ = Q R of its directions (d, m), r = Q R z:
the coordinates R z (n, m) have the distances of r in the stream, and Q (d, r) is what an intervention acts on.

**Recurrence** of the directions d of one dictionary in another's e, by the Hungarian matching π = argmax Σ_i C[i, π(i)]
of the signed cosines C[i, j] = cos(d_i, e_j): share = #{i : C[i, π(i)] > 0.7} / n. A direction in 128 dimensions has
some neighbour among a thousand others by chance; the baseline turns the other dictionary as a whole by a random
rotation, which keeps its inner geometry and loses its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, read
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.job import Job, positions
from llm_probe.run.vocabulary import Site
from llm_probe.statistics import renaming
from llm_probe.statistics.renaming import Renamed
from sae.source.stream import Place
from sae.training.saved import Saved
from toy.maths.regression import orthonormal

RARE = 0.01
"""Share of the prompts below which a latent is not searched."""
ROWS_AT_ONCE = 256
SMALLEST, LARGEST = 3, 32
"""Latents in a group; a plane takes three non-negative ones at least."""
MOST_GROUPS = 128
MOST_GROUPED = 4096
"""Latents that are clustered at most, those of largest activation: affinities are a x a."""
RECURS = 0.7
"""Cosine above which a latent counts as the same in another dictionary."""

By = Literal["decoder", "coactivation"]


@dataclass(frozen=True)
class _Questions:
    """The prompts of one claim; `new_` marks the confirmation prompts."""

    claim: Claim
    labels: Labels
    new_labels: Labels
    renamed: Renamed


@dataclass(frozen=True)
class Reading(_Questions):
    """Residual states of one claim at every place that an SAE was trained on."""

    states: dict[Place, tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]]
    """Place to discovery and confirmation states."""


@dataclass(frozen=True)
class Encoded(_Questions):
    """One claim at one place: raw states, and the kept latents."""

    states: Float[Tensor, "n d"]
    new_states: Float[Tensor, "m d"]
    latents: Float[Tensor, "n a"]
    new_latents: Float[Tensor, "m a"]


@dataclass(frozen=True)
class Group:
    """Latents that belong together."""

    by: By
    columns: tuple[int, ...]
    """Places among the kept latents, ascending."""

    @property
    def name(self) -> str:
        """The group's name in the tables, unique among the groups of one SAE."""
        return f"{self.by} {self.columns[0]}-{self.columns[-1]} ({len(self.columns)})"


@dataclass(frozen=True)
class FeatureBasis:
    """The subspace of the stream on which an intervention on a latent or a group acts."""

    name: str
    layer: int
    site: Site
    basis: Float[Tensor, "d m"]
    """Orthonormal, float64: the span of the decoder directions."""


@dataclass(frozen=True)
class Recurrence:
    """How far the latents of one dictionary recur in another."""

    share: float
    """Share of the first dictionary's latents that recur."""
    mean_cosine: float
    shuffled_share: float


def read_claims(job: Job, loaded: LoadedModel, claims: Sequence[Claim], places: Sequence[Place]) -> list[Reading]:
    """Every claim's discovery and confirmation prompts, read once for all places, at the claim's own position.

    `job` knows the model's vocabulary, and with it which items the renaming null may exchange.

    Raises:
        InputError: the model lacks a layer or site, or prompts cannot be read.
    """
    config = job.config
    layers = tuple(sorted({layer for layer, _ in places}))
    sites: tuple[Site, ...] = tuple(sorted({site for _, site in places}))
    readings = []
    for claim in claims:
        prompts = claim.prompts("discovery", config.prompts, config.seed)
        new = claim.prompts("confirmation", config.prompts // 2, config.seed)
        labels, new_labels = Labels.of(claim, prompts), Labels.of(claim, new)
        plan = ReadPlan(layers, sites, positions(claim, prompts[0], ()))
        read_states = read(loaded, claim, prompts, new, plan, batch_tokens=config.batch_tokens, grid=False)
        renamed = renaming.rename(claim, labels, job.item_kinds(claim), config.renamings, config.seed)
        states: dict[Place, tuple[Tensor, Tensor]] = {
            (layer, site): (read_states.discovery[:, i], read_states.confirmation[:, i])
            for i, (layer, site, _) in enumerate(plan.cells)
        }
        readings.append(Reading(claim, labels, new_labels, renamed, states))
    return readings


def kept_latents(saved: Saved, states: Iterable[Float[Tensor, "_ d"]]) -> Int[Tensor, " a"]:
    """Indices of the latents that are active on at least `RARE` of the prompts of one of these sets, ascending."""
    kept = torch.zeros(len(saved.decoder), dtype=torch.bool)
    for some in states:
        count = torch.stack([(saved.encode(rows) > 0).sum(dim=0).cpu() for rows in some.split(ROWS_AT_ONCE)]).sum(dim=0)
        kept |= count >= max(2, RARE * len(some))
    return torch.nonzero(kept)[:, 0]


def encode(saved: Saved, states: Float[Tensor, "n d"], index: Int[Tensor, " a"]) -> Float[Tensor, "n a"]:
    """Activations of some latents, a few rows at a time."""
    return torch.cat([saved.encode(rows).cpu()[:, index] for rows in states.split(ROWS_AT_ONCE)])


def encoded(saved: Saved, reading: Reading, index: Int[Tensor, " a"]) -> Encoded:
    """A reading at the place of an SAE, with its kept latents."""
    states = reading.states[saved.layer, saved.site]
    latents = (encode(saved, some, index) for some in states)
    raw = (some.cpu() for some in states)
    return Encoded(reading.claim, reading.labels, reading.new_labels, reading.renamed, *raw, *latents)


def groups_of(latents: Float[Tensor, "n a"], decoder: Float[Tensor, "a d"]) -> list[Group]:
    """Groups by both affinities; `latents` of all prompts together, `decoder` of the kept latents."""
    strongest = latents.square().sum(dim=0).topk(min(MOST_GROUPED, latents.shape[1])).indices.sort().values
    affinities: dict[By, Tensor] = {
        "decoder": _cosine(decoder[strongest].double().T).square(),
        "coactivation": _cosine(latents[:, strongest].double()),
    }
    groups: dict[tuple[int, ...], Group] = {}
    for by, affinity in affinities.items():
        for members in _branches(affinity):
            columns = tuple(strongest[list(members)].tolist())
            groups.setdefault(columns, Group(by, columns))
    return list(groups.values())


def _cosine(columns: Float[Tensor, "n a"]) -> Float[Tensor, "a a"]:
    unit = columns / columns.norm(dim=0).clamp_min(1e-300)
    return unit.T @ unit


def _branches(affinity: Float[Tensor, "a a"]) -> list[tuple[int, ...]]:
    """Members of the branches of the tree, those that last longest first."""
    count = len(affinity)
    if count < SMALLEST:
        return []
    upper = torch.triu_indices(count, count, 1)
    tree = linkage((1 - affinity[upper[0], upper[1]]).clamp_min(0).numpy(), "average")
    members: list[tuple[int, ...]] = [(leaf,) for leaf in range(count)]
    height, merged_at = [0.0] * count, {}
    for one, other, distance, _ in tree.tolist():
        # Of a branch that is too large for good only the size matters.
        members.append(tuple(sorted(members[int(one)] + members[int(other)]))[: LARGEST + 1])
        height.append(distance)
        merged_at |= {int(one): distance, int(other): distance}
    lasts = {at: merged_at.get(at, 1.0) - height[at] for at in range(count, len(members))}
    groups = [at for at in lasts if SMALLEST <= len(members[at]) <= LARGEST]
    return [members[at] for at in sorted(groups, key=lambda at: -lasts[at])[:MOST_GROUPS]]


def coordinates(
    latents: Float[Tensor, "n a"], decoder: Float[Tensor, "a d"], columns: tuple[int, ...]
) -> Float[Tensor, "n m"]:
    """The group's part of the states, R z: as long as r in every direction, m = min(group size, d)."""
    chosen = list(columns)
    return latents[:, chosen].double() @ torch.linalg.qr(decoder[chosen].double().T).R.T


def directions_of(saved: Saved, latents: tuple[int, ...], name: str = "") -> FeatureBasis:
    """The span of the decoder directions of some latents (a group, or one), given by their places in the dictionary."""
    basis = orthonormal(saved.decoder[list(latents)].double().cpu().T)
    listed = ", ".join(map(str, latents[:4])) + (", …" if len(latents) > 4 else "")
    return FeatureBasis(name or f"latents {listed}", saved.layer, saved.site, basis)


def recurrence(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"], seed: int) -> Recurrence:
    """Match the directions of one dictionary to those of another."""
    turn = torch.linalg.qr(torch.randn(other.shape[1], other.shape[1], generator=torch.Generator().manual_seed(seed))).Q
    cosines, by_chance = matched_cosines(one, other), matched_cosines(one, other @ turn.to(other))
    share, shuffled = (float((some > RECURS).sum()) / len(one) for some in (cosines, by_chance))
    return Recurrence(share, float(cosines.mean()), shuffled)


def matched_cosines(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"]) -> Float[Tensor, " pairs"]:
    """Cosines of the matched pairs, min(a, b) of them."""
    unit, unit_other = (torch.nn.functional.normalize(rows.double(), dim=1) for rows in (one, other))
    cosines = unit @ unit_other.T
    rows, columns = linear_sum_assignment(cosines.numpy(), maximize=True)
    return cosines[rows, columns]
