"""Train one network to add modulo every number, and measure it: work/universal/<numbers>-<moduli>[-policy].

python scripts/toys/train_universal.py                         moduli 2-120 without 15, 25, …, 115; numbers as sinusoids
python scripts/toys/train_universal.py --numbers tokens         a row of weights a number, as published
python scripts/toys/train_universal.py --numbers rotations      sinusoids for which adding is turning; or digits
python scripts/toys/train_universal.py --moduli sparse          24 moduli of 2-199
python scripts/toys/train_universal.py --objective policy_gradient

The same command goes on with an interrupted run. accuracy.csv has a row a modulus, circles.csv what the last block's
neurons hold at some moduli, summary.json the averages, figures/ the pictures. docs/universal.md says what was found.
"""

import _root
import _training
from _command import read

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from toy.universal.config import UniversalConfig


@dataclass(frozen=True)
class Options(_training.Options):
    """How to run it."""

    run: tyro.conf.OmitArgPrefixes[UniversalConfig] = field(default_factory=UniversalConfig)


def main() -> int:
    options = read(__file__, Options, __doc__)
    run = options.run
    name = f"{run.numbers}-{run.moduli}" + ("-policy" if run.objective == "policy_gradient" else "")
    return _training.main(options, "universal", options.out or Path("work/universal") / name, _results)


def _results(training, folder: Path):
    from toy.universal import pictures
    from toy.universal.tables import measure

    return measure(training, folder), pictures.draw(folder)


if __name__ == "__main__":
    sys.exit(main())
