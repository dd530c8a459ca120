"""The renaming null: what would the same search find if the tokens had other names?

In a network that never learnt, the embeddings of the ten digits - or of the seven weekdays - are exchangeable, so the
largest statistic of a search over every layer, dimension, frequency and penalty has the same law under the labels that
*renamed* prompts would have as under the true ones, whatever the search (max-T; Westfall & Young 1993):

    p = (1 + #{renamings whose maximum >= observed}) / (1 + #renamings)

Renamings are drawn in stages, so that a p can be small where it matters and costs little elsewhere: where no p of the
99 of the first is 0.2 or less they are all, and where none of the 499 of both is 0.02 or less (`STAGES`; after Besag &
Clifford 1991). At every level below a stage's limit a p that went on is that of one test of more renamings, at every
level from there on a p that stopped is that of one test of fewer, so that none is biased.

A renaming is a bijection of *tokens* that maps the set of possible prompts onto itself:

- **digits**, where operands or items are numbers: x and y may change places if swapping them everywhere gives the same
  operands and items again and no other text of the prompt holds them. The digits fall into classes, permuted
  independently: 1, …, 12 o'clock leave {3, …, 9}, operands 10 … 99 mod 23 leave {1, 4, …, 9}.
- **items**, where they are words of equally many tokens, each of which belongs to this item alone or, at the same
  place, to all ("first grade"): "C" and "C sharp" share a token that "D" has not, so both keep their names. A second
  operand that is an item (the toy) is renamed with the first. Rotations of a circle are the same circle.

An order is a tensor: of the ten digits, `names[d]` is what d becomes; of n items, `order[i]`. A general representation
of numbers, in which every period can be read, passes this null: `scan` and `assignment` ask about it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_probe.questions import domains
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.own import GivenClaim
from llm_probe.run.vocabulary import ALPHA

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokens = tuple[int, ...]
ENUMERATED, LISTED = 720, 5040
"""So many orders or fewer are all used, once each; so many are listed, to draw from."""
FIRST = 499
"""Renamings of the first two stages: dimensions, and trials of the calibration, have no more."""
STAGES = ((99, 0.2), (FIRST, 0.02))
"""(renamings so far, the largest p at which more are worth their time): some twenty, then ten, that are as large are
enough to give up."""


def digit_classes(claim: Claim) -> list[list[int]]:
    """Digits that can change places, class by class."""
    domain = claim.domain
    if domain.operands == domains.one_digit_count(len(domain.operands or ())):
        # All numbers of one digit count: any two digits but a leading zero. The sets below would be large.
        held = {0, *(map(int, str(domain.period)) if domain.says_modulus else ())}
        return [[digit for digit in range(10) if digit not in held]]
    firsts = {domain.first_text(first) for first in domain.first_operands}
    offsets = {domain.offset_text(offset) for offset in domain.offsets} if claim.quantity == "sum" else set()
    around = "".join((domain.questions if claim.quantity == "sum" else domain.statements).values())
    held = {digit for digit in "0123456789" if digit in around}
    if claim.is_arithmetic:
        held |= set(str(domain.period))

    def change_places(one: str, other: str) -> bool:
        swap = str.maketrans(one + other, other + one)
        return all({text.translate(swap) for text in texts} == texts for texts in (firsts, offsets))

    classes: dict[str, list[int]] = {}
    for digit in sorted(set("0123456789") - held):
        first = next((first for first in classes if change_places(first, digit)), digit)
        classes.setdefault(first, []).append(int(digit))
    return list(classes.values())


def item_kinds(spellings: Sequence[Sequence[Tokens]], context: set[int]) -> list[int]:
    """A number for each item; items of one number can change places.

    `spellings`: of each item the ways it is written (after a space, at the start of a text), each a tuple of tokens;
    `context`: tokens of the texts around the items, which keep their names.
    """
    together = [set(itertools.chain(*ways)) for ways in spellings]
    owners = Counter(token for tokens in together for token in tokens)
    patterns: dict[Hashable, int] = {}
    kinds = []
    for index, (ways, tokens) in enumerate(zip(spellings, together, strict=True)):
        own = {token for token in tokens if owners[token] == 1 and token not in context}
        shared = {token for token in tokens if owners[token] == len(spellings)}
        pattern = tuple(tuple(-1 if token in own else token for token in way) for way in ways)
        key: Hashable = pattern if own | shared == tokens else ("alone", index)
        kinds.append(patterns.setdefault(key, len(patterns)))
    return kinds


def claim_item_kinds(claim: Claim, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Which items of a claim can change places in this tokenizer; a user's prompts all can."""
    if isinstance(claim, GivenClaim):
        return [0] * claim.period

    def tokens(text: str) -> Tokens:
        return tuple(tokenizer.encode(text, add_special_tokens=False))

    texts = claim.domain.questions if claim.quantity == "sum" else claim.domain.statements
    slots = [text.replace("{item}", " ").replace("{offset}", " ") for text in texts.values()]
    context = {token for text in slots for token in tokens(text)}
    return item_kinds([[tokens(" " + item), tokens(item)] for item in claim.domain.items], context)


def n_orders(classes: Sequence[int]) -> int:
    """How many orders classes of these sizes have."""
    return math.prod(math.factorial(size) for size in classes)


def orders(classes: Sequence[Sequence[int]], n: int, count: int, generator: torch.Generator) -> Int[Tensor, "orders n"]:
    """Orders of 0 … n-1 that permute each class within itself, in random order: all but the true one if they are few,
    else `count` of them, none twice and never the true one, which is counted by itself.

    Where nothing can change places the true order stands alone, so that p is 1.
    """
    available = n_orders([len(kind) for kind in classes])
    if available == 1:
        return torch.arange(n)[None]
    count = available - 1 if available <= ENUMERATED else min(count, available - 1)
    if available <= LISTED:
        every = torch.tensor(list(_all_orders(classes, n)))
        return every[1:][torch.randperm(available - 1, generator=generator)[:count]]
    different = {tuple(range(n)): None}
    while len(different) <= count:
        sample = torch.arange(n).repeat(count, 1)
        for kind in classes:
            places = torch.tensor(kind, dtype=torch.long)
            sample[:, places] = places[torch.rand(count, len(kind), generator=generator).argsort(dim=1)]
        different |= dict.fromkeys(map(tuple, sample.tolist()))
    return torch.tensor(list(different)[1 : count + 1])


def _all_orders(classes: Sequence[Sequence[int]], n: int) -> Iterator[list[int]]:
    """Every order, the true one first."""
    for choice in itertools.product(*(itertools.permutations(kind) for kind in classes)):
        order = list(range(n))
        for kind, names in zip(classes, choice, strict=True):
            for place, name in zip(kind, names, strict=True):
                order[place] = name
        yield order


@dataclass(frozen=True)
class Renamed:
    """What every prompt's labels would be under each renaming."""

    total: Int[Tensor, "renamings n"]
    """The integer result; mod the period it is the renamed label."""
    carry: Bool[Tensor, "renamings n"]
    """Whether the units carry; never for named items."""

    def stages(self, most: int | None = None) -> Iterator[tuple[Renamed, float]]:
        """The renamings of each stage, `most` in all, and the p above which no more are drawn."""
        count, start = min(len(self.total), most or len(self.total)), 0
        for size, promising in (*STAGES, (count, 0.0)):
            if start < (end := min(size, count)):
                yield Renamed(self.total[start:end], self.carry[start:end]), promising
                start = end


def rename(claim: Claim, labels: Labels, kinds: Sequence[int], count: int, seed: int) -> Renamed:
    """`count` renamings of a claim's prompts, or every one of them where there are few.

    `kinds`: which items can change places in this tokenizer (`renaming.item_kinds`; ignored where digits do).
    """
    generator = torch.Generator().manual_seed(seed)
    domain = claim.domain
    if claim.renames_digits:
        return _digit_renamings(claim, labels, orders(digit_classes(claim), 10, count, generator))
    names = item_orders(kinds, domain.fixed_items, count, generator, mirrored=claim.quantity == "item")
    total = names[:, labels.first]
    if claim.quantity == "sum":
        total = domain.total(total, names[:, labels.offset] if domain.second_is_item else labels.offset)
    return Renamed(total, torch.zeros_like(total, dtype=torch.bool))


def _digit_renamings(claim: Claim, labels: Labels, names: Int[Tensor, "renamings ten"]) -> Renamed:
    """Labels under renamed digits; an item that is a number is renamed by its own digits."""
    domain = claim.domain
    offset = _rename(labels.offset, names)
    if claim.is_arithmetic:
        first = _rename(labels.first, names)
    else:
        values = torch.tensor([int(item) for item in domain.items])
        place = torch.zeros(int(values.max()) + 1, dtype=torch.long)
        place[values] = torch.arange(len(values))
        first = place[_rename(values[labels.first], names)]
    total = domain.total(first, offset) if claim.quantity == "sum" else first
    return Renamed(total, units_carry(first, offset) & labels.has_digits)


def units_carry(first: Int[Tensor, "*n"], offset: Int[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
    """Whether the units of two numbers add up to ten or more."""
    return first % 10 + offset % 10 >= 10


def _rename(numbers: Int[Tensor, " n"], names: Int[Tensor, "renamings ten"]) -> Int[Tensor, "renamings n"]:
    """Every number with its digits renamed."""
    result, place = torch.zeros(len(names), len(numbers), dtype=torch.long), 1
    while bool((numbers >= place).any()):
        result += torch.where(numbers >= place, names[:, (numbers // place) % 10] * place, 0)
        place *= 10
    # Zero is a digit too, where it is a number by itself.
    return torch.where(numbers == 0, names[:, :1], result)


def item_orders(
    kinds: Sequence[int], fixed: Sequence[int], count: int, generator: torch.Generator, *, mirrored: bool
) -> Int[Tensor, "orders items"]:
    """Orders of the items other than the true one, items of one kind changing places.

    Rotations are the same circle, so if all items are of one kind the first keeps its place; `mirrored`: reflections
    are the same too.
    """
    result = orders(_item_classes(kinds, fixed), len(kinds), count, generator)
    if mirrored and _all_free(kinds, fixed) and len(kinds) > 2 and len(result) == n_orders([len(kinds) - 1]) - 1:
        result = result[result[:, 1] < result[:, -1]]
    return result


def _all_free(kinds: Sequence[int], fixed: Sequence[int]) -> bool:
    return len(set(kinds)) == 1 and not fixed


def _item_classes(kinds: Sequence[int], fixed: Sequence[int]) -> list[list[int]]:
    held = {*fixed, *([0] if _all_free(kinds, fixed) else [])}
    free = [index for index in range(len(kinds)) if index not in held]
    return [[index for index in free if kinds[index] == kind] for kind in sorted({kinds[index] for index in free})]


def available_orders(claim: Claim, kinds: Sequence[int]) -> int:
    """How many orders of a claim's digits or items can be told apart, the true one among them."""
    if claim.renames_digits:
        return n_orders([len(kind) for kind in digit_classes(claim)])
    return n_item_orders(claim, kinds)


def n_item_orders(claim: Claim, kinds: Sequence[int]) -> int:
    """How many orders of a claim's items can be told apart where those of one kind change places.

    Also of items that are numbers: their shape is tested by these, not by digits.
    """
    fixed = claim.domain.fixed_items
    available = n_orders([len(kind) for kind in _item_classes(kinds, fixed)])
    return available // 2 if claim.quantity == "item" and _all_free(kinds, fixed) else available


def undecidable(claim: Claim, kinds: Sequence[int], renamings: int) -> str | None:
    """Why no p-value of this claim can reach the level, whatever the model does; None if one can.

    Items with too few orders may have another null, random words in their place (`geometry.redrawn`).
    """
    what, available = "digits" if claim.renames_digits else "items", available_orders(claim, kinds)
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
