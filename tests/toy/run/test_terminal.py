"""Text that fits a terminal of any width."""

from __future__ import annotations

import pandas as pd
import pytest

from toy.run.terminal import WIDTH, filled, table_text, width


@pytest.fixture(params=[40, 80, 200])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


TABLE = pd.DataFrame(
    [
        {"layer": layer, "site": "resid_post", **{f"measure_{i}": i / 8 for i in range(9)}, "absent": None}
        for layer in (1, 2)
    ]
)


def test_a_table_is_in_blocks_that_fit_and_repeat_their_keys(columns: int) -> None:
    blocks = table_text(TABLE, ["layer", "site"], digits=3).split("\n\n")
    assert all(len(line) <= columns for block in blocks for line in block.splitlines())
    assert all(block.split()[:2] == ["layer", "site"] and len(block.splitlines()) == 3 for block in blocks)
    shown = [name for block in blocks for name in block.splitlines()[0].split()[2:]]
    assert shown == [f"measure_{i}" for i in range(9)] + ["absent"]
    assert (len(blocks) == 1) == (columns == 200)


def test_a_sentence_is_filled_and_a_path_stays_whole(columns: int) -> None:
    path = "results/" + "a" * 60
    lines = filled(
        f"    a sentence that goes on and on with words that are short, and a {path} at its end", "    "
    ).splitlines()
    assert all(line.startswith("    ") for line in lines)
    assert all(len(line) <= columns or path in line for line in lines)
    assert path in "".join(lines)


def test_without_a_terminal_there_is_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width() == WIDTH
