"""What a grid asks for: combinations in order, typed values, and one sentence for every mistake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_probe.sweep.grid import Grid, content_of, from_content, read_grid
from toy.run.errors import InputError


def cells(trivial: ModuleType, fixed: dict[str, Any] | None = None, most: int = 100, **axes: Any) -> list[Any]:
    return Grid("trivial", fixed or {}, axes).cells(trivial.KINDS["trivial"], most)


def test_cells_are_all_combinations_the_last_axis_fastest(trivial: ModuleType) -> None:
    points = cells(trivial, {"seconds": "1e-2"}, number=[1, 2], words=["a", ["b", "c"]])
    assert [(cell.config.number, cell.config.words) for cell in points] == [
        (1, ("a",)),
        (1, ("b", "c")),
        (2, ("a",)),
        (2, ("b", "c")),
    ]
    assert {cell.config.seconds for cell in points} == {0.01}
    assert points[1].name == "number=1 words=b+c"
    assert len({cell.key for cell in points}) == 4


def test_cells_of_the_same_weights_stand_together(trivial: ModuleType) -> None:
    points = cells(trivial, number=[1, 2], model=["x", "y"])
    assert [(cell.config.model, cell.config.number) for cell in points] == [("x", 1), ("x", 2), ("y", 1), ("y", 2)]


def test_a_mapping_sets_several_fields_together(trivial: ModuleType) -> None:
    points = cells(trivial, run=[{"number": 1, "seconds": 0.5}, {"number": 2, "seconds": 0.25}])
    assert [(cell.config.number, cell.config.seconds) for cell in points] == [(1, 0.5), (2, 0.25)]
    assert points[0].name == "number=1 seconds=0.5"


def test_a_key_is_the_configuration_and_not_how_it_was_asked_for(trivial: ModuleType) -> None:
    assert cells(trivial, {"number": 3})[0].key == cells(trivial, number=[3])[0].key
    assert cells(trivial, {"number": 3})[0].key != cells(trivial, {"number": 4})[0].key


def test_words_of_the_command_line_are_the_same_axes(trivial: ModuleType) -> None:
    grid = Grid("trivial", {}, {"number": [9]}).changed(None, ["number=1,2", "words=a,b+c"])
    assert grid.axes == {"number": ["1", "2"], "words": ["a", ["b", "c"]]}
    assert [cell.key for cell in grid.cells(trivial.KINDS["trivial"], 10)] == [
        cell.key for cell in cells(trivial, number=[1, 2], words=["a", ["b", "c"]])
    ]


def test_a_cell_goes_through_json_and_to_a_command(trivial: ModuleType) -> None:
    kind = trivial.KINDS["trivial"]
    cell = cells(trivial, {"fail": True}, words=[["b", "c"]])[0]
    again = from_content(kind, "trivial", content_of(cell))
    assert (again.key, again.values, again.config) == (cell.key, cell.values, cell.config)
    assert cell.words(kind, Path("x")) == ["python", "trivial.py", "--words", "b", "c", "--fail", "--out", "x"]


@pytest.mark.parametrize(
    ("axes", "fixed", "message"),
    [
        ({"number": []}, {}, "axis number has no list of values: the grid multiplies to nothing"),
        ({"number": 3}, {}, "axis number has no list of values"),
        (
            {"number": list(range(101))},
            {},
            "101 cells, more than 100: give fewer values or --max-cells 101",
        ),
        ({"colour": ["red"]}, {}, "the grid names 'colour', which is no field of it: choose from number, seconds,"),
        ({"out": ["here"]}, {}, "the grid names 'out', which is no field of it"),
        ({"number": ["many"]}, {}, "the grid sets number to 'many': give int"),
        ({"number": [1, 1]}, {}, "the grid has the cell number=1 twice"),
        ({"number": [1]}, {"number": 2}, "number is set twice: give it as a field or in one axis"),
        ({"run": [{"number": 1}, {"seconds": 2}]}, {}, "the values of axis run set different fields"),
    ],
)
def test_a_grid_that_cannot_be(trivial: ModuleType, axes: dict[str, Any], fixed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        cells(trivial, fixed, **axes)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "is no grid: give a mapping with kind, fields, axes"),
        ("axis: {a: [1]}\n", "sets axis to {'a': [1]}: a grid has kind (str), fields (dict), axes (dict)"),
        ("axes: [1]\n", "sets axes to [1]"),
        ("axes: {a: [1}\n", "cannot read the grid"),
    ],
)
def test_a_file_that_is_no_grid(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        read_grid(tmp_path / "grid.yaml")
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("words", [["seed"], ["=1"]])
def test_a_word_that_is_no_axis(words: Sequence[str]) -> None:
    with pytest.raises(InputError, match="is no axis: write a field and its values"):
        Grid().changed(None, words)
