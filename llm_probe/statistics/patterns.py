"""Directions of a circle: the filter that reads it, the pattern that writes it, and turning it.

A probe reads the circle with a *filter* W, which also cancels noise; whoever moves it must move what the model writes,
the *pattern* A (Haufe et al. 2014, 10.1016/j.neuroimage.2013.10.067, eq. 6):

    Ŷ = (H - μ) W          ridge from the states H (n, d) to Y (n, m) = [cos, sin](2πks/p) of all frequencies at once
    A = Σ_h W Σ_ŷ⁻¹        (d, m), Σ_h and Σ_ŷ covariances: a step of Ŷ moves the states by A
    Q = U Vᵀ of A = U S Vᵀ the orthonormal basis nearest to A (Löwdin), so that one column of Q still belongs to one
                           column of Y: two for each frequency, one at the Nyquist frequency of an even period

WᵀA = I, so that A C Wᵀ (h - μ) changes the coordinates by C and nothing else that the filter reads: what moves is
what is read. Turning by j steps of a circle of period p turns the plane of frequency k by 2πkj/p: C = R - I.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.maths import fourier
from toy.maths.regression import RidgeSmoother


def columns(frequencies: Sequence[int], period: int) -> int:
    """How many coordinates the planes have: two a frequency, one at the Nyquist frequency."""
    return sum(1 if 2 * k == period else 2 for k in frequencies)


def targets_of(labels: Int[Tensor, " n"], frequencies: Sequence[int], period: int) -> Float[Tensor, "n m"]:
    """[cos, sin] of every frequency side by side, without the null column of a Nyquist frequency."""
    return torch.cat([fourier.design(labels, k, period) for k in frequencies], dim=1)


def pattern_and_filter(
    states: Float[Tensor, "n d"], targets: Float[Tensor, "n m"], smoother: RidgeSmoother, relative_penalty: float
) -> tuple[Float[Tensor, "d m"], Float[Tensor, "d m"]]:
    """(A, W) of the ridge with this penalty, float64; `smoother`: of these states."""
    weights, _ = smoother.coefficients(states, targets, relative_penalty)
    predicted = (states.double() - states.double().mean(dim=0)) @ weights
    # Σ_h W Σ_ŷ⁻¹ = Hᵀ Ŷ (Ŷᵀ Ŷ)⁻¹, the pseudo-inverse because few prompts may leave a column unpredicted.
    return states.double().T @ torch.linalg.pinv(predicted).T, weights


def nearest_orthonormal(columns: Float[Tensor, "d m"]) -> Float[Tensor, "d m"]:
    """The orthonormal basis closest to the columns in least squares (polar factor)."""
    left, _, right = torch.linalg.svd(columns, full_matrices=False)
    return left @ right


def random_basis(like: Float[Tensor, "*nodes d m"], generator: torch.Generator) -> Float[Tensor, "*nodes d m"]:
    """A uniformly random orthonormal basis of the shape of another."""
    return torch.linalg.qr(torch.randn(like.shape, generator=generator, dtype=torch.float64)).Q


def rotation(frequencies: Sequence[int], period: int, steps: int | float) -> Float[Tensor, "m m"]:
    """R of `steps` steps round the circle, block by block in the order of the frequencies; m as in `columns`."""
    blocks = []
    for k in frequencies:
        angle = 2 * math.pi * k * steps / period
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = [[cosine]] if 2 * k == period else [[cosine, -sine], [sine, cosine]]
        blocks.append(torch.tensor(turn, dtype=torch.float64))
    return torch.block_diag(*blocks)


def rotate(
    states: Float[Tensor, "n d"],
    reader: Float[Tensor, "d m"],
    centre: Float[Tensor, " d"],
    rotation: Float[Tensor, "m m"],
    writer: Float[Tensor, "d m"],
) -> Float[Tensor, "n d"]:
    """Turn the coordinates around the mean."""
    return displace(states, reader, centre, rotation - torch.eye(len(rotation), dtype=rotation.dtype), writer)


def displace(
    states: Float[Tensor, "n d"],
    reader: Float[Tensor, "d m"],
    centre: Float[Tensor, " d"],
    change: Float[Tensor, "m m"],
    writer: Float[Tensor, "d m"],
) -> Float[Tensor, "n d"]:
    """Change the coordinates that `reader` reads, along `writer`."""
    coordinates = (states - centre.to(states)) @ reader.to(states)
    return states + (coordinates @ change.T.to(states)) @ writer.T.to(states)
