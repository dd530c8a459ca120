"""Train a transformer to add numbers of up to five digits, and measure it: work/addition/<shape>-<order>-<positions>.

python scripts/toys/train_addition.py                              a decoder, lowest digit first, places as on an abacus
python scripts/toys/train_addition.py --order plain --positions absolute                the same decoder as people write
python scripts/toys/train_addition.py --shape encoder-decoder --n-blocks 3 --order plain --positions absolute

The same command goes on with an interrupted run. accuracy.csv has the sweep over lengths and kinds of sums, digit
places and carries, neurons.csv which neurons are periodic in a + b, figures/ pictures of both, of the neurons, of where
the heads attend and of the digits' embedding. docs/addition.md says what was found.
"""

import _root
import _training
from _command import read

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from toy.addition.config import AdditionConfig


@dataclass(frozen=True)
class Options(_training.Options):
    """How to run it."""

    run: tyro.conf.OmitArgPrefixes[AdditionConfig] = field(default_factory=AdditionConfig)


def main() -> int:
    options = read(__file__, Options, __doc__)
    run = options.run
    folder = options.out or Path("work/addition") / f"{run.shape}-{run.order}-{run.positions}"
    return _training.main(options, "addition", folder, _results)


def _results(training, folder: Path):
    from toy.addition import pictures, pictures_network
    from toy.addition.tables import measure, untrained

    summary = measure(training, folder)
    return summary, pictures.draw(folder) | pictures_network.draw(training.model, untrained(training.model))


if __name__ == "__main__":
    sys.exit(main())
