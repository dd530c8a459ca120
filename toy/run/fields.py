"""What every field of a configuration must be, read from its type; importable without torch."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

from toy.run.errors import InputError


def check_fields(config: Any) -> None:
    """Raises InputError if a word is none of its choices, or a count (an int that is no seed) is below one."""
    for name, kind in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise InputError(f"{name} is {value!r}: choose from {', '.join(get_args(kind))}")
        if kind is int and "seed" not in name and value < 1:
            raise InputError(f"{name} is {value}: give 1 or more")
