"""The error a user meets: one sentence that says what was given, what is possible and what to do (exit code 2)."""


class InputError(ValueError):
    """What was asked for cannot be done; the message says what can."""


class Diverged(InputError):
    """A network's loss is no longer a number."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step
        """Updates done when it was seen."""
