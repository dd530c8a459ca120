"""Groups of latents, and the subspace that each of them spans.

One latent cannot carry a circle: it is one coordinate, and non-negative. A circle in a dictionary is a *group*, which
either spans the plane together or cuts the circle into arcs. Which latents belong together is decided without a label,
by two affinities (a, a):

    decoder        cos²(d_i, d_j): the share of one direction that lies along the other, whatever its sign
    coactivation   z_iᵀ z_j / (|z_i| |z_j|): they are active on the same prompts, to the same degree

How many latents a circle has is not known beforehand, so no number of clusters is chosen: average linkage (scipy) on
1 - affinity makes a tree, and every branch of `SMALLEST` to `LARGEST` latents is a group; of an affinity's branches the
`MOST_GROUPS` that last longest (height at which it is joined to others minus height at which it is whole). Groups of
both affinities are searched together, equal ones once. Engels et al. 2024 cut decoder cosines by spectral clustering
into a number of clusters given beforehand; on 48 planted circles (`validate`) that found 19 and this found all.

The group's part of a state is r = Σ_i z_i d_i. With Dᵀ = Q R of its directions (d, m), r = Q R z: the coordinates
R z (n, m) have the distances of r in the stream, and Q (d, r) is what an intervention acts on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from scipy.cluster.hierarchy import linkage
from torch import Tensor

from llm_probe.run.table import Site
from sae.training.saved import Saved
from toy.maths.regression import orthonormal

By = Literal["decoder", "coactivation"]
SMALLEST, LARGEST = 3, 32
"""Latents in a group; a plane takes three non-negative ones at least."""
MOST_GROUPS = 128
MOST_GROUPED = 4096
"""Latents that are clustered at most, those of largest activation: affinities are a x a."""


@dataclass(frozen=True)
class Group:
    """Latents that belong together."""

    by: By
    columns: tuple[int, ...]
    """Places among the kept latents, ascending."""

    @property
    def name(self) -> str:
        """What the table calls it; unique among the groups of one SAE."""
        return f"{self.by} {self.columns[0]}-{self.columns[-1]} ({len(self.columns)})"


@dataclass(frozen=True)
class FeatureBasis:
    """Where to intervene on a latent or a group."""

    name: str
    layer: int
    site: Site
    basis: Float[Tensor, "d m"]
    """Orthonormal, float64: the span of the decoder directions."""


def directions_of(saved: Saved, latents: tuple[int, ...], name: str = "") -> FeatureBasis:
    """The span of some latents' decoder directions (a group, or one latent); their places in the dictionary."""
    basis = orthonormal(saved.decoder[list(latents)].double().cpu().T)
    listed = ", ".join(map(str, latents[:4])) + (", …" if len(latents) > 4 else "")
    return FeatureBasis(name or f"latents {listed}", saved.layer, saved.site, basis)


def coordinates(
    latents: Float[Tensor, "n a"], decoder: Float[Tensor, "a d"], columns: tuple[int, ...]
) -> Float[Tensor, "n m"]:
    """The group's part of the states, R z: as long as r in every direction, m = min(group size, d)."""
    chosen = list(columns)
    triangle = torch.linalg.qr(decoder[chosen].double().T).R
    return latents[:, chosen].double() @ triangle.T


def groups_of(latents: Float[Tensor, "n a"], decoder: Float[Tensor, "a d"]) -> list[Group]:
    """Groups by both affinities; `latents` of all prompts together, `decoder` of the kept latents."""
    strongest = latents.square().sum(dim=0).topk(min(MOST_GROUPED, latents.shape[1])).indices.sort().values
    affinities: dict[By, Tensor] = {
        "decoder": _cosine(decoder[strongest].double().T).square(),
        "coactivation": _cosine(latents[:, strongest].double()),
    }
    found: dict[tuple[int, ...], Group] = {}
    for by, affinity in affinities.items():
        for members in _branches(affinity):
            columns = tuple(strongest[list(members)].tolist())
            found.setdefault(columns, Group(by, columns))
    return list(found.values())


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
    height, joined = [0.0] * count, {}
    for one, other, distance, _ in tree.tolist():
        members.append(tuple(sorted(members[int(one)] + members[int(other)])))
        height.append(distance)
        joined |= {int(one): distance, int(other): distance}
        if len(members[-1]) > LARGEST:
            members[-1] = members[-1][: LARGEST + 1]  # too large for good: of its members only the count matters
    lasts = {at: joined.get(at, 1.0) - height[at] for at in range(count, len(members))}
    whole = [at for at in lasts if SMALLEST <= len(members[at]) <= LARGEST]
    return [members[at] for at in sorted(whole, key=lambda at: -lasts[at])[:MOST_GROUPS]]
