"""What to train and what to examine, importable without torch.

`ToyConfig` is one frozen record of a training, with named presets and two ways to change them, a YAML file and options
of a command; `AnalysisRequest` says which network is examined and how.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from toy.run import yaml_files
from toy.run.errors import InputError


@dataclass(frozen=True)
class ToyConfig:
    """One training run of a toy network; the defaults are the preset `fast`."""

    task: str = "add"
    """Which operation: a name of `networks/tasks.py` (add, subtract, multiply, divide, addpow, add3, quadratic, …)."""
    modulus: int = 113
    """Modulus p, prime or composite, at least 3."""
    train_fraction: float = 0.3
    """Share of all questions that is trained on; the others are the test."""
    split: Literal["torch", "nanda"] = "torch"
    """How the seed chooses them: a torch permutation on the CPU, or the shuffle of Nanda et al.'s code."""
    seed: int = 0
    """Seed of the split, the initial weights and the batches."""
    architecture: Literal["transformer", "mlp"] = "transformer"
    """The transformer without LayerNorm, or embeddings and one hidden layer."""
    n_layers: int = 1
    """Number of transformer blocks."""
    d_model: int = 128
    """Width of the residual stream, or of the MLP's embedding."""
    n_heads: int = 4
    """Attention heads, each d_model / n_heads wide."""
    d_mlp: int = 512
    """Number of neurons of a block."""
    activation: Literal["relu", "square"] = "relu"
    """Activation function of the neurons."""
    equals_logit: bool = False
    """Whether the token "=" has a logit too, as in Nanda et al.'s code."""
    steps: int = 3000
    """Updates; with a batch of all training rows one update is one epoch."""
    learning_rate: float = 1e-2
    """Learning rate of AdamW."""
    weight_decay: float = 2.0
    """Weight decay of AdamW, on every parameter."""
    beta1: float = 0.9
    """AdamW's decay rate of the mean gradient."""
    beta2: float = 0.98
    """AdamW's decay rate of the mean squared gradient."""
    warmup_steps: int = 10
    """The rate rises linearly over so many updates."""
    schedule: Literal["constant", "after_grokking", "cosine"] = "after_grokking"
    """After the warm-up: constant; constant until the run has grokked and `decay_start` is past, then linear down
    to `decay_to`; or a cosine to zero over all steps."""
    decay_start: int = 1500
    """First update at which the rate of `after_grokking` may fall."""
    decay_steps: int = 1000
    """Number of updates over which the rate of `after_grokking` falls."""
    decay_to: float = 0.02
    """Share of the rate that `after_grokking` leaves."""
    batch_size: int | None = None
    """Rows per update; None takes all training rows."""
    loss_dtype: Literal["float32", "float64"] = "float32"
    """Precision of the softmax; Nanda et al. take float64, which matters for losses below 1e-6."""
    forward: Literal["auto", "factored", "plain"] = "auto"
    """Forward pass in training; `auto` is factored where that is exact (a transformer of one layer), else plain."""
    log_every: int = 25
    """Updates between two lines of metrics.jsonl, and between two evaluations on the test rows."""
    checkpoint_every: int = 100
    """Updates between two checkpoints."""
    device: str = "auto"
    """A torch device, or `auto`: cuda, else mps, else cpu."""


NOT_IDENTITY = {"steps", "device", "forward", "checkpoint_every"}
"""Fields in which a resumed run may differ from the run it goes on with."""

PRESETS: dict[str, ToyConfig] = {
    "fast": ToyConfig(),
    "nanda": ToyConfig(
        split="nanda",
        equals_logit=True,
        steps=25_000,
        learning_rate=1e-3,
        weight_decay=1.0,
        schedule="constant",
        loss_dtype="float64",
        log_every=100,
        checkpoint_every=250,
    ),
    "published-001": ToyConfig(
        steps=25_000, learning_rate=1e-3, weight_decay=1.0, schedule="constant", log_every=25, checkpoint_every=500
    ),
    "published-002": ToyConfig(
        n_layers=2,
        batch_size=4096,
        steps=200_000,
        learning_rate=1e-3,
        weight_decay=1e-3,
        schedule="constant",
        log_every=500,
        checkpoint_every=5000,
    ),
    "published-003": ToyConfig(
        modulus=97,
        train_fraction=0.8,
        architecture="mlp",
        d_mlp=256,
        batch_size=64,
        steps=118_000,
        learning_rate=1e-3,
        weight_decay=1e-2,
        warmup_steps=0,
        schedule="constant",
        log_every=1000,
        checkpoint_every=10_000,
    ),
    "published-004": ToyConfig(
        seed=42,
        steps=25_000,
        learning_rate=1e-3,
        weight_decay=1.0,
        beta2=0.999,
        warmup_steps=0,
        schedule="constant",
        log_every=100,
        checkpoint_every=500,
    ),
}
"""`fast` groks in some 300 updates; `nanda` is the schedule of Nanda et al. 2023; `published-001` to `-004` are four
published repositories. What their documents leave open stands at the defaults: 001's optimiser beyond the number of
epochs, 002's rate and modulus, 003's modulus (59, 97 and 113 do not give its parameter count)."""


def preset(name: str) -> ToyConfig:
    """The preset of this name. Raises InputError if there is none."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]


Value = str | int | float | bool | None


def field_type(name: str, source: str) -> Any:
    """The type of a field of ToyConfig. Raises InputError if there is none of this name."""
    kinds = get_type_hints(ToyConfig)
    if name not in kinds:
        raise InputError(f"{source} names {name!r}, which is no field: choose from {', '.join(kinds)}")
    return kinds[name]


def parse_value(name: str, value: object, source: str) -> Value:
    """A value of a field of ToyConfig, from text, JSON or YAML (which reads 1e-2 as text).

    Raises InputError if there is no such field, or the value does not fit it.
    """
    kind, text = field_type(name, source), str(value).strip()
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        wanted, read = f"choose from {', '.join(choices)}", {choice: choice for choice in choices}.__getitem__
    elif kind is bool:
        wanted, read = "give true or false", lambda word: {"true": True, "false": False}[word.lower()]
    elif choices:  # a number or None
        wanted = f"give {choices[0].__name__} or none"
        read = lambda word: None if word.lower() == "none" else choices[0](word)  # noqa: E731
    else:
        wanted, read = f"give {kind.__name__}", kind
    try:
        result = read(text)
    except (KeyError, ValueError):
        result = math.nan
    if text == "" or (isinstance(result, float) and not math.isfinite(result)):
        raise InputError(f"{source} sets {name} to {value!r}: {wanted}")
    return result


def from_mapping(values: Mapping[str, object], base: ToyConfig, source: str) -> ToyConfig:
    """`base` with the fields of a mapping changed.

    Raises InputError for a field that does not exist, or a value that does not fit it.
    """
    return replace(base, **{name: parse_value(name, value, source) for name, value in values.items()})


def read_mapping(path: Path, content: str) -> dict[str, Any]:
    """What a YAML file holds. Raises InputError if it cannot be read or is no mapping: no `content`."""
    values = yaml_files.load(path, "the configuration")
    if not isinstance(values, dict):
        raise InputError(f"{path} is no {content}")
    return values


def read_yaml(path: Path, base: ToyConfig) -> ToyConfig:
    """`base` with the fields of a YAML file changed; the file may name its own `preset`.

    Raises InputError if the file is not there, is no YAML mapping, or names something that does not exist.
    """
    values = read_mapping(path, "mapping of fields to values: write lines such as `modulus: 97`")
    base = preset(str(values.pop("preset"))) if "preset" in values else base
    return from_mapping(values, base, str(path))


def read_config(path: Path) -> ToyConfig:
    """The resolved configuration that a run directory holds (`config.json`)."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: it is not the configuration of a toy run ({error})") from error
    return from_mapping(values, ToyConfig(), str(path))


def check_fields(config: Any) -> None:
    """Raises InputError if a word is none of its field's choices, or a count (an int that is no seed) is below one."""
    for name, kind in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise InputError(f"{name} is {value!r}: choose from {', '.join(get_args(kind))}")
        if kind is int and "seed" not in name and value < 1:
            raise InputError(f"{name} is {value}: give 1 or more")


def check_counts(config: ToyConfig) -> None:
    """Raises InputError if a number of steps or rows is below one."""
    for name in ("steps", "log_every", "checkpoint_every", "decay_steps", "batch_size"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise InputError(f"{name} is {value}: give 1 or more")


def differing_fields(one: ToyConfig, other: ToyConfig) -> list[str]:
    """Names of the fields that make two runs different runs."""
    first, second = asdict(one), asdict(other)
    ignored = NOT_IDENTITY - ({"steps"} if one.schedule == "cosine" else set())
    return [name for name in first if name not in ignored and first[name] != second[name]]


@dataclass(frozen=True)
class AnalysisRequest:
    """What scripts/toys/analyze_toy.py examines, and how."""

    path: Path
    """A run directory, or a checkpoint: ours, or of a published layout."""
    out: Path | None = None
    """Where the results go; by default the run directory, or <stem>-analysis beside a checkpoint."""
    task: str | None = None
    """What a checkpoint that does not say it was trained on: add, subtract, multiply, …; add if nothing is given."""
    split_seed: int | None = None
    """Seed of the training rows, in place of the one in the file."""
    train_frac: float | None = None
    """Share of the rows that were trained on, in place of the one in the file."""
    step: int | None = None
    """Which checkpoint of a run directory to analyse; by default the last."""
    steps: tuple[int, ...] = ()
    """Which checkpoints of a run directory the progress table and the film show; by default all."""
    film: bool = True
    """Whether to make the film."""
    seed: int = 0
    """Seed of the controls and of the untrained network."""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or (self.path if self.path.is_dir() else self.path.parent / f"{self.path.stem}-analysis")
