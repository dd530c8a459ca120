"""Do two dictionaries, trained alike from different seeds, find the same latents?

    C[i, j] = cos(d_i, e_j)      d of one SAE, e of the other; unsigned angles would equate a latent with its opposite
    π = argmax Σ_i C[i, π(i)]    the Hungarian matching: each latent has at most one partner
    share = #{i : C[i, π(i)] > 0.7} / n

A direction in d = 128 numbers has some neighbour among a thousand others by chance. The baseline turns the second
dictionary as a whole by a random rotation, which keeps its inner geometry and loses its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

COSINE = 0.7


@dataclass(frozen=True)
class Recurrence:
    """One pair of dictionaries."""

    share: float
    """Of the first's latents that recur."""
    mean_cosine: float
    shuffled_share: float


def recurrence(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"], seed: int) -> Recurrence:
    """Match the directions of one dictionary to those of another."""
    turn = torch.linalg.qr(torch.randn(other.shape[1], other.shape[1], generator=torch.Generator().manual_seed(seed))).Q
    found = matched(one, other)
    shuffled = matched(one, other @ turn.to(other))
    share, by_chance = (float((cosines > COSINE).sum()) / len(one) for cosines in (found, shuffled))
    return Recurrence(share, float(found.mean()), by_chance)


def matched(one: Float[Tensor, "a d"], other: Float[Tensor, "b d"]) -> Float[Tensor, " pairs"]:
    """Cosines of the matched pairs, min(a, b) of them."""
    from scipy.optimize import linear_sum_assignment

    unit, unit_other = (torch.nn.functional.normalize(rows.double(), dim=1) for rows in (one, other))
    cosines = unit @ unit_other.T
    rows, columns = linear_sum_assignment(cosines.numpy(), maximize=True)
    return cosines[rows, columns]
