"""Files that appear whole or not at all: a reader never meets half a table, and a full disk loses nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
"""In the name of a file that is being written."""


def write_atomic(path: Path, content: str) -> None:
    """Write a whole text file or nothing."""
    replace_with(path, lambda temporary: temporary.write_text(content, encoding="utf-8"))


def replace_with(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, then move it there in one step; nothing is left if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending is kept: writers of pictures and films choose their format by it.
    # The process number keeps two jobs that write the same file apart.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{PARTIAL}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_partial(folder: Path, stem: str = "*") -> None:
    """Remove what killed writers of `stem` left in a folder. Only for who knows that nobody else is writing there."""
    for left in folder.glob(f".{stem}.*{PARTIAL}*"):
        left.unlink(missing_ok=True)
