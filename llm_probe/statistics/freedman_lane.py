"""Freedman-Lane permutations within one modulus: would shuffled residuals fit a circle as well?

Residuals e = M_Z y (N x R responses: every dimension of every cell), circles Q_k = orth(M_Z X_k). The rows of e are
permuted within strata (templates), the same permutation P for every response and frequency, and the largest partial
R² of the whole search is kept:

    T(P) = max_{r,k} ||Q_kᵀ P e_r||² / D_r(P),       p = (1 + #{P : T(P) >= observed}) / (1 + #permutations)

(Freedman & Lane 1983; Winkler et al. 2014, algorithm 1; max-T). D_r(P) is what the refit of permuted residuals leaves,
||M_Z P e_r||² = ||e_r||² - ||Zᵀ P e_r||²: a product with q = rank Z columns beside the two of each frequency. The suite
takes its expectation over the permutations instead (`exact=False`), which costs nothing: with ē_s the mean and v_s the
variance of e_r in stratum s, z̄_s the means of Z there,

    E D_r = ||e_r||² - ||Σ_s n_s z̄_s ē_sr||² - Σ_s v_sr ||Z_s - z̄_s||²_F.

`exact=True` computes every denominator; a test shows that their p agree. The observed statistic is the partial R², as
M_Z e = e.

**What this p does not promise.** It is exact only if the rows of e are exchangeable. An untrained network is a
deterministic, smooth function of the digits: its rows are not exchangeable, with or without a signal
(docs/statistics.md), and this p can be small for it. It is a diagnostic, and the calibration measures how often it is
fooled; the verdict rests on the renaming null (`nulls`) and on the assignment test (`assignment`).

How: the rows of Q are permuted instead of those of e (the inverse permutation has the same law), so that a block of
permutations is one float32 matrix product with a tile of columns of e; squares, sums and maxima are taken in place
while that product is in the cache. 4·K·N·R operations a permutation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.design import circle_bases, identifiable, nuisance_basis
from llm_probe.statistics.renaming import corrected_p
from toy.run.errors import InputError

PERMUTATIONS = 10_000
AT_ONCE = 32
"""Permutations of one matrix product."""
TILE = 1024
"""Responses of one matrix product: with `AT_ONCE` permutations of eleven frequencies two products are 3 MB."""
FEWEST_PERMUTATIONS = 99
ALIVE = 1e-10
"""Share of the largest residual variance below which a response is constant: noise over noise."""


@dataclass(frozen=True)
class WithinModulus:
    """Partial R² of every response and frequency, and the largest of each permutation."""

    r2: Float[Tensor, "k cells d"]
    maxima: Float[Tensor, " permutations"]

    def p_fwer(self, r2: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """Corrected over cells, dimensions and frequencies."""
        return corrected_p(r2, self.maxima)

    @property
    def p_joint(self) -> float:
        """That any dimension at all carries the circle."""
        return float(self.p_fwer(self.r2.max()))


def freedman_lane(
    responses: Float[Tensor, "n cells d"],
    labels: Labels,
    frequencies: tuple[int, ...],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    *,
    exact: bool = False,
) -> WithinModulus:
    """The search of one claim; `responses` from `dimensions.adjusted_states`, permuted within templates.

    Raises:
        InputError: the design is not identifiable, or there are too few prompts or permutations.
    """
    _, cells, d = responses.shape
    check_permutable(labels.template, permutations)
    identifiable(labels, labels.period, frequencies)
    nuisances = nuisance_basis(labels).to(responses.device)
    bases = circle_bases(labels.total, labels.period, frequencies, nuisances.cpu()).to(responses.device)
    flat = responses.reshape(len(responses), -1)
    residuals = flat - nuisances.to(flat) @ (nuisances.to(flat).T @ flat)
    total = residuals.square().sum(dim=0)
    explained = torch.stack([(basis.to(flat).T @ residuals).square().sum(dim=0) for basis in bases])
    alive = total > ALIVE * total.max()
    r2 = torch.where(alive, explained / total.clamp_min(1e-30), 0.0)
    maxima = permutation_maxima(residuals[:, alive], bases, nuisances, labels.template, permutations, seed, exact=exact)
    return WithinModulus(r2.view(-1, cells, d).double().cpu(), maxima)


def permutation_maxima(
    residuals: Float[Tensor, "n r"],
    bases: Float[Tensor, "k n 2"],
    nuisances: Float[Tensor, "n q"],
    strata: Int[Tensor, " n"],
    permutations: int,
    seed: int,
    *,
    exact: bool = False,
) -> Float[Tensor, " permutations"]:
    """T of every permutation; no residual may be constant, `bases` and `nuisances` are orthonormal."""
    device = residuals.device
    left = residuals.square().sum(dim=0) if exact else expected_left(residuals, nuisances, strata)
    scaled = residuals.float() / left.sqrt().float()
    tiles = [tile.contiguous() for tile in scaled.split(TILE, dim=1)]
    waves = bases.permute(2, 0, 1).float().contiguous()
    blocked = nuisances.T.float().contiguous()
    generator = torch.Generator().manual_seed(seed)
    maxima = []
    for start in range(0, permutations, AT_ONCE):
        rows = permuted_rows(strata, min(AT_ONCE, permutations - start), generator).to(device)
        cosines, sines = (wave[:, rows].transpose(0, 1).flatten(0, 1) for wave in waves)
        refit = blocked[:, rows].transpose(0, 1) if exact else None
        best = torch.zeros(len(rows), device=device)
        for tile in tiles:
            best = torch.maximum(best, _largest(cosines, sines, refit, tile, len(rows)))
        maxima.append(best)
    return torch.cat(maxima).double().cpu()


def _largest(
    cosines: Float[Tensor, "bk n"],
    sines: Float[Tensor, "bk n"],
    refit: Float[Tensor, "b q n"] | None,
    tile: Float[Tensor, "n t"],
    permutations: int,
) -> Float[Tensor, " b"]:
    """Largest R² of each permutation over frequencies and the tile's responses."""
    squared = (cosines @ tile).square_()
    sine = sines @ tile
    squared.addcmul_(sine, sine)
    if refit is None:
        return squared.view(permutations, -1).amax(dim=1)
    best = squared.view(permutations, -1, tile.shape[1]).amax(dim=1)
    left = 1 - (refit.flatten(0, 1) @ tile).square_().view(permutations, -1, tile.shape[1]).sum(dim=1)
    return (best / left).amax(dim=1)


def expected_left(
    residuals: Float[Tensor, "n r"], nuisances: Float[Tensor, "n q"], strata: Int[Tensor, " n"]
) -> Float[Tensor, " r"]:
    """E ||M_Z P e||² of every response over permutations within strata."""
    left = residuals.square().sum(dim=0)
    between = torch.zeros(nuisances.shape[1], residuals.shape[1], device=residuals.device, dtype=residuals.dtype)
    for stratum in strata.unique().tolist():
        rows = (strata == stratum).to(residuals.device)
        part, basis = residuals[rows], nuisances[rows]
        means, basis_means = part.mean(dim=0), basis.mean(dim=0)
        between += len(part) * basis_means[:, None].to(part) * means
        variance = (part - means).square().sum(dim=0) / max(len(part) - 1, 1)
        left = left - variance * float((basis - basis_means).square().sum())
    return left - between.square().sum(dim=0)


def permuted_rows(strata: Int[Tensor, " n"], count: int, generator: torch.Generator) -> Int[Tensor, "count n"]:
    """Row numbers of `count` random permutations within strata: row i is replaced by another of its own stratum."""
    n = len(strata)
    # Sorting by stratum, then by a random number, lists every stratum in random order in its own places.
    noise = torch.rand(count, n, generator=generator, dtype=torch.float64)
    shuffled = torch.argsort(strata.double() + noise, dim=1)
    places = torch.argsort(strata, stable=True)
    return torch.empty(count, n, dtype=torch.long).index_copy_(1, places, shuffled)


def check_permutable(strata: Int[Tensor, " n"], permutations: int) -> None:
    """Raise unless permutations within strata can give a small p.

    Raises:
        InputError: fewer than 99 permutations are asked for, or fewer exist.
    """
    if permutations < FEWEST_PERMUTATIONS:
        raise InputError(f"{permutations} permutations cannot give p <= 0.01: ask for {FEWEST_PERMUTATIONS} or more")
    sizes = strata.unique(return_counts=True)[1].tolist()
    if sum(math.lgamma(size + 1) for size in sizes) < math.log(FEWEST_PERMUTATIONS + 1):
        raise InputError(
            f"{len(strata)} prompts in {len(sizes)} templates have fewer than {FEWEST_PERMUTATIONS + 1} permutations "
            "within templates: give 5 or more prompts of one template"
        )
