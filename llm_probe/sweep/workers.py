"""Workers: each computes the cells that nobody has, one after the other; and what starts them, here or through Slurm.

Any number of workers may share a sweep. One that is killed loses the cell in progress, which is then free again: the
next worker that comes by computes it. One whose cell fails leaves the reason and the log, and goes on with the others.

Both ways to start them run the same command, `… work <folder>`: as processes of this machine, or as a Slurm array
(through submitit) with one dependent merge. So an array may be cancelled, resubmitted, or helped by processes started
by hand. A Slurm task that runs into its time limit, or is preempted, is put back into the queue by submitit and goes
on there; the file STOP in the sweep's folder ends that chain.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from llm_probe.sweep.folder import CellLocks, Sweep
from llm_probe.sweep.grid import SweepPoint
from toy.run.errors import InputError
from toy.run.files import write_atomic

WARNING = 30
"""Seconds before its time limit at which a task goes back into the queue; there is nothing to be saved."""


@dataclass(frozen=True)
class SlurmOptions:
    """The resources of a Slurm array."""

    partition: str | None = None
    """Partition of the cluster; none given: the cluster's own choice."""
    account: str | None = None
    """Account that is charged."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that the node must have."""
    gpus_per_task: str | None = None
    """Number of GPUs, or type and number (a100:1)."""
    cpus_per_task: int = 1
    """Cores, and threads, of a worker."""
    mem: str | None = None
    """Memory of a task, as 32GB."""
    time: str = "1:00:00"
    """Limit of a task, as [days-]hours:minutes:seconds; what is not finished then goes back into the queue."""
    cells_per_task: int = 1
    """Most cells of a task; those of one model are put together, which is then loaded once."""
    at_once: int = 256
    """Most tasks that run at the same time."""
    setup: tuple[str, ...] = ()
    """Shell lines before the work, as "module load cuda"."""


def work(sweep: Sweep, cells: Sequence[SweepPoint]) -> int:
    """Compute what is free of these cells, in this order, and return how many were."""
    locks, computed = CellLocks(sweep.folder), 0

    def is_settled(cell: SweepPoint) -> bool:
        return sweep.is_done(cell) or sweep.failure(cell) is not None

    for cell in cells:
        if sweep.is_stopped:
            break
        if is_settled(cell):
            continue
        with locks.held(cell.key) as mine:
            # Checked again: it may have been finished before the lock was taken.
            if mine and not is_settled(cell):
                _compute(sweep, cell)
                computed += 1
    return computed


def chosen(
    cells: Sequence[SweepPoint], keys: Sequence[str] = (), share: str | None = None, start: str | None = None
) -> list[SweepPoint]:
    """The cells that a worker goes through, in order: all; those of these keys; one share; or one share first.

    Shares are runs of neighbouring cells, because neighbours share their weights.

    Raises:
        InputError: there is no such share.
    """
    if keys:
        return [cell for cell in cells if cell.key in set(keys)]
    if share:
        return list(cells[_share(len(cells), share)])
    first = _share(len(cells), start).start if start else 0
    return [*cells[first:], *cells[:first]]


def _share(count: int, text: str) -> slice:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"share {text!r} does not exist: give i/n with i from 1 to n, such as 1/4 to 4/4")
    part, parts = int(match[1]), int(match[2])
    return slice(count * (part - 1) // parts, count * part // parts)


def _compute(sweep: Sweep, cell: SweepPoint) -> None:
    folder = sweep.run_folder(cell)
    sweep.clear_partial(cell)
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID")
    claim = {"host": socket.gethostname(), "process": os.getpid(), "job": job, "started": time.time()}
    write_atomic(folder / "claim.json", json.dumps(claim))

    def make() -> dict[str, Any]:
        started = time.monotonic()
        sweep.kind.compute(cell.config, folder, sweep.command(cell))
        tables = [name for name in sweep.kind.tables() if (folder / f"{name}.csv").exists()]
        provenance = folder / "run.json"
        run = json.loads(provenance.read_text(encoding="utf-8")) if provenance.exists() else {}
        return {**claim, "seconds": round(time.monotonic() - started, 3), "tables": tables, "run": run}

    try:
        with _logged(folder / "log.txt"):
            sweep.store.get(cell.key, make)
    except (Exception, SystemExit) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        write_atomic(folder / "failed.txt", " ".join(reason.split()) + "\n")
        print(f"failed: {cell.name}: {reason}", file=sys.stderr)


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Append what is printed inside to a file, also by libraries that are not Python."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.write(traceback.format_exc())
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, own in enumerate(kept, 1):
                os.dup2(own, number)
                os.close(own)


def run_local(
    sweep: Sweep, command: Sequence[str], workers: int, on_done: Callable[[int], Any] = lambda count: None
) -> list[int]:
    """Run so many workers here, one a cell at most, until none has more to do; their exit codes.

    `command` starts a worker; it is given `--start i/n`. `on_done` is called with how many cells are done.

    Raises:
        InputError: fewer than one worker.
        KeyboardInterrupt: after every worker was ended.
    """
    if workers < 1:
        raise InputError(f"{workers} workers cannot be started: give --workers 1 or more")
    workers = min(workers, len(sweep.missing()) or 1)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // workers))
    gpus = _gpus()
    processes = []
    try:
        for number in range(workers):
            own = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if workers > 1 and gpus else {}
            environment = {**os.environ, "OMP_NUM_THREADS": threads, **own}
            processes.append(subprocess.Popen([*command, "--start", f"{number + 1}/{workers}"], env=environment))
        while any(process.poll() is None for process in processes):
            on_done(len(sweep.cells) - len(sweep.missing()))
            time.sleep(0.1)
        on_done(len(sweep.cells) - len(sweep.missing()))
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    return [process.returncode for process in processes]


def _gpus() -> list[str]:
    """The GPUs that are assigned to workers in turn."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU")]


def submit(sweep: Sweep, work: Sequence[str], merge: Sequence[str], options: SlurmOptions) -> tuple[str, str, int]:
    """Submit what is missing as an array, and the merge that waits for it: both job numbers and how many tasks.

    `work` starts a worker (it is given `--keys` and a task's cells), `merge` merges.

    Raises:
        InputError: there is no Slurm, or Slurm refuses the job.
    """
    tasks, stop = tasks_of(sweep, options.cells_per_task), sweep.folder / "STOP"
    root = shlex.quote(str(Path(__file__).resolve().parents[2]))
    own = [f"export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}", f"export OMP_NUM_THREADS={options.cpus_per_task}"]
    names = ("partition", "account", "qos", "constraint", "cpus_per_task", "mem")
    resources = {f"slurm_{name}": getattr(options, name) for name in names}
    resources |= {"slurm_time": minutes(options.time), "slurm_setup": [*options.setup, *own]}
    array_only = {"slurm_array_parallelism": options.at_once, "slurm_gpus_per_task": options.gpus_per_task}
    with _slurm_errors():
        array = _executor(sweep, "sweep", resources | array_only)
        with array.batch():
            jobs = [array.submit(Task([*work, "--keys", *(cell.key for cell in cells)], stop)) for cells in tasks]
        number = jobs[0].job_id.partition("_")[0]
        after = {"slurm_dependency": f"afterany:{number}"}
        merging = _executor(sweep, "merge", resources | after).submit(Task(list(merge), stop))
    return number, merging.job_id, len(tasks)


class Task:
    """What submitit runs on a node: a command. It is pickled by name: the node needs the checkout and nothing more."""

    def __init__(self, command: list[str], stop: Path) -> None:
        self.command, self.stop = command, stop.resolve()

    def __call__(self) -> None:
        subprocess.run(self.command, check=True)

    def checkpoint(self) -> Any:
        """What goes back into the queue after the time limit; nothing once there is a stop marker."""
        from submitit.helpers import DelayedSubmission

        return None if self.stop.exists() else DelayedSubmission(self)


def tasks_of(sweep: Sweep, most: int) -> list[list[SweepPoint]]:
    """The missing cells in tasks of at most so many, each of one model's."""
    if most < 1:
        raise InputError(f"{most} cells a task cannot be computed: give --cells-per-task 1 or more")
    groups = [list(cells) for _, cells in groupby(sweep.missing(), sweep.kind.weights)]
    return [cells[start : start + most] for cells in groups for start in range(0, len(cells), most)]


def minutes(text: str) -> int:
    """Slurm's times: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].

    Raises:
        InputError: it is none of them.
    """
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){0,2}", text):
        raise InputError(f"--time {text!r} is no time: write hours:minutes:seconds, such as 4:00:00")
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, minute, second = [*parts, 0, 0][:3]
    else:
        hours, minute, second = {1: [0, *parts, 0], 2: [0, *parts], 3: parts}[len(parts)]
    return max(1, -(-((int(days or 0) * 24 + hours) * 3600 + minute * 60 + second) // 60))


def _executor(sweep: Sweep, name: str, resources: dict[str, Any]) -> Any:
    import submitit

    # Without srun, which takes seconds a task: the batch shell becomes the process, so that it gets the signal itself.
    executor = submitit.AutoExecutor(
        folder=(sweep.folder / "slurm").resolve(), cluster="slurm", slurm_python=f"exec {shlex.quote(sys.executable)}"
    )
    plain = {"slurm_use_srun": False, "slurm_additional_parameters": {"signal": f"B:USR2@{WARNING}"}}
    given = {key: value for key, value in resources.items() if value}
    executor.update_parameters(name=f"{sweep.folder.name}-{name}", **plain, **given)
    return executor


@contextlib.contextmanager
def _slurm_errors() -> Iterator[None]:
    """Slurm's objection as one sentence; submitit prints it as well, which is muted."""
    if not shutil.which("sbatch") or not shutil.which("srun"):
        raise InputError(
            "there is no Slurm here (no sbatch on the path): use --executor local, or log in to the cluster"
        )
    from submitit.core.utils import FailedJobError

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except FailedJobError as error:
        lines = [line.rpartition("error: ")[2] for line in str(error).splitlines() if line.strip()]
        raise InputError(f"Slurm refused the job: {lines[-1] if lines else 'without a reason'}") from error
