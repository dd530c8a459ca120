"""Do the vectors of n labels stand in order round a circle, or would any order of them do?

A look-up, one random vector for each answer, lets the answer be decoded on new prompts as well as a circle does: all
frequencies together are a one-hot code. What it has not is an order. With G (n, n) the Gram matrix of the labels'
vectors (`code`) and C_k (n, 2) the circle [cos, sin](2πks/n),

    share    tr(C_kᵀ G C_k) · 2/n / tr G     of the variance between labels that lies at frequency k: a circle has 1
    axes     twice the smaller eigenvalue instead: a line, or a line folded back, has nothing on its second axis

are compared with the same statistic under other orders π of the labels, whose Gram matrix is G with rows and columns
renamed: a product of n x n matrices, so that thousands of orders cost nothing.

**Which orders.** In a network whose answers (items) have vectors without geometry, every order is as likely as the
true one. In one that knows a *partition* of them - seasons, weekdays and weekend, even and odd - only those orders are
that keep the partition: they permute labels within a class, and classes of one size. A claim has to pass each of its
partitions, so that it is more than every named cluster: p is the largest. It is corrected for the search over places
and frequencies: the largest statistic of an order counts (max-T), each place's and frequency's beyond its mean over the
orders. It is not divided by their spread: a place that has a circle spreads most *because* of the circle, and would be
brought down to a place of noise. Shares are of one scale in any case.

Only frequencies coprime to n are tried: at the others several labels share a point, which is a partition, no circle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

ENUMERATED = 5040
"""So many orders or fewer are all used, once each."""
ORDERS = 4999
"""Orders that are drawn where there are more."""
TIE = 1e-9
"""Statistics that differ by less are equal: a rotation of the circle is the same circle."""


@dataclass(frozen=True)
class OrderTest:
    """Every place and frequency: is the code ordered beyond each of its partitions?"""

    frequencies: tuple[int, ...]
    """Those that were searched, coprime to the number of labels."""
    share: Float[Tensor, "cells k"]
    """Of the variance between labels at that frequency."""
    beyond: Float[Tensor, "cells k"]
    """`share` beyond its mean over the orders of the partition that is hardest to tell."""
    p_order: Float[Tensor, "cells k"]
    """Of `share`, the largest over the partitions; corrected over places and frequencies."""
    p_axes: Float[Tensor, "cells k"]
    """The same of the worse axis of the plane."""
    hardest: tuple[str, ...]
    """Of every place, the partition of the largest p at its best frequency; empty where there is none."""
    least: float
    """The smallest p that a perfect circle can have: the share of the orders that are the same circle, of the partition
    that leaves fewest orders."""


def divisor_partitions(period: int) -> dict[str, tuple[int, ...]]:
    """The residues modulo every proper divisor: what frequencies that share a factor with the period can tell."""
    return {f"mod {g}": tuple(s % g for s in range(period)) for g in range(2, period) if period % g == 0}


def order_test(
    grams: Sequence[Float[Tensor, "n n"]],
    frequencies: tuple[int, ...],
    partitions: Mapping[str, Sequence[int]],
    kinds: Sequence[int] = (),
    seed: int = 0,
) -> OrderTest:
    """Test every place (one Gram matrix each) and frequency.

    `partitions`: name to the class of every label. `kinds`: labels of different kinds never change places.
    """
    period = len(grams[0])
    named = dict(partitions) or {"": (0,) * period}
    p_order, p_axes, beyond, share, least = [], [], [], torch.zeros(0), 0.0
    for index, partition in enumerate(named.values()):
        generator = torch.Generator().manual_seed(seed + index)
        orders = orders_within(partition, kinds or (0,) * period, ORDERS, generator)
        least = max(least, _same_circles(orders, frequencies))
        scores = torch.stack([torch.stack([circle_scores(gram, orders, k) for k in frequencies]) for gram in grams])
        of_plane, of_axis = centred(scores[:, :, 0]), centred(scores[:, :, 1])
        share = scores[:, :, 0, 0]
        beyond.append(of_plane[:, :, 0])
        p_order.append(corrected(of_plane))
        p_axes.append(corrected(of_axis))
    each = torch.stack(p_order)
    best = each.amax(dim=0).argmin(dim=1)
    hardest = each[:, torch.arange(len(grams)), best].argmax(dim=0)
    names = tuple(list(named)[index] for index in hardest.tolist())
    least_beyond = torch.stack(beyond).amin(dim=0)
    return OrderTest(frequencies, share, least_beyond, each.amax(dim=0), torch.stack(p_axes).amax(dim=0), names, least)


def _same_circles(orders: Int[Tensor, "orders n"], frequencies: Sequence[int]) -> float:
    """Share of the orders that are a s + b with a a unit mod n that maps the searched frequencies onto themselves."""
    n = orders.shape[1]
    searched = {min(k, n - k) for k in frequencies}
    units = [a for a in range(1, n) if {min(a * k % n, -a * k % n) for k in searched} == searched]
    steps = (orders.roll(-1, dims=1) - orders) % n
    same = (steps == steps[:, :1]).all(dim=1) & torch.isin(steps[:, 0], torch.tensor(units))
    return float(same.double().mean())


def circle_scores(
    gram: Float[Tensor, "n n"], orders: Int[Tensor, "orders n"], frequency: int
) -> Float[Tensor, "two orders"]:
    """(share, twice that of the worse axis) of every order."""
    n = len(gram)
    angle = torch.arange(n).double() * (2 * math.pi * frequency / n)
    x, y = angle.cos()[orders.T], angle.sin()[orders.T]
    left, right = gram @ x, gram @ y
    xx, yy, xy = (x * left).sum(dim=0), (y * right).sum(dim=0), (x * right).sum(dim=0)
    worse = (xx + yy) / 2 - ((xx - yy).square() / 4 + xy.square()).sqrt()
    scale = 2 / (n * gram.diagonal().sum().clamp_min(1e-300))
    return torch.stack([xx + yy, 2 * worse]) * scale


def power_under(
    gram: Float[Tensor, "n n"], columns: Float[Tensor, "n m"], orders: Int[Tensor, "orders n"]
) -> Float[Tensor, "orders m"]:
    """vᵀ G v of every column, renamed by every order; one product, without a copy of G for each order."""
    renamed = columns[orders.T]
    return ((gram @ renamed.flatten(1)).view_as(renamed) * renamed).sum(dim=0)


def corrected(scores: Float[Tensor, "cells k orders"]) -> Float[Tensor, "cells k"]:
    """Share of the orders whose largest score reaches each place's own in the true order, the first."""
    largest = scores.amax(dim=(0, 1))
    return (largest >= scores[:, :, :1] - TIE).double().mean(dim=2)


def centred(scores: Float[Tensor, "cells k orders"]) -> Float[Tensor, "cells k orders"]:
    """Each place and frequency beyond its own mean over the orders."""
    return scores - scores.mean(dim=2, keepdim=True)


def standardised(scores: Float[Tensor, "cells k orders"]) -> Float[Tensor, "cells k orders"]:
    """Each place and frequency in standard deviations from its own mean over the orders; zero where all are equal."""
    spread = scores.std(dim=2, keepdim=True, correction=0)
    return torch.where(spread > 1e-12, centred(scores) / spread.clamp_min(1e-12), 0.0)


def orders_within(
    partition: Sequence[int], kinds: Sequence[int], count: int, generator: torch.Generator
) -> Int[Tensor, "orders n"]:
    """Orders that keep a partition, the true one first: all of them where there are few, else `count` more.

    An order is a row: the new place of every label. Classes change places as wholes if they hold as many labels of
    each kind.
    """
    n = len(partition)
    classes = [[s for s in range(n) if partition[s] == one] for one in sorted(set(partition))]
    parts = [[[s for s in members if kinds[s] == kind] for kind in sorted(set(kinds))] for members in classes]
    sizes = [tuple(map(len, kind_members)) for kind_members in parts]
    alike = [[i for i, size in enumerate(sizes) if size == one] for one in sorted(set(sizes))]
    available = math.prod(math.factorial(len(same)) for same in alike)
    available *= math.prod(math.factorial(length) for size in sizes for length in size)
    if available <= ENUMERATED:
        return torch.tensor(list(_every_order(parts, alike, n)))
    result = torch.arange(n).repeat(count + 1, 1)
    for same in alike:
        # Row r: class same[i] takes the places of class same[taken[r, i]].
        taken = torch.rand(count, len(same), generator=generator).argsort(dim=1)
        for kind, size in enumerate(sizes[same[0]]):
            places = torch.tensor([parts[i][kind] for i in same], dtype=torch.long).view(len(same), size)
            within = torch.rand(count, len(same), size, generator=generator).argsort(dim=2)
            result[1:, places.flatten()] = places[taken].gather(2, within).flatten(1)
    return result


def _every_order(parts: list[list[list[int]]], alike: list[list[int]], n: int) -> Iterator[list[int]]:
    """Every order that `orders_within` can draw, the true one first."""
    owners = list(itertools.chain(*alike))
    for shuffled in itertools.product(*(itertools.permutations(same) for same in alike)):
        target = dict(zip(owners, itertools.chain(*shuffled), strict=True))
        places = [kind for own in owners for kind in parts[own]]
        names = [itertools.permutations(kind) for own in owners for kind in parts[target[own]]]
        for images in itertools.product(*names):
            row = list(range(n))
            for here, there in zip(places, images, strict=True):
                for place, name in zip(here, there, strict=True):
                    row[place] = name
            yield row
