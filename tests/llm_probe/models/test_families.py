"""Every family that docs/models.md says is read is still read, with the same sites."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from llm_probe.models.families import character_tokenizer, families, family_row
from tests.root import ROOT

READ, REFUSED = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").split("## Refused")
ROWS = {
    line.split(" | ")[0].removeprefix("| "): line for line in (READ + REFUSED).splitlines() if line.startswith("| ")
}
KNOWN = [name for name in families() if f"| {name} |" in READ]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What transformers says of unusual configurations is not of interest here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_families_that_were_read_still_are() -> None:
    tokenizer = character_tokenizer()
    now = {name: str(family_row(name, tokenizer, known=True)) for name in KNOWN}
    assert {name: line for name, line in now.items() if line != ROWS[name]} == {}


def test_every_family_of_the_registry_stands_on_the_page() -> None:
    assert set(families()) <= ROWS.keys()
    assert len(KNOWN) > 200


def test_what_cannot_be_read_is_said_in_a_sentence() -> None:
    tokenizer = character_tokenizer()
    for name, reason in {
        "albert": "4 hidden states, but 1 block",
        "bart": "encoder-decoder",
        "xlnet": "is not its hidden",
    }.items():
        assert reason in family_row(name, tokenizer).sentence
