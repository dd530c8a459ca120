"""What a sweep costs beside its cells: several workers, the way of a task through Slurm, merging a million rows.

python scripts/bench/bench_sweep.py                               everything; Slurm where one answers
python scripts/bench/bench_sweep.py --parts workers merge

Cells are single-threaded arithmetic of a fixed number of steps. On a machine that does other work as well `workers`
says less than it could: the efficiency of bare processes with the same loop, started together, stands beside it.
"""

import _root
from _command import ROOT, run

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench._bench import keep, timed
from llm_probe.run.table import R2Row, columns_of
from llm_probe.sweep.folder import Sweep, open_sweep, plan
from llm_probe.sweep.grid import Grid, Kind
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import SlurmOptions, chosen, run_local, submit, work
from toy.run.errors import InputError

ROWS = 1000
"""Rows of one cell that is merged."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    parts: tuple[str, ...] = ("workers", "slurm", "merge")
    """Parts that are measured: any of workers, slurm, merge."""
    workers: int = 2
    """Number of processes; no more than there are cores."""
    cells: int = 40
    """Number of cells of the workers' sweep."""
    steps: int = 10_000_000
    """Steps of a cell's loop, about half a second."""
    rows: int = 1_000_000
    """Number of rows that are merged."""
    out: Path = Path("results/bench/sweep.csv")
    """CSV file of the table."""


@dataclass(frozen=True)
class SpinConfig:
    """A loop of so many steps, or the table of a cell."""

    number: int = 0
    steps: int = 0
    out: Path | None = None


def spin(config: SpinConfig, folder: Path, command: str) -> None:
    """Add up the steps."""
    total = 0
    for step in range(config.steps):
        total += step
    (folder / "spun.txt").write_text(str(total))


KINDS = {"spin": Kind(SpinConfig, "scripts/bench/bench_sweep.py", spin, lambda: {"r2_table": R2Row}, loads=())}
THIS = [sys.executable, str(Path(__file__).resolve())]


def main() -> int:
    if sys.argv[1:2] == ["merge"]:
        sweep, merged = open_sweep(Path(sys.argv[2]), KINDS), []
        seconds = timed(lambda: merged.append(merge(sweep)))
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, merged[0].rows["r2_table"])
        return 0
    if sys.argv[1:2] == ["work"]:
        sweep = open_sweep(Path(sys.argv[2]), KINDS)
        given = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=False))
        work(sweep, chosen(sweep.cells, [key for key in (given.get("--keys"),) if key], None, given.get("--start")))
        return 0
    return run(__file__, Options, __doc__, _measure, "nothing was written, the same command starts again")


def _measure(options: Options, _: str) -> None:
    measures = {"workers": bench_workers, "slurm": bench_slurm, "merge": bench_merge}
    if unknown := [part for part in options.parts if part not in measures]:
        raise InputError(f"unknown part {unknown[0]!r}: choose from {', '.join(measures)}")
    rows = []
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            rows += measures[part](options, Path(folder))
    keep(rows, ["part", "quantity", "value", "unit", "bar"], options.out)


def planned_sweep(folder: Path, cells: int, steps: int) -> Sweep:
    grid = Grid("spin", {"steps": steps}, {"number": list(range(cells))})
    return plan(folder, "spin", KINDS["spin"], grid.cells(KINDS["spin"], cells), "scripts/bench/bench_sweep.py")


def bench_workers(options: Options, folder: Path) -> list[tuple]:
    """One worker, then several, on the same cells; and bare processes on the same loop for comparison."""
    seconds = {}
    for count in (1, options.workers):
        sweep = planned_sweep(folder / str(count), options.cells, options.steps)
        command = [*THIS, "work", str(sweep.folder)]
        seconds[count] = timed(lambda sweep=sweep, command=command, count=count: run_local(sweep, command, count))
        assert not sweep.missing()
    bare = {count: timed(lambda count=count: _bare(options, count)) for count in (1, options.workers)}
    gain, most = seconds[1] / seconds[options.workers], bare[1] / bare[options.workers]
    return [
        ("workers", "one worker", seconds[1], "s", ""),
        ("workers", f"{options.workers} workers", seconds[options.workers], "s", ""),
        ("workers", "speed-up", gain, "x", f">= {0.9 * options.workers}"),
        ("workers", "speed-up of bare processes", most, "x", ""),
    ]


def _bare(options: Options, count: int) -> None:
    """The same loop in so many processes that share nothing."""
    code = f"for _ in range({options.cells // count}):\n t = 0\n for s in range({options.steps}): t += s"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    for process in running:
        process.wait()


def bench_slurm(options: Options, folder: Path) -> list[tuple]:
    """An array of empty cells on one node, a task each, against the same workers started here one after the other."""
    if not shutil.which("sbatch") or subprocess.run(["sinfo", "-h"], capture_output=True, check=False).returncode:
        print("slurm: no Slurm answers, not measured", file=sys.stderr)
        return []
    tasks = 8
    sweep, started = planned_sweep(folder / "direct", tasks, 0), time.perf_counter()
    for cell in sweep.cells:
        subprocess.run([*THIS, "work", str(sweep.folder), "--keys", cell.key], check=True)
    direct = time.perf_counter() - started
    sweep, started = planned_sweep(folder / "slurm", tasks, 0), time.perf_counter()
    number, _, _ = submit(sweep, [*THIS, "work", str(sweep.folder)], ["true"], SlurmOptions(at_once=1))
    submitted = time.perf_counter() - started
    while subprocess.run(["squeue", "-h", "-j", number], capture_output=True, check=False).stdout.strip():
        time.sleep(0.1)
    array = time.perf_counter() - started
    assert not sweep.missing()
    return [
        ("slurm", f"submitting {tasks} tasks and the merge", submitted, "s", ""),
        ("slurm", f"{tasks} workers here, one after the other", direct, "s", ""),
        ("slurm", f"{tasks} tasks of an array, one at a time", array, "s", ""),
        ("slurm", "more per task", (array - direct) / tasks, "s", "<= 2"),
    ]


def bench_merge(options: Options, folder: Path) -> list[tuple]:
    """As many rows as asked for, from cells of a thousand rows of the reference model's own table."""
    import pandas as pd

    table = pd.read_csv(ROOT / "results" / "reference" / "r2_table.csv", nrows=ROWS, dtype=str)
    text = table.reindex(columns=list(columns_of(R2Row))).to_csv(index=False)
    sweep = planned_sweep(folder, options.rows // ROWS, 0)
    for cell in sweep.cells:
        sweep.run_folder(cell).mkdir(parents=True)
        (sweep.run_folder(cell) / "r2_table.csv").write_text(text)
    work(sweep, sweep.cells)  # a cell that does nothing notes the tables that it finds
    output = subprocess.run([*THIS, "merge", str(folder)], stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, memory, rows = output.split()[-3:]
    return [
        ("merge", f"{int(rows):,} rows of r2_table, {len(sweep.cells):,} cells", float(seconds), "s", "<= 20"),
        ("merge", "peak memory", float(memory), "GB", "<= 2"),
    ]


if __name__ == "__main__":
    sys.exit(main())
