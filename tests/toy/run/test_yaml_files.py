"""YAML that people write: bounded, no key twice, no alias that multiplies, in grids and configurations alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_probe.sweep.grid import read_grid
from toy.config import ToyConfig, read_yaml
from toy.run.errors import InputError
from toy.run.yaml_files import load
from toy.training.axes import Plan, read_plan

LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"stands for [\d,]{9,} values: give 20,000 or fewer"),
        ("axes: &a [*a]\n", "has an alias inside itself in line 1"),
        ("axes: &a {b: {c: *a}}\n", "has an alias inside itself"),
        ("seeds: 1\nseeds: 2\n", "has the key 'seeds' twice: give it once"),
        ("axes: {seed: [1], seed: [2]}\n", "has the key 'seed' twice: give it once"),
        ("a: [\n", "cannot read .* in line 2"),
        ("a: " + "[" * 500, "cannot read"),
        ("a: !!python/object/apply:os.system [exit]\n", "could not determine a constructor"),
        ("a: 2024-13-45\n", "cannot read .*month"),
        ("? [1, 2]\n: 3\n", "cannot read"),
        ("a: 1\n---\nb: 2\n", "found another document in line 2"),
        ("a: " + "x" * 200_000, "has more than 200,000 bytes: give a shorter one"),
        ("a: \0\n", "cannot read .*special characters are not allowed"),
    ],
)
def test_a_file_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    for read in (read_grid, lambda one: read_plan(one, Plan(ToyConfig())), lambda one: read_yaml(one, ToyConfig())):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_an_alias_that_stands_twice_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("﻿fields: &f {seed: 1}\naxes: {prompts: &p [60, 70], renamings: *p}\nmore: *f\n", encoding="utf-8")
    content = load(path, "the file")
    assert content["more"] == {"seed": 1} and content["axes"]["renamings"] == [60, 70]


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(InputError, match="cannot read the grid"):
            read_grid(path)
