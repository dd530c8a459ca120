"""In which order do things happen in the trainings of the reference model? From a sweep of series and their snapshots.

    python scripts/sweep.py scripts/models/emergence.yaml --out results/sweeps/emergence
    python scripts/models/order_of_events.py
    python scripts/models/order_of_events.py --beside results/emergence     with the trainings that are there already

Writes pairs.csv (right answers on pairs that were trained on and on others), events.csv, order.csv and the figure.
"""

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Which trainings."""

    sweep: Path = Path("results/sweeps/emergence")
    """Folder of a finished sweep of series over the snapshots of trainings (`model: work/…/snapshots`)."""
    beside: Path | None = None
    """Folder of an earlier run of this command, perhaps elsewhere: its trainings stand beside those of the sweep, and
    their snapshots need not be there any more."""
    out: Path = Path("results/emergence")
    """Results folder."""


def main() -> int:
    return run(__file__, Options, __doc__, order, "finished cells are in {0.out}/cells: the same command goes on")


def order(options: Options, command: str) -> None:
    """Measure, write the tables and the figure, and say the order."""
    from llm_probe.emergence.trainings import run as put_in_order

    result = put_in_order(options.sweep, options.out, command, options.beside)
    result.write(options.out)
    print(result)


if __name__ == "__main__":
    sys.exit(main())
