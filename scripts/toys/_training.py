"""The command of the toys that go on from one checkpoint: options, a line an evaluation, then tables and figures."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _command import ended


@dataclass(frozen=True)
class Options:
    """How to run it."""

    out: Path | None = None
    """The run directory; by default the one named above."""
    minutes: float = float("inf")
    """Stop training after so long: the same command goes on."""
    measure: bool = True
    """Write the tables and the figures when all steps are done."""


def main(options: Any, toy: str, folder: Path, results: Callable[..., Any]) -> int:
    """Train a toy and, when all steps are done, write the results: (training, folder) to a summary and figures by name.

    `toy` is the package below `toy` whose `train.Training` is run.
    """

    def work() -> None:
        training_class = importlib.import_module(f"toy.{toy}.train").Training
        training = training_class.train(options.run, folder, minutes=options.minutes, report=_show)
        if training.step < options.run.steps:
            print(f"time is up at step {training.step}: the same command goes on   {folder}")
            return
        if options.measure:
            from toy.pictures import style

            summary, figures = results(training, folder)
            for name, value in summary.items():
                print(f"{name:34s} {value:.4f}")
            style.write(folder / "figures", figures)
        print(folder)

    return ended(work, f"{folder} has the last checkpoint: the same command goes on")


def _show(line: Mapping[str, float]) -> None:
    print("  ".join(f"{name} {value:.4g}" for name, value in line.items()), flush=True)
