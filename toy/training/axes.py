"""What to sweep: fields of the configuration, the values each takes, and the combinations of them.

    axis     a field and its values, as `weight_decay=1,2,5` or as a list in a YAML file
    plan     the fields that stay as they are, the axes, and how many seeds
    cell     one combination with its seeds: what is trained together and kept together

A YAML file holds any of

    preset: fast
    seeds: 8
    fields: {modulus: 59, steps: 2000}
    axes:
      weight_decay: [1, 2, 5]
      train_fraction: [0.2, 0.3, 0.4]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from toy.config import ToyConfig, Value, field_type, from_mapping, parse_value, preset, read_mapping
from toy.run.cells import key_of
from toy.run.errors import InputError

SEEDS = 8
"""Networks of a cell where nothing else is said."""

Axes = dict[str, tuple[Value, ...]]


@dataclass(frozen=True)
class SweepPoint:
    """One configuration and its seeds, `config.seed`, `config.seed + 1`, …"""

    values: dict[str, Value]
    """Axis to this cell's value."""
    config: ToyConfig
    seeds: int

    @cached_property
    def key(self) -> str:
        """The name of its file and of its run directory: the whole configuration, whichever axes led to it."""
        return key_of({"config": asdict(self.config), "seeds": self.seeds})

    @property
    def name(self) -> str:
        """weight_decay=2.0 train_fraction=0.3"""
        return " ".join(f"{axis}={value}" for axis, value in self.values.items()) or "one configuration"


@dataclass(frozen=True)
class Plan:
    """What a YAML file or the command line asks for."""

    base: ToyConfig = field(default_factory=ToyConfig)
    """The fields that are not swept."""
    axes: Axes = field(default_factory=dict)
    seeds: int = SEEDS

    def changed(self, base: ToyConfig, axes: Axes, seeds: int) -> Plan:
        """This plan with another base and further axes, which replace those of the same name.

        Raises InputError if a field of the base was changed that is swept.
        """
        merged = {**self.axes, **axes}
        for name in merged:
            if (value := getattr(base, name)) != getattr(self.base, name):
                raise InputError(f"{name} is set to {value} and also swept: give the field or the axis, not both")
        return Plan(base, merged, seeds)

    def cells(self) -> list[SweepPoint]:
        """All combinations, the last axis fastest."""
        combinations = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]
        return [SweepPoint(values, replace(self.base, **values), self.seeds) for values in combinations]


def read_plan(path: Path, plan: Plan) -> Plan:
    """A YAML file with any of `preset`, `fields` (field to value), `axes` (field to a list of values) and `seeds`.

    Raises InputError if the file is not there or no such mapping, or it names what does not exist.
    """
    allowed = {"preset": str, "fields": dict, "axes": dict, "seeds": int}
    content = read_mapping(path, f"sweep: give a mapping with {', '.join(allowed)}")
    for name, value in content.items():
        if name not in allowed:
            raise InputError(f"{path} sets {name!r}: choose from {', '.join(allowed)}")
        if not isinstance(value, allowed[name]) or isinstance(value, bool):
            raise InputError(f"{path} sets {name} to {value!r}: give {allowed[name].__name__}")
    base = preset(content["preset"]) if "preset" in content else plan.base
    axes = {name: axis(name, values, str(path)) for name, values in content.get("axes", {}).items()}
    if both := [name for name in axes if name in content.get("fields", {})]:
        raise InputError(f"{path} has {both[0]} as a field and as an axis: give it once")
    base = from_mapping(content.get("fields", {}), base, str(path))
    return Plan(base, {**plan.axes, **axes}, content.get("seeds", plan.seeds))


def parse_axes(words: Sequence[str]) -> Axes:
    """Axes from words such as `weight_decay=1,2,5`.

    Raises InputError for a word of another form, an unknown field, a value that does not fit it, or an axis given
    twice.
    """
    axes: Axes = {}
    for word in words:
        name, equals, values = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InputError(f"--set {word!r} is no axis: write a field and its values, such as weight_decay=1,2,5")
        if name in axes:
            raise InputError(f"--set gives {name} twice: put its values into one list")
        axes[name] = axis(name, values.split(",") if values.strip() else [], "--set")
    return axes


def axis(name: str, values: object, source: str) -> tuple[Value, ...]:
    """The values of one axis, each of the field's type.

    Raises InputError for an unknown field, no list or an empty one, a value that does not fit or stands there twice.
    """
    field_type(name, source)
    if not isinstance(values, list) or not values:
        raise InputError(f"{source} gives {name} no list of values: write at least one, such as {name}=1,2")
    items = tuple(parse_value(name, value, source) for value in values)
    if twice := [value for index, value in enumerate(items) if value in items[:index]]:
        raise InputError(f"{source} gives {name} the value {twice[0]} twice: give each once")
    return items
