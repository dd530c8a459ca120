"""Domains and prompts of one's own, read from files.

A YAML file describes a domain (`load_domain`): the keys of `Domain`, with items in cyclic order. A table in CSV, JSONL
or Parquet holds prompts that exist already (`load_prompts`), a row a prompt with its label and the period. Prompts fall
to discovery, confirmation and causal by a hash of the row's number, so that the parts are the same in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import PAIR_SHARE, Part, Prompt, pair_hash
from toy.run.errors import InputError

DOMAIN_KEYS = {
    "name": (str, "text"),
    "items": (list, "a list"),
    "questions": (dict, "a mapping of names to texts"),
    "statements": (dict, "a mapping of names to texts"),
    "cyclic": (bool, "true or false"),
    "largest_offset": (int, "a number"),
    "partitions": (dict, "a mapping of names to the class of every item"),
}
"""What a domain file may hold: key to its type in YAML and that type in words."""
LOADERS = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def load_domain(path: Path) -> Domain:
    """One domain from a YAML file with the keys of `Domain`; items in cyclic order.

    Raises:
        InputError: no such file, not a mapping, an unknown key, or a template that lacks its slot.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read the domain file {path}: {str(error).splitlines()[0]}") from error
    if wrong := _wrong(content):
        raise InputError(f"{path}: {wrong}; a domain file is a mapping with the keys {', '.join(DOMAIN_KEYS)}")
    partitions = {str(name): tuple(classes) for name, classes in content.get("partitions", {}).items()}
    return Domain(**{**content, "items": tuple(str(item) for item in content["items"]), "partitions": partitions})


def _wrong(content: Any) -> str | None:
    """What is wrong with the content of a domain file; the texts themselves are checked by `Domain`."""
    if not isinstance(content, dict) or not {"name", "items"} <= content.keys():
        return "`name` or `items` missing"
    if unknown := sorted(map(str, content.keys() - DOMAIN_KEYS.keys())):
        return f"unknown key {unknown[0]!r}"
    for key, value in content.items():
        kind, in_words = DOMAIN_KEYS[key]
        texts = value.values() if isinstance(value, dict) else ()
        of = list if key == "partitions" else str
        if not isinstance(value, kind) or not all(isinstance(text, of) for text in texts):
            return f"`{key}` must be {in_words}, got {value!r}"
    return None


@dataclass(frozen=True)
class GivenClaim(Claim):
    """A claim whose prompts and labels come from a file; its items are the labels 0 … n-1."""

    given: tuple[Prompt, ...] = ()

    @property
    def renames_digits(self) -> bool:
        """The items are labels here, not texts: which prompt has which can be permuted."""
        return False

    def prompts(self, part: Part, size: int, seed: int) -> list[Prompt]:
        """The rows that fall to a part by the hash of their number."""
        low, high = PAIR_SHARE[part]
        share = pair_hash(np.arange(len(self.given)), np.zeros(len(self.given), dtype=int), seed)
        return [prompt for prompt, value in zip(self.given, share, strict=True) if low <= value < high]


def load_prompts(path: Path) -> GivenClaim:
    """Prompts from CSV, JSONL or Parquet with `prompt`, `label`, `period` and optionally `position`.

    `position` is a piece of the prompt's text, and where it occurs several times the last one: its last token is read;
    without it, the last token of the prompt.

    Raises:
        InputError: an unknown file type, a missing column, several periods, a label that is no integer, or a position
            that is not in its prompt.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError
    from datasets.utils.logging import disable_progress_bar

    if path.suffix not in LOADERS or not path.exists():
        raise InputError(f"cannot read prompts from {path}: give an existing {', '.join(LOADERS)} file")
    disable_progress_bar()
    try:
        table = load_dataset(LOADERS[path.suffix], data_files=str(path), split="train")
    except (DatasetGenerationError, ValueError) as error:
        raise InputError(f"cannot read prompts from {path}: {error.__cause__ or error}".splitlines()[0]) from error
    if missing := {"prompt", "label", "period"} - set(table.column_names):
        raise InputError(f"{path} lacks the column {sorted(missing)[0]!r}: it needs prompt, label and period")
    periods = set(table["period"])
    if len(periods) != 1:
        raise InputError(f"{path} holds {len(periods)} periods: put prompts of each period into a file of their own")
    period = _integer(periods.pop(), "period", path)
    domain = Domain(path.stem, tuple(str(label) for label in range(period)), statements={"given": "{item}"})
    return GivenClaim(domain, "item", tuple(_prompt(dict(row), path, period) for row in table))


def _prompt(row: dict, path: Path, period: int) -> Prompt:
    text, label = str(row["prompt"]), _integer(row["label"], "label", path) % period
    place = row.get("position") or text
    if place not in text:
        raise InputError(f"{path}: the position {place!r} does not occur in the prompt {text!r}")
    start = text.rindex(place)
    return Prompt(text, {"item": (start, start + len(place))}, "given", label, 0, label, label, None)


def _integer(value: Any, column: str, path: Path) -> int:
    try:
        number = float(value)
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{path}: the {column} {value!r} is not an integer")
