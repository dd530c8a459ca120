"""The error a user meets: one sentence that says what was given, what is possible and what to do (exit code 2)."""


class InputError(ValueError):
    """What was asked for cannot be done; the message says what can."""
