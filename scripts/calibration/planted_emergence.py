"""Is the step at which a circle was planted in a training given back, and none where there never was one?

python scripts/calibration/planted_emergence.py                    50 trainings with a circle, 50 without; it resumes
python scripts/calibration/planted_emergence.py --trainings 5 --out work/emergence.csv

The table: of each event (`llm_probe/emergence/table.py`) in how many trainings its step is given within one checkpoint
of the planted one, and in how many without a circle a step is given at all.
"""

import _root
from _command import run

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from toy.run.files import write_atomic


@dataclass(frozen=True)
class Options:
    """Twelve checkpoints a training, half a minute each."""

    trainings: int = 50
    """With a circle, and as many without."""
    out: Path = Path("results/calibration/emergence.csv")
    """The table; finished trainings are kept in cells/ beside it."""


def main() -> int:
    return run(__file__, Options, __doc__, measure, "finished trainings are kept: the same command goes on")


def measure(options: Options, _: str) -> None:
    """Probe every training and count."""
    import pandas as pd
    import torch
    from tqdm import tqdm

    from llm_probe.emergence.planted import trainings
    from llm_probe.run.result import CELL_VERSION
    from toy.run.cells import Cells, key_of
    from toy.run.limits import check_counts

    check_counts(options, "trainings")
    torch.set_num_threads(1)
    cells, rows = Cells(options.out.parent, CELL_VERSION), []
    for training in tqdm(list(trainings(options.trainings)), unit="training", disable=None):
        made = cells.get(
            key_of({"emergence": asdict(training)}),
            lambda training=training: {event: asdict(change) for event, change in training.changes().items()},
        )
        rows += [{"event": event, "start": training.start, **change} for event, change in made.items()]
    table = pd.DataFrame(rows)
    table["near"] = (table["index"] - table["start"]).abs() <= 1
    table["inside"] = (table["low"] <= table["start"]) & (table["start"] <= table["high"])
    planted = table["start"].notna()
    counts = pd.DataFrame(
        {
            "planted": table[planted].groupby("event").size(),
            "given": table[planted & table["index"].notna()].groupby("event").size(),
            "within_one": table[planted].groupby("event")["near"].sum(),
            "in_interval": table[planted].groupby("event")["inside"].sum(),
            "without": table[~planted].groupby("event").size(),
            "false": table[~planted & table["index"].notna()].groupby("event").size(),
        }
    )
    counts = counts.fillna(0).astype(int)
    write_atomic(options.out, counts.to_csv())
    print(counts.to_string())


if __name__ == "__main__":
    sys.exit(main())
