"""Which states of a training there are: names that hold a step, on the hub or as folders.

step1000, step143000                         revisions (Pythia)
stage1-step140000-tokens294B                 revisions that also say the tokens (OLMo 2)
checkpoint-500, checkpoint-1000              folders that transformers' Trainer leaves
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from llm_probe.emergence.config import SeriesConfig
from toy.run.errors import InputError

STEP = re.compile(r"step[-_]?(\d+)", re.IGNORECASE)
NUMBER = re.compile(r"(\d+)(?!.*\d)")
TOKENS = re.compile(r"tokens[-_]?(\d+)([BM])", re.IGNORECASE)
SCALES = {"B": 1e9, "M": 1e6}


@dataclass(frozen=True)
class Checkpoint:
    """One state of a training."""

    name: str
    step: int
    tokens: float | None
    """Tokens seen until then; None where nothing says how many."""
    model: str
    """Hub id, or the checkpoint's folder."""
    revision: str | None


def checkpoints_of(config: SeriesConfig) -> list[Checkpoint]:
    """The checkpoints of a configuration in the order of their steps.

    Raises:
        InputError: fewer than two, a name without a number, two of one step, or a folder that holds no such checkpoint.
    """
    base = Path(config.model)
    if base.is_dir():
        places = [(path.name, path, str(path), None) for path in _folders(base, config.checkpoints)]
    else:
        places = [(name, None, config.model, name) for name in config.checkpoints]
    listed = [
        Checkpoint(name, step_of(name), _tokens(name, path, config), model, revision)
        for name, path, model, revision in places
    ]
    ordered = sorted(listed, key=lambda one: one.step)
    steps = [one.step for one in ordered]
    if twice := [one.name for one in ordered if steps.count(one.step) > 1]:
        raise InputError(f"{' and '.join(twice[:2])} are of the same step: give each step once")
    if len(ordered) < 2:
        raise InputError(f"{len(ordered)} checkpoint is no series: give two or more, or leave --checkpoints out")
    return ordered


def step_of(name: str) -> int:
    """The step that a checkpoint's name holds: the number behind `step`, or its last number."""
    if not (match := STEP.search(name) or NUMBER.search(name)):
        raise InputError(
            f"the checkpoint {name!r} has no step in its name: give names such as step1000 or checkpoint-500"
        )
    return int(match[1])


def _folders(base: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders inside `base` that fit one of the names, each once."""
    fitting: dict[Path, None] = {}
    for name in names:
        folders = [path for path in sorted(base.glob(name)) if (path / "config.json").is_file()]
        if not folders:
            there = sorted(path.name for path in base.glob("*") if (path / "config.json").is_file())
            has = f"it has {', '.join(there[:5])}" if there else "no folder in it has a config.json"
            raise InputError(f"{base} has no checkpoint {name!r}: {has}")
        fitting |= dict.fromkeys(folders)
    return list(fitting)


def _tokens(name: str, folder: Path | None, config: SeriesConfig) -> float | None:
    if match := TOKENS.search(name):
        return int(match[1]) * SCALES[match[2].upper()]
    if folder and (state := folder / "trainer_state.json").is_file():
        try:
            seen = json.loads(state.read_text(encoding="utf-8")).get("num_input_tokens_seen")
        except (OSError, ValueError, AttributeError):
            seen = None
        if seen:
            return float(seen)
    return float(config.tokens_a_step * step_of(name)) if config.tokens_a_step else None
