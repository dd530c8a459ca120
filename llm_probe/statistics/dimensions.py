"""Per-dimension regressions: labels to each residual dimension, every layer, dimension and frequency at once.

Two statistics stand side by side:

- the published **class-mean R²** (average over all pairs of a residue, then fit n numbers), which an untrained
  network passes: it is here so that tables can be compared;
- the per-prompt **partial R²** of [cos, sin](2πks/n) beyond the nuisances, corrected over everything searched by
  the renaming null.

Nuisances of a `sum`: template, one-hot first operand, one-hot second operand (together they absorb every additive
function, the integer sum included), a cubic spline of the integer result, and the units' carry. Of an `item`: the
template. Shapes: `states` (N, cells, d), flattened to (N, cells·d) responses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.interpolate import BSpline
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.renaming import Renamed, corrected_p, units_carry
from toy.maths import fourier
from toy.maths.regression import aicc_gain, drop_zero, heldout_least_squares, orthonormal, residual, rival_columns

FAMILIES = ("fourier", "linear", "quadratic", "cubic", "sawtooth", "polynomial_total")
RENAMINGS_AT_ONCE = 8
SPLINE_KNOTS = 3
"""Inner knots of the cubic spline of the integer result."""


@dataclass(frozen=True)
class DimensionSearch:
    """Every cell, dimension and frequency of one claim on the discovery prompts."""

    r2: Float[Tensor, "k cells d"]
    """Partial R² of each tested frequency."""
    null_maxima: Float[Tensor, " renamings"]
    """Largest partial R² over cells, dimensions and frequencies under each renaming."""
    rivals: dict[str, Float[Tensor, "cells d"]]
    """Family to its partial R²."""
    n_nuisances: int
    parameters: dict[str, int]
    """Family to the columns it kept beyond the nuisances (Fourier: one more, for the selected frequency)."""

    def p_renaming(self, r2: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """Corrected over cells, dimensions and frequencies."""
        return corrected_p(r2, self.null_maxima)

    def aicc(self, family: str, r2: Float[Tensor, " d"], n: int) -> Float[Tensor, " d"]:
        """AICc gain of a family over the nuisances alone."""
        return aicc_gain(r2, n, self.n_nuisances, self.parameters[family])


def fixed_nuisances(labels: Labels) -> Float[Tensor, "n q"]:
    """Nuisances that do not change when tokens are renamed, as an orthonormal basis (the constant included)."""
    keys = [labels.template] if labels.quantity == "item" else [labels.template, labels.first, labels.offset]
    blocks = [torch.ones(len(labels.label), 1, dtype=torch.float64)]
    for key in keys:
        values, codes = key.unique(return_inverse=True)
        # The first level is the constant's: a full set of indicators would be dependent.
        blocks.append(torch.nn.functional.one_hot(codes, len(values))[:, 1:].double())
    return orthonormal(torch.cat(blocks, dim=1))


def nuisance_basis(labels: Labels) -> Float[Tensor, "n q"]:
    """Z: an orthonormal basis of every nuisance and the constant; the fixed ones come first."""
    fixed = fixed_nuisances(labels)
    carry = units_carry(labels.first, labels.offset) & labels.has_digits
    return torch.cat([fixed, basis_beyond(Magnitude(labels).columns(labels.total, carry), fixed)], dim=1)


def basis_beyond(columns: Float[Tensor, "n c"], fixed: Float[Tensor, "n q"]) -> Float[Tensor, "n k"]:
    """Orthonormal columns for what the orthonormal `fixed` basis leaves of some columns; k is the rank of that."""
    return orthonormal(drop_zero(residual(columns, fixed)))


class Magnitude:
    """Nuisances that change with the labels: a cubic spline of the integer result, and the units' carry."""

    def __init__(self, labels: Labels) -> None:
        self.low, self.high = int(labels.total.min()), int(labels.total.max())
        inner = np.linspace(self.low, self.high, SPLINE_KNOTS + 2)
        knots = np.concatenate([[self.low] * 3, inner, [self.high] * 3])
        values = np.arange(self.low, self.high + 1, dtype=float)
        spline = BSpline.design_matrix(values, knots, 3).toarray()[:, 1:]
        # A row per integer result, looked up by every renaming; items have no magnitude beyond their template.
        self.spline = torch.from_numpy(spline if labels.quantity == "sum" else spline[:, :0])

    def columns(self, total: Int[Tensor, "*b n"], carry: Bool[Tensor, "*b n"]) -> Float[Tensor, "*b n q"]:
        """Spline and carry of every prompt."""
        rows = self.spline[total.clamp(self.low, self.high) - self.low]
        return torch.cat([rows, carry[..., None].double()], dim=-1) if self.spline.shape[1] else rows


def family_columns(labels: Labels, family: str) -> Float[Tensor, "n c"]:
    """Columns of a rival family; `polynomial_total` is a parabola in the integer result."""
    if family != "polynomial_total":
        return rival_columns(labels.label, labels.period, family)
    shifted = labels.total - labels.total.min()
    return rival_columns(shifted, int(shifted.max()) + 1, "quadratic")


def adjusted_states(states: Float[Tensor, "n cells d"], labels: Labels) -> Float[Tensor, "n cells d"]:
    """Residuals of the fixed nuisances, float32: projected in float64, cell by cell to spare memory."""
    fixed = fixed_nuisances(labels).to(states.device)
    return torch.stack([residual(cell.double(), fixed).float() for cell in states.unbind(dim=1)], dim=1)


def search(
    responses: Float[Tensor, "n cells d"], labels: Labels, renamed: Renamed, frequencies: tuple[int, ...]
) -> DimensionSearch:
    """Partial R² of all dimensions and frequencies, rivals, and corrected p; `responses` from `adjusted_states`."""
    n, cells, d = responses.shape
    fixed = fixed_nuisances(labels)
    responses = responses.reshape(n, -1)
    nuisances = nuisance_basis(labels)
    extra = nuisances[:, fixed.shape[1] :]
    adjusted = responses - (extra.to(responses) @ (extra.to(responses).T @ responses))
    blocks = [basis_beyond(fourier.design(labels.label, k, labels.period), nuisances) for k in frequencies]
    r2 = torch.stack([_share(adjusted, block) for block in blocks])
    rivals, parameters = {}, {"fourier": max((block.shape[1] for block in blocks), default=0) + (len(blocks) > 1)}
    for family in FAMILIES[1:]:
        basis = basis_beyond(family_columns(labels, family), nuisances)
        parameters[family] = basis.shape[1]
        rivals[family] = _share(adjusted, basis).view(cells, d)
    maxima = null_maxima(responses, labels, renamed.first, frequencies, fixed)
    return DimensionSearch(
        r2.view(-1, cells, d).cpu(),
        maxima,
        {family: value.cpu() for family, value in rivals.items()},
        nuisances.shape[1],
        parameters,
    )


def heldout_r2(responses: Float[Tensor, "n d"], columns: Float[Tensor, "n c"], labels: Labels) -> Float[Tensor, " d"]:
    """R² of template + family over template alone, each operand pair (or item) predicted from the others."""
    one_hot = torch.nn.functional.one_hot(labels.template).double()
    units = labels.groups("unit")
    assert units is not None
    errors = [
        heldout_least_squares(responses, orthonormal(torch.cat([one_hot, extra], dim=1)), units)
        for extra in (columns, columns[:, :0])
    ]
    left, base = (error.square().sum(dim=0) for error in errors)
    return 1 - left / base.clamp_min(1e-30)


def _share(responses: Float[Tensor, "n r"], basis: Float[Tensor, "n c"]) -> Float[Tensor, " r"]:
    total = responses.square().sum(dim=0)
    return (basis.to(responses).T @ responses).square().sum(dim=0) / total.clamp_min(1e-30)


def null_maxima(
    responses: Float[Tensor, "n r"],
    labels: Labels,
    renamed: Renamed,
    frequencies: tuple[int, ...],
    fixed: Float[Tensor, "n q"],
) -> Float[Tensor, " renamings"]:
    """Largest partial R² over all responses and frequencies for each renaming.

    The fixed nuisances are already gone from `responses`. Those that follow the labels, E, are renamed with them:
    each renaming's columns are made orthonormal in float64, E first and each frequency's pair beyond E, so that
    one float32 product with all responses holds every term,

        R²_k = ||Q_kᵀ y||² / (||y||² - ||Q_Eᵀ y||²).
    """
    total = responses.square().sum(dim=0)
    # Constant dimensions (rounding only) would give noise over noise.
    alive = total > 1e-12 * total.max()
    single, total = responses[:, alive].float(), total[alive].float()
    magnitude, maxima = Magnitude(labels), []
    for totals, carry in zip(
        renamed.total.split(RENAMINGS_AT_ONCE), renamed.carry.split(RENAMINGS_AT_ONCE), strict=True
    ):
        extra = whitened(without(magnitude.columns(totals, carry), fixed))
        pairs = [fourier.circle((totals % labels.period).flatten(), k, labels.period) for k in frequencies]
        waves = without(torch.cat([pair.unflatten(0, totals.shape) for pair in pairs], dim=2), fixed)
        waves = waves - extra @ (extra.transpose(1, 2) @ waves)
        basis = torch.cat([extra, *(whitened(pair) for pair in waves.split(2, dim=2))], dim=2)
        squared = (basis.transpose(1, 2).float().to(single.device) @ single).square()
        left = total - squared[:, : extra.shape[2]].sum(dim=1)
        explained = squared[:, extra.shape[2] :].unflatten(1, (len(frequencies), 2)).sum(dim=2).amax(dim=1)
        maxima.append((explained / left.clamp_min(1e-30)).amax(dim=1))
    return torch.cat(maxima).double().cpu()


def without(columns: Float[Tensor, "b n c"], fixed: Float[Tensor, "n q"]) -> Float[Tensor, "b n c"]:
    """Every batch's columns without what the orthonormal `fixed` basis explains, as one product of all batches."""
    flat = columns.transpose(0, 1).flatten(1)
    return (flat - fixed @ (fixed.T @ flat)).view(len(flat), *columns.shape[::2]).transpose(0, 1)


def whitened(columns: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """Orthonormal columns of the same span, batch by batch; where the rank is short, zeros (a Nyquist sine)."""
    values, vectors = torch.linalg.eigh(columns.transpose(1, 2) @ columns / columns.shape[1])
    inverse = torch.where(values > 1e-9, values.clamp_min(1e-300).rsqrt(), 0.0) / columns.shape[1] ** 0.5
    return columns @ (vectors * inverse[:, None, :])
