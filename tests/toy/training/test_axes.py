"""What is swept: the product in its order, values of the right type, one sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from toy.config import PRESETS, ToyConfig, parse_value
from toy.run.errors import InputError
from toy.training.axes import SEEDS, Plan, parse_axes, read_plan


def test_the_last_axis_is_the_fastest() -> None:
    plan = Plan(axes=parse_axes(["weight_decay=1,2", "task=add,multiply", "modulus=11"]), seeds=3)
    cells = plan.cells()
    assert [tuple(cell.values.values()) for cell in cells] == [
        (1.0, "add", 11), (1.0, "multiply", 11), (2.0, "add", 11), (2.0, "multiply", 11)
    ]  # fmt: skip
    assert cells[2].config == ToyConfig(weight_decay=2.0, modulus=11) and cells[2].seeds == 3
    assert cells[1].name == "weight_decay=1.0 task=multiply modulus=11"


def test_no_axis_is_one_cell() -> None:
    assert [cell.config for cell in Plan(PRESETS["nanda"]).cells()] == [PRESETS["nanda"]]


def test_a_cell_is_its_configuration_and_seeds_whichever_axes_led_to_it() -> None:
    one = Plan(axes=parse_axes(["weight_decay=1,3", "modulus=11"])).cells()[1]
    other = Plan(ToyConfig(weight_decay=3.0), parse_axes(["modulus=11,13"])).cells()[0]
    assert one.key == other.key
    different = [
        Plan(ToyConfig(weight_decay=3.0), parse_axes(["modulus=11"]), seeds=SEEDS + 1).cells()[0],
        Plan(ToyConfig(weight_decay=3.0, steps=5), parse_axes(["modulus=11"])).cells()[0],
        Plan(ToyConfig(weight_decay=3.0, seed=1), parse_axes(["modulus=11"])).cells()[0],
    ]
    assert len({one.key, *(cell.key for cell in different)}) == 4


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("weight_decay", "1", 1.0),
        ("weight_decay", 1, 1.0),
        ("learning_rate", "1e-2", 0.01),
        ("modulus", " 97 ", 97),
        ("batch_size", "none", None),
        ("batch_size", None, None),
        ("batch_size", 64, 64),
        ("equals_logit", "True", True),
        ("equals_logit", False, False),
        ("schedule", "cosine", "cosine"),
        ("task", "add3", "add3"),
    ],
)
def test_values_have_the_type_of_their_field(name: str, given: object, value: object) -> None:
    result = parse_value(name, given, "a test")
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize("name", list(ToyConfig.__dataclass_fields__))
def test_every_field_can_be_an_axis(name: str) -> None:
    default = getattr(ToyConfig(), name)
    (cell,) = Plan(axes=parse_axes([f"{name}={default}"])).cells()
    assert cell.config == ToyConfig() and cell.values == {name: default}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["weight_decay"], "no axis: write a field and its values"),
        (["depth=1,2"], "--set names 'depth', which is no field: choose from task, modulus"),
        (["weight_decay="], "weight_decay no list of values"),
        (["weight_decay=1,,2"], "sets weight_decay to '': give float"),
        (["weight_decay=1,heavy"], "sets weight_decay to 'heavy': give float"),
        (["learning_rate=nan"], "sets learning_rate to 'nan': give float"),
        (["modulus=11.5"], "sets modulus to '11.5': give int"),
        (["batch_size=all"], "give int or none"),
        (["equals_logit=maybe"], "give true or false"),
        (["schedule=linear"], "choose from constant, after_grokking, cosine"),
        (["modulus=11,11"], "gives modulus the value 11 twice"),
        (["modulus=11", "modulus=13"], "--set gives modulus twice"),
    ],
)
def test_wrong_axes(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_axes(words)


SWEEP = """
preset: nanda
seeds: 3
fields: {modulus: 23, learning_rate: 1e-2}
axes:
  weight_decay: [1, 2.5]
  batch_size: [none, 64]
"""


def test_a_yaml_file_and_the_command_line_after_it(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    plan = read_plan(tmp_path / "sweep.yaml", Plan())
    assert (plan.base.modulus, plan.base.learning_rate, plan.base.steps, plan.seeds) == (23, 0.01, 25_000, 3)
    assert plan.axes == {"weight_decay": (1.0, 2.5), "batch_size": (None, 64)}
    changed = plan.changed(plan.base, parse_axes(["weight_decay=7", "steps=5,6"]), 2)
    assert changed.axes == {"weight_decay": (7.0,), "batch_size": (None, 64), "steps": (5, 6)} and changed.seeds == 2
    with pytest.raises(InputError, match=r"steps is set to 9 and also swept"):
        plan.changed(ToyConfig(**{**plan.base.__dict__, "steps": 9}), parse_axes(["steps=5,6"]), 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "is no sweep: give a mapping with preset, fields, axes, seeds"),
        ("modulus: 97", "sets 'modulus': choose from preset, fields, axes, seeds"),
        ("axes: [1, 2]", r"sets axes to \[1, 2\]: give dict"),
        ("axes:", "sets axes to None: give dict"),
        ("seeds: true", "sets seeds to True: give int"),
        ("preset: quick", "unknown preset 'quick'"),
        ("axes: {weight_decay: []}", "gives weight_decay no list of values"),
        ("axes: {weight_decay: 5}", "gives weight_decay no list of values"),
        ("axes: {depth: [5]}", "names 'depth', which is no field"),
        ("fields: {steps: many}", "sets steps to 'many': give int"),
        ("{fields: {steps: 5}, axes: {steps: [5, 6]}}", "has steps as a field and as an axis"),
        ("a: [", "cannot read"),
    ],
)
def test_wrong_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_plan(tmp_path / "sweep.yaml", Plan())
    assert "\n" not in str(caught.value)
