"""Text at the width of the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 120
"""Columns where there is no terminal."""


def width(default: int = WIDTH) -> int:
    """Columns of the terminal, or the default where there is none."""
    return shutil.get_terminal_size((default, 24)).columns


def filled(line: str, indent: str = "") -> str:
    """One line as a paragraph that fits, whose further lines begin with `indent`; names and paths stay whole."""
    return textwrap.fill(line, width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table_text(table: pd.DataFrame, keys: Sequence[str], digits: int) -> str:
    """A table without its index, in as many blocks beneath each other as fit; each begins with the columns `keys`."""
    rest = [name for name in table if name not in keys]
    blocks: list[list[str]] = [[]]
    for name in rest:
        if blocks[-1] and len(_block(table, [*keys, *blocks[-1], name], digits).partition("\n")[0]) > width():
            blocks.append([])
        blocks[-1].append(name)
    return "\n\n".join(_block(table, [*keys, *block], digits) for block in blocks)


def _block(table: pd.DataFrame, names: list[str], digits: int) -> str:
    return table[names].to_string(index=False, float_format=f"%.{digits}f", na_rep="-")
