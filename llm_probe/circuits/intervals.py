"""Intervals over prompts: a bootstrap of whole units (prompts of one operand pair are drawn together).

    band             mean of every column with a half-width such that, at 95 %, *all* columns lie within theirs at once:
                     q · se, q the 95th percentile of max over columns |resampled mean - mean| / its own se (max-t,
                     studentised: with one se for all resamples small samples would be covered too rarely)
    ratio_interval   percentile interval of 1 - Σ left / Σ base, an R² held out

n prompts, C columns, U units.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

RESAMPLES = 1000


def _draws(units: int, seed: int) -> Float[Tensor, "resamples units"]:
    """How often each unit is in each resample."""
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(units, (RESAMPLES, units), generator=generator)
    return torch.zeros(RESAMPLES, units, dtype=torch.float64).scatter_add_(1, picks, torch.ones_like(picks).double())


def band(
    values: Float[Tensor, "n c"], units: Int[Tensor, " n"], seed: int
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """(means, half-widths): a simultaneous 95 % band over the columns."""
    values = values.double()
    _, owner = units.unique(return_inverse=True)
    n_units = int(owner.max()) + 1
    means = values.mean(dim=0)
    # A unit's share in the error of the mean: units differ in size.
    share = torch.zeros(n_units, values.shape[1], dtype=torch.float64).index_add_(0, owner, values - means)
    share *= n_units / len(values)
    drawn = _draws(n_units, seed) / n_units
    off = drawn @ share
    error = (drawn @ share.square() - off.square()).clamp_min(0).sqrt()
    own = share.square().mean(dim=0).sqrt()
    # A column that hardly varies in a resample says nothing there.
    largest = torch.where(error > 1e-6 * own, off.abs() / error, 0.0).amax(dim=1)
    return means, largest.quantile(0.95) * own


def ratio_interval(left: Float[Tensor, " n"], base: Float[Tensor, " n"], seed: int) -> tuple[float, float]:
    """95 % of 1 - Σ left / Σ base over resampled rows."""
    drawn = _draws(len(left), seed)
    r2 = 1 - (drawn @ left.double()) / (drawn @ base.double()).clamp_min(1e-300)
    return float(r2.quantile(0.025)), float(r2.quantile(0.975))
