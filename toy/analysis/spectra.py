"""How much of what a network holds lies at each frequency of the task's circle.

With w_k = 2πk/n and positions on the circle (readout.py), B the orthonormal rows (constant, cos w_k i, sin w_k i):

    matrix      rows M_i, (n, d): share_k = ||(B M) at k||² / ||M - mean||²                           sums to 1
    grid        F_ij, (n, n): share_k = the eight terms cos, sin of w_k i, of w_k j and their four products, over
                the variance; what mixes two frequencies belongs to none, so the sum is at most 1      (Nanda §4.2)
    logits      L_ijc with the right answer s = s(i, j): L ≈ Σ_k β_k cos w_k(s - c), β_k by least squares. These
                directions are orthogonal whatever the distribution of s, because Σ_c cos w_j(s-c) cos w_k(s-c) = 0.
                share_k = their part of Σ (L - mean over c)²: a constant added to a row is nothing to the softmax.

At the Nyquist frequency of an even n there is no sine, so one column and three terms. Nanda et al. 2023 (2301.05217).
Shapes: n positions, K = floor(n/2) frequencies in order (index k-1), m neurons or heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toy.analysis.readout import Readout
from toy.maths import fourier, regression

GRIDS_AT_ONCE = 64
CONSTANT = 1e-8
"""A grid whose variance is below this share of the mean over all grids is constant: a dead neuron."""


def matrix_shares(rows: Float[Tensor, "n d"]) -> Float[Tensor, " k"]:
    """Share of a matrix' centred power at each frequency; zeros for a matrix of equal rows."""
    power = fourier.power(rows).sum(dim=1)
    total = power.sum()
    return torch.where(total > 1e-12 * rows.double().square().sum(), power / total.clamp_min(1e-300), 0.0)


def grid_shares(grids: Float[Tensor, "n n m"]) -> Float[Tensor, "k m"]:
    """Share of each grid's variance in the two-dimensional terms of one frequency; zeros for a constant grid."""
    explained, total = grid_power(grids)
    return torch.where(is_live(total), explained / total.clamp_min(1e-300), 0.0)


def grid_power(grids: Float[Tensor, "n n m"]) -> tuple[Float[Tensor, "k m"], Float[Tensor, " m"]]:
    """(squared length in the terms of one frequency, centred sum of squares) of each grid."""
    parts = [_grid_power(some) for some in grids.split(GRIDS_AT_ONCE, dim=2)]
    return torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts])


def is_live(total: Float[Tensor, " m"]) -> Bool[Tensor, " m"]:
    """Which grids vary, judged beside the mean of all."""
    return total > CONSTANT * total.mean().clamp_min(1e-300)


def _grid_power(grids: Float[Tensor, "n n m"]) -> tuple[Float[Tensor, "k m"], Float[Tensor, " m"]]:
    n = grids.shape[0]
    basis = fourier.orthonormal_basis(n)
    along_first = torch.einsum("ia,abm->ibm", basis, grids.double())
    energy = torch.einsum("jb,ibm->ijm", basis, along_first).square()
    frequency = torch.cat([torch.zeros(1, dtype=torch.long), torch.arange(n - 1) // 2 + 1])
    in_block = torch.nn.functional.one_hot(frequency, n // 2 + 1).double()[:, 1:]
    alone = torch.einsum("ik,im->km", in_block, energy[:, 0] + energy[0])
    products = torch.einsum("jk,jkm->km", in_block, torch.einsum("ik,ijm->jkm", in_block, energy))
    return alone + products, energy.sum(dim=(0, 1)) - energy[0, 0]


def logit_coefficients(readout: Readout) -> Float[Tensor, " k"]:
    """β_k of cos w_k(s - c)."""
    return _cosine_products(readout) / _cosine_norms(readout)


def logit_shares(readout: Readout) -> Float[Tensor, " k"]:
    """Share of the logit variance along each cos w_k(s - c): one direction a frequency."""
    total = logit_variance(readout)
    return _cosine_products(readout).square() / _cosine_norms(readout) / max(total, 1e-300)


def logit_shares_any_output(readout: Readout) -> Float[Tensor, " k"]:
    """Share along cos w_k s and sin w_k s with free coefficients for every output c.

    Where the answers s are not equally frequent, these planes are not orthogonal and their shares can overlap.
    """
    sums, counts = class_sums(readout)
    scale = counts.sqrt()
    constant = (scale / scale.norm())[:, None]
    scaled = torch.where(scale > 0, 1 / scale, 0.0)[:, None] * (sums - sums.mean(dim=1, keepdim=True))
    shares = []
    for k in fourier.frequencies(readout.size):
        columns = scale[:, None] * fourier.design(torch.arange(readout.size), k, readout.size)
        basis = regression.orthonormal(regression.residual(columns, constant))
        shares.append((basis.T @ scaled).square().sum())
    return torch.stack(shares) / max(logit_variance(readout), 1e-300)


def logit_variance(readout: Readout) -> float:
    """Σ (L - mean over c)² over every question whose answer is on the circle."""
    logits = readout.logits[readout.answer >= 0].double()
    return float((logits - logits.mean(dim=1, keepdim=True)).square().sum())


def class_sums(readout: Readout) -> tuple[Float[Tensor, "n n"], Float[Tensor, " n"]]:
    """Per right answer: (sum of its questions' logits, number of its questions)."""
    n, on_circle = readout.size, readout.answer >= 0
    answer = readout.answer[on_circle]
    sums = torch.zeros(n, n, dtype=torch.float64).index_add_(0, answer, readout.logits[on_circle].double())
    return sums, torch.bincount(answer, minlength=n).double()


def gini(matrix: Float[Tensor, "n d"]) -> float:
    """Gini coefficient of the lengths of the n - 1 Fourier components of the rows, the constant apart.

    0 when all are equal, 1 - 1/(n-1) when there is one. Sparsity as in Nanda et al. §5.1 (Hurley & Rickard 2009).
    """
    lengths = (fourier.orthonormal_basis(len(matrix))[1:] @ matrix.double()).norm(dim=1).sort().values
    count, total = len(lengths), float(lengths.sum())
    if total == 0:
        return 0.0
    rank = torch.arange(1, count + 1, dtype=torch.float64)
    return float(((2 * rank - count - 1) * lengths).sum()) / (count * total)


def strongest(shares: Float[Tensor, " k"], chosen: Sequence[int]) -> list[int]:
    """The chosen frequencies (not indices), the largest share first."""
    return sorted(chosen, key=lambda frequency: -float(shares[frequency - 1]))


def _cosine_products(readout: Readout) -> Float[Tensor, " k"]:
    """<L, cos w_k(s - c)>."""
    sums, _ = class_sums(readout)
    n = readout.size
    difference = (torch.arange(n)[:, None] - torch.arange(n)) % n
    by_difference = torch.zeros(n, dtype=torch.float64).index_add_(0, difference.flatten(), sums.flatten())
    return torch.stack([_cosine(k, n) @ by_difference for k in fourier.frequencies(n)])


def _cosine_norms(readout: Readout) -> Float[Tensor, " k"]:
    """||cos w_k(s - c)||²: n/2 a question, n at the Nyquist frequency."""
    questions, n = int((readout.answer >= 0).sum()), readout.size
    return questions * torch.stack([_cosine(k, n).square().sum() for k in fourier.frequencies(n)])


def _cosine(frequency: int, n: int) -> Float[Tensor, " n"]:
    return (torch.arange(n, dtype=torch.float64) * (2 * math.pi * frequency / n)).cos()
