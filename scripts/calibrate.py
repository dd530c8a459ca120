"""How often is each statistic fooled, and how small a circle does it find? Null and planted networks, through the job.

python scripts/calibrate.py                    1,000 null networks: results/calibration/false_positives.csv
python scripts/calibrate.py --planted 40       and as many networks for each planted signal: power.csv
python scripts/calibrate.py --networks 0 --hard 200    networks that know the answer without a circle: levels.csv
"""

from _command import run

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """How often is each statistic fooled, and how small a circle does it find?"""

    networks: int = 1000
    """Null networks; 0: none, the table that is there stays."""
    planted: int = 0
    """Networks for each kind and size of planted signal; 0: none."""
    hard: int = 0
    """Networks of each family that knows the answer, or the item, without a circle (MiniLM too, where `make minilm`
    placed it); 0: none."""
    workers: int = 0
    """Processes of one thread each; 0: one a core."""
    work: Path = Path("work/calibration")
    """Folder in which the toys are trained whose circles are known (with --planted)."""
    out: Path = Path("results/calibration")
    """Tables and figure; finished trials are kept in `cells` there, and the same command goes on."""


def main(arguments: list[str] | None = None) -> int:
    """Run the trials, write the tables, print the rates."""
    return run(__file__, Options, __doc__, calibrate, "finished networks are kept, the same command goes on", arguments)


def calibrate(options: Options, _: str) -> None:
    """The work behind `main`."""
    from llm_probe.calibration import figure, hard_nulls, harness, known_circles, level_figure, trained_nulls
    from llm_probe.run.table import frame
    from toy.run.files import write_atomic

    if 0 < options.networks < 10 or min(options.networks, options.planted, options.hard) < 0:
        raise InputError(
            f"{options.networks} null, {options.planted} planted and {options.hard} hard networks cannot be run: give "
            "10 or more of the first or none, and 0 or more of the others"
        )
    if options.workers < 0:
        raise InputError(f"{options.workers} workers cannot run: give 1 or more, or 0 for one a core")
    workers = options.workers or os.cpu_count() or 1
    rows, power_rows, tables = [], [], {}
    if options.networks:
        settings = harness.null_settings(options.networks)
        rows = harness.false_positives(settings, _trials(settings, options.out, workers, "null networks"))
        tables["false_positives"] = frame(rows, harness.FalsePositiveRow)
        print(figure.rates_text(rows))
    if options.planted:
        planted = harness.planted_settings(options.planted)
        trials = _trials([setting for _, setting in planted], options.out, workers, "planted signals")
        power_rows = harness.power(harness.by_signal(planted, trials)) + known_circles.rows(8, options.work)
        tables["power"] = frame(power_rows, harness.PowerRow)
        print(figure.power_text(power_rows))
    if options.hard:
        trained = trained_nulls.available()
        if len(trained) < len(trained_nulls.TRAINED_NULLS):
            print(trained_nulls.missing_weights())
        settings = hard_nulls.hard_settings(options.hard, trained)
        level_rows = list(hard_nulls.level_rows(settings, _trials(settings, options.out, workers, "hard nulls")))
        tables["levels"] = frame(level_rows, hard_nulls.LevelRow)
        print(hard_nulls.levels_text(level_rows))
        level_figure.write(options.out, level_rows)
    for name, table in tables.items():
        write_atomic(options.out / f"{name}.csv", table.to_csv(index=False, float_format="%.6g"))
    figure.write(options.out, rows, power_rows)


def _trials(settings: list, out: Path, workers: int, name: str) -> list:
    from tqdm import tqdm

    from llm_probe.calibration.harness import run_all

    with tqdm(total=len(settings), desc=name, unit=" networks", disable=None) as bar:
        return run_all(settings, out, workers, bar.update)


if __name__ == "__main__":
    sys.exit(main())
