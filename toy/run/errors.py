"""The error a user meets: one sentence that says what was given, what is possible and what to do (exit code 2)."""

import re

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal or turn round what it shows, or that UTF-8 cannot write."""


class InputError(ValueError):
    """What was asked for cannot be done; the message says what can."""


class Diverged(InputError):
    """A network's loss is no longer a number."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step
        """Updates done when it was seen."""


def printable(text: str) -> str:
    """The text for a terminal: what would steer it stands there as an escape, such as \\x1b."""
    return UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or its accelerator had too little memory; torch says so in words."""
    marks = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(mark in str(error) for mark in marks)
    )
