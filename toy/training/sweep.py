"""Sweeps: every cell of a plan trained once, whatever interrupts it.

    checked   the cells of a plan, or the sentence that says why one of them cannot be trained
    compute   train a cell in <out>/runs/<key> and keep what came of each seed in <out>/cells

A cell that is there is not computed again, one that was interrupted goes on from its last checkpoint, and an axis may
be extended later. A seed whose loss is no longer a number is a result: the step at which that was seen is kept, and the
other seeds of its cell go on alone from their last common checkpoint. A file STOP in a cell's run directory ends its
training where it is.
"""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from toy.config import ToyConfig, check_counts
from toy.networks.scores import MEASURED
from toy.run.cells import Cells
from toy.run.device import chosen_device
from toy.run.errors import Diverged, InputError
from toy.run.files import replace_with
from toy.training import train
from toy.training.axes import Plan, SweepPoint
from toy.training.runs import Run
from toy.training.train import Report

VERSION = 1
"""Of what a cell holds; see `toy.run.cells.Cells`."""
STATE = "state.pt"

Record = dict[str, Any]
"""What is kept of one seed, or of one cell."""


def checked(plan: Plan) -> list[SweepPoint]:
    """The cells of a plan, none of which fails for what it was given.

    Raises InputError if one of them would; nothing has been written.
    """
    train.check_seeds(plan.seeds)
    cells = plan.cells()
    for cell in cells:
        try:
            check_counts(cell.config)
            train.Training(cell.config, [cell.config.seed])  # reads its fields as the real one will
        except InputError as error:
            raise InputError(f"{cell.name} cannot be trained: {error}") from error
    return cells


def shard(cells: Sequence[SweepPoint], part: str) -> list[SweepPoint]:
    """Every n-th cell from the i-th on, for `part` = "i/n", i = 1 … n. Raises InputError if it is not that."""
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"shard {part!r} does not exist: give i/n with i from 1 to n, such as 1/4 to 4/4")
    return list(cells[int(match[1]) - 1 :: int(match[2])])


def stored(out: Path) -> Cells:
    """The cells of a results folder; a folder that is not there is not made."""
    return Cells(out if out.is_dir() else None, VERSION)


def stored_results(out: Path, cells: Sequence[SweepPoint]) -> list[tuple[SweepPoint, Record]]:
    """The cells that are there, with what they hold."""
    kept = stored(out)
    return [(cell, content) for cell in cells if (content := kept.read(cell.key)) is not None]


def preview(cells: Sequence[SweepPoint], out: Path) -> str:
    """The runs of these cells, each with its state and the command that would train it alone."""
    there = {cell.key for cell, _ in stored_results(out, cells)}
    lines = []
    for cell in cells:
        begun = (out / "runs" / cell.key / STATE).exists()
        state = "done" if cell.key in there else "begun" if begun else "to do"
        lines += [f"{state}: {cell.name}", f"    {command(cell, out)}"]
    missing = [cell for cell in cells if cell.key not in there]
    steps = sum(cell.seeds * cell.config.steps for cell in missing)
    lines.append(f"{len(missing)} of {len(cells)} cells to train, {steps:,} steps over all seeds")
    return "\n".join(lines)


def command(cell: SweepPoint, out: Path) -> str:
    """What trains this cell alone; the sweep takes a run that was made so as it is."""
    options = []
    for one in fields(ToyConfig):
        if (value := getattr(cell.config, one.name)) != one.default:
            flag = one.name.replace("_", "-")
            said = f"--{flag}" if value is not False else f"--no-{flag}"
            options += [said] if isinstance(value, bool) else [said, str(value)]
    folder = str(out / "runs" / cell.key)
    return shlex.join(["python", "scripts/train_toy.py", *options, "--seeds", str(cell.seeds), "--out", folder])


def compute(cell: SweepPoint, out: Path, *, keep_checkpoints: bool = False, report: Report | None = None) -> Record:
    """What came of a cell, trained if it is not there: `outcomes`, one record a seed, and how it was made.

    Its run directories keep configuration and metrics; checkpoints only if they were asked for when it was trained.

    Raises InputError if the folder cannot be written.
    """
    folder = out / "runs" / cell.key

    def make() -> Record:
        return {
            "config": asdict(cell.config),
            "seeds": cell.seeds,
            "keep_checkpoints": keep_checkpoints,
            "torch": torch.__version__,
            "device": chosen_device(cell.config.device).type,
            "outcomes": outcomes(cell.config, folder, cell.seeds, report),
        }

    content = Cells(out, VERSION).get(cell.key, make)
    if not content["keep_checkpoints"]:
        _drop_checkpoints(folder)
    return content


def outcomes(config: ToyConfig, folder: Path, seeds: int, report: Report | None = None) -> list[Record]:
    """Train, or go on training, and say per seed when it memorised, grokked or diverged, and where it ended.

    `seconds` are the wall time of a seed's share of the batch, scaled up from the last piece of an interrupted run.
    """
    numbers = range(config.seed, config.seed + seeds)
    runs = [Run(folder if seeds == 1 else folder / f"seed{seed}", config) for seed in numbers]
    if seeds > 1 and any((run.folder / STATE).exists() for run in runs):
        return _alone(config, folder, seeds, report)
    reported: list[list[Record]] = [[] for _ in runs]

    def note(step: int, lines: Sequence[dict[str, Any]]) -> None:
        for own, line in zip(reported, lines, strict=True):
            own.append(line)
        if report:
            report(step, lines)

    before = max((row["step"] for row in runs[0].metrics()), default=0) if (folder / STATE).exists() else 0
    started, diverged_at = time.monotonic(), None
    try:
        train.train(config, folder, seeds=seeds, report=note)
    except Diverged as error:
        if seeds > 1:
            return _alone(config, folder, seeds, report)
        diverged_at = error.step
    elapsed = (time.monotonic() - started) / seeds
    # What was looked at after the last checkpoint of a run that diverged is in no file.
    rows = [{row["step"]: row for row in [*run.metrics(), *own]} for run, own in zip(runs, reported, strict=True)]
    return [_outcome(seed, own, before, elapsed, diverged_at) for seed, own in zip(numbers, rows, strict=True)]


def _outcome(
    seed: int, rows: dict[int, dict[str, Any]], before: int, elapsed: float, diverged_at: int | None
) -> Record:
    milestones, last = train.Milestones(), rows[max(rows)] if rows else dict.fromkeys(MEASURED)
    for step in sorted(rows):
        milestones.see(step, rows[step]["train_accuracy"], rows[step]["test_accuracy"])
    steps = max(rows, default=0)
    return {
        "seed": seed,
        **asdict(milestones),
        "diverged_at": diverged_at,
        "steps_trained": steps,
        **{name: last[name] for name in MEASURED},
        "seconds": elapsed * steps / (steps - before) if steps > before else None,
    }


def _alone(config: ToyConfig, folder: Path, seeds: int, report: Report | None) -> list[Record]:
    """Each seed by itself, from the last checkpoint of the batch, one of which diverged after it."""
    if (folder / STATE).exists():
        state = train.read_state(folder / STATE)
        for index in range(seeds):
            path = folder / f"seed{config.seed + index}" / STATE
            if not path.exists():
                own = train.state_of_one(state, index)
                replace_with(path, lambda temporary, own=own: torch.save(own, temporary))
    records = []
    for seed in range(config.seed, config.seed + seeds):
        records += outcomes(replace(config, seed=seed), folder / f"seed{seed}", 1, report)
    return records


def _drop_checkpoints(folder: Path) -> None:
    """All that only a run which goes on would need; a marker without a state would stop a new run at once."""
    for run in (folder, *folder.glob("seed*")):
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        for name in (STATE, "STOP"):
            (run / name).unlink(missing_ok=True)
