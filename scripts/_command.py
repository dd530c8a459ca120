"""What every script begins with: the repository's root on `sys.path`, a command line, and how a command ends.

Imported first, so that `python scripts/….py` works from a plain checkout.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from toy.run.errors import InputError

Options = TypeVar("Options")


def run(
    file: str,
    options_type: type[Options],
    description: str | None,
    work: Callable[[Options, str], int | None],
    kept: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Read the options of the script `file`, do its work with them and the whole command, and return the exit code.

    `kept` says after Ctrl-C what there is; `{0}` stands for the options.
    """
    import tyro

    script = f"scripts/{Path(file).resolve().relative_to(ROOT / 'scripts').as_posix()}"
    options = tyro.cli(options_type, description=description, prog=f"python {script}", args=arguments)
    command = shlex.join(["python", script, *(sys.argv[1:] if arguments is None else arguments)])
    return ended(lambda: work(options, command), kept.format(options))


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
