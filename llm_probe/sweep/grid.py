"""What is swept: a kind of job, the fields that stay as they are, and axes; a cell is one combination.

    kind: probe
    fields: {prompts: 500, domains: [days, months]}
    axes:
      model: [reference, Qwen/Qwen3-0.6B]
      layers: [[0, 1], 2]                  # a value of a field that takes several may be a list
      run:                                 # a mapping sets several fields together; its axis only needs a name
        - {dtype: float32, seed: 0}
        - {dtype: bfloat16, seed: 1}

On the command line the same axis is `layers=0+1,2`. Fields and their types are those of the kind's configuration,
the one behind the script that does a single job.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from toy.run import yaml_files
from toy.run.cells import key_of
from toy.run.errors import InputError
from toy.run.limits import check_numbers


@dataclass(frozen=True)
class Kind:
    """A kind of job that can be swept."""

    config: type
    """Its frozen configuration; the sweep sets `out`, and the grid must set a field without a default."""
    script: str
    """The script that does one such job alone."""
    compute: Callable[[Any, Path, str], object]
    """(configuration, folder, command): write the tables of a cell, <table>.csv, into the folder."""
    tables: Callable[[], Mapping[str, type]]
    """The merged tables: name to row dataclass."""
    loads: tuple[str, ...] = ("model", "revision", "dtype", "weights")
    """Fields that say which weights are loaded: cells that agree in them stand together."""

    def weights(self, cell: SweepPoint) -> tuple[Any, ...]:
        """The values of those fields, and the seed of weights that are drawn from it."""
        values = tuple(getattr(cell.config, name, None) for name in self.loads)
        return (*values, getattr(cell.config, "seed", None)) if "random" in values else values


@dataclass(frozen=True)
class SweepPoint:
    """A cell: one combination."""

    kind: str
    config: Any
    values: dict[str, Any]
    """Swept field to the value of this cell."""

    @cached_property
    def key(self) -> str:
        """The name of its file and folder: the whole configuration, whichever axes led to it."""
        return key_of({"kind": self.kind, "config": {**asdict(self.config), "out": None}})

    @property
    def name(self) -> str:
        """model=reference layers=0+1"""
        return " ".join(f"{axis}={in_words(value)}" for axis, value in self.values.items()) or "one configuration"

    def words(self, kind: Kind, folder: Path) -> list[str]:
        """The command that does this cell alone."""
        return ["python", kind.script, *_options(self.config), "--out", str(folder)]


@dataclass(frozen=True)
class Grid:
    """The content of a YAML file, or of the command line."""

    kind: str = "probe"
    fixed: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, Any] = field(default_factory=dict)

    def cells(self, kind: Kind, most: int) -> list[SweepPoint]:
        """All combinations, the last axis fastest, those of the same weights together.

        Raises:
            InputError: an unknown field, a value that does not fit it or stands there twice, a field that needs a
                value and has none, no or too many cells.
        """
        for name, values in self.axes.items():
            if not isinstance(values, list) or not values:
                raise InputError(f"axis {name} has no list of values: the grid multiplies to nothing, give one or more")
        if (count := math.prod(map(len, self.axes.values()))) > most:
            raise InputError(
                f"the grid has {count:,} cells, more than {most:,}: give fewer values or --max-cells {count}"
            )
        fixed = _parsed(kind.config, self.fixed)
        axes = [
            [_parsed(kind.config, value if isinstance(value, dict) else {name: value}) for value in values]
            for name, values in self.axes.items()
        ]
        if mixed := [name for name, values in zip(self.axes, axes, strict=True) if len(set(map(tuple, values))) > 1]:
            raise InputError(
                f"the values of axis {mixed[0]} set different fields: give each the same ones, in one order"
            )
        named = [name for values in axes for name in values[0]]
        if twice := [name for name in named if name in self.fixed or named.count(name) > 1]:
            raise InputError(f"{twice[0]} is set twice: give it as a field or in one axis")
        needed = [one.name for one in fields(kind.config) if one.default is one.default_factory is MISSING]
        if lacking := [name for name in needed if name not in (*fixed, *named)]:
            raise InputError(
                f"the grid does not set {lacking[0]}, which has no default: give it as a field or in an axis"
            )
        cells = []
        for settings in itertools.product(*axes):
            values = {name: value for setting in settings for name, value in setting.items()}
            config = kind.config(**fixed, **values)
            check_numbers(config)
            cells.append(SweepPoint(self.kind, config, values))
        keys = [cell.key for cell in cells]
        if len(set(keys)) < len(keys):
            again = next(cell for index, cell in enumerate(cells) if cell.key in keys[:index])
            raise InputError(f"the grid has the cell {again.name} twice: give each value once")
        order = list(dict.fromkeys(map(kind.weights, cells)))
        return sorted(cells, key=lambda cell: order.index(kind.weights(cell)))

    def changed(self, kind: str | None, axes: Sequence[str]) -> Grid:
        """This grid with another kind, and with axes from words such as `seed=0,1`, which replace those of their name.

        Raises:
            InputError: a word of another form.
        """
        changed = dict(self.axes)
        for word in axes:
            name, equals, values = word.partition("=")
            if not equals or not name.strip():
                raise InputError(f"--set {word!r} is no axis: write a field and its values, such as seed=0,1")
            listed = [value.split("+") for value in values.split(",")] if values.strip() else []
            changed[name.strip().replace("-", "_")] = [value[0] if len(value) == 1 else value for value in listed]
        return Grid(kind or self.kind, self.fixed, changed)


def read_grid(path: Path) -> Grid:
    """A YAML file with any of `kind`, `fields` and `axes`.

    Raises:
        InputError: the file is not there or no such mapping.
    """
    content = yaml_files.load(path, "the grid")
    allowed = {"kind": str, "fields": dict, "axes": dict}
    if not isinstance(content, dict):
        raise InputError(f"{path} is no grid: give a mapping with {', '.join(allowed)}")
    for name, value in content.items():
        if name not in allowed or not isinstance(value, allowed[name]):
            wanted = ", ".join(f"{one} ({kind.__name__})" for one, kind in allowed.items())
            raise InputError(f"{path} sets {name} to {value!r}: a grid has {wanted}")
    return Grid(content.get("kind", "probe"), content.get("fields", {}), content.get("axes", {}))


def kind_of(kinds: Mapping[str, Kind], name: str) -> Kind:
    """Raises InputError if there is no such kind."""
    if name not in kinds:
        raise InputError(f"unknown kind {name!r}: choose from {', '.join(kinds)}")
    return kinds[name]


def from_content(kind: Kind, name: str, content: Mapping[str, Any]) -> SweepPoint:
    """A cell from what `content_of` made of it."""
    hints = _hints(kind.config)
    config = kind.config(**{one: _from_json(hints[one], value) for one, value in content["config"].items()})
    return SweepPoint(name, config, {one: getattr(config, one) for one in content["swept"]})


def content_of(cell: SweepPoint) -> dict[str, Any]:
    """A cell as JSON has it."""
    config = {name: value for name, value in vars(cell.config).items() if name != "out"}
    content = {"key": cell.key, "name": cell.name, "swept": list(cell.values), "config": config}
    return json.loads(json.dumps(content, default=str))


def in_words(value: object) -> str:
    """A value as the command line has it."""
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _from_json(hint: Any, value: Any) -> Any:
    """A value that was plain JSON as its field has it: JSON has neither tuples nor paths."""
    if isinstance(value, list):
        return tuple(_from_json(get_args(hint)[0], one) for one in value)
    return Path(value) if isinstance(value, str) and Path in (hint, *get_args(hint)) else value


_hints = cache(get_type_hints)


def _parsed(config: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Field to value, each of the field's type."""
    hints = {one.name: _hints(config)[one.name] for one in fields(config) if one.name != "out"}
    for name in given:
        if name not in hints:
            raise InputError(f"the grid names {name!r}, which is no field of it: choose from {', '.join(hints)}")
    return {name: _value(hints[name], name, _words(value)) for name, value in given.items()}


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


@cache
def _value(hint: Any, name: str, words: tuple[str, ...]) -> Any:
    import tyro

    try:
        return tyro.cli(hint, args=list(words), console_outputs=False)
    except SystemExit as error:
        choices = ", ".join(map(str, get_args(hint)))
        kind = f"one of {choices}" if get_origin(hint) and choices else getattr(hint, "__name__", str(hint))
        raise InputError(f"the grid sets {name} to {' '.join(words)!r}: give {kind}") from error


def _options(config: Any) -> list[str]:
    """The words of the command line that make this configuration."""
    import tyro

    hints, first, words = get_type_hints(type(config), include_extras=True), [], []
    for one in fields(config):
        value = getattr(config, one.name)
        if one.name == "out" or value == one.default:
            continue
        # A field may have another name on the command line (tyro.conf.arg), or none and a place.
        marks = getattr(hints[one.name], "__metadata__", ())
        names = [mark.name for mark in marks if getattr(mark, "name", None)]
        flag = (names or [one.name])[0].replace("_", "-")
        if tyro.conf.Positional in marks:
            first += _words(value)
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *_words(value)]
    return first + words
