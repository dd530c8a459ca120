"""YAML that people write, read without surprises: of bounded size, no key twice, no alias that multiplies.

`compose` gives the tree of nodes, which names the line of everything; `load` the plain values in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy.run.errors import InputError

if TYPE_CHECKING:
    import yaml

LARGEST_FILE = 200_000
"""Bytes: a thousand items in a hundred templates."""
MOST_NODES = 20_000
"""Values of a file, an alias counted as often as it stands there."""


def compose(path: Path, what: str) -> yaml.Node | None:
    """The tree of nodes of a YAML file, `what` it is in words; None if it is empty.

    Raises InputError if it cannot be read, or has more bytes than a person writes.
    """
    import yaml

    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{what} {path} has more than {LARGEST_FILE:,} bytes: give a shorter one")
        return yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = f"{getattr(error, 'problem', error)} in line {mark.line + 1}" if mark else str(error).splitlines()[0]
        raise InputError(f"cannot read {what} {path}: {said}") from error


def load(path: Path, what: str) -> Any:
    """The content of a YAML file as plain values; None if it is empty.

    Raises InputError as `compose`, for a key that stands there twice, a type that is not YAML's own, an alias inside
    itself, and aliases that make more of a file than a person writes.
    """
    import yaml

    if (root := compose(path, what)) is None:
        return None
    if (count := _count(root, {}, f"{what} {path}")) > MOST_NODES:
        raise InputError(f"{what} {path} stands for {count:,} values: give {MOST_NODES:,} or fewer")
    try:
        return yaml.SafeLoader("").construct_document(root)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InputError(f"cannot read {what} {path}: {' '.join(str(error).split())}") from error


def _count(node: yaml.Node, counts: dict[int, int], where: str) -> int:
    """Values below a node, each alias in full. Raises InputError for a key twice, and for what contains itself."""
    import yaml

    if id(node) in counts:
        if not counts[id(node)]:
            raise InputError(f"{where} has an alias inside itself in line {node.start_mark.line + 1}: write it out")
        return counts[id(node)]
    counts[id(node)] = 0
    parts: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for index, key in enumerate(keys) if key in keys[:index]]:
            raise InputError(f"{where} has the key {twice[0]!r} twice: give it once")
        parts = [part for pair in node.value for part in pair]
    counts[id(node)] = 1 + sum(_count(part, counts, where) for part in parts)
    return counts[id(node)]
