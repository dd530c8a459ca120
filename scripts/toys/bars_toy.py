"""Train the toy's experiments, measure them and print every bar: results/toy/bars.csv and seeds.csv.

python scripts/toys/bars_toy.py                    all of them (hours on two cores; goes on where it was stopped)
python scripts/toys/bars_toy.py --only fast p53    some of them

Networks go to work/toy/<experiment>; what is there already is not trained or measured again.
"""

import _root
from _command import ROOT, run

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """What to run."""

    only: tuple[str, ...] = ()
    """Experiments of toy/analysis/experiments.py; all if none is named."""
    work: Path = Path("work/toy")
    """Where networks are trained."""
    out: Path = ROOT / "results" / "toy"
    """Where the tables go."""
    speed: bool = True
    """Whether to time training too, at the end."""


def main() -> int:
    return run(__file__, Options, __doc__, _measure, "the same command goes on")


def _measure(options: Options, _: str) -> None:
    from toy.analysis.experiments import EXPERIMENTS

    if unknown := [name for name in options.only if name not in EXPERIMENTS]:
        raise InputError(f"unknown experiment {unknown[0]!r}: choose from {', '.join(EXPERIMENTS)}")
    seen = {name: _seen(name, options.work / name) for name in options.only or EXPERIMENTS}
    _write(seen, _speed() if options.speed else [], options.out)


def _seen(name: str, folder: Path):
    """Train and measure one experiment."""
    from tqdm import tqdm

    from toy.analysis.measurements import analyse
    from toy.analysis.experiments import EXPERIMENTS, Seen
    from toy.run.files import write_atomic
    from toy.analysis.progress import progress
    from toy.training.train import train

    experiment = EXPERIMENTS[name]
    with tqdm(total=experiment.config.steps, desc=name, unit="step", disable=None) as bar:
        finished = train(
            experiment.config, folder, seeds=experiment.seeds, report=lambda step, _: bar.update(step - bar.n)
        )
    networks = []
    for network in finished.runs:
        path, rows_path = network.folder / "analysis.json", network.folder / "progress.json"
        trained = max(network.checkpoints().values()).stat().st_mtime
        if not path.exists() or path.stat().st_mtime < trained:
            write_atomic(path, json.dumps(analyse(network.model(), network.config), indent=1) + "\n")
        if experiment.progress and (not rows_path.exists() or rows_path.stat().st_mtime < trained):
            write_atomic(rows_path, json.dumps(progress(network)) + "\n")
        rows = json.loads(rows_path.read_text(encoding="utf-8")) if experiment.progress else []
        networks.append(Seen(network.config, network.metrics(), json.loads(path.read_text(encoding="utf-8")), rows))
    return networks


def _speed():
    """The bars of speed, from one run of the bench."""
    from bench.bench_toy import LIMITS, Bench, measure

    from toy.analysis.experiments import Bar, bar_row

    rows = []
    for name, value, unit in measure(Bench()):
        at_least, at_most = LIMITS.get(name, (None, None))
        rows.append(bar_row("speed", 1, Bar(f"{name} ({unit})", lambda _, v=value: v, at_least, at_most), []))
    return rows


def _write(seen, speed, out: Path) -> None:
    """Two tables: one row a bar, one row a network."""
    import pandas as pd

    from toy.analysis.experiments import EXPERIMENTS, bar_row, network_row
    from toy.run.files import write_atomic

    bars = [
        bar_row(name, len(each), bar, each) for name, each in seen.items() for bar in EXPERIMENTS[name].bars
    ] + speed
    networks = [network_row(name, each) for name, group in seen.items() for each in group]
    for name, rows in (("bars", bars), ("seeds", networks)):
        write_atomic(out / f"{name}.csv", _beside(out / f"{name}.csv", rows).to_csv(index=False, float_format="%.6g"))
    shown = pd.DataFrame(bars).drop(columns=["at_least", "at_most"])
    print(shown.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def _beside(path: Path, rows):
    """The new rows, and those of experiments that were not measured now."""
    import pandas as pd

    from toy.analysis.experiments import EXPERIMENTS

    measured = {row["experiment"] for row in rows}
    old = pd.read_csv(path).to_dict("records") if path.exists() else []
    order = (*EXPERIMENTS, "speed")
    kept = [row for row in old if row["experiment"] not in measured]
    return pd.DataFrame(sorted([*kept, *rows], key=lambda row: order.index(row["experiment"])))


if __name__ == "__main__":
    sys.exit(main())
