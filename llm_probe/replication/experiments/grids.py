"""The published prompt grids (unixsysdev/grokking-fourier on Qwen3-0.6B, commit 536610f), as a literal registry.

A grid is one template and all pairs (first, offset) of two ranges; the label of a prompt is

    label = (first + offset) mod period

and every published R² is a fit to the `period` means over the prompts of one label (`class_means`).

    arithmetic(p)        "{a} + {b} mod {p} ="                     a, b in [0, p)
    days                 "{Monday …} + {offset} days = "           7 x 7
    months               "{January …} + {offset} months = "        12 x 12
    hours                "{1 …} o'clock + {offset} hours = "       12 x 12, first = hour - 1
    alphabet             "{A … M} + {offset} letters = "           13 x 26: half of the first letters
    alphabet_complete    the same with A … Z                       26 x 26: the repair
    alphabet_position    "The {1st …} letter of the alphabet is "  26, fitted by a line

Over a complete grid every f(first) + g(offset) has the same mean in each class. Over 13 of 26 first letters it has
not: [offset >= 10] alone then fits one cosine with R² 0.996. Texts that end in a space are read at the token of that
space. How the ordinals after 3rd were written is not on record for 21 to 23; here they are English (21st).
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from llm_probe.questions.domains import DAYS, MONTHS
from llm_probe.questions.prompts import Prompt, render
from toy.run.errors import InputError


@dataclass(frozen=True)
class Grid:
    """All prompts of one template."""

    name: str
    text: str
    """With `{item}` and, where there is a second operand, `{offset}`; arithmetic has `{modulus}` too."""
    period: int
    items: tuple[str, ...]
    """The first operand as it is written …"""
    start: int = 0
    """… and the value of the first of them; the others follow."""
    offsets: range = range(1)
    """Values of the second operand."""

    @property
    def n_prompts(self) -> int:
        return len(self.items) * len(self.offsets)

    def prompts(self) -> list[Prompt]:
        """Every prompt, the first operand changing slowest."""
        return [self._prompt(index, offset) for index in range(len(self.items)) for offset in self.offsets]

    def _prompt(self, index: int, offset: int) -> Prompt:
        slots = {"item": self.items[index], "offset": str(offset), "modulus": str(self.period)}
        text, spans = render(self.text, slots)
        first = self.start + index
        total = first + offset
        return Prompt(text, spans, self.name, first, offset, total, total % self.period, None)


def arithmetic(modulus: int, *, start: int = 0, text: str = "{item} + {offset} mod {modulus} =") -> Grid:
    """Sums mod p of the p operands from `start` on: each residue has p pairs. Published: `start` 0.

    Raises:
        InputError: fewer than three residues, to which any cosine fits.
    """
    if modulus < 3:
        raise InputError(f"modulus {modulus} has no circle: give 3 or more")
    operands = range(start, start + modulus)
    name = f"mod {modulus}" if start == 0 else f"mod {modulus} from {start}"
    return Grid(name, text, modulus, tuple(map(str, operands)), start, operands)


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


LETTERS = tuple(string.ascii_uppercase)

GRIDS: dict[str, Grid] = {
    "days": Grid("days", "{item} + {offset} days = ", 7, DAYS, 0, range(7)),
    "months": Grid("months", "{item} + {offset} months = ", 12, MONTHS, 0, range(12)),
    "hours": Grid("hours", "{item} o'clock + {offset} hours = ", 12, tuple(map(str, range(1, 13))), 0, range(12)),
    "alphabet": Grid("alphabet", "{item} + {offset} letters = ", 26, LETTERS[:13], 0, range(26)),
    "alphabet_complete": Grid("alphabet_complete", "{item} + {offset} letters = ", 26, LETTERS, 0, range(26)),
    "alphabet_position": Grid(
        "alphabet_position", "The {item} letter of the alphabet is ", 26, tuple(map(_ordinal, range(1, 27)))
    ),
}
"""Every published grid but arithmetic's, of which there is one a modulus."""
