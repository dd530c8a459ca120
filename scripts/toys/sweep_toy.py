"""Train every combination of some fields, several seeds each: tables and survival curves in work/toy/sweeps/<name>.

python scripts/toys/sweep_toy.py --set weight_decay=1,2,5 train_fraction=0.2,0.3,0.4 --steps 2000
python scripts/toys/sweep_toy.py --set task=add,multiply modulus=59,97,113 --seeds 16 --dry-run
python scripts/toys/sweep_toy.py --config sweep.yaml --shard 2/4

--preset and all fields of scripts/train_toy.py set what is not swept; a YAML file holds any of `preset`, `fields`,
`axes` (field: list of values) and `seeds`. The same command goes on with an interrupted sweep. sweep.csv has a row a
seed, summary.csv a row a cell, survival.csv the share not yet grokked over steps.
"""

import _root
from _command import command, read

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from toy.training.axes import SweepPoint, Plan, parse_axes, read_plan
from toy.config import ToyConfig, preset
from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """What to sweep and how to run it."""

    toy: tyro.conf.OmitArgPrefixes[ToyConfig]
    axes: Annotated[tuple[str, ...], tyro.conf.arg(name="set")] = ()
    """Fields and their values, as weight_decay=1,2,5; a cell of the sweep is one combination."""
    seeds: int = 8
    """Networks of a cell: seed, seed + 1, …"""
    out: Path | None = None
    """The results folder; by default work/toy/sweeps/<preset or name of the YAML file>-<axes>."""
    shard: str = "1/1"
    """i/n trains every n-th cell from the i-th on; the tables have all that are there."""
    dry_run: bool = False
    """Print the runs and do nothing."""
    keep_checkpoints: bool = False
    """Of the runs that are trained now; by default their metrics alone are kept."""


def main() -> int:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="fast")
    first.add_argument("--config", type=Path)
    first.add_argument("--set", nargs="+", action="extend", default=[])  # here, so that it may be given repeatedly
    chosen, rest = first.parse_known_args()
    try:
        plan = Plan(preset(chosen.preset))
        plan = read_plan(chosen.config, plan) if chosen.config else plan
        default = Options(plan.base, tuple(chosen.set), plan.seeds)
        options = read(__file__, Options, __doc__, rest, default=default)
        plan = plan.changed(options.toy, parse_axes(options.axes), options.seeds)
        name = "-".join([chosen.config.stem if chosen.config else chosen.preset, *plan.axes])
        return _sweep(plan, options, options.out or Path("work/toy/sweeps") / name)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: cannot use {error.filename}: {error.strerror}; make room and run again", file=sys.stderr)
    return 2


def _sweep(plan: Plan, options: Options, out: Path) -> int:
    from tqdm import tqdm

    from toy.training import sweep

    cells = sweep.checked(plan)
    mine = sweep.shard(cells, options.shard)
    if options.dry_run:
        print(sweep.preview(mine, out))
        return 0
    bar, code = tqdm(mine, unit="cell", disable=None), 0

    def show(step: int, lines) -> None:
        bar.set_postfix(step=step, test=f"{min(line['test_accuracy'] for line in lines):.3f}")

    try:
        for cell in bar:
            bar.set_description(cell.name)
            sweep.compute(cell, out, keep_checkpoints=options.keep_checkpoints, report=show)
    except KeyboardInterrupt:
        bar.close()
        print(f"\nstopped: finished cells are in {out / 'cells'}: the same command goes on", file=sys.stderr)
        code = 130
    _write(plan, cells, out)
    return code


def _write(plan: Plan, cells: list[SweepPoint], out: Path) -> None:
    """Tables and the picture, from every cell that is there."""
    from toy.training import sweep

    if not (results := sweep.stored_results(out, cells)):
        return
    from toy.pictures.style import save
    from toy.pictures.sweeps import survival_figure
    from toy.training.survival import printed, write_tables

    about = {
        "command": command(__file__),
        **asdict(plan),
        "cells": len(cells),
        "cells_there": len(results),
    }
    write_tables(out, results, about)
    save(survival_figure(results), out, "survival")
    print(printed(results))
    print(f"{len(results)} of {len(cells)} cells are there   {out}")


if __name__ == "__main__":
    sys.exit(main())
