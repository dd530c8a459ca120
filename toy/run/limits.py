"""How large the numbers of a configuration may be: a seed goes into 32 bits, and no other whole number past 53.

Beyond 2^53 neighbouring integers are one float, and arrays of 64 bits soon overflow. Seeds are added to, multiplied and
hashed in 64 bits, where 32 leave room.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from toy.run.errors import InputError

LARGEST_SEED = 2**32 - 1
LARGEST_NUMBER = 2**53


def check_numbers(config: Any) -> None:
    """Raises InputError if a seed or another number of a configuration, or of one inside it, is out of bounds."""
    for field in fields(config):
        value, option = getattr(config, field.name), f"--{field.name.replace('_', '-')}"
        if is_dataclass(value):
            check_numbers(value)
            continue
        smallest, largest = (0, LARGEST_SEED) if "seed" in field.name else (-LARGEST_NUMBER, LARGEST_NUMBER)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and not smallest <= number <= largest:
                raise InputError(f"{option} {number} is out of bounds: give a number from {smallest} to {largest}")
            if isinstance(number, float) and math.isnan(number):
                raise InputError(f"{option} nan is no number: give one")


def check_counts(config: Any, *names: str) -> None:
    """Raises InputError if one of these fields is below one, or has no value."""
    for name in names:
        value, option = getattr(config, name), f"--{name.replace('_', '-')}"
        if value == ():
            raise InputError(f"{option} has no value: give one or more")
        if not isinstance(value, tuple) and value < 1:
            raise InputError(f"{value} {name} cannot be used: give {option} 1 or more")
