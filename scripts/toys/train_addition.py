"""Train a transformer to add numbers of up to five digits, and measure it: work/addition/<shape>-<order>-<positions>.

python scripts/toys/train_addition.py                              a decoder, lowest digit first, places as on an abacus
python scripts/toys/train_addition.py --order plain --positions absolute                the same decoder as people write
python scripts/toys/train_addition.py --shape encoder-decoder --n-blocks 3 --order plain --positions absolute

The same command goes on with an interrupted run. accuracy.csv has the sweep over lengths and kinds of sums, digit
places and carries, neurons.csv which neurons are periodic in a + b, figures/ pictures of both, of the neurons, of where
the heads look and of the digits' embedding. docs/addition.md says what was found.
"""

import _root
from _command import ended

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from _training import finished

from toy.addition.config import AdditionConfig


@dataclass(frozen=True)
class Options:
    """How to run it."""

    run: tyro.conf.OmitArgPrefixes[AdditionConfig] = field(default_factory=AdditionConfig)
    out: Path | None = None
    """The run directory; by default work/addition/<shape>-<order>-<positions>."""
    minutes: float = float("inf")
    """Stop training after so long: the same command goes on."""
    measure: bool = True
    """Write the tables and the figures when all steps are done."""


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/toys/train_addition.py")
    run = options.run
    folder = options.out or Path("work/addition") / f"{run.shape}-{run.order}-{run.positions}"
    return ended(lambda: _train(options, folder), f"{folder} has the last checkpoint: the same command goes on")


def _train(options: Options, folder: Path) -> None:
    from toy.addition.train import train

    training = finished(train, options.run, folder, options.minutes)
    if training is None:
        return
    if options.measure:
        from toy.addition.tables import measure, untrained
        from toy.addition import pictures as addition
        from toy.pictures import tables
        from toy.addition.pictures_attention import attention
        from toy.addition.pictures_digits import digits
        from toy.addition.pictures_neurons import neurons

        for name, value in measure(training, folder).items():
            print(f"{name:34s} {value:.4f}")
        nets = training.model, untrained(training.model)
        drawn = {"06_neurons": neurons(*nets), "07_attention": attention(*nets), "08_digits": digits(*nets)}
        tables.write(folder / "figures", addition.draw(folder) | drawn)
    print(folder)


if __name__ == "__main__":
    sys.exit(main())
