"""Polynomial against Fourier: which curve describes the p class means, counting what was selected?

Families: Fourier at the best of floor(p/2) frequencies (two columns and the choice of k: three parameters), linear,
quadratic, cubic (one, two, three). On the p class means of every dimension:

    R² in sample, AICc and BIC gain over the constant (`toy.maths.regression`), and
    R² leaving one residue out:  1 - Σ e_i² / Σ (y_i - mean of the others)²

A left-out residual of least squares is e_i / (1 - h_i). The frequency is chosen *inside* each fold: without residue i
the squared error of frequency k is SSE_k - e_ki² / (1 - h_ki), so the whole nested search needs no refit.

`noise` rows are the same on class means drawn from a normal distribution: what each family wins by itself. Counts of
dimensions over all of d_model are unselected; the best dimension was selected by its Fourier R².
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.replication.experiments.grids import arithmetic
from llm_probe.replication.experiments.reader import KEYS, Frame, Reader
from llm_probe.run.study import Rows, together
from toy.maths import fourier
from toy.maths.regression import (
    Groups,
    aicc_gain,
    baseline_residuals,
    bic_gain,
    class_mean_r2,
    heldout_least_squares,
    orthonormal,
    r2_in_sample,
    rival_columns,
)

Chosen = Literal["best", "asked"]
Source = Literal["trained", "random", "noise"]
Family = Literal["fourier", "linear", "quadratic", "cubic"]
PARAMETERS: dict[Family, int] = {"fourier": 3, "linear": 1, "quadratic": 2, "cubic": 3}
"""Columns of each family, and one more for the selected frequency."""


@dataclass(frozen=True)
class PolynomialRow:
    """One family on the class means of one prime."""

    weights: Source
    """`trained`, `random`, or `noise`: normal class means of equal number in place of the model's."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    period: int
    """Modulus of the sums, which is the number of class means."""
    family: Family
    """Family of curves that was fitted to the class means."""
    chosen: Chosen
    """`best`: the dimension of the largest Fourier R²; `asked`: by --dims."""
    dim: int
    """Index of the residual dimension."""
    frequency: int | None
    """Frequency k of the best Fourier pair; empty for a polynomial."""
    r2: float
    """R² of the fit to the class means, in sample."""
    aicc_gain: float
    """AICc of a constant minus AICc of the family, the selected frequency counted: positive is better."""
    bic_gain: float
    """BIC of a constant minus BIC of the family, the selected frequency counted: positive is better."""
    r2_heldout: float
    """R² leaving one residue out, the frequency chosen anew each time."""
    won_aicc: float
    """Share of all dimensions in which this family has the largest AICc gain."""
    won_bic: float
    """Share of all dimensions in which this family has the largest BIC gain."""
    won_heldout: float
    """Share of all dimensions in which this family predicts the left-out residue best."""


QUESTION = "a Fourier pair, or a polynomial?"
TABLES = {"polynomial": PolynomialRow}


class Scores(NamedTuple):
    """Every dimension and family of one set of class means, each (families, d), families in the order PARAMETERS."""

    r2: Float[Tensor, "families d"]
    aicc: Float[Tensor, "families d"]
    bic: Float[Tensor, "families d"]
    heldout: Float[Tensor, "families d"]
    frequency: Float[Tensor, " d"]


def scores(means: Float[Tensor, "n d"]) -> Scores:
    """Fit every family to every dimension."""
    n, labels = len(means), torch.arange(len(means))
    means = means.double() - means.double().mean(dim=0)
    waves, ones = class_mean_r2(means), torch.ones(n, 1, dtype=torch.float64)
    fits = [(waves.amax(dim=0), fourier_heldout(means))]
    for family in list(PARAMETERS)[1:]:
        columns = rival_columns(labels, n, family)
        errors = heldout_least_squares(means, orthonormal(torch.cat([ones, columns], dim=1)), Groups.of(labels))
        fits.append((r2_in_sample(means, columns), _r2(errors, means)))
    r2, heldout = (torch.stack(part) for part in zip(*fits, strict=True))
    counted = list(zip(r2, PARAMETERS.values(), strict=True))
    aicc = torch.stack([aicc_gain(value, n, 1, count) for value, count in counted])
    bic = torch.stack([bic_gain(value, n, count) for value, count in counted])
    return Scores(r2, aicc, bic, heldout, (waves.argmax(dim=0) + 1).double())


def fourier_heldout(means: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """R² leaving one residue out, its frequency chosen on the others."""
    n = len(means)
    ones = torch.ones(n, 1, dtype=torch.float64)
    left, remaining = [], []
    for k in fourier.frequencies(n):
        basis = orthonormal(torch.cat([ones, fourier.design(torch.arange(n), k, n)], dim=1))
        errors = means - basis @ (basis.T @ means)
        free = 1 - basis.square().sum(dim=1, keepdim=True)
        left.append(errors / free)
        remaining.append(errors.square().sum(dim=0) - errors.square() / free)
    chosen = torch.stack(remaining).argmin(dim=0, keepdim=True)
    return _r2(torch.stack(left).gather(0, chosen)[0], means)


def _r2(errors: Float[Tensor, "n d"], means: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    base = baseline_residuals(means, Groups.of(torch.arange(len(means)))).square().sum(dim=0)
    return torch.where(base > 0, 1 - errors.square().sum(dim=0) / base.clamp_min(1e-300), 0.0)


def measure(reader: Reader) -> Rows:
    """Every prime under one set of weights; with the random ones, the noise rows too."""
    dims, parts = reader.config.dims, []
    for p in dict.fromkeys(reader.config.primes):

        def make(p: int = p) -> Rows:
            means = zip(reader.layers, reader.class_means(arithmetic(p)), strict=True)
            return {"polynomial": [row for layer, one in means for row in _rows(one, reader.weights, layer, dims)]}

        parts.append(reader.rows(f"polynomial {p}", make, dims=dims))
        if reader.weights == "random":
            generator = torch.Generator().manual_seed(reader.config.seed + p)
            noise = torch.randn(p, reader.d_model, generator=generator, dtype=torch.float64)
            parts += [{"polynomial": _rows(noise, "noise", layer, ())} for layer in reader.layers]
    return together(parts)


def _rows(means: Float[Tensor, "n d"], weights: Source, layer: int, followed: tuple[int, ...]) -> list[PolynomialRow]:
    fits = scores(means)
    dims: list[tuple[Chosen, int]] = [("best", int(fits.r2[0].argmax())), *(("asked", dim) for dim in followed)]
    won = [
        torch.nn.functional.one_hot(values.argmax(dim=0), len(PARAMETERS)).double().mean(dim=0).tolist()
        for values in fits[1:4]
    ]
    return [
        PolynomialRow(
            weights, layer, len(means), family, chosen, dim,
            int(fits.frequency[dim]) if family == "fourier" else None,
            *(float(values[place, dim]) for values in fits[:4]),
            *(shares[place] for shares in won),
        )
        for chosen, dim in dims
        for place, family in enumerate(PARAMETERS)
    ]  # fmt: skip


def summary(tables: dict[str, Frame]) -> Frame:
    """One row a layer and set of weights: means over the primes."""
    best = tables["polynomial"].query("chosen == 'best'")
    waves = best[best["family"] == "fourier"].groupby(KEYS)[["won_aicc", "won_bic", "won_heldout"]].mean()
    heldout = best.pivot(index=[*KEYS, "period"], columns="family", values="r2_heldout")
    ahead = heldout["fourier"] > heldout.drop(columns="fourier").max(axis=1)
    counts = pd.DataFrame({"best dim: Fourier ahead": ahead.groupby(KEYS).sum(), "of": ahead.groupby(KEYS).size()})
    return waves.rename(columns=lambda name: name.replace("won_", "Fourier won, ")).join(counts)


def sentence(summary: Frame, tables: dict[str, Frame]) -> str:
    """What the numbers of one layer say."""
    trained, random, noise = (summary.loc[weights] for weights in ("trained", "random", "noise"))
    aicc, heldout = "Fourier won, aicc", "Fourier won, heldout"
    return (
        f"Fourier is the best family by AICc in {trained[aicc]:.0%} of the dimensions (random "
        f"weights {random[aicc]:.0%}, white noise {noise[aicc]:.0%}) and by left-out residues in "
        f"{trained[heldout]:.0%} ({random[heldout]:.0%}, {noise[heldout]:.0%}); in the best dimension it predicts "
        f"left-out residues better than any polynomial at {trained['best dim: Fourier ahead']:.0f} of "
        f"{trained['of']:.0f} primes (random weights {random['best dim: Fourier ahead']:.0f})"
    )
