"""The period scan: does the domain's own period stand out, or is every period of the integer carried?

A general representation of n = a op b lets a ridge *read* cos(2πfn) at any frequency f, so reading is no evidence
for arithmetic mod p. What the stream is *made of* is: the share of its variance at frequency f,

    S(f) = ||Q_fᵀ M_Z H||² / ||M_Z H||²,   Q_f = orth(M_Z [cos, sin](2πfn)),

summed over all dimensions (rotation-invariant), Z the template and both one-hot operands. Arithmetic mod p puts
lines at k/p and nowhere near. A line's **prominence** is its share minus the mean over its neighbourhood (farther
than the resolution, nearer than `NEIGHBOURHOOD`). The largest prominence over cells and k is compared with that of
random sets of equally many frequencies elsewhere:

    p = (1 + #{random sets at least as prominent}) / (1 + #sets).

Frequencies at multiples of 1/10 are left out of both: periods 2, 5 and 10 are expected in any decimal
representation, so they prove nothing and would drown the null. Every cell is looked at twice, with all dimensions
and without the four of largest variance: massive activations can be most of it, and can also be the line.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from llm_probe.claims import Labels
from llm_probe.dimensions import fixed_nuisances, whitened, without

LOWEST = 0.02
"""Below it a line has fewer than four periods in two-digit sums: it is magnitude."""
NEIGHBOURHOOD = 0.05
POINTS = 240
SETS = 199
MASSIVE_DIMENSIONS = 4


@dataclass(frozen=True)
class Scan:
    """Variance shares over frequencies for every cell, and whether the own period stands out."""

    frequencies: Float[Tensor, " f"]
    """Cycles per unit of n; the own lines k/p come first."""
    share: Float[Tensor, "cells f"]
    """All dimensions together."""
    prominence: Float[Tensor, "cells k"]
    """Of the own lines; -inf where a line coincides with a decimal one."""
    p_period: float


def scan(responses: Float[Tensor, "n cells d"], labels: Labels, frequencies: tuple[int, ...], seed: int = 0) -> Scan:
    """Scan an arithmetic claim's discovery prompts; `responses` are residuals of the fixed nuisances."""
    own = torch.tensor([k / labels.period for k in frequencies], dtype=torch.float64)
    grid = torch.linspace(LOWEST, 0.5, POINTS, dtype=torch.float64)
    scanned = torch.cat([own, grid])
    both = torch.stack([shares(part, labels, scanned) for part in (responses, without_massive(responses))])
    # n is a sum of two operands of half its range, so a line is as wide as theirs.
    resolution = 2 / float(labels.total.max() - labels.total.min())
    prominence = _prominence(scanned, both, own, resolution).amax(dim=0)
    usable = ~_is_decimal(own, resolution) & (own >= LOWEST)
    observed = prominence[:, : len(own)].masked_fill(~usable, -torch.inf)
    distance = (grid[:, None] - own).abs().amin(dim=1)
    elsewhere = torch.nonzero((distance > resolution) & ~_is_decimal(grid, resolution))[:, 0] + len(own)
    null = _null_maxima(prominence[:, elsewhere], int(usable.sum()), seed)
    return Scan(scanned, both[0], observed, (1 + int((null >= observed.max()).sum())) / (1 + SETS))


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


def _null_maxima(prominence: Float[Tensor, "cells f"], lines: int, seed: int) -> Float[Tensor, " sets"]:
    """Largest prominence over cells of `SETS` random sets of `lines` frequencies; +inf where none is left."""
    if lines == 0 or prominence.shape[1] < lines:
        return torch.full((SETS,), torch.inf, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    best = prominence.max(dim=0).values
    picks = [torch.randperm(len(best), generator=generator)[:lines] for _ in range(SETS)]
    return torch.stack([best[pick].max() for pick in picks])


def _prominence(
    scanned: Float[Tensor, " f"], share: Float[Tensor, "... f"], own: Float[Tensor, " k"], resolution: float
) -> Float[Tensor, "... f"]:
    """Share minus the mean share of the neighbourhood; own lines never count as neighbours."""
    away = (scanned[:, None] - scanned).abs()
    foreign = (scanned[:, None] - own).abs().amin(dim=1) > resolution
    neighbours = ((away > resolution) & (away <= NEIGHBOURHOOD) & foreign).double()
    return share - (share @ neighbours.T) / neighbours.sum(dim=1).clamp_min(1)


def _is_decimal(frequency: Float[Tensor, " f"], resolution: float) -> Bool[Tensor, " f"]:
    return (frequency * 10 - (frequency * 10).round()).abs() / 10 < resolution / 2
