"""How a command ends: its exit code, one sentence for what the user can mend, and what is kept after Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable

from toy.errors import InputError


def ended(work: Callable[[], int | None], stopped: str) -> int:
    """The exit code of `work` (none: 0), 2 after an InputError, or 130 after Ctrl-C: `stopped` says what is kept."""
    try:
        return work() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped: {stopped}", file=sys.stderr)
        return 130
