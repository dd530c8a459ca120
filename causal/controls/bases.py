"""Controls of a direction: bases that are as large and should do nothing.

    random         the same change of the same coordinates, written along a pattern that is turned at random but keeps
                   its lengths and angles (`turned`): ||Δh|| is equal state by state, and so is its variance
    matched        a random basis from the stream's own covariance, orthogonal to the tested one:
                   B = orth(N (Nᵀ Σ N)^α Z), Z Gaussian, N a basis of the rest of the stream. α makes the removed
                   variance tr(BᵀΣB) that of the tested basis; where the rest of the stream has no such variance, a
                   gain makes up for it, so that the mean ||Δh||² is equal in any case
    wrong period   planes fitted to the same prompts' sums reduced by another modulus
    shuffled     planes fitted to labels that changed places among operand pairs (`llm_probe.statistics.controls`)
    top variance   the leading principal components

A basis B is (d, m); `Matched.gain` multiplies the change of the coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_POWER = 1.0
"""α = 1: random directions drawn as the stream's own states are. Beyond it every draw would be the same few."""
STEPS = 24
"""Halvings of the interval of α."""


@dataclass(frozen=True)
class Matched:
    """A random basis and what its change is multiplied by."""

    basis: Float[Tensor, "d m"]
    gain: float


def random_basis(width: int, size: int, generator: torch.Generator) -> Float[Tensor, "d m"]:
    """A uniformly random orthonormal basis."""
    return torch.linalg.qr(torch.randn(width, size, generator=generator, dtype=torch.float64)).Q


def turned(writer: Float[Tensor, "d m"], generator: torch.Generator) -> Float[Tensor, "d m"]:
    """A pattern with the same Gram matrix in a uniformly random place."""
    _, singular, right = torch.linalg.svd(writer, full_matrices=False)
    width, size = writer.shape
    return random_basis(width, size, generator) * singular @ right


def matched(
    basis: Float[Tensor, "d m"], covariance: Float[Tensor, "d d"], count: int, generator: torch.Generator
) -> list[Matched]:
    """Random bases orthogonal to `basis` that remove as much variance, or whose gain makes up for what is lacking."""
    width, size = basis.shape
    if 2 * size > width:  # no room beside the tested basis
        return [Matched(random_basis(width, size, generator), 1.0) for _ in range(count)]
    rest = torch.linalg.qr(basis, mode="complete").Q[:, size:]
    values, vectors = torch.linalg.eigh(rest.T @ covariance @ rest)
    values, vectors = values.clamp_min(0), rest @ vectors
    target = float((basis * (covariance @ basis)).sum())
    found = []
    for _ in range(count):
        draw = torch.randn(len(values), size, generator=generator, dtype=torch.float64)
        drawn = _tilted(values, vectors, draw, target)
        removed = float((drawn * (covariance @ drawn)).sum())
        found.append(Matched(drawn, (target / max(removed, 1e-300)) ** 0.5))
    return found


def _tilted(
    values: Float[Tensor, " r"], vectors: Float[Tensor, "d r"], draw: Float[Tensor, "r m"], target: float
) -> Float[Tensor, "d m"]:
    """The draw at the power α in [0, 1] whose removed variance is nearest to the target (it grows with α)."""
    scale = values / values.max().clamp_min(1e-300)

    def at(power: float) -> tuple[Float[Tensor, "r m"], float]:
        basis = torch.linalg.qr(scale.clamp_min(1e-12)[:, None] ** power * draw).Q
        return basis, float((values[:, None] * basis.square()).sum())

    low, high = 0.0, LARGEST_POWER
    if at(low)[1] >= target:
        return vectors @ at(low)[0]
    if at(high)[1] <= target:
        return vectors @ at(high)[0]
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[1] < target else (low, middle)
    return vectors @ at(high)[0]


def principal(covariance: Float[Tensor, "d d"], size: int) -> Float[Tensor, "d m"]:
    """The leading principal components."""
    return torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :size]


def manifold_share(change: Float[Tensor, "n d"], covariance: Float[Tensor, "d d"], kept: float = 0.99) -> float:
    """Share of ||Δh||² within the components that hold `kept` of the stream's variance."""
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)
    needed = int((values.cumsum(0) < kept * values.sum()).sum()) + 1
    inside = (change.double() @ vectors[:, :needed]).square().sum()
    return float(inside / change.double().square().sum().clamp_min(1e-300))
