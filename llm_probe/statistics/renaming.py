"""Which names can change places without an untrained network noticing.

Renaming must be a bijection of *tokens* that maps the set of possible prompts onto itself. Two kinds are used:

- **digits**, where operands or items are numbers: x and y may change places if swapping them in every operand and
  every item gives the same operands and the same items again, and no other text of the prompt holds them. "May change
  places" is an equivalence, so the digits fall into classes, permuted independently and in both operands at once:
  1, …, 12 o'clock leave {3, …, 9}, operands 10 … 99 mod 23 leave {1, 4, …, 9}.
- **items**, where they are words: items change places if they have equally many tokens, and each token belongs to this
  item alone or, at the same place, to all of them ("first grade", "second grade"). "C" and "C sharp" share a token
  that "D" has not, so both keep their names.

An order is a tensor: of the ten digits, `names[d]` is what d becomes; of n items, `order[i]`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from llm_probe.questions import domains
from llm_probe.questions.claims import Claim

Tokens = tuple[int, ...]
ENUMERATED = 720
"""So many orders or fewer are all used, once each."""


def digit_classes(claim: Claim) -> list[list[int]]:
    """Digits that can change places, class by class."""
    domain = claim.domain
    if domain.operands == domains.one_digit_count(len(domain.operands or ())):
        # All numbers of one digit count: any two digits but a leading zero. The sets below would be large.
        held = {0, *map(int, str(domain.period))}
        return [[digit for digit in range(10) if digit not in held]]
    firsts = {domain.first_text(first) for first in domain.first_operands}
    offsets = {domain.offset_text(offset) for offset in domain.offsets} if claim.quantity == "sum" else set()
    around = "".join((domain.questions if claim.quantity == "sum" else domain.statements).values())
    held = {digit for digit in "0123456789" if digit in around}
    if claim.is_arithmetic:
        held |= set(str(domain.period))
    classes: list[list[str]] = []
    for digit in sorted(set("0123456789") - held):
        home = next((kind for kind in classes if _closed(kind[0], digit, firsts, offsets)), None)
        if home is None:
            classes.append([digit])
        else:
            home.append(digit)
    return [[int(digit) for digit in kind] for kind in classes]


def _closed(one: str, other: str, *sets: set[str]) -> bool:
    swap = str.maketrans(one + other, other + one)
    return all({text.translate(swap) for text in texts} == texts for texts in sets)


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


def n_orders(classes: Sequence[int]) -> int:
    """How many orders classes of these sizes have."""
    return math.prod(math.factorial(size) for size in classes)


def orders(classes: Sequence[Sequence[int]], n: int, count: int, generator: torch.Generator) -> Int[Tensor, "orders n"]:
    """Orders of 0 … n-1 that permute each class within itself: all but the true one if they are few, else `count`.

    Where nothing can change places the true order stands alone, so that p is 1.
    """
    if n_orders([len(kind) for kind in classes]) <= ENUMERATED:
        every = torch.tensor(list(_all_orders(classes, n)))
        return every[1:] if len(every) > 1 else every
    result = torch.arange(n).repeat(count, 1)
    for row in result:
        for kind in classes:
            places = torch.tensor(kind)
            row[places] = places[torch.randperm(len(places), generator=generator)]
    return result


def _all_orders(classes: Sequence[Sequence[int]], n: int) -> Iterator[list[int]]:
    """Every order, the true one first."""
    for choice in itertools.product(*(itertools.permutations(kind) for kind in classes)):
        order = list(range(n))
        for kind, names in zip(classes, choice, strict=True):
            for place, name in zip(kind, names, strict=True):
                order[place] = name
        yield order
