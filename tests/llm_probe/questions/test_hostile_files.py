"""Whatever stands in a domain or prompt file, it is read as it stands or refused in one line; `make fuzz` tries 10,000.

Files are made of what YAML and tables can hold and people write: words of other types, slots, anchors, quotes, line
ends, controls; and of a good file with pieces cut, doubled and replaced.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_probe.questions.claims import claims_of
from llm_probe.questions.domains import LARGEST_PERIOD
from llm_probe.questions.own import DOMAIN_KEYS, load_domain, load_prompts
from llm_probe.questions.prompts import PARTS
from toy.run.errors import InputError, printable

FILES = int(os.environ.get("HOSTILE_FILES", "1000"))
"""Domain files and prompt files together."""
hostile = settings(
    max_examples=3 * FILES // 8,
    deadline=None,
    database=None,
    derandomize="HOSTILE_FILES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
GOOD_DOMAIN = """name: tides
items: [low, rising, high, falling, slack]
questions:
  plain: "{offset} steps after {item} is"
statements: {now: "The tide is {item}.", then: 'It was {item} (mod {offset}).'}
partitions:
  moving: [0, 1, 0, 1, 0]
largest_offset: 9
"""
ROWS = [{"prompt": f"now {x}, or no", "label": i, "period": 9, "position": x} for i, x in enumerate("abcdefghi")]
PIECES = [
    "{item}", "{offset}", "{modulus}", "{x}", "{", "}", ": ", "- ", "\n", "\n  ", "&a [*a, *a]", "*a", "<<: ", "null",
    "~", "true", "7", "-1", "1e9", "0x10", "12:30", "2024-01-01", "!!python/object:os.system [x]", "!!binary AAAA",
    "---\n", "? ", "| ", "\t", "\0", "\x1b[31m", "\ufeff", "\u202e", "\ud800", '"', "'", ",", "[", "]", "#", "%TAG ",
    "items: ", "name: ", "9" * 30, "nan", "inf", "\r\n", ";", "a" * 300, "[" * 400, '"prompt": ', "position",
    "None", "NA",
]  # fmt: skip

words = st.sampled_from(PIECES) | st.text(max_size=12)
scalars = words | st.integers() | st.floats() | st.booleans() | st.none()
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
templates = st.dictionaries(words, st.sampled_from(["say {item} now", "{item} + {offset} ="]) | words, max_size=3)
keys = st.sampled_from([*DOMAIN_KEYS, "x"])


@st.composite
def mutated(draw: Callable[..., Any], good: str) -> str:
    """A good file with up to four pieces put in, each in place of up to twenty characters."""
    text = good
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(text))), draw(st.integers(0, 20))
        text = text[:place] + draw(words) + text[place + length :]
    return text


domain_files = (
    mutated(GOOD_DOMAIN)
    | st.fixed_dictionaries(
        {"name": words | trees, "items": st.lists(scalars, max_size=9) | trees, "statements": templates | trees},
        optional={"questions": templates | trees, "partitions": trees, "largest_offset": trees, "cyclic": trees},
    ).map(lambda content: yaml.dump(content, allow_unicode=True))
    | st.dictionaries(keys, trees).map(yaml.dump)
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60)

cells = st.sampled_from([*ROWS[0].values(), 3, "3.0", 2**53, True, [1], {"a": 1}]) | scalars
rows = st.lists(st.fixed_dictionaries(dict.fromkeys(ROWS[0], cells)) | st.sampled_from(ROWS), max_size=12).map(
    lambda some: [*ROWS, *some]
)


def as_json_lines(some: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in some)


def as_table(some: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(some)
    return text.getvalue()


PARQUET = io.BytesIO()
pd.DataFrame(ROWS).to_parquet(PARQUET)


@st.composite
def broken_parquet(draw: Callable[..., Any]) -> bytes:
    """A good file with a few bytes changed, or cut."""
    content = bytearray(PARQUET.getvalue())
    for _ in range(draw(st.integers(1, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))]) if draw(st.booleans()) else bytes(content)


prompt_files = (
    st.tuples(st.just(".csv"), rows.map(as_table) | mutated(as_table(ROWS)))
    | st.tuples(st.just(".jsonl"), rows.map(as_json_lines) | mutated(as_json_lines(ROWS)))
    | st.tuples(st.just(".json"), rows.map(json.dumps) | mutated(json.dumps(ROWS)) | trees.map(json.dumps))
).map(lambda file: (file[0], file[1].encode("utf-8", "surrogatepass")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def in_one_line(error: InputError) -> bool:
    """Whether it is a sentence for a terminal, whose escapes the door of every command writes out."""
    said = printable(str(error))
    return "\n" not in said and len(said) < 2000


@hostile
@given(content=domain_files)
def test_a_domain_file_is_read_as_it_stands_or_refused(folder: Path, content: bytes) -> None:
    path = folder / "domain.yaml"
    path.write_bytes(content)
    try:
        domain = load_domain(path)
    except InputError as error:
        assert in_one_line(error)
        return
    assert 3 <= domain.period <= LARGEST_PERIOD
    for claim in claims_of([domain]):
        for prompt in (one for part in PARTS for one in claim.prompts(part, 20, 0)):
            assert 0 <= prompt.label < domain.period
            assert prompt.text[slice(*prompt.spans["item"])] == domain.items[prompt.first]


@hostile
@given(file=prompt_files)
def test_a_prompt_file_is_read_as_it_stands_or_refused(folder: Path, file: tuple[str, bytes]) -> None:
    check_prompts(folder / f"prompts{file[0]}", file[1])


@settings(hostile, max_examples=FILES // 4)
@given(content=broken_parquet())
def test_a_broken_parquet_file_is_read_or_refused(folder: Path, content: bytes) -> None:
    check_prompts(folder / "prompts.parquet", content)


def check_prompts(path: Path, content: bytes) -> None:
    """It holds prompts of every label, each read at its position, or is refused."""
    path.write_bytes(content)
    try:
        claim = load_prompts(path)
    except InputError as error:
        assert in_one_line(error)
        return
    assert {prompt.label for prompt in claim.given} == set(range(claim.period))
    for prompt in claim.given:
        start, end = prompt.spans["item"]
        assert 0 <= start < end <= len(prompt.text) and prompt.text[start:end].strip()
