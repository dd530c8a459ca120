"""A claim about states that exist already: the user knows the label of every row, and perhaps its operands.

Rows fall to discovery and confirmation as prompts do: no operand pair in both (its hash says where it belongs), and of
three templates or more none in both, in the order in which they first occur, 4 : 3. A row whose pair belongs to one
part and whose template to the other is left out. Without operands and templates every second row of a label is for
confirmation.

What the labels stand for decides which null there is: the names change places, or, of numbers written in digits, the
digits (`statistics.renaming`). A sum whose operands are not known is analysed as the items are, each answer left out as
a whole; that its period, and not every period of an integer, is held cannot be tested then, so no circle is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, SYMBOLS, Domain, Operation, modular, one_digit_count
from llm_probe.questions.prompts import PAIR_SHARE, Part, Prompt, pair_hash
from llm_probe.run.vocabulary import Quantity
from llm_probe.statistics.renaming import item_kinds
from toy.run.errors import InputError

Names = str | Domain | Sequence[str]
"""Of the labels, in order; or the domain that has them."""
Column = Any
"""One value for each row: a list, an array or a tensor."""
DISCOVERY = 4 / 7
"""Share of the templates."""
FEWEST_TEMPLATES = 3
UNNAMED = "activations"


@dataclass(frozen=True)
class LabelledClaim(Claim):
    """A claim whose prompts are rows; their texts are their numbers."""

    given: tuple[Prompt, ...] = field(default=(), repr=False)
    parts: tuple[Part | None, ...] = field(default=(), repr=False)
    """The part of every row; None where it is left out."""
    kinds: tuple[int, ...] = ()
    """Which labels can change places under the null: those of one number."""
    has_operands: bool = True

    @property
    def has_companions(self) -> bool:
        return False

    @property
    def no_circle(self) -> str:
        unknown = "the operands of these sums are not known, so that the integer may be held, with every period"
        return "" if self.has_operands else unknown

    def prompts(self, part: Part, size: int, seed: int) -> list[Prompt]:
        """Every row of a part."""
        return [self.given[row] for row in self.rows(part)]

    def rows(self, part: Part) -> list[int]:
        """Their numbers."""
        return [row for row, own in enumerate(self.parts) if own == part]


def labelled_claim(
    labels: Column,
    period: int,
    quantity: Quantity,
    template: Column | None = None,
    first: Column | None = None,
    offset: Column | None = None,
    names: Names | None = None,
    kinds: Sequence[int] | None = None,
    seed: int = 0,
) -> LabelledClaim:
    """The claim of these rows; the arguments are those of `probe_activations`.

    Raises:
        InputError: columns of unequal length, a label outside [0, period), operands that do not give the labels, or a
            label without a discovery row.
    """
    columns = _columns(labels, period, quantity, first, offset)
    label, n, is_sum = columns["labels"], len(columns["labels"]), len(columns) == 3
    templates = ["given"] * n if template is None else [str(one) for one in template]
    domain = _domain(period, columns, names)
    can_swap = _kinds_of(domain) if kinds is None else tuple(kinds)
    for what, has, needs in (("template", len(templates), n), ("kinds", len(can_swap), period)):
        if has != needs:
            raise InputError(f"{what} has {has} entries and should have {needs}: one for each row, or label, in order")
    pairs = (columns["first"], columns["offset"]) if is_sum else (label, np.zeros_like(label))
    given = tuple(
        Prompt(f"row {row}", {}, name, int(a), int(b), int(domain.total(a, b)) if is_sum else int(s), int(s), None)
        for row, (name, a, b, s) in enumerate(zip(templates, *pairs, label, strict=True))
    )
    parts = _parts(label, pairs if is_sum else None, templates, seed)
    missing = set(range(period)) - {
        prompt.label for prompt, own in zip(given, parts, strict=True) if own == "discovery"
    }
    if missing:
        raise InputError(
            f"label {min(missing)} ({domain.items[min(missing)]}) has no discovery row among {n}: give more rows of "
            "every label, with more templates or operand pairs"
        )
    return LabelledClaim(domain, "sum" if is_sum else "item", given, parts, can_swap, is_sum or quantity == "item")


def _columns(
    labels: Column, period: int, quantity: Quantity, first: Column | None, offset: Column | None
) -> dict[str, np.ndarray]:
    """`labels`, and of sums whose operands are known `first` and `offset`, checked."""
    if quantity not in ("sum", "item"):
        raise InputError(f"there is no quantity {quantity!r}: choose from sum, item")
    given = {"labels": labels, "first": first, "offset": offset}
    columns = {name: _integers(values, name) for name, values in given.items() if values is not None}
    if len(columns) == 2 or (len(columns) == 3 and quantity == "item"):
        raise InputError("a sum has two operands and an item none: give first and offset of a sum, or neither")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1 or not lengths["labels"]:
        said = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise InputError(f"every row needs one value of each column, got {said}: give columns of one length")
    low, high = columns["labels"].min(), columns["labels"].max()
    if low < 0 or high >= period:
        raise InputError(
            f"labels run from {low} to {high}: for the period {period} give numbers from 0 to {period - 1}"
        )
    return columns


def _kinds_of(domain: Domain) -> tuple[int, ...]:
    """Which names can change places where their tokens are not known: all words; numbers only if they share no digit,
    for many tokenizers make a token of each."""
    if not all(item.isdigit() for item in domain.items):
        return (0,) * domain.period
    return tuple(item_kinds([[tuple(map(int, item))] for item in domain.items], set()))


def _integers(values: Column, name: str) -> np.ndarray:
    """A column of integers. Raises InputError if it is none."""
    column = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    if column.ndim != 1 or column.dtype.kind not in "iuf" or bool((column != np.floor(column)).any()):
        raise InputError(f"{name} are {column.dtype} of shape {column.shape}: give one integer for each row")
    return column.astype(np.int64)


def _domain(period: int, known: dict[str, np.ndarray], names: Names | None) -> Domain:
    """What the labels stand for."""
    is_sum = len(known) == 3
    operation = _operation(known, period) if is_sum else "add"
    if names is None and is_sum:
        return modular(operation, period, operands=_operands(np.concatenate([known["first"], known["offset"]])))
    domain = _named(names, period)
    if domain.period != period:
        raise InputError(f"{domain.period} names for the period {period}: give one name for each label, in their order")
    if not is_sum:
        return domain
    if known["first"].min() < 0 or known["first"].max() >= period:
        raise InputError(
            f"the first operand of named items is an index from 0 to {period - 1}, got {known['first'].max()}: where "
            "both operands are numbers leave out names"
        )
    low, high = known["offset"].min(), known["offset"].max()
    within = domain.offsets.start <= low and high < domain.offsets.stop
    return replace(domain, operation=operation, largest_offset=domain.largest_offset if within else int(high) + 1)


def _named(names: Names | None, period: int) -> Domain:
    """The domain of these names; known ones bring the partitions that a circle has to be more than."""
    if isinstance(names, Domain):
        return names
    if isinstance(names, str):
        if names not in DOMAINS:
            raise InputError(f"there is no domain {names!r}: choose from {', '.join(DOMAINS)}, or give the names")
        return DOMAINS[names]
    # Not bare numbers, which would be taken for names in digits.
    items = tuple(f"label {s}" for s in range(period)) if names is None else tuple(map(str, names))
    same = next((domain for domain in DOMAINS.values() if domain.items == items), None)
    return same or Domain(UNNAMED, items, questions={"given": "{item} {offset}"}, statements={"given": "{item}"})


def _operation(known: dict[str, np.ndarray], period: int) -> Operation:
    """Which operation on the operands gives the labels.

    Raises:
        InputError: none does.
    """
    first, offset = known["first"], known["offset"]
    results: dict[Operation, np.ndarray] = {"add": first + offset, "sub": first - offset, "mul": first * offset}
    for operation, result in results.items():
        if bool((result % period == known["labels"]).all()):
            return operation
    wrong = int(np.flatnonzero(results["add"] % period != known["labels"])[0])
    raise InputError(
        f"the labels are no {', '.join(SYMBOLS.values())} of the operands mod {period}: row {wrong} has first "
        f"{first[wrong]}, offset {offset[wrong]} and label {known['labels'][wrong]}"
    )


def _operands(values: np.ndarray) -> range:
    """The numbers that both operands run over: all of one digit count, or from the smallest to the largest."""
    low, high = int(values.min()), int(values.max())
    every = one_digit_count(high + 1)
    return every if low in every else range(low, high + 1)


def _parts(
    label: np.ndarray, pairs: tuple[np.ndarray, np.ndarray] | None, templates: Sequence[str], seed: int
) -> tuple[Part | None, ...]:
    """Discovery, confirmation or neither, row by row."""
    names = list(dict.fromkeys(templates))
    first = set(names[: max(1, round(len(names) * DISCOVERY))])
    splits = [[name in first for name in templates]] if len(names) >= FEWEST_TEMPLATES else []
    if pairs is not None:
        splits.append((pair_hash(*pairs, seed) < PAIR_SHARE["discovery"][1]).tolist())
    if not splits:
        times: Counter[int] = Counter()
        splits.append([times.update([s]) or times[s] % 2 == 1 for s in label.tolist()])
    part_of: dict[bool, Part] = {True: "discovery", False: "confirmation"}
    return tuple(part_of[row[0]] if len(set(row)) == 1 else None for row in zip(*splits, strict=True))
