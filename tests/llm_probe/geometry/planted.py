"""Vectors of labels whose shape is known: columns along random directions, with and without noise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.maths import fourier


def directions(columns: Float[Tensor, "n c"], width: int, seed: int) -> Float[Tensor, "n d"]:
    """The columns along orthonormal random directions, of the size of one random vector on average."""
    generator = torch.Generator().manual_seed(seed)
    columns = columns.double() - columns.double().mean(dim=0)
    basis = torch.linalg.qr(torch.randn(width, columns.shape[1], generator=generator).double()).Q
    vectors = columns @ basis.T
    return vectors * math.sqrt(width) / vectors.square().sum(dim=1).mean().sqrt()


def random_vectors(n: int, width: int, seed: int) -> Float[Tensor, "n d"]:
    """A look-up: a vector of its own for every label."""
    return torch.randn(n, width, generator=torch.Generator().manual_seed(10_000 + seed)).double()


def gram_of(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    centred = vectors - vectors.mean(dim=0)
    return centred @ centred.T


def planted(columns: Float[Tensor, "n c"], noise: float, seed: int, width: int = 64) -> Float[Tensor, "n n"]:
    """The Gram matrix of a shape and the identity of every label, `noise` times as large."""
    return gram_of(directions(columns, width, seed) + noise * random_vectors(len(columns), width, seed))


def circle(n: int, frequency: int = 1) -> Float[Tensor, "n two"]:
    return fourier.circle(torch.arange(n), frequency, n).double()


def one_hot(classes: Int[Tensor, " n"]) -> Float[Tensor, "n c"]:
    return torch.nn.functional.one_hot(classes).double()
