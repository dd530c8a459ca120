"""The null of smooth magnitude: untrained networks that see how large a and b are, and nothing else.

A two-layer network with nn.Linear's default initialisation reads x = (a/n, b/n):

    y(a, b) = V relu(W x + c),   W (128, 2), c (128,) ~ U(-1/√2, 1/√2),   V (1024, 128) ~ N(0, 1)

It has no tokens, no digits and no modulus. Averaged over the classes s = (a + b) mod n its outputs are still smooth,
and one smooth period is what a cosine of k = 1 fits (science of the published statistic: class means remove every
f(a) + g(b), and any interaction that is left looks like an arch).

The weights depend on the network's number only, so that an output is the same function at every n. 1,024 outputs of
each network stand for the residual dimensions. Class means are linear in V: hidden units are averaged first.

Shapes: R networks, n classes, H = 128 hidden units, C = 1,024 outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.maths.fourier import power
from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns

Grid = Literal["square", "alphabet", "positions"]
Statistic = Literal["fourier", "linear", "quadratic", "cubic"]
NAME = "untrained magnitude networks"
NETWORKS, HIDDEN, OUTPUTS = 200, 128, 1024
INPUT_NETWORKS = 20
ALPHABET_STARTS = 13
"""The published alphabet grid has the starts A … M only, and 26 offsets."""
BATCH_VALUES = 2**24
"""Hidden activations held at once."""


def operands(n: int, grid: Grid) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """(a, b) of every prompt; for `positions` there is one operand, and b is zero."""
    starts = {"square": n, "alphabet": ALPHABET_STARTS, "positions": n}[grid]
    offsets = 1 if grid == "positions" else n
    return torch.arange(starts).repeat_interleave(offsets), torch.arange(offsets).repeat(starts)


@cache
def _weights() -> tuple[Float[Tensor, "r 2 h"], Float[Tensor, "r 1 h"], Float[Tensor, "r h c"]]:
    generator = torch.Generator().manual_seed(0)
    bound = 2**-0.5
    inner = (2 * torch.rand(NETWORKS, 2, HIDDEN, generator=generator) - 1) * bound
    offset = (2 * torch.rand(NETWORKS, 1, HIDDEN, generator=generator) - 1) * bound
    return inner, offset, torch.randn(NETWORKS, HIDDEN, OUTPUTS, generator=generator)


def _hidden(n: int, grid: Grid):
    """Hidden activations of every prompt, a batch of networks at a time: (their numbers, (r, pairs, h))."""
    a, b = operands(n, grid)
    inputs = torch.stack([a, b], dim=1).float() / n
    inner, offset, _ = _weights()
    step = max(1, BATCH_VALUES // (len(a) * HIDDEN))
    for start in range(0, NETWORKS, step):
        chosen = slice(start, min(start + step, NETWORKS))
        yield chosen, torch.relu(inputs @ inner[chosen] + offset[chosen])


@cache
def hidden_means(n: int, grid: Grid) -> Float[Tensor, "r n h"]:
    """Class means of the hidden units of every network."""
    a, b = operands(n, grid)
    label = (a + b) % n
    counts = torch.bincount(label, minlength=n)
    parts = [torch.zeros(len(h), n, HIDDEN).index_add_(1, label, h) for _, h in _hidden(n, grid)]
    return torch.cat(parts) / counts[:, None]


def _over_networks(
    hidden: Float[Tensor, "r n h"], score: Callable[[Float[Tensor, "n c"]], Float[Tensor, " c"]]
) -> Float[np.ndarray, "r c"]:
    readout = _weights()[2][: len(hidden)]
    return np.stack([score(means.double() @ out.double()).numpy() for means, out in zip(hidden, readout, strict=True)])


def fit_r2(means: Float[Tensor, "n d"], statistic: Statistic) -> Float[Tensor, "k d"]:
    """The published statistic of n class means: one row a frequency, or a single one of a polynomial in the label."""
    if statistic == "fourier":
        return class_mean_r2(means)
    return r2_in_sample(means, rival_columns(torch.arange(len(means)), len(means), statistic))[None]


@cache
def r2(n: int, grid: Grid, statistic: Statistic) -> Float[np.ndarray, "r c"]:
    """The published statistic of every output, of all frequencies the best."""
    return _over_networks(hidden_means(n, grid), lambda means: fit_r2(means, statistic).amax(dim=0))


@cache
def input_share(n: int, terms: int) -> Float[np.ndarray, "few c"]:
    """Share of the variance over all n² inputs that the `terms` best frequencies of (a + b) explain.

    The variance of an output is vᵀ C v with the hidden covariance C; its part at a frequency is n times the power of
    its class means, divided by the n² inputs. The first `INPUT_NETWORKS` networks only: n² is large here.
    """
    a, b = operands(n, "square")
    total, means = [], []
    for chosen, hidden in _hidden(n, "square"):
        means.append(torch.zeros(len(hidden), n, HIDDEN).index_add_(1, (a + b) % n, hidden) / n)
        centred = hidden - hidden.mean(dim=1, keepdim=True)
        covariance = (centred.transpose(1, 2) @ centred / n**2).double()
        out = _weights()[2][chosen].double()
        total.append((out * (covariance @ out)).sum(dim=1))
        if chosen.stop >= INPUT_NETWORKS:
            break
    spread = torch.cat(total)[:INPUT_NETWORKS].numpy()
    best = _over_networks(
        torch.cat(means)[:INPUT_NETWORKS], lambda each: power(each).sort(dim=0).values[-terms:].sum(dim=0) / n
    )
    return best / spread


def largest_of(values: Float[np.ndarray, "r c"], columns: int) -> Float[np.ndarray, " draws"]:
    """The largest of `columns` outputs at a time (at most all of them): the draws of a search of that size."""
    size = min(columns, values.shape[1])
    groups = values.shape[1] // size
    return values[:, : groups * size].reshape(len(values), groups, size).max(axis=2).ravel()
