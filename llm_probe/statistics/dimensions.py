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
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.interpolate import BSpline
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.renaming import FIRST, Renamed, corrected_p, units_carry
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


@lru_cache(maxsize=4)
def fixed_nuisances(labels: Labels) -> Float[Tensor, "n q"]:
    """Nuisances that do not change when tokens are renamed, as an orthonormal basis (the constant included)."""
    keys = [labels.template] if labels.quantity == "item" else [labels.template, labels.first, labels.offset]
    blocks = [torch.ones(len(labels.label), 1, dtype=torch.float64)]
    for key in keys:
        values, codes = key.unique(return_inverse=True)
        # The first level is the constant's: a full set of indicators would be dependent.
        blocks.append(torch.nn.functional.one_hot(codes, len(values))[:, 1:].double())
    return orthonormal(torch.cat(blocks, dim=1))


@lru_cache(maxsize=4)
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
    maxima, largest = torch.zeros(0, dtype=torch.float64), r2.max().double().cpu()
    for some, promising in renamed.stages(FIRST):
        maxima = torch.cat([maxima, null_maxima(responses, labels, some, frequencies, fixed)])
        if float(corrected_p(largest, maxima)) > promising:
            break
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

    The fixed nuisances Z are already gone from `responses` y. Those that follow the labels, E, are renamed with them.
    With the columns X = [E, C_k] of a renaming, what Z leaves of them has the Gram matrix Xᵀ X - (Zᵀ X)ᵀ (Zᵀ X) and the
    products Xᵀ y with the responses, and everything else happens between these few columns:

        R²_k = ||Q_kᵀ y||² / (||y||² - ||Q_Eᵀ y||²),  Q_E and Q_k orthonormal, E first and each pair beyond E.

    The Gram matrix is in float64, because of what Z takes away; the products, which only rank, in float32.
    """
    total = responses.square().sum(dim=0)
    # Constant dimensions (rounding only) would give noise over noise.
    alive = total > 1e-12 * total.max()
    single, total = responses[:, alive].float(), total[alive].float()
    magnitude, maxima = Magnitude(labels), []
    for totals, carry in zip(
        renamed.total.split(RENAMINGS_AT_ONCE), renamed.carry.split(RENAMINGS_AT_ONCE), strict=True
    ):
        pairs = [fourier.circle((totals % labels.period).flatten(), k, labels.period) for k in frequencies]
        extra = magnitude.columns(totals, carry)
        columns = torch.cat([extra, *(pair.unflatten(0, totals.shape) for pair in pairs)], dim=2)
        gram, e = gram_beyond(columns, fixed), extra.shape[2]
        dots = columns.transpose(1, 2).float().to(single.device) @ single
        of_extra = inverse_root(gram[:, :e, :e], len(fixed))
        shared = of_extra @ gram[:, :e, e:]
        spent = of_extra.to(dots) @ dots[:, :e]
        waves = (dots[:, e:] - shared.to(dots).transpose(1, 2) @ spent).unflatten(1, (len(frequencies), 2))
        beyond = (gram[:, e:, e:] - shared.transpose(1, 2) @ shared).unflatten(1, (-1, 2)).unflatten(3, (-1, 2))
        roots = inverse_root(beyond.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2), len(fixed))
        explained = (roots.to(dots) @ waves).square().sum(dim=2).amax(dim=1)
        left = total - spent.square().sum(dim=1)
        maxima.append((explained / left.clamp_min(1e-30)).amax(dim=1))
    return torch.cat(maxima).double().cpu()


def gram_beyond(columns: Float[Tensor, "b n c"], fixed: Float[Tensor, "n q"]) -> Float[Tensor, "b c c"]:
    """Gram matrix of every batch's columns without what the orthonormal `fixed` basis explains."""
    flat = columns.transpose(0, 1).flatten(1)
    known = (fixed.T @ flat).view(-1, *columns.shape[::2]).transpose(0, 1)
    return columns.transpose(1, 2) @ columns - known.transpose(1, 2) @ known


def inverse_root(gram: Float[Tensor, "*b c c"], n: int) -> Float[Tensor, "*b c c"]:
    """R with R G Rᵀ = 1 for Gram matrices of columns of n prompts; where the rank is short, zeros (a Nyquist sine)."""
    values, vectors = torch.linalg.eigh(gram / n)
    inverse = torch.where(values > 1e-9, values.clamp_min(1e-300).rsqrt(), 0.0) / n**0.5
    return inverse[..., None] * vectors.transpose(-1, -2)


def without(columns: Float[Tensor, "b n c"], fixed: Float[Tensor, "n q"]) -> Float[Tensor, "b n c"]:
    """Every batch's columns without what the orthonormal `fixed` basis explains, as one product of all batches."""
    flat = columns.transpose(0, 1).flatten(1)
    return (flat - fixed @ (fixed.T @ flat)).view(len(flat), *columns.shape[::2]).transpose(0, 1)


def whitened(columns: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
    """Orthonormal columns of the same span, batch by batch; where the rank is short, zeros."""
    return columns @ inverse_root(columns.transpose(1, 2) @ columns, columns.shape[1]).transpose(1, 2)
