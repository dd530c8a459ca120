"""A claim's prompts as a sparse autoencoder sees them: states, and the latents that are active on them.

    z = encode(h)        h (n, d) residual states, z (n, latents) >= 0, mostly 0

Of 4,096 or 65,536 latents few are ever active on the prompts of a domain, and a latent that is active on one prompt
in a thousand carries no circle. A latent is kept if it is active on at least `RARE` of the discovery prompts of some
claim, a rule that looks at no label, so that every renaming keeps the same ones. With L0 active latents a prompt at
most L0 / RARE can be kept, whatever the width: that, and encoding `ROWS_AT_ONCE` prompts at a time, bounds memory.

The kept latents are the columns (n, a) that all searches run on; `index` (a,) are their places in the dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.states import read
from llm_probe.activations.streaming import ReadPlan
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.job import Job, positions
from llm_probe.run.table import Site
from llm_probe.statistics import renaming
from llm_probe.statistics.renaming import Renamed
from sae.training.saved import Saved

RARE = 0.01
"""Share of the prompts below which a latent is not searched."""
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Reading:
    """Residual states of one claim at every place that an SAE was trained on."""

    claim: Claim
    labels: Labels
    new_labels: Labels
    renamed: Renamed
    places: tuple[tuple[int, Site], ...]
    discovery: Float[Tensor, "n cells d"]
    confirmation: Float[Tensor, "m cells d"]

    def at(self, layer: int, site: Site) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
        """Discovery and confirmation states of one place."""
        cell = self.places.index((layer, site))
        return self.discovery[:, cell], self.confirmation[:, cell]


@dataclass(frozen=True)
class Encoded:
    """One claim at one place: raw states, and the kept latents."""

    claim: Claim
    labels: Labels
    new_labels: Labels
    renamed: Renamed
    states: Float[Tensor, "n d"]
    new_states: Float[Tensor, "m d"]
    latents: Float[Tensor, "n a"]
    new_latents: Float[Tensor, "m a"]


def read_claims(
    job: Job, loaded: LoadedModel, claims: Sequence[Claim], places: Sequence[tuple[int, Site]]
) -> list[Reading]:
    """Every claim's discovery and confirmation prompts, read once for all places, at the claim's own position.

    `job`: of the model's vocabulary, which says what can change its name in the renaming null.

    Raises:
        InputError: a layer or site that the model has not, or prompts that cannot be read.
    """
    config = job.config
    layers = tuple(sorted({layer for layer, _ in places}))
    sites: tuple[Site, ...] = tuple(sorted({site for _, site in places}))
    found = []
    for claim in claims:
        asked = claim.prompts("discovery", config.prompts, config.seed)
        new = claim.prompts("confirmation", config.prompts // 2, config.seed)
        labels, new_labels = Labels.of(claim, asked), Labels.of(claim, new)
        plan = ReadPlan(layers, sites, positions(claim, asked[0], ()))
        states = read(loaded, claim, asked, new, plan, batch_tokens=config.batch_tokens, grid=False)
        cells: tuple[tuple[int, Site], ...] = tuple((layer, site) for layer, site, _ in plan.cells)
        renamed = renaming.rename(claim, labels, job.item_kinds(claim), config.renamings, config.seed)
        found.append(Reading(claim, labels, new_labels, renamed, cells, states.discovery, states.confirmation))
    return found


def kept_latents(saved: Saved, states: Iterable[Float[Tensor, "_ d"]]) -> Int[Tensor, " a"]:
    """Indices of the latents that are active on at least `RARE` of the prompts of one of these sets, ascending."""
    kept = torch.zeros(len(saved.decoder), dtype=torch.bool)
    for some in states:
        count = torch.zeros(len(kept), dtype=torch.long)
        for rows in some.split(ROWS_AT_ONCE):
            count += (saved.encode(rows) > 0).sum(dim=0).cpu()
        kept |= count >= max(2, RARE * len(some))
    return torch.nonzero(kept)[:, 0]


def encode(saved: Saved, states: Float[Tensor, "n d"], index: Int[Tensor, " a"]) -> Float[Tensor, "n a"]:
    """Activations of some latents, a few rows at a time."""
    return torch.cat([saved.encode(rows).cpu()[:, index] for rows in states.split(ROWS_AT_ONCE)])


def encoded(saved: Saved, reading: Reading, index: Int[Tensor, " a"]) -> Encoded:
    """A reading at the place of an SAE, with its kept latents."""
    states, new_states = reading.at(saved.layer, saved.site)
    parts = [encode(saved, some, index) for some in (states, new_states)]
    return Encoded(
        reading.claim, reading.labels, reading.new_labels, reading.renamed, states.cpu(), new_states.cpu(), *parts
    )
