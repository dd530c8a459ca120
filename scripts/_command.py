"""How a command starts and ends: the repository first on `path`, its exit code, one sentence for what can be mended.

Every script imports this file first, so that `python scripts/….py` works from a plain checkout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toy.run.errors import InputError


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
