"""Train one network to add modulo every number, and measure it: work/universal/<numbers>-<moduli>.

python scripts/toys/train_universal.py                         moduli 2-120 without 15, 25, …, 115; numbers as sinusoids
python scripts/toys/train_universal.py --numbers tokens         a row of weights a number, as published
python scripts/toys/train_universal.py --numbers rotations      sinusoids for which adding is turning; or digits
python scripts/toys/train_universal.py --moduli sparse          24 moduli of 2-199
python scripts/toys/train_universal.py --objective policy_gradient

The same command goes on with an interrupted run. accuracy.csv has a row a modulus, circles.csv what the last block's
neurons hold at some moduli, summary.json the averages, figures/ the pictures. docs/universal.md says what was found.
"""

import _root
from _command import ended

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from _training import finished

from toy.universal.config import UniversalConfig


@dataclass(frozen=True)
class Options:
    """How to run it."""

    run: tyro.conf.OmitArgPrefixes[UniversalConfig] = field(default_factory=UniversalConfig)
    out: Path | None = None
    """The run directory; by default work/universal/<numbers>-<moduli>, and -policy behind it for policy_gradient."""
    minutes: float = float("inf")
    """Stop training after so long: the same command goes on."""
    measure: bool = True
    """Write the tables and the figures when all steps are done."""


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/toys/train_universal.py")
    run = options.run
    name = f"{run.numbers}-{run.moduli}" + ("-policy" if run.objective == "policy_gradient" else "")
    folder = options.out or Path("work/universal") / name
    return ended(lambda: _train(options, folder), f"{folder} has the last checkpoint: the same command goes on")


def _train(options: Options, folder: Path) -> None:
    from toy.universal.train import train

    training = finished(train, options.run, folder, options.minutes)
    if training is None:
        return
    if options.measure:
        from toy.universal import pictures as universal
        from toy.pictures import tables
        from toy.universal.tables import measure

        for name, value in measure(training, folder).items():
            print(f"{name:34s} {value:.4f}")
        tables.write(folder / "figures", universal.draw(folder))
    print(folder)


if __name__ == "__main__":
    sys.exit(main())
