"""Interventions as pure functions on states (n, d): what h becomes, given a basis and nothing else.

Q (d, m) is orthonormal, μ (d,) the mean of the states the basis was fitted on, R (m, m) a rotation. Coordinates are
read by a filter W (d, m) and moved along a pattern A (d, m) with WᵀA = I; W = A = Q is the orthonormal case.

    zero           h - Q Qᵀ h                       the coordinates become 0 (a dimension: its basis is one unit vector)
    mean           h - Q Qᵀ (h - μ)                 … those of the mean
    swap           h + Q Qᵀ (g - h)                 … those of another prompt's state g: resampled where g is drawn,
                                                    interchange where g is chosen; g itself where Q spans everything
    rotate         h + A (R - I) Wᵀ (h - μ)         every plane turned by its own angle
    displace       h + A C Wᵀ (h - μ)               any change C of the coordinates

Rotation by j steps of a circle of period p turns the plane of frequency k by 2πkj/p; at the Nyquist frequency of an
even period the circle is a line and the turn is (-1)^j. `displace` with C = -I is mean ablation along the pattern,
with C = R - I it is `rotate`; with a pattern of the same lengths and angles that points elsewhere it changes each state
by exactly as much (`controls`). After Kantamneni & Tegmark 2025 (2502.00873) and Geiger et al. 2021 (2106.02997).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def zero(states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"]) -> Float[Tensor, "n d"]:
    """Project the basis out."""
    basis = basis.to(states)
    return states - (states @ basis) @ basis.T


def mean(
    states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"], centre: Float[Tensor, " d"]
) -> Float[Tensor, "n d"]:
    """Give every state the mean's coordinates on the basis."""
    basis = basis.to(states)
    return states - ((states - centre.to(states)) @ basis) @ basis.T


def swap(
    states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"], donors: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    """Give every state its donor's coordinates on the basis."""
    basis = basis.to(states)
    return states + ((donors.to(states) - states) @ basis) @ basis.T


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


def rotation(frequencies: Sequence[int], period: int, steps: int) -> Float[Tensor, "m m"]:
    """R of `steps` steps round the circle, block by block in the order of the frequencies; m as in `columns`."""
    blocks = []
    for k in frequencies:
        angle = 2 * math.pi * k * steps / period
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = [[cosine]] if 2 * k == period else [[cosine, -sine], [sine, cosine]]
        blocks.append(torch.tensor(turn, dtype=torch.float64))
    return torch.block_diag(*blocks)


def columns(frequencies: Sequence[int], period: int) -> int:
    """How many coordinates the planes have: two a frequency, one at the Nyquist frequency."""
    return sum(1 if 2 * k == period else 2 for k in frequencies)
