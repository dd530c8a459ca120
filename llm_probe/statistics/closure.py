"""Does an order of items close? A circle's last item is next to its first; a line's is farthest from it.

From the class means of two disjoint sets of prompts, A and B (n, d), each centred, the Gram matrix G = A Bᵀ
(symmetrised) has no noise on its diagonal that is not also in the other half, so the squared distances
D_ij = G_ii + G_jj - 2 G_ij are unbiased. With D_adjacent the mean over neighbours, D_opposite over items half a
turn apart and D_ends between the first and the last item,

    closure = (D_opposite - D_ends) / (D_opposite - D_adjacent)

is 1 on a circle, 0 where the ends are as far apart as opposite items, and negative on a line. No direction and no
frequency is fitted. Where neighbours are no nearer than opposite items there is no order to close: NaN.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def class_means(states: Float[Tensor, "n d"], labels: Int[Tensor, " n"], period: int) -> Float[Tensor, "labels d"]:
    """Mean of every label's prompts, float64."""
    sums = torch.zeros(period, states.shape[1], dtype=torch.float64).index_add_(0, labels, states.double().cpu())
    return sums / labels.bincount(minlength=period).clamp_min(1)[:, None]


def closure(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> float:
    """The closure of n items from two independent estimates of their means."""
    n = len(first)
    gram = (first - first.mean(dim=0)) @ (second - second.mean(dim=0)).T
    gram = (gram + gram.T) / 2
    distance = gram.diag()[:, None] + gram.diag() - 2 * gram
    neighbours = distance.diagonal(1).mean()
    opposite = torch.cat([distance.diagonal(n // 2), distance.diagonal(n - n // 2)]).mean()
    if neighbours >= opposite:
        return math.nan
    return float((opposite - distance[0, -1]) / (opposite - neighbours))
