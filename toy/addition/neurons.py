"""Which neurons of a network that adds are periodic in a + b, beside what an untrained network shows.

Published: the mean of a neuron over all pairs of equal a + b, and the best R² of a sinusoid over fifty frequencies,
the lowest about half a cycle over the range. Half a cycle fits a ramp; means hide all that is no function of a + b.

Here, on the full grid of two-digit a and b, a neuron y loses all that is a function of a alone or of b alone,

    ỹ_ab = y_ab - ȳ_a· - ȳ_·b + ȳ,        share_k = |Q_kᵀ ỹ|² / |y - ȳ|²,   Q_k = orth of cos, sin(2πk(a + b)/100)~

so that no ramp, no wave of a digit of one operand counts. Null: in a network that never learnt, the rows of the digits
1 … 9 are exchangeable, and renaming them in both operands maps the grid onto itself; so the largest share over neurons,
places and k under each renaming gives an exact corrected p (max-T). The ones digit of the sum has its lines at
k = 10, 20, …, 50; both digits together at every k.

Places: the neurons of each decoder block at "=", which has seen all digits and no answer, and of each encoder block
averaged over the prompt, as published. Shapes: g = 90 numbers, m neurons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from toy.addition.network import EQUALS, PAIRS_AT_ONCE, Addition, prompts
from toy.maths import fourier
from toy.maths.regression import orthonormal, r2_in_sample
from toy.networks.hooks import capture

LINES = range(1, 51)
NUMBERS = torch.arange(10, 100)
RENAMINGS = 199
"""The smallest p is 1/200."""
SUMS = torch.arange(2 * int(NUMBERS[0]), 2 * int(NUMBERS[-1]) + 1)
CYCLES = torch.linspace(0.5 / len(SUMS), 0.5, 50).tolist()
"""Of the published statistic, per unit of a + b: from half a cycle to one in two."""


def neuron_rows(model: Addition, renamings: int = RENAMINGS) -> Iterator[dict[str, Any]]:
    """A row a place and k: pooled share, the largest neuron's, its corrected p, and how many neurons pass at 5 %."""
    bases = line_bases()
    grids = {place: centred(grid) for place, grid in activations(model).items()}
    waves = torch.cat([grid for grid, _ in grids.values()], dim=2)
    total = torch.cat([power for _, power in grids.values()])
    generator = torch.Generator().manual_seed(model.config.seed)
    null = torch.stack([shares(waves, total, bases, renaming(generator)).max() for _ in range(renamings)])
    bar = float(null.quantile(0.95))
    for place, (wave, power) in grids.items():
        for k, share in zip(LINES, shares(wave, power, bases, torch.arange(len(NUMBERS))), strict=True):
            yield {
                "place": place,
                "k": k,
                "period": 100 / k,
                "share": float(share @ power / power.sum().clamp_min(1e-300)),
                "largest": float(share.max()),
                "p_fwer": (1 + int((null >= share.max()).sum())) / (1 + renamings),
                "null_95": bar,
                "neurons_above": int((share > bar).sum()),
                "neurons": len(share),
            }


def published_r2(model: Addition) -> dict[str, float]:
    """The published statistic over the neurons that vary, median and largest."""
    r2 = torch.cat([fits(grid[:, :, grid.std((0, 1)) > 0], CYCLES).amax(0) for grid in activations(model).values()])
    return {"published_r2_median": float(r2.median()), "published_r2_largest": float(r2.max())}


def fits(grid: Float[Tensor, "g g m"], cycles: Sequence[float]) -> Float[Tensor, "c m"]:
    """R² of a wave of each frequency on the means over equal a + b; of a neuron that never varies 0."""
    means = sum_means(grid)
    r2 = torch.stack([r2_in_sample(means, fourier.circle(SUMS, 1, 1 / each)) for each in cycles])
    return torch.where(means.std(0) > 0, r2, 0.0)


def sum_means(grid: Float[Tensor, "g g m"]) -> Float[Tensor, "n m"]:
    """Means over the pairs of equal a + b."""
    index = (NUMBERS[:, None] + NUMBERS - SUMS[0]).flatten()
    total = torch.zeros(len(SUMS), grid.shape[2], dtype=torch.float64).index_add_(0, index, grid.flatten(0, 1))
    return total / index.bincount()[:, None]


@torch.no_grad()
def activations(model: Addition) -> dict[str, Float[Tensor, "g g m"]]:
    """Neurons of every place on the grid."""
    pairs, width = torch.cartesian_prod(NUMBERS, NUMBERS), len(NUMBERS)
    sites = {f"decoder {i} at =": model.get_submodule(f"decoder.{i}.neurons") for i in range(len(model.decoder))}
    sites |= {f"encoder {i}, mean": model.get_submodule(f"encoder.{i}.neurons") for i in range(len(model.encoder))}
    kept: dict[str, list[Tensor]] = {name: [] for name in sites}

    def keep(name: str, neurons: Tensor) -> None:
        kept[name].append((neurons[:, -1] if name.startswith("decoder") else neurons.mean(1)).double().cpu())

    with capture(sites, keep):
        for prompt in prompts(pairs, model.config.order).to(model.W_U.device).split(PAIRS_AT_ONCE):
            model(prompt, torch.full_like(prompt[:, :1], EQUALS))
    return {name: torch.cat(parts).view(width, width, -1) for name, parts in kept.items()}


def centred(grid: Float[Tensor, "g g m"]) -> tuple[Float[Tensor, "g g m"], Float[Tensor, " m"]]:
    """What depends on both operands, and the neuron's whole variation; one that varies by rounding alone is zero."""
    whole = (grid - grid.mean((0, 1))).square().sum((0, 1))
    varies = (whole > 1e-12 * grid.square().sum((0, 1))).double()
    both = grid - grid.mean(0, keepdim=True) - grid.mean(1, keepdim=True) + grid.mean((0, 1))
    return both * varies, whole * varies


def line_bases() -> Float[Tensor, "k g g 2"]:
    """Q_k: what of each line depends on both operands, orthonormal over the grid; at k = 50 the second is zero."""
    labels, size, bases = (NUMBERS[:, None] + NUMBERS).flatten(), len(NUMBERS), []
    for k in LINES:
        columns, _ = centred(fourier.design(labels, k, 100).view(size, size, -1))
        basis = orthonormal(columns.flatten(0, 1)).view(size, size, -1)
        bases.append(pad(basis, (0, 2 - basis.shape[2])))
    return torch.stack(bases)


def shares(
    waves: Float[Tensor, "g g m"], total: Float[Tensor, " m"], bases: Float[Tensor, "k g g 2"], names: Int[Tensor, " g"]
) -> Float[Tensor, "k m"]:
    """share_k of every neuron when number i is read as number names[i]."""
    renamed = bases[:, names][:, :, names].permute(0, 3, 1, 2).flatten(2).flatten(0, 1)
    power = (renamed.float() @ waves.flatten(0, 1).float()).square().double()
    return power.view(len(bases), 2, -1).sum(1) / total.clamp_min(1e-300)


def renaming(generator: torch.Generator) -> Int[Tensor, " g"]:
    """A permutation of the digits 1 … 9, as one of the two-digit numbers."""
    digits = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(9, generator=generator)])
    return 10 * digits[NUMBERS // 10] + digits[NUMBERS % 10] - 10
