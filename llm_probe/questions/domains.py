"""Domains: ordered things a model may carry on a circle, and the sentences that ask about them.

A domain is a tuple of `items` in order, `n = len(items)` its period, and two kinds of text:

- **questions** hold `{item}` and `{offset}`; the answer is the item `offset` steps further on, so the label is
  (item op offset) mod n and the quantity is called `sum`;
- **statements** hold `{item}` only; the label is the item's own index and the quantity is called `item`.

Modular arithmetic is the domain whose items are the integers 0 … p-1 and whose first operand may be any
integer (`modular("add", 7)`). Linear controls (`cyclic=False`) are ordered but do not close: they have
statements only, and a method that finds circles in them is wrong.

The templates named `published` are those of unixsysdev/grokking-fourier (Qwen3-0.6B; commit 536610f), where
there is one; the answer is what a model would write next, so a text that ends in a space is continued by the
bare word.
"""

from __future__ import annotations

import re
import reprlib
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from toy.run.errors import InputError, printable

Operation = Literal["add", "sub", "mul"]

SYMBOLS: dict[Operation, str] = {"add": "+", "sub": "-", "mul": "*"}
WORDS: dict[Operation, str] = {"add": "plus", "sub": "minus", "mul": "times"}
SLOTS = {"question": ("item", "offset", "modulus"), "statement": ("item",)}
"""What stands in braces in a text of each kind, once; of a question the modulus may be left out."""
SLOT = re.compile(r"\{(\w+)\}")

SMALLEST_MODULUS = 5
"""A circle through fewer points than five cannot be told from a square wave and a ramp."""

LARGEST_PERIOD = 1000
LARGEST_OFFSET = 10_000
"""More items, or steps, ask for more prompts than a run reads."""

GRID_LIMIT = 64
"""Published grids of larger periods are left out: their n² prompts would outweigh everything else."""

ARITHMETIC_QUESTIONS: dict[str, str] = {
    "published": "{item} {symbol} {offset} mod {modulus} =",
    "brackets": "({item} {symbol} {offset}) mod {modulus} =",
    "percent": "({item} {symbol} {offset}) % {modulus} =",
    "modulo": "{item} {word} {offset} modulo {modulus} is",
    "modulus_first": "mod {modulus}: {item} {symbol} {offset} =",
    "question": "Q: What is {item} {symbol} {offset} mod {modulus}? A:",
    "remainder": "{item} {symbol} {offset} divided by {modulus} leaves remainder",
    "congruent": "modulo {modulus}, {item} {word} {offset} equals",
    "calculate": "Calculate {item} {symbol} {offset} mod {modulus}. Answer:",
}

PLAIN_QUESTIONS: dict[str, str] = {
    "published": "{item} {symbol} {offset} =",
    "brackets": "({item} {symbol} {offset}) =",
    "percent": "{item}{symbol}{offset} =",
    "modulo": "{item} {word} {offset} is",
    "modulus_first": ": {item} {symbol} {offset} =",
    "question": "Q: What is {item} {symbol} {offset}? A:",
    "remainder": "{item} {symbol} {offset} leaves",
    "congruent": "{item} {word} {offset} equals",
    "calculate": "Calculate {item} {symbol} {offset}. Answer:",
}
"""The arithmetic questions without their modulus, by the same names: a control."""

CALENDAR_QUESTIONS: dict[str, str] = {
    "published": "{item} + {offset} {unit} = ",
    "plus": "{item} plus {offset} {unit} is",
    "after": "{offset} {unit} after {item} is",
    "from": "{offset} {unit} from {item} is",
    "question": "Q: What is {offset} {unit} after {item}? A:",
    "forward": "Starting at {item} and moving {offset} {unit} forward gives",
    "later": "It is {item}. In {offset} {unit} it will be",
    "counting": "Counting {offset} {unit} on from {item} leads to",
    "arrow": "{item}, +{offset} {unit} ->",
}

STATEMENTS: dict[str, str] = {
    "was": "It was {item} again.",
    "thinking": "We were thinking about {item} again.",
    "word": "The word on the board is {item}.",
    "said": "She said {item} and then left.",
    "screen": "On the screen you can read {item} in white letters.",
    "prefer": "Most people here prefer {item}, as far as I know.",
    "heard": "I heard {item} through the door.",
    "wrote": "He wrote {item} on a piece of paper.",
    "picture": "This picture shows {item} to everyone.",
    "list": "The next entry in the list is {item}.",
    "chose": "Everyone in the group chose {item}.",
    "sign": "A sign by the road says {item} in blue paint.",
    "called": "Nobody knows why it is called {item}.",
    "answered": "Without thinking the child answered {item} and laughed.",
    "letter": "In his letter he mentions {item} twice.",
    "title": "The title of the chapter is {item}.",
    "example": "For example, take {item} from this table.",
    "find": "You will not find {item} in that dictionary.",
}
"""In the order in which they are shared out (`prompts.part_templates`): eight for discovery, six for confirmation, four
for the causal runs. Every item reads well in all of them, none is the first token, and none speaks of an order."""


@dataclass(frozen=True)
class Domain:
    """An ordered set of items and the texts that mention them; the period is the number of items."""

    name: str
    """What the table calls it: `days`, `mod-add 7`."""
    items: tuple[str, ...]
    """In order; for a cyclic domain the first follows the last."""
    questions: Mapping[str, str] = field(default_factory=dict)
    """Template name to text with `{item}` and `{offset}`: the model is to continue with the answer."""
    statements: Mapping[str, str] = field(default_factory=dict)
    """Template name to text with `{item}` only."""
    cyclic: bool = True
    """False for a linear control."""
    operation: Operation = "add"
    operands: range | None = None
    """Integers that both operands run over (arithmetic); None: the items, and `largest_offset` offsets."""
    largest_offset: int = 0
    """Offsets run over 0 … largest_offset - 1; 0 means three periods, or beside items that are numbers all numbers of
    two digits or more that reach three periods: digits can then change places in both (`renaming`)."""
    partitions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name to the class of every item: groups that a model may know without an order (seasons, weekend). A circle has
    to be more than each of them."""

    def __post_init__(self) -> None:
        if not 3 <= len(set(self.items)) == len(self.items) <= LARGEST_PERIOD:
            raise InputError(
                f"domain {self.name!r} needs at least three different items and at most {LARGEST_PERIOD:,}, got "
                f"{len(self.items):,}: {reprlib.repr(list(self.items))}"
            )
        for text in (self.name, *self.items, *self.questions, *self.statements):
            if not text.strip() or printable(text) != text or SLOT.search(text):
                raise InputError(f"{text!r} of domain {self.name!r} cannot be a name: give text that can be printed")
        texts = [("question", *template) for template in self.questions.items()]
        texts += [("statement", *template) for template in self.statements.items()]
        for kind, name, text in texts:
            _check_template(kind, name, text, self.name)
        if not 0 <= self.largest_offset <= LARGEST_OFFSET:
            raise InputError(
                f"the largest offset of {self.name!r} is {self.largest_offset}: give {LARGEST_OFFSET:,} or less, or 0 "
                "for three periods"
            )
        for name, classes in self.partitions.items():
            if len(classes) != len(self.items) or not 1 < len(set(classes)) < len(self.items):
                raise InputError(
                    f"the partition {name!r} of {self.name!r} must put each of the {len(self.items)} items into one of "
                    f"two or more classes, got {reprlib.repr(list(classes))}"
                )
        if not self.questions and not self.statements:
            raise InputError(f"domain {self.name!r} has neither question nor statement templates")

    @property
    def period(self) -> int:
        return len(self.items)

    @property
    def first_operands(self) -> range:
        """Integers the first slot runs over."""
        return self.operands or range(self.period)

    @property
    def offsets(self) -> range:
        """Integers the second slot runs over."""
        if self.operands or self.largest_offset:
            return self.operands or range(self.largest_offset)
        if all(item.isdigit() for item in self.items):
            return one_digit_count(3 * self.period)
        return range(3 * self.period)

    @property
    def has_grid(self) -> bool:
        """Whether all n² pairs are read for the published statistic."""
        return self.period <= GRID_LIMIT

    @property
    def second_is_item(self) -> bool:
        """Whether the second operand is an item too, and not a number of steps."""
        return False

    @property
    def fixed_items(self) -> tuple[int, ...]:
        """Items that the questions themselves name: the renaming null leaves them."""
        return ()

    def first_text(self, first: int) -> str:
        """How the first operand is written."""
        return str(first) if self.operands else self.items[first]

    def offset_text(self, offset: int) -> str:
        """How the second operand is written."""
        return self.items[offset] if self.second_is_item else str(offset)

    def admits(self, first: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Which operand pairs may stand in a question, as an array of their shape."""
        return np.ones(np.broadcast(first, offset).shape, dtype=bool)

    def total(self, first: Any, offset: Any) -> Any:
        """The integer result before it is reduced mod the period, of two integers or of two integer tensors."""
        if self.operation == "add":
            return first + offset
        return first - offset if self.operation == "sub" else first * offset

    @property
    def says_modulus(self) -> bool:
        """Whether the questions name the period, so that the same sums can be asked for under another."""
        return any("{modulus}" in text for text in self.questions.values())

    @property
    def possible_answers(self) -> tuple[str, ...]:
        """Everything that can be an answer."""
        return self.items

    def answer(self, total: int) -> str:
        """The right answer to a question with this integer result."""
        return self.items[total % self.period]


@dataclass(frozen=True)
class PlainSum(Domain):
    """Sums of two numbers without a modulus. The answer is the sum; its label, the last digit, lies on a circle of
    period 10 wherever a sum is held as one writes it, with periods 2, 5 and 100 beside it."""

    @property
    def possible_answers(self) -> tuple[str, ...]:
        assert self.operands is not None
        return _numbers(0, 2 * (self.operands.stop - 1))

    def answer(self, total: int) -> str:
        return str(total)


def _check_template(kind: str, name: str, text: str, domain: str) -> None:
    """Raises InputError if a slot is missing, stands there twice, or is none."""
    slots = SLOT.findall(text)
    for slot in SLOTS[kind]:
        if slots.count(slot) != 1 and (slot != "modulus" or slots.count(slot)):
            raise InputError(f"{kind} template {name!r} of {domain!r} must hold {{{slot}}} exactly once: {text!r}")
    if unknown := [slot for slot in slots if slot not in SLOTS[kind]]:
        known = ", ".join(f"{{{slot}}}" for slot in SLOTS[kind])
        raise InputError(
            f"{kind} template {name!r} of {domain!r} holds {{{unknown[0]}}}, which nothing fills: it may hold {known}"
        )
    if printable(text) != text:
        raise InputError(f"{kind} template {name!r} of {domain!r} holds characters that cannot be printed: {text!r}")


def _calendar(
    name: str,
    unit: str,
    items: tuple[str, ...],
    *,
    first_slot: str = "{item}",
    partitions: Mapping[str, tuple[int, ...]] | None = None,
) -> Domain:
    """A named cyclic domain; `first_slot` is how an item is written inside a question (`{item} o'clock`)."""
    return Domain(
        name,
        items,
        questions={key: _fill(text, unit=unit, item=first_slot) for key, text in CALENDAR_QUESTIONS.items()},
        statements={key: _fill(text, item=first_slot) for key, text in STATEMENTS.items()},
        partitions=partitions or {},
    )


def _fill(text: str, **slots: str) -> str:
    for slot, value in slots.items():
        text = text.replace("{" + slot + "}", value)
    return text


def _numbers(first: int, last: int) -> tuple[str, ...]:
    return tuple(str(value) for value in range(first, last + 1))


def one_digit_count(reach: int) -> range:
    """All numbers of one digit count, at least two, that reach below `reach`."""
    digits = max(2, len(str(reach - 1)))
    return range(10 ** (digits - 1), 10**digits)


def modular(operation: Operation, modulus: int, *, operands: range | None = None) -> Domain:
    """Arithmetic mod `modulus`.

    Operands have one digit count throughout, the smallest that reaches four moduli: the number of digits cannot
    then stand in for the residue, and renaming the digits maps the set of operand pairs onto itself (`nulls`).

    Raises:
        InputError: the modulus is below 5, or above 1,000.
    """
    if not SMALLEST_MODULUS <= modulus <= LARGEST_PERIOD:
        size = "small" if modulus < SMALLEST_MODULUS else "large"
        raise InputError(f"modulus {modulus} is too {size}: give {SMALLEST_MODULUS} to {LARGEST_PERIOD:,}")
    return Domain(
        f"mod-{operation} {modulus}",
        _numbers(0, modulus - 1),
        questions=fill_operation(ARITHMETIC_QUESTIONS, operation),
        operation=operation,
        operands=operands or one_digit_count(4 * modulus),
    )


def fill_operation(texts: Mapping[str, str], operation: Operation) -> dict[str, str]:
    """Arithmetic templates with the operation's sign and word written out."""
    return {key: _fill(text, symbol=SYMBOLS[operation], word=WORDS[operation]) for key, text in texts.items()}


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SEASONS = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0)
"""Meteorological: winter from December to February, spring, summer, autumn."""
QUARTERS = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
NOTES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
ZODIAC = (
    "Aries", "Taurus", "Gemini", "Cancer", "Leo", "Virgo",
    "Libra", "Scorpio", "Sagittarius", "Capricorn", "Aquarius", "Pisces",
)  # fmt: skip
COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
PLANETS = ("Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")
SIZES = ("tiny", "small", "medium", "large", "huge", "gigantic")
GRADES = (
    "first grade", "second grade", "third grade", "fourth grade", "fifth grade", "sixth grade",
    "seventh grade", "eighth grade", "ninth grade", "tenth grade", "eleventh grade", "twelfth grade",
)  # fmt: skip

_NOT_ALONE = ("modulus_first", "remainder")
"""Plain questions that read well only beside those with a modulus."""

DOMAINS: dict[str, Domain] = {
    "days": _calendar("days", "days", DAYS, partitions={"weekend": (0, 0, 0, 0, 0, 1, 1)}),
    "months": _calendar("months", "months", MONTHS, partitions={"seasons": SEASONS, "quarters": QUARTERS}),
    "hours": _calendar("hours", "hours", _numbers(1, 12), first_slot="{item} o'clock"),
    "hours24": _calendar(
        "hours24", "hours", _numbers(0, 23), first_slot="{item}:00", partitions={"AM and PM": (0,) * 12 + (1,) * 12}
    ),
    "alphabet": _calendar("alphabet", "letters", tuple(string.ascii_uppercase)),
    "compass": _calendar("compass", "points", COMPASS),
    "notes": _calendar("notes", "semitones", NOTES),
    "zodiac": _calendar("zodiac", "signs", ZODIAC),
    "seasons": _calendar("seasons", "seasons", ("spring", "summer", "autumn", "winter")),
    "add": PlainSum(
        "add",
        _numbers(0, 9),
        operands=one_digit_count(40),
        questions=fill_operation({key: text for key, text in PLAIN_QUESTIONS.items() if key not in _NOT_ALONE}, "add"),
    ),
    "numbers": Domain("numbers", _numbers(1, 9), statements=STATEMENTS, cyclic=False),
    "planets": Domain("planets", PLANETS, statements=STATEMENTS, cyclic=False),
    "sizes": Domain("sizes", SIZES, statements=STATEMENTS, cyclic=False),
    "grades": Domain("grades", GRADES, statements=STATEMENTS, cyclic=False),
}
"""Every named domain; a new one is one more entry, and `--domains` accepts its key. Beside these there are the modular
domains, one for each modulus."""

MODULAR_NAMES: dict[str, Operation] = {"mod": "add", "mod-add": "add", "mod-sub": "sub", "mod-mul": "mul"}
"""Names that stand for one modular domain per modulus."""


def resolve(names: list[str], moduli: list[int], extra: Mapping[str, Domain] | None = None) -> list[Domain]:
    """The domains that a command line names, in its order.

    Raises:
        InputError: an unknown name (the message lists what there is) or a modulus below 5.
    """
    known = {**DOMAINS, **(extra or {})}
    chosen: list[Domain] = []
    for name in names:
        if name not in {*MODULAR_NAMES, *known}:
            raise InputError(
                f"unknown domain {name!r}: choose from {', '.join([*MODULAR_NAMES, *known])}, "
                "or describe your own with --domain-file"
            )
        operation = MODULAR_NAMES.get(name)
        chosen += [modular(operation, modulus) for modulus in moduli] if operation else [known[name]]
    return chosen
