"""The period scan: does the domain's own period stand out, or can every period be read?

A general representation of the integer n = a op b lets a ridge read cos(2πfn) at *any* frequency f. Arithmetic
mod p should put lines at k/p and nowhere near. So the plane's held-out R² is taken at many frequencies f, and a
line's **prominence** is its R² minus the mean over its neighbourhood (farther than the resolution, nearer than
`NEIGHBOURHOOD`). The largest prominence over cells and k is compared with that of random sets of equally many
frequencies elsewhere:

    p = (1 + #{random sets at least as prominent}) / (1 + #sets).

Frequencies at multiples of 1/10 are left out of both: periods 2, 5 and 10 are expected in any decimal
representation (science of number representations), so they prove nothing and would drown the null. Within the
resolution 1/(largest n - smallest n) two frequencies are the same line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.claims import Labels
from llm_probe.planes import PENALTIES
from toy.regression import RidgeSmoother, baseline_residuals, plane_r2

LOWEST = 0.02
"""Below it a line has fewer than four periods in two-digit sums: it is magnitude."""
NEIGHBOURHOOD = 0.05
POINTS = 240
SETS = 199


@dataclass(frozen=True)
class Scan:
    """R² over frequencies for every cell, and whether the own period stands out."""

    frequencies: Float[Tensor, " f"]
    """Cycles per unit of n; the own lines k/p are among them."""
    r2: Float[Tensor, "cells f"]
    prominence: Float[Tensor, "cells k"]
    """Of the own lines; -inf where a line coincides with a decimal one."""
    p_period: int | float


def scan(smoothers: Sequence[RidgeSmoother], labels: Labels, frequencies: tuple[int, ...], seed: int = 0) -> Scan:
    """Scan an arithmetic claim's discovery prompts."""
    own = torch.tensor([k / labels.period for k in frequencies], dtype=torch.float64)
    grid = torch.linspace(LOWEST, 0.5, POINTS, dtype=torch.float64)
    scanned = torch.cat([own, grid])
    r2 = torch.stack([_spectrum(smoother, labels, scanned) for smoother in smoothers])
    resolution = 1 / float(labels.total.max() - labels.total.min())
    prominence = _prominence(scanned, r2, own, resolution)
    usable = ~_is_decimal(own, resolution) & (own >= LOWEST)
    observed = prominence[:, : len(own)].masked_fill(~usable, -torch.inf)
    distance = (grid[:, None] - own).abs().amin(dim=1)
    elsewhere = torch.nonzero((distance > resolution) & ~_is_decimal(grid, resolution))[:, 0] + len(own)
    null = _null_maxima(prominence[:, elsewhere], int(usable.sum()), seed)
    return Scan(scanned, r2, observed, (1 + int((null >= observed.max()).sum())) / (1 + SETS))


def _null_maxima(prominence: Float[Tensor, "cells f"], lines: int, seed: int) -> Float[Tensor, " sets"]:
    """Largest prominence over cells of `SETS` random sets of `lines` frequencies; +inf where none is left."""
    if lines == 0 or prominence.shape[1] < lines:
        return torch.full((SETS,), torch.inf, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    best = prominence.max(dim=0).values
    picks = [torch.randperm(len(best), generator=generator)[:lines] for _ in range(SETS)]
    return torch.stack([best[pick].max() for pick in picks])


def _spectrum(smoother: RidgeSmoother, labels: Labels, scanned: Float[Tensor, " f"]) -> Float[Tensor, " f"]:
    """Held-out R² of the best plane at each frequency, at its best penalty."""
    angle = 2 * torch.pi * labels.total.double()[:, None] * scanned
    targets = torch.stack([angle.cos(), angle.sin()], dim=2).flatten(1).to(smoother.left.device)
    units = labels.groups("unit")
    assert units is not None
    baseline = baseline_residuals(targets, units)
    scores = [plane_r2(errors, baseline) for errors in smoother.heldout_path(targets, units, PENALTIES)]
    return torch.stack(scores).max(dim=0).values.cpu()


def _prominence(
    scanned: Float[Tensor, " f"], r2: Float[Tensor, "cells f"], own: Float[Tensor, " k"], resolution: float
) -> Float[Tensor, "cells f"]:
    """R² minus the mean R² of the neighbourhood; own lines never count as neighbours."""
    away = (scanned[:, None] - scanned).abs()
    foreign = (scanned[:, None] - own).abs().amin(dim=1) > resolution
    neighbours = ((away > resolution) & (away <= NEIGHBOURHOOD) & foreign).double()
    return r2 - (r2 @ neighbours.T) / neighbours.sum(dim=1).clamp_min(1)


def _is_decimal(frequency: Float[Tensor, " f"], resolution: float) -> Tensor:
    return (frequency * 10 - (frequency * 10).round()).abs() / 10 < resolution / 2
