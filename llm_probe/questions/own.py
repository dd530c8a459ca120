"""Domains and prompts of one's own, read from files.

A YAML file describes a domain (`load_domain`): the keys of `Domain`, with items in cyclic order. A table in CSV, JSONL
or Parquet holds prompts that exist already (`load_prompts`), a row a prompt with its label and the period. Prompts fall
to discovery, confirmation and causal by a hash of the row's number, so that the parts are the same in every run.

Of a YAML file only its tree of nodes is read, by what a domain may hold: an item is the text that stands there, also
where YAML means a number, a date or a truth value (`on`, `007`, `12:30`), and an alias is followed where a text may
stand and nowhere else, so that no file grows in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import LARGEST_PERIOD, MODULAR_NAMES, Domain
from llm_probe.questions.prompt_table import read_rows
from llm_probe.questions.prompts import PAIR_SHARE, Part, Prompt, pair_hash
from toy.run import yaml_files
from toy.run.errors import InputError

if TYPE_CHECKING:
    import yaml

Value = TypeVar("Value")
STANDARD = "tag:yaml.org,2002:"
"""How the names of YAML's own types begin."""
SCALARS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
COLUMNS = ("prompt", "label", "period")
"""What a table of prompts needs; `position` may be beside them."""


def load_domain(path: Path) -> Domain:
    """One domain from a YAML file with the keys of `Domain`; items in cyclic order.

    Raises:
        InputError: no such file, not a mapping, an unknown key, a value of another kind, or as `Domain`.
    """
    root = yaml_files.compose(path, "the domain file")
    try:
        content = _mapping(root) if root and root.tag == f"{STANDARD}map" else {}
        if not {"name", "items"} <= content.keys():
            raise ValueError("`name` or `items` missing")
        if unknown := sorted(content.keys() - DOMAIN_KEYS.keys()):
            raise ValueError(f"unknown key {unknown[0]!r}")
        fields = {key: _read(key, node) for key, node in content.items()}
    except ValueError as error:
        keys = ", ".join(DOMAIN_KEYS)
        raise InputError(f"{path}: {error}; a domain file is a mapping with the keys {keys}") from error
    if fields["name"] in MODULAR_NAMES:
        raise InputError(f"{path}: {fields['name']!r} names arithmetic with --moduli: give the domain another name")
    try:
        return Domain(**fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(key: str, node: yaml.Node) -> Any:
    """The value of a key. Raises ValueError if it is of another kind."""
    read, in_words = DOMAIN_KEYS[key]
    try:
        return read(node)
    except TypeError as error:
        raise ValueError(f"`{key}` must be {in_words}, got {error} in line {_line(node)}") from error


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _mapping(node: yaml.Node, read: Callable[[yaml.Node], Value] = lambda node: node) -> dict[str, Value]:
    """A mapping whose keys are texts. Raises ValueError if a key stands there twice, TypeError if it is none."""
    if node.tag != f"{STANDARD}map":
        raise TypeError(_shown(node))
    content: dict[str, Value] = {}
    for key_node, value in node.value:
        try:
            key = _written(key_node)
        except TypeError as error:
            raise ValueError(f"a key in line {_line(key_node)} is {error}") from error
        if key in content:
            raise ValueError(f"the key {key!r} stands there twice, again in line {_line(key_node)}")
        content[key] = read(value)
    return content


def _list(node: yaml.Node, read: Callable[[yaml.Node], Value]) -> tuple[Value, ...]:
    if node.tag != f"{STANDARD}seq":
        raise TypeError(_shown(node))
    if len(node.value) > LARGEST_PERIOD:
        raise ValueError(f"a list of {len(node.value):,} in line {_line(node)}: give {LARGEST_PERIOD:,} items or fewer")
    return tuple(map(read, node.value))


def _written(node: yaml.Node) -> str:
    """The text of a scalar, whatever YAML takes it for. Raises TypeError if it is none, or null."""
    kind, text = _scalar(node)
    if kind == "null":
        raise TypeError(f"{text or 'nothing'} (quoted, it is a text)")
    return text


def _text(node: yaml.Node) -> str:
    kind, text = _scalar(node)
    if kind != "str":
        raise TypeError(_shown(node))
    return text


def _number(node: yaml.Node) -> int:
    kind, text = _scalar(node)
    if kind != "int" or not re.fullmatch(r"[+-]?\d{1,15}", text):
        raise TypeError(_shown(node))
    return int(text)


def _flag(node: yaml.Node) -> bool:
    kind, text = _scalar(node)
    if kind != "bool":
        raise TypeError(_shown(node))
    return text.lower() in ("true", "yes", "on")


def _scalar(node: yaml.Node) -> tuple[str, str]:
    """YAML's type of a scalar, such as `int`, and its text. Raises TypeError if it is none, or of a type of its own."""
    kind = node.tag.removeprefix(STANDARD)
    if kind not in SCALARS:
        raise TypeError(_shown(node))
    return kind, node.value


def _shown(node: yaml.Node) -> str:
    """What stands there, in a few words."""
    kind = node.tag.removeprefix(STANDARD)
    words = {"seq": "a list", "map": "a mapping", "str": f"{str(node.value)[:60]!r}", "null": "nothing"}
    return words.get(kind) or (node.value if kind in SCALARS else f"the type {kind!r:.60}")


DOMAIN_KEYS: dict[str, tuple[Callable[[yaml.Node], Any], str]] = {
    "name": (_text, "text"),
    "items": (lambda node: _list(node, _written), "a list of texts"),
    "questions": (lambda node: _mapping(node, _text), "a mapping of names to texts"),
    "statements": (lambda node: _mapping(node, _text), "a mapping of names to texts"),
    "cyclic": (_flag, "true or false"),
    "largest_offset": (_number, "a whole number"),
    "partitions": (
        lambda node: _mapping(node, lambda classes: _list(classes, _number)),
        "a mapping of names to the class of every item, a whole number",
    ),
}
"""What a domain file may hold: key to how its node is read, and what it must be in words."""


@dataclass(frozen=True)
class GivenClaim(Claim):
    """A claim whose prompts and labels come from a file; its items are the labels 0 … n-1."""

    given: tuple[Prompt, ...] = ()

    @property
    def renames_digits(self) -> bool:
        """The items are labels here, not texts: which prompt has which can be permuted."""
        return False

    def prompts(self, part: Part, size: int, seed: int) -> list[Prompt]:
        """The rows that fall to a part by the hash of their number, of repeated prompts that of the first one."""
        low, high = PAIR_SHARE[part]
        first: dict[str, int] = {}
        number = np.array([first.setdefault(prompt.text, row) for row, prompt in enumerate(self.given)])
        share = pair_hash(number, np.zeros_like(number), seed)
        return [prompt for prompt, value in zip(self.given, share, strict=True) if low <= value < high]


def load_prompts(path: Path) -> GivenClaim:
    """Prompts from CSV, JSONL or Parquet with `prompt`, `label`, `period` and optionally `position`.

    `position` is a piece of the prompt's text, and where it occurs several times the last one: its last token is read;
    without it, the last token of the prompt. Labels are the integers from 0 to the period - 1, and each has prompts.

    Raises:
        InputError: as `read_rows`, a missing column, several periods, a label that is no such integer or is absent, or
            a prompt or position that is no text or not in its prompt.
    """
    rows = list(read_rows(path))
    if not rows:
        raise InputError(f"{path} holds no prompts: give rows with {', '.join(COLUMNS)} and, if wanted, position")
    for place, row in rows:
        if missing := [column for column in COLUMNS if column not in row]:
            has = ", ".join(map(repr, row))
            raise InputError(
                f"{path} lacks the column {missing[0]!r}: it needs prompt, label and period; {place} has {has[:200]}"
            )
    periods = {_integer(row["period"], "period", f"{path}, {place}") for place, row in rows}
    if len(periods) != 1:
        raise InputError(f"{path} holds {len(periods)} periods: put prompts of each period into a file of their own")
    if not 1 <= (period := periods.pop()) <= LARGEST_PERIOD:
        raise InputError(f"{path} has the period {period}: give one of {LARGEST_PERIOD:,} or less")
    domain = Domain(path.stem, tuple(str(label) for label in range(period)), statements={"given": "{item}"})
    given = tuple(_prompt(row, f"{path}, {place}", period) for place, row in rows)
    if absent := set(range(period)) - {prompt.label for prompt in given}:
        raise InputError(f"{path} has no prompt with the label {min(absent)} of the period {period}: give some of each")
    return GivenClaim(domain, "item", given)


def _prompt(row: dict[str, Any], place: str, period: int) -> Prompt:
    text, label = _prompt_text(row["prompt"], "prompt", place), _integer(row["label"], "label", place)
    if not 0 <= label < period:
        raise InputError(f"{place}: the label {label} is not one of the period {period}: give 0 to {period - 1}")
    position = row.get("position")
    piece = text if position in (None, "") else _prompt_text(position, "position", place)
    if piece not in text:
        raise InputError(f"{place}: the position {piece!r} does not occur in the prompt {text!r}")
    start = text.rindex(piece)
    return Prompt(text, {"item": (start, start + len(piece))}, "given", label, 0, label, label, None)


def _prompt_text(value: Any, column: str, place: str) -> str:
    """Raises InputError if it is no text, an empty one, or one that UTF-8 cannot write."""
    try:
        if isinstance(value, str) and value.strip() and value.encode():
            return value
    except UnicodeEncodeError:
        pass
    said = "empty" if value is None or value == "" else f"{value!r:.200}, which is no text to be read"
    raise InputError(f"{place}: the {column} is {said}")


def _integer(value: Any, column: str, place: str) -> int:
    try:
        # Beyond 2^53 a number may have been rounded on its way.
        if not isinstance(value, bool) and (number := float(value)) == int(number) and abs(number) < 2**53:
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{place}: the {column} {value!r:.200} is not an integer")
