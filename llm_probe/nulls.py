"""The renaming null: what would the same search find if the tokens had other names?

In a network that never learnt, the embeddings of the ten digits - or of the seven weekdays - are exchangeable:
renaming them changes nothing in distribution. So the largest statistic of a search over every layer, dimension,
frequency and penalty, computed with the labels that *renamed* prompts would have, has the same law as the one
computed with the true labels, and

    p = (1 + #{renamings whose maximum >= observed}) / (1 + #renamings)

is exact for untrained weights, whatever the search (max-T; Westfall & Young 1993). Two renamings are used:

- arithmetic: digits are permuted in both operands; 0 and the modulus' own digits keep their names, so that the
  operands keep their digit count and the prompt its modulus. The set of operand pairs maps onto itself.
- named items: items with equally many tokens are permuted. Small sets are enumerated (seven days: 720 orders). Where
  the second operand is an item too (`second_is_item`, the toy), it is renamed with the first.

What it does not rule out - a general representation of numbers in which every period can be read - is asked by
the period scan (`scan`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_probe.claims import Claim, Labels
from llm_probe.table import ALPHA

ENUMERATED_ITEMS = 7


@dataclass(frozen=True)
class Renamed:
    """What every prompt's labels would be under each renaming."""

    total: Int[Tensor, "renamings n"]
    """The integer result; mod the period it is the renamed label."""
    carry: Bool[Tensor, "renamings n"]
    """Whether the units carry; never for named items."""


def rename(claim: Claim, labels: Labels, token_counts: Sequence[int], count: int, seed: int) -> Renamed:
    """`count` renamings of a claim's prompts, or every one of them where items are few.

    `token_counts`: how many tokens the claim's items take in this tokenizer (ignored for arithmetic).
    """
    generator = torch.Generator().manual_seed(seed)
    if claim.is_arithmetic:
        return _digit_renamings(claim, labels, count, generator)
    domain, kinds = claim.domain, list(token_counts)
    for item in domain.fixed_items:
        kinds[item] = -1 - item  # a kind of its own changes places with nothing
    orders = item_orders(kinds, count, generator, mirrored=claim.quantity == "item")
    total = orders[:, labels.first]
    if claim.quantity == "sum":
        total = domain.total(total, orders[:, labels.offset] if domain.second_is_item else labels.offset)
    return Renamed(total, torch.zeros_like(total, dtype=torch.bool))


def _digit_renamings(claim: Claim, labels: Labels, count: int, generator: torch.Generator) -> Renamed:
    fixed = {0, *(int(digit) for digit in str(claim.period))}
    free = torch.tensor([digit for digit in range(10) if digit not in fixed])
    totals, carries = [], []
    for _ in range(count):
        names = torch.arange(10)
        names[free] = free[torch.randperm(len(free), generator=generator)]
        first, offset = (_rename(operand, names) for operand in (labels.first, labels.offset))
        totals.append(claim.domain.total(first, offset))
        carries.append(units_carry(first, offset))
    return Renamed(torch.stack(totals), torch.stack(carries))


def units_carry(first: Int[Tensor, " n"], offset: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Whether the units of two numbers add up to ten or more."""
    return first % 10 + offset % 10 >= 10


def _rename(numbers: Int[Tensor, " n"], names: Int[Tensor, " ten"]) -> Int[Tensor, " n"]:
    result, place = torch.zeros_like(numbers), 1
    while bool((numbers >= place).any()):
        result += torch.where(numbers >= place, names[(numbers // place) % 10] * place, 0)
        place *= 10
    return result


def item_orders(
    token_counts: list[int], count: int, generator: torch.Generator, *, mirrored: bool
) -> Int[Tensor, "orders items"]:
    """Orders of the items other than the true one, items of equal token count changing places.

    Rotations are the same circle, so the first item keeps its place; `mirrored`: reflections are the same too.
    """
    n = len(token_counts)
    if _is_enumerated(token_counts):
        orders = [(0, *rest) for rest in itertools.permutations(range(1, n))]
        kept = [order for order in orders[1:] if not mirrored or order[1] < order[-1]]
        return torch.tensor(kept)
    counts = torch.tensor(token_counts)
    result = []
    for _ in range(count):
        order = torch.arange(n)
        for size in counts.unique():
            places = (counts == size).nonzero()[:, 0]
            order[places] = places[torch.randperm(len(places), generator=generator)]
        result.append(order)
    return torch.stack(result)


def _is_enumerated(token_counts: Sequence[int]) -> bool:
    return len(set(token_counts)) == 1 and len(token_counts) <= ENUMERATED_ITEMS


def undecidable(claim: Claim, token_counts: Sequence[int], renamings: int) -> str | None:
    """Why no p-value of this claim can reach the level, whatever the model does; None if one can."""
    enumerated = not claim.is_arithmetic and _is_enumerated(token_counts)
    if renamings + 1 < 1 / ALPHA and not enumerated:
        return f"{renamings} renamings cannot give p <= {ALPHA}: use --renamings {round(1 / ALPHA) - 1} or more"
    if claim.is_arithmetic:
        return None
    orders = math.prod(math.factorial(list(token_counts).count(size)) for size in set(token_counts))
    if len(set(token_counts)) == 1:
        orders //= len(token_counts) * (2 if claim.quantity == "item" else 1)
    return f"its items have only {orders} different orders, too few for a test" if orders < 1 / ALPHA else None


def corrected_p(observed: Float[Tensor, ...], maxima: Float[Tensor, " renamings"]) -> Float[Tensor, ...]:
    """p of each observed value against the largest value of every renaming, corrected over the whole search."""
    beaten = len(maxima) - torch.searchsorted(maxima.sort().values, observed.contiguous(), right=False)
    return (1 + beaten.double()) / (1 + len(maxima))
