"""A cell is believed as it was written and in no other way; what is damaged is set aside, named and computed again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from toy.run.cells import Cells
from toy.run.errors import InputError
from toy.run.files import write_atomic

CONTENT = {"r2": [0.1 + 0.2, 1e-300, -0.0], "name": "Montag ü", "none": None}


def edited(text: str) -> str:
    return text.replace("0.3", "0.9")


def unsealed(text: str) -> str:
    """As a cell was before it had a checksum."""
    return json.dumps(json.loads(text)["content"])


DAMAGES: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "one character short": lambda text: text[:-1],
    "longer": lambda text: text + " ",
    "edited": edited,
    "zeros, as a file system leaves them after a power cut": lambda text: "\0" * len(text),
    "another program's": lambda text: '{"a": 1}',
    "a list": lambda text: "[]",
    "null": lambda text: "null",
    "without a checksum": unsealed,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cell_is_set_aside_and_computed_again(
    damage: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = Cells(tmp_path, 3)
    cells.get("a", lambda: CONTENT)
    path = tmp_path / "cells" / "v3-a.json"
    whole = path.read_bytes()
    path.write_bytes(damage(whole.decode()).encode())
    assert cells.read("a") is None
    assert cells.get("a", lambda: CONTENT) == CONTENT
    assert path.read_bytes() == whole
    assert (tmp_path / "cells" / "v3-a.damaged").is_file()
    said = capsys.readouterr().err
    assert said == f"{path} has no valid checksum: set aside as v3-a.damaged and computed again\n"
    assert cells.get("a", lambda: pytest.fail("computed a third time")) == CONTENT
    assert capsys.readouterr().err == ""


def test_the_cell_of_another_key_is_not_this_one(tmp_path: Path) -> None:
    cells = Cells(tmp_path, 1)
    cells.get("a", lambda: {"of": "a"})
    (tmp_path / "cells" / "v1-b.json").write_bytes((tmp_path / "cells" / "v1-a.json").read_bytes())
    assert cells.get("b", lambda: {"of": "b"}) == {"of": "b"}
    assert cells.get("a", lambda: pytest.fail("computed again")) == {"of": "a"}


def test_every_float_reads_back_as_it_was(tmp_path: Path) -> None:
    cells, numbers = Cells(tmp_path, 1), {"x": [math.inf, -math.inf, math.nan, 5e-324, 0.1]}
    first = cells.get("a", lambda: numbers)
    again = cells.get("a", lambda: pytest.fail("computed again"))
    assert repr(first) == repr(again) == repr(numbers)


def test_what_stands_in_a_cells_place_and_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells" / "v1-a.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot read .*v1-a\.json \(Is a directory\): remove it"):
        Cells(tmp_path, 1).get("a", dict)


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Cells(None, 1).get("a", lambda: {"x": (1, 2)}) == {"x": [1, 2]}
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a power cut may leave the name with nothing behind it."""
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        events.append(f"flushed {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        events.append("renamed")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomic(tmp_path / "table.csv", "a,b\n1,2\n")
    assert events == ["flushed 8", "renamed"]


def test_a_run_that_takes_an_earlier_ones_cell_is_resumed(tmp_path: Path) -> None:
    first = Cells(tmp_path, 1)
    for _ in range(2):  # its own cell, asked for again
        first.get("one", lambda: {"a": 1})
    second = Cells(tmp_path, 1)
    second.get("two", lambda: {"a": 2})
    assert not first.resumed and not second.resumed
    second.get("one", lambda: {"a": 1})
    assert second.resumed
