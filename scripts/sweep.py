"""Sweep jobs over models, revisions, domains, moduli, layers, sites, seeds, …: over any option of a single job.

python scripts/sweep.py grid.yaml --dry-run                              counts, FLOPs, memory, time
python scripts/sweep.py grid.yaml --workers 2 --out results/sweeps/x     on this machine
python scripts/sweep.py --set model=reference seed=0,1,2 domains=days+months --kind probe
python scripts/sweep.py grid.yaml --executor slurm --partition gpu --gpus-per-task 1 --time 4:00:00 --cells-per-task 8
python scripts/sweep.py status|merge|stop|work results/sweeps/x          (work: one worker, for batch files)

The same command goes on with an interrupted sweep and tries failed cells again. `grid.yaml` is described in
llm_probe/sweep/grid.py; the kinds of jobs are those of scripts/_kinds.py.
"""

from _command import command, ended, program, read

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from _kinds import KINDS
from llm_probe.sweep.workers import SlurmOptions, chosen, run_local, submit, work
from llm_probe.sweep.folder import Sweep, open_sweep, plan, status
from llm_probe.sweep.grid import Grid, kind_of, read_grid

Verb = Literal["status", "merge", "stop", "work"]


@dataclass(frozen=True)
class Options:
    """What is swept, and where."""

    grid: tyro.conf.Positional[Path | None] = None
    """YAML file with kind, fields and axes."""
    axes: Annotated[tuple[str, ...], tyro.conf.arg(name="set")] = ()
    """Axes, as seed=0,1 or layers=0+1,2; they replace those of the file."""
    kind: str | None = None
    """probe, causal, sae or toy; none given: the file's, or probe."""
    out: Path | None = None
    """Results folder; none given: results/sweeps/<name of the file>."""
    dry_run: bool = False
    """Print the plan and do nothing."""
    tflops: float | None = None
    """Speed of the machine that will run it, for the plan; none given: measured here."""
    max_cells: int = 1000
    """A grid with more is refused."""
    executor: Literal["local", "slurm", "none"] = "local"
    """Processes of this machine; a Slurm array and a merge that waits for it; none: only write the plan."""
    workers: int = 1
    """Processes of this machine."""
    slurm: tyro.conf.OmitArgPrefixes[SlurmOptions] = field(default_factory=SlurmOptions)


@dataclass(frozen=True)
class VerbOptions:
    """What is done with a sweep that is planned."""

    verb: tyro.conf.Positional[Verb]
    """Print what is done and left; merge all tables; end workers before their next cell; be a worker."""
    folder: tyro.conf.Positional[Path]
    """The sweep's folder."""
    keys: tuple[str, ...] = ()
    """work: compute these cells only."""
    share: str | None = None
    """work: compute the i-th of n shares only, as 2/8."""
    start: str | None = None
    """work: begin with the i-th of n shares and go on with the others."""


def main() -> int:
    kept = "finished cells are kept: the same command goes on"
    if sys.argv[1:2] and sys.argv[1] in get_args(Verb):
        about = "Look at, merge, stop or work on a sweep that is planned."
        verb_options = read(__file__, VerbOptions, about)
        return ended(lambda: _verb(verb_options), kept)
    options = read(__file__, Options, __doc__)
    return ended(lambda: _run(options), kept)


def _run(options: Options) -> int:
    grid = (read_grid(options.grid) if options.grid else Grid()).changed(options.kind, options.axes)
    kind = kind_of(KINDS, grid.kind)
    cells = grid.cells(kind, options.max_cells)
    folder = options.out or Path("results/sweeps") / (options.grid.stem if options.grid else "-".join(grid.axes))
    if options.dry_run:
        from llm_probe.sweep.cost import preview

        print(preview(kind, cells, folder, options.slurm.cells_per_task, options.tflops))
        return 0
    sweep = plan(folder, grid.kind, kind, cells, command(__file__))
    sweep.forget_failures()
    missing, where = len(sweep.missing()), str(folder.resolve())
    worker, merger = ([sys.executable, str(Path(__file__).resolve()), verb, where] for verb in ("work", "merge"))
    if options.executor == "none":
        print(f"planned {len(cells)} cells in {folder}, {missing} to do; a worker: {program(__file__)} work {folder}")
        return 0
    if options.executor == "slurm" and missing:
        array, merging, tasks = submit(sweep, worker, merger, options.slurm)
        print(f"submitted job {array} ({tasks} tasks, {missing} cells) and the merge after it, {merging}")
        print(f"{program(__file__)} status {folder}")
        return 0
    from tqdm import tqdm

    with tqdm(total=len(cells), unit="cell", disable=None) as bar:
        codes = run_local(sweep, worker, options.workers, lambda done: bar.update(done - bar.n)) if missing else []
    if lost := [code for code in codes if code]:
        print(f"{len(lost)} of {options.workers} workers ended with {', '.join(map(str, lost))}", file=sys.stderr)
    return _merge(sweep)


def _merge(sweep: Sweep) -> int:
    from llm_probe.sweep.merge import merge

    merged = merge(sweep)
    print(merged)
    return 1 if merged.gaps else 0


def _verb(options: VerbOptions) -> int:
    sweep = open_sweep(options.folder, KINDS)
    if options.verb == "merge":
        return _merge(sweep)
    if options.verb == "status":
        print(status(sweep))
    elif options.verb == "stop":
        (sweep.folder / "STOP").touch()
    else:
        cells = chosen(sweep.cells, options.keys, options.share, options.start)
        print(f"{work(sweep, cells)} cells computed", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
