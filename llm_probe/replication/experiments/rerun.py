"""Published R² claims, run again on their own prompts: published value beside reproduced value.

Every claim of the Qwen3 experiments that is an R² of class means names its grid (`grids`), layer, dimension and, for
most, frequency. Each distinct grid is read once for all its claims. The recipe is the published one:

    n class means at the last token, least squares on [1, cos, sin](2πks/n) (or [1, s, …, s^q]), R² of the n means

with the layer read as they read it (the last one after the final norm, `class_means`). Their denominator carries
1e-10, which changes an R² by 1e-10 / SStot and is left out. Beside the value stands the end of the search it came from:
the best of all dimensions at its layer (best frequency of each), and where layers were scanned for one dimension
(`qwen3_deep`), its best layer. A claim on a mean over moduli is the mean over their grids of each dimension's R².

Claims that cannot be run again get a reason in words and no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.models.loading import LoadedModel
from llm_probe.replication.audit.claims import PublishedClaim
from llm_probe.replication.experiments.class_means import ClassMeans, class_means
from llm_probe.replication.experiments.grids import GRIDS, Grid, arithmetic
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns

Family = Literal["fourier", "linear", "quadratic", "cubic"]

METRICS: dict[str, Family] = {
    "fourier_r2_residue_means": "fourier",
    "linear_r2_residue_means": "linear",
    "quadratic_r2_residue_means": "quadratic",
    "cubic_r2_residue_means": "cubic",
    "linear_r2": "linear",
    "mean_r2_primes_5_35": "fourier",
    "mean_r2_composites_5_35": "fourier",
}
"""Metric to the family that was fitted."""
DOMAINS: dict[str, str] = {
    "days_of_week": "days",
    "months": "months",
    "clock_hours": "hours",
    "alphabet": "alphabet",
}
"""First word of a claim's domain to its grid; `modular_addition` is arithmetic."""
SCANNED = range(5, 36)
"""Moduli of the published range scan."""
SCANNED_LAYERS = ("qwen3_deep", "qwen3_deep_best")
"""Experiments that followed one dimension over all layers."""
MODELS = ("Qwen/Qwen3",)
"""What the names of the models begin with whose claims are about prompts in words."""
WIDTHS = {"Qwen/Qwen3-0.6B": 1024}
"""Width of a published model: its dimensions mean nothing in another."""


@dataclass(frozen=True)
class Rerun:
    """One claim beside what this model gives."""

    claim: PublishedClaim
    reason: str | None
    """Why it was not run again; None if it was."""
    reproduced: float | None = None
    """The claim's statistic at its layer, dimension and frequency (the best frequency where it names none)."""
    frequency: int | None = None
    """The best frequency of that dimension here; None for polynomials and means over moduli."""
    best_dim: int | None = None
    """The best of all dimensions at the claim's layer …"""
    best_value: float | None = None
    """… and its R²."""
    best_layer: int | None = None
    """The layer where the claim's dimension is best; None where no layers were scanned."""
    rank: int | None = None
    """Place of the claim's dimension among those of its layer, 1 the best."""
    n_prompts: int = 0


def rerun(
    loaded: LoadedModel,
    claims: Sequence[PublishedClaim],
    *,
    batch_tokens: int | None = None,
    on_grid: Callable[[Grid, int], None] = lambda grid, claims: None,
) -> list[Rerun]:
    """Every claim, in order; `on_grid` is told each grid that is read and how many claims it serves."""
    reasons = [why_not(loaded, claim) for claim in claims]
    wanted: dict[Grid, list[int]] = {}
    for index, claim in enumerate(claims):
        for grid in grids_of(claim) if reasons[index] is None else []:
            wanted.setdefault(grid, []).append(index)
    searches = {index: _Search(claims[index], loaded) for indices in wanted.values() for index in indices}
    for grid, indices in wanted.items():
        on_grid(grid, len(indices))
        layers = sorted({layer for index in indices for layer in searches[index].layers})
        means = class_means(loaded, grid, layers, published_layers=True, batch_tokens=batch_tokens)
        scores = _Scores(means)
        for index in indices:
            searches[index].add(scores, grid)
    return [
        searches[index].result() if reasons[index] is None else Rerun(claim, reasons[index])
        for index, claim in enumerate(claims)
    ]


def grids_of(claim: PublishedClaim) -> list[Grid]:
    """The grids a claim's statistic is averaged over; none if it is not an R² of a published grid."""
    if claim.metric not in METRICS or claim.experiment.startswith("sae"):
        return []
    if claim.metric.startswith("mean_r2_"):
        kind = claim.metric.split("_")[2]
        return [arithmetic(n) for n in SCANNED if (kind == "primes") == _is_prime(n)]
    if claim.experiment == "alphabet_linear":
        return [GRIDS["alphabet_position"]]
    name = claim.domain.split()[0] if claim.domain else ""
    if name == "modular_addition":
        return [] if claim.modulus is None or claim.modulus < 3 else [arithmetic(claim.modulus)]
    return [GRIDS[DOMAINS[name]]] if name in DOMAINS else []


def why_not(loaded: LoadedModel, claim: PublishedClaim) -> str | None:
    """Why a claim cannot be run again on this model, in words; None if it can."""
    width = WIDTHS.get(claim.model, loaded.d_model)
    layer, dim, grids = claim.layer, claim.dim, grids_of(claim)
    highest = grids[0].period // 2 if grids else 0
    checks = (
        (claim.model.startswith(MODELS), f"it is about {claim.model}, which is not asked in words"),
        (not claim.experiment.startswith("sae"), "its features are of a sparse autoencoder that is not at hand"),
        (claim.metric in METRICS, f"{claim.metric} is not an R² of class means"),
        (bool(grids), f"no published prompts are known for the domain {claim.domain!r}"),
        (width == loaded.d_model, f"{claim.model} is {width} wide and {loaded.name} {loaded.d_model}"),
        (layer is not None and dim is not None, "it names no layer or no dimension"),
        (0 <= (layer or 0) < len(loaded.layers), f"layer {layer} does not exist: there are {len(loaded.layers)}"),
        (0 <= (dim or 0) < loaded.d_model, f"dimension {dim} does not exist: {loaded.name} is {loaded.d_model} wide"),
        (1 <= (claim.frequency or 1) <= max(highest, 1), f"frequency {claim.frequency} does not exist: {highest} do"),
    )
    return next((reason for holds, reason in checks if not holds), None)


class _Scores:
    """R² of every dimension of a grid, each family and layer computed once for all claims."""

    def __init__(self, means: ClassMeans) -> None:
        self.means = means
        self.known: dict[tuple[Family, int], Float[Tensor, "k d"]] = {}

    def r2(self, family: Family, layer: int) -> Float[Tensor, "k d"]:
        """One row a frequency; a polynomial has a single row."""
        key = (family, layer)
        if key not in self.known:
            means = self.means.at(layer)
            labels = torch.arange(len(means))
            if family == "fourier":
                self.known[key] = class_mean_r2(means)
            else:
                self.known[key] = r2_in_sample(means, rival_columns(labels, len(means), family))[None]
        return self.known[key]


class _Search:
    """One claim's search, summed over its grids."""

    def __init__(self, claim: PublishedClaim, loaded: LoadedModel) -> None:
        assert claim.layer is not None
        assert claim.dim is not None
        self.claim, self.layer, self.dim = claim, claim.layer, claim.dim
        self.family: Family = METRICS[claim.metric]
        self.scanned = claim.experiment in SCANNED_LAYERS
        self.layers = tuple(range(len(loaded.layers))) if self.scanned else (self.layer,)
        self.best = torch.zeros(len(self.layers), loaded.d_model, dtype=torch.float64)
        self.value, self.grids, self.prompts = 0.0, 0, 0
        self.frequency: int | None = None

    def add(self, scores: _Scores, grid: Grid) -> None:
        """One more grid of this claim."""
        self.best += torch.stack([scores.r2(self.family, layer).amax(dim=0) for layer in self.layers])
        own = scores.r2(self.family, self.layer)[:, self.dim]
        asked = self.claim.frequency if self.family == "fourier" else None
        self.value += float(own.max() if asked is None else own[asked - 1])
        self.frequency = int(own.argmax()) + 1 if self.family == "fourier" else None
        self.grids += 1
        self.prompts += grid.n_prompts

    def result(self) -> Rerun:
        best = self.best / self.grids
        own = best[self.layers.index(self.layer)]
        return Rerun(
            claim=self.claim,
            reason=None,
            reproduced=self.value / self.grids,
            frequency=self.frequency if self.grids == 1 else None,
            best_dim=int(own.argmax()),
            best_value=float(own.max()),
            best_layer=self.layers[int(best[:, self.dim].argmax())] if self.scanned else None,
            rank=1 + int((own > own[self.dim]).sum()),
            n_prompts=self.prompts,
        )


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
