"""Every column of every table is explained in a whole sentence."""

from __future__ import annotations

import re

import pytest
import write_columns

from llm_probe.run.columns import meanings

TABLES = {name: row for tables in write_columns.sections().values() for name, row in tables.items()}
START = re.compile(r"(?:[A-Z0-9`|1ΦΔ]|p[ ,]|k[ ,])")


def fragment(text: str) -> bool:
    """Whether an explanation is no sentence: a beginning in lower case, no end, or a part of its neighbour's."""
    return not (START.match(text) and text.endswith(".") and "…" not in text and len(text.split()) > 2)


@pytest.mark.parametrize("text", ["… its layer …", "Its k.", "Upper end", "", "layer of the plane."])
def test_a_fragment_is_told_from_a_sentence(text: str) -> None:
    assert fragment(text)
    assert not fragment("Block whose output was read, counted from 0.")


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_explained_in_a_sentence(name: str) -> None:
    row_type = TABLES[name]
    assert {column: text for column, _, text in meanings(row_type) if fragment(text)} == {}
    assert (row_type.__doc__ or "").strip().endswith(".")
