"""What starts workers: processes of this machine, or a Slurm array (through submitit) and one dependent merge.

Both run the same command, `… work <folder>`, which computes what is missing; so an array may be cancelled, resubmitted
or joined by processes started by hand. A Slurm task that runs into its time limit, or is preempted, is put back into
the queue by submitit and goes on there; the file STOP in the sweep's folder ends that chain.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from llm_probe.sweep.folder import Sweep
from llm_probe.sweep.grid import Cell
from toy.run.errors import InputError

WARNING = 30
"""Seconds before its time limit at which a task goes back into the queue; there is nothing to be saved."""


@dataclass(frozen=True)
class SlurmOptions:
    """What a Slurm array asks for."""

    partition: str | None = None
    """Its partition; none given: the cluster's own choice."""
    account: str | None = None
    """Who pays."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features of the node."""
    gpus_per_task: str | None = None
    """Number, or type and number (a100:1)."""
    cpus_per_task: int = 1
    """Cores, and threads of a worker."""
    mem: str | None = None
    """Memory of a task, as 32GB."""
    time: str = "1:00:00"
    """Limit of a task, as [days-]hours:minutes:seconds; what is not finished then goes back into the queue."""
    cells_per_task: int = 1
    """Cells of a task at most; those of one model are put together, which is then loaded once."""
    at_once: int = 256
    """Tasks that run at the same time, at most."""
    setup: tuple[str, ...] = ()
    """Shell lines before the work, as "module load cuda"."""


def run_local(
    sweep: Sweep, command: Sequence[str], workers: int, on_done: Callable[[int], Any] = lambda count: None
) -> list[int]:
    """Run so many workers here until none finds more to do; their exit codes.

    `command` starts a worker; it is given `--start i/n`. `on_done` is told how many cells are done.

    Raises:
        InputError: fewer than one worker.
        KeyboardInterrupt: after every worker was ended.
    """
    if workers < 1:
        raise InputError(f"{workers} workers cannot be started: give --workers 1 or more")
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


def submit(sweep: Sweep, work: Sequence[str], merge: Sequence[str], options: SlurmOptions) -> tuple[str, str, int]:
    """Submit what is missing as an array, and the merge that waits for it: both job numbers and how many tasks.

    `work` starts a worker (it is given `--keys` and a task's cells), `merge` merges.

    Raises:
        InputError: no Slurm, or what Slurm says against it.
    """
    tasks = tasks_of(sweep, options.cells_per_task)
    root = shlex.quote(str(Path(__file__).resolve().parents[2]))
    own = [f"export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}", f"export OMP_NUM_THREADS={options.cpus_per_task}"]
    asked = {
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "slurm_cpus_per_task": options.cpus_per_task,
        "slurm_mem": options.mem,
        "slurm_time": minutes(options.time),
        "slurm_setup": [*options.setup, *own],
    }
    array_only = {"slurm_array_parallelism": options.at_once, "slurm_gpus_per_task": options.gpus_per_task}
    with _slurms_words():
        array = _executor(sweep, "sweep", asked | array_only)
        with array.batch():
            jobs = [
                array.submit(Task([*work, "--keys", *(cell.key for cell in cells)], sweep.folder / "STOP"))
                for cells in tasks
            ]
        number = jobs[0].job_id.partition("_")[0]
        after = {"slurm_dependency": f"afterany:{number}"}
        merging = _executor(sweep, "merge", asked | after).submit(Task(list(merge), sweep.folder / "STOP"))
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


def tasks_of(sweep: Sweep, most: int) -> list[list[Cell]]:
    """The missing cells in tasks of at most so many, each of one model's."""
    if most < 1:
        raise InputError(f"{most} cells a task cannot be computed: give --cells-per-task 1 or more")

    def weights(cell: Cell) -> tuple[Any, ...]:
        return tuple(getattr(cell.config, name, None) for name in sweep.kind.loads)

    groups = [list(cells) for _, cells in groupby(sweep.missing(), weights)]
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


def _executor(sweep: Sweep, name: str, asked: dict[str, Any]) -> Any:
    import submitit

    # Without srun, which takes seconds a task: the batch shell becomes the process, so that it gets the signal itself.
    executor = submitit.AutoExecutor(
        folder=(sweep.folder / "slurm").resolve(), cluster="slurm", slurm_python=f"exec {shlex.quote(sys.executable)}"
    )
    plain = {"slurm_use_srun": False, "slurm_additional_parameters": {"signal": f"B:USR2@{WARNING}"}}
    given = {key: value for key, value in asked.items() if value}
    executor.update_parameters(name=f"{sweep.folder.name}-{name}", **plain, **given)
    return executor


@contextlib.contextmanager
def _slurms_words():
    """What Slurm objects to, as one sentence; submitit prints it as well, which is muted."""
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


def _gpus() -> list[str]:
    """The GPUs that workers are dealt out to."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU")]
