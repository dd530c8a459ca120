"""What `bench_inference.py` compares with: max-T permutations in the obvious way, one after the other.

A permutation changes the order of the residuals' rows; each frequency is a projection of its own, and nothing is
shared between permutations.
"""

import torch
from torch import Tensor


def naive_maxima(residuals: Tensor, bases: Tensor, left: Tensor, rows: Tensor) -> Tensor:
    """T of each permutation: the residuals' rows permuted, then one frequency after the other."""
    maxima = []
    for order in torch.argsort(rows, dim=1):
        permuted = residuals[order]
        maxima.append(max(((basis.float().T @ permuted).square().sum(dim=0) / left).max() for basis in bases))
    return torch.stack(maxima).double()
