"""The period scan: does the domain's own period stand out, or is every period of the integer carried?

A general representation of n = a op b lets a ridge *read* cos(2πfn) at any frequency f, so reading is no evidence
for arithmetic mod p. What the stream is *made of* is: the share of its variance at frequency f,

    S(f) = ||Q_fᵀ M_Z H||² / ||M_Z H||²,   Q_f = orth(M_Z [cos, sin](2πfn)),

summed over all dimensions (rotation-invariant), Z the template and both one-hot operands. Arithmetic mod p puts
lines at k/p and nowhere near. How far a line stands out is its log share beyond the log mean share of its
neighbourhood (farther than the resolution, nearer than `NEIGHBOURHOOD`). Frequencies elsewhere give that quantity's
mean m and standard deviation s, from as many independent lines M as the resolution leaves:

    t = (x - m) / (s sqrt(1 + 1/M)),   p = min(1, lines · cells · 2 · P(T_{M-1} >= t))   for the largest own line

(Bonferroni). A share is a sum of squares, so its logarithm has a lighter right tail than the normal law: for noise p is
conservative. No permutation would do: at p = 23 the own lines are a third of all lines there are.

Frequencies at multiples of 1/10 are left out of both: periods 2, 5 and 10 are expected in any decimal
representation, so they prove nothing and would drown the null. Every cell is looked at twice, with all dimensions
and without the four of largest variance: massive activations can be most of it, and can also be the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.dimensions import fixed_nuisances, whitened, without

LOWEST = 0.02
"""Below it a line has fewer than four periods in two-digit sums: it is magnitude."""
NEIGHBOURHOOD = 0.05
POINTS = 240
FEWEST_LINES = 4
"""Independent lines elsewhere: with fewer their spread is not known."""
MASSIVE_DIMENSIONS = 4


@dataclass(frozen=True)
class Scan:
    """Variance shares over frequencies for every cell, and whether the own period stands out."""

    frequencies: Float[Tensor, " f"]
    """Cycles per unit of n; the own lines k/p come first."""
    share: Float[Tensor, "cells f"]
    """All dimensions together."""
    prominence: Float[Tensor, "cells k"]
    """t of the own lines; -inf where a line coincides with a decimal one."""
    p_period: float | None
    """None where own lines leave too few others to compare with."""


def scan(responses: Float[Tensor, "n cells d"], labels: Labels, frequencies: tuple[int, ...]) -> Scan:
    """Scan an arithmetic claim's discovery prompts; `responses` are residuals of the fixed nuisances."""
    own = torch.tensor([k / labels.period for k in frequencies], dtype=torch.float64)
    grid = torch.linspace(LOWEST, 0.5, POINTS, dtype=torch.float64)
    scanned = torch.cat([own, grid])
    both = torch.stack([shares(part, labels, scanned) for part in (responses, without_massive(responses))])
    resolution = resolution_of(labels)
    contrast = _contrast(scanned, both, own, resolution)
    usable = ~is_decimal(own, resolution) & (own >= LOWEST)
    distance = (grid[:, None] - own).abs().amin(dim=1)
    elsewhere = torch.nonzero((distance > resolution) & ~is_decimal(grid, resolution))[:, 0] + len(own)
    independent = len(elsewhere) * float(grid[1] - grid[0]) / resolution
    score = _studentised(contrast, elsewhere, independent)[..., : len(own)].amax(dim=0)
    score = score.masked_fill(~usable, -torch.inf)
    tests, best = int(usable.sum()) * score.shape[0] * len(both), float(score.max())
    p = min(1.0, float(stats.t.sf(best, independent - 1)) * tests) if math.isfinite(best) else None
    return Scan(scanned, both[0], score, p)


def shares(
    responses: Float[Tensor, "n cells d"], labels: Labels, scanned: Float[Tensor, " f"]
) -> Float[Tensor, "cells f"]:
    """S(f) of every cell."""
    angle = 2 * torch.pi * labels.total.double() * scanned[:, None]
    waves = whitened(without(torch.stack([angle.cos(), angle.sin()], dim=2), fixed_nuisances(labels)))
    basis = waves.transpose(1, 2).flatten(0, 1).to(responses)
    power = torch.stack([(basis @ cell).square().sum(dim=1) for cell in responses.unbind(dim=1)])
    total = responses.square().sum(dim=(0, 2)).clamp_min(1e-30)
    return (power.unflatten(1, (-1, 2)).sum(dim=2) / total[:, None]).double().cpu()


def without_massive(responses: Float[Tensor, "n cells d"]) -> Float[Tensor, "n cells d"]:
    """The responses with each cell's four dimensions of largest variance set to zero."""
    squared = responses.square().sum(dim=0)
    massive = squared.topk(min(MASSIVE_DIMENSIONS, squared.shape[1] - 1), dim=1).indices
    return responses * torch.ones_like(squared).scatter_(1, massive, 0)


def _contrast(
    scanned: Float[Tensor, " f"], share: Float[Tensor, "... f"], own: Float[Tensor, " k"], resolution: float
) -> Float[Tensor, "... f"]:
    """Log share beyond the log mean share of the neighbourhood; own lines never count as neighbours."""
    away = (scanned[:, None] - scanned).abs()
    foreign = (scanned[:, None] - own).abs().amin(dim=1) > resolution
    neighbours = ((away > resolution) & (away <= NEIGHBOURHOOD) & foreign).double()
    around = (share @ neighbours.T) / neighbours.sum(dim=1).clamp_min(1)
    # Where own lines leave no neighbour there is nothing to stand out of.
    contrast = share.clamp_min(1e-30).log() - around.clamp_min(1e-30).log()
    return contrast.masked_fill(neighbours.sum(dim=1) == 0, -torch.inf)


def _studentised(
    contrast: Float[Tensor, "... f"], elsewhere: Int[Tensor, " g"], independent: float
) -> Float[Tensor, "... f"]:
    """Distance from what frequencies elsewhere have, in standard errors of one more of them; -inf if they are few."""
    foreign = contrast[..., elsewhere]
    foreign = foreign[..., foreign.flatten(0, -2).isfinite().all(dim=0)]
    if independent < FEWEST_LINES or foreign.shape[-1] < FEWEST_LINES:
        return torch.full_like(contrast, -torch.inf)
    spread = foreign.std(dim=-1, keepdim=True).clamp_min(1e-12) * (1 + 1 / independent) ** 0.5
    return (contrast - foreign.mean(dim=-1, keepdim=True)) / spread


def resolution_of(labels: Labels) -> float:
    """How far apart two frequencies of n have to be to be told apart, cycles per unit of n.

    Waves in n are products of waves in the operands, so that the longer of their ranges counts.
    """
    return 1 / max(float(operand.max() - operand.min()) for operand in (labels.first, labels.offset))


def is_decimal(frequency: Float[Tensor, " f"], resolution: float) -> Bool[Tensor, " f"]:
    """Which frequencies are nearer than half the resolution to a multiple of 1/10: periods of the decimal digits."""
    return (frequency * 10 - (frequency * 10).round()).abs() / 10 < resolution / 2 + 1e-9
