"""The renaming null: what would the same search find if the tokens had other names?

In a network that never learnt, the embeddings of the ten digits - or of the seven weekdays - are exchangeable:
renaming them changes nothing in distribution. So the largest statistic of a search over every layer, dimension,
frequency and penalty, computed with the labels that *renamed* prompts would have, has the same law as the one
computed with the true labels, and

    p = (1 + #{renamings whose maximum >= observed}) / (1 + #renamings)

is exact for untrained weights, whatever the search (max-T; Westfall & Young 1993). Which names can change places is in
`renaming`: digits in both operands (and in the items, where those are numbers), or items of one kind. Where the second
operand is an item too (`second_is_item`, the toy), it is renamed with the first. Small sets of orders are enumerated
(seven days: 720, because rotations of a circle are the same circle).

What it does not rule out - a general representation of numbers in which every period can be read - is asked by
the period scan (`scan`) and by the assignment test (`assignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import ALPHA
from llm_probe.statistics.renaming import ENUMERATED, digit_classes, n_orders, orders


@dataclass(frozen=True)
class Renamed:
    """What every prompt's labels would be under each renaming."""

    total: Int[Tensor, "renamings n"]
    """The integer result; mod the period it is the renamed label."""
    carry: Bool[Tensor, "renamings n"]
    """Whether the units carry; never for named items."""


def rename(claim: Claim, labels: Labels, kinds: Sequence[int], count: int, seed: int) -> Renamed:
    """`count` renamings of a claim's prompts, or every one of them where there are few.

    `kinds`: which items can change places in this tokenizer (`renaming.item_kinds`; ignored where digits do).
    """
    generator = torch.Generator().manual_seed(seed)
    if claim.renames_digits:
        return _digit_renamings(claim, labels, orders(digit_classes(claim), 10, count, generator))
    domain = claim.domain
    names = item_orders(kinds, domain.fixed_items, count, generator, mirrored=claim.quantity == "item")
    total = names[:, labels.first]
    if claim.quantity == "sum":
        total = domain.total(total, names[:, labels.offset] if domain.second_is_item else labels.offset)
    return Renamed(total, torch.zeros_like(total, dtype=torch.bool))


def _digit_renamings(claim: Claim, labels: Labels, names: Int[Tensor, "renamings ten"]) -> Renamed:
    """Labels under renamed digits; an item that is a number is renamed by its own digits."""
    domain = claim.domain
    values = None if claim.is_arithmetic else torch.tensor([int(item) for item in domain.items])
    totals, carries = [], []
    for digits in names:
        offset = _rename(labels.offset, digits)
        if values is None:
            first = _rename(labels.first, digits)
        else:
            first = (_rename(values[labels.first], digits)[:, None] == values).int().argmax(dim=1)
        totals.append(domain.total(first, offset) if claim.quantity == "sum" else first)
        carries.append(units_carry(first, offset) & labels.has_digits)
    return Renamed(torch.stack(totals), torch.stack(carries))


def units_carry(first: Int[Tensor, " n"], offset: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Whether the units of two numbers add up to ten or more."""
    return first % 10 + offset % 10 >= 10


def _rename(numbers: Int[Tensor, " n"], names: Int[Tensor, " ten"]) -> Int[Tensor, " n"]:
    result, place = torch.zeros_like(numbers), 1
    while bool((numbers >= place).any()):
        result += torch.where(numbers >= place, names[(numbers // place) % 10] * place, 0)
        place *= 10
    # Zero is a digit too, where it is a number by itself.
    return torch.where(numbers == 0, names[0], result)


def item_orders(
    kinds: Sequence[int], fixed: Sequence[int], count: int, generator: torch.Generator, *, mirrored: bool
) -> Int[Tensor, "orders items"]:
    """Orders of the items other than the true one, items of one kind changing places.

    Rotations are the same circle, so if all items are of one kind the first keeps its place; `mirrored`: reflections
    are the same too.
    """
    found = orders(_item_classes(kinds, fixed), len(kinds), count, generator)
    if mirrored and _all_free(kinds, fixed) and len(kinds) > 2 and len(found) == n_orders([len(kinds) - 1]) - 1:
        found = found[found[:, 1] < found[:, -1]]
    return found


def _all_free(kinds: Sequence[int], fixed: Sequence[int]) -> bool:
    return len(set(kinds)) == 1 and not fixed


def _item_classes(kinds: Sequence[int], fixed: Sequence[int]) -> list[list[int]]:
    held = {*fixed, *([0] if _all_free(kinds, fixed) else [])}
    free = [index for index in range(len(kinds)) if index not in held]
    return [[index for index in free if kinds[index] == kind] for kind in sorted({kinds[index] for index in free})]


def undecidable(claim: Claim, kinds: Sequence[int], renamings: int) -> str | None:
    """Why no p-value of this claim can reach the level, whatever the model does; None if one can."""
    if claim.renames_digits:
        what, available = "digits", n_orders([len(kind) for kind in digit_classes(claim)])
    else:
        fixed = claim.domain.fixed_items
        what, available = "items", n_orders([len(kind) for kind in _item_classes(kinds, fixed)])
        available //= 2 if claim.quantity == "item" and _all_free(kinds, fixed) else 1
    if available < 2:
        return (
            f"its {what} share tokens in this tokenizer, so that none can change its name: there is no null to test by"
        )
    if available < 1 / ALPHA:
        return f"its {what} have only {available} different orders, too few for a test"
    if renamings + 1 < 1 / ALPHA and available > ENUMERATED:
        return f"{renamings} renamings cannot give p <= {ALPHA}: use --renamings {round(1 / ALPHA) - 1} or more"
    return None


def corrected_p(observed: Float[Tensor, ...], maxima: Float[Tensor, " renamings"]) -> Float[Tensor, ...]:
    """p of each observed value against the largest value of every renaming, corrected over the whole search."""
    beaten = len(maxima) - torch.searchsorted(maxima.sort().values, observed.contiguous(), right=False)
    return (1 + beaten.double()) / (1 + len(maxima))
