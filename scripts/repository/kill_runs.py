"""Kill runs at random moments, give the same command again, and compare the tables with those of a run nobody killed.

python scripts/repository/kill_runs.py                                   1,000 kills, an hour of one core
python scripts/repository/kill_runs.py --kills 20 --studies probe workers --seed 1

Every study runs once undisturbed. Then it runs in a folder of its own, is killed after a random share of that time
(kill -9, kill, or Ctrl-C), goes on, is killed again, until it ends by itself; and so on in new folders. Each CSV file
and each file of weights must be the same bytes. Exit code 1 if one differs, or if a run ended by an error.

A command is a fork of this program, which has imported the libraries already: a kill meets the work, not an import.
"""

from __future__ import annotations

import _root
from _command import ROOT, run

import importlib
import multiprocessing
import os
import random
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from toy.run.errors import InputError

SMALL = "--domains seasons sizes --prompts 60 --renamings 19"
SAE = (
    "--layers 1 --width 32 --k 4 --tokens 20000 --batch 256 --buffer-tokens 4096 --held-out-tokens 2048 --undertrained"
)
SWEEP = "--set seed=0,1,2 domains=seasons prompts=60 renamings=19 behaviour=False"
STUDIES: dict[str, tuple[str, ...]] = {
    "probe": (f"scripts/probe_llm.py {SMALL} --behaviour-prompts 5 --out {{out}}",),
    "causal": (
        "scripts/run_causal.py --claims seasons --places 1:last --prompts 60 --discovery 60 --draws 4 --underpowered "
        "--control-prompts 20 --other-prompts 20 --text-tokens 64 --out {out}",
    ),
    "sae": (
        f"scripts/train_sae.py {SAE} --out {{out}}/saes",
        f"scripts/probe_sae.py {{out}}/saes {SMALL.replace(' sizes', '')} --out {{out}}/probe",
    ),
    "sweep": (
        f"scripts/sweep.py {SWEEP} --executor none --out {{out}}",
        "scripts/sweep.py work {out}",
        "scripts/sweep.py merge {out}",
    ),
    "workers": (f"scripts/sweep.py {SWEEP} --workers 2 --out {{out}}",),
}
"""What is killed: the commands of each study, one after the other."""
COMPARED = ("*.csv", "*.safetensors")
EARLIEST = 0.05
"""Seconds: before that a fork has no group of processes of its own that could be killed."""
LIBRARIES = (
    "scipy.stats", "sklearn.linear_model", "torch", "transformers.models.qwen3.modeling_qwen3",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_pdf",
    "llm_probe.run.probe", "llm_probe.page.report", "llm_probe.page.figures", "llm_probe.page.paper",
    "llm_probe.sweep.merge", "llm_probe.sweep.workers", "sae.circles.probe", "sae.training.train",
    "causal.run.causal_run", "causal.page.section",
)  # fmt: skip
"""What the commands import, ours too."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLED = {*(-number for number in SIGNALS), 128 + signal.SIGINT, 128 + signal.SIGTERM}
"""Exit codes of a run that was killed."""


@dataclass(frozen=True)
class Request:
    """What is killed, and how often."""

    kills: int = 1000
    """Kills of all studies together."""
    studies: tuple[str, ...] = tuple(STUDIES)
    """Which of probe, causal, sae, sweep and workers (a sweep whose two workers start anew, slower)."""
    seed: int = 0
    """Seed of the moments and signals."""
    work: Path = Path("work/kills")
    """Folder of the runs; what an earlier call left there is removed."""


def main() -> int:
    return run(__file__, Request, __doc__, kill_runs, "the runs that were killed are in {0.work}")


def kill_runs(request: Request, _: str) -> int:
    """Kill every study its share of times; 1 if anything differs.

    Raises:
        InputError: an unknown study, or one that does not run even undisturbed.
    """
    if unknown := [name for name in request.studies if name not in STUDIES]:
        raise InputError(f"unknown study {unknown[0]!r}: choose from {', '.join(STUDIES)}")
    # Before the libraries are imported: a fork has no threads but its own.
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for library in LIBRARIES:
        importlib.import_module(library)
    wrong = 0
    for index, name in enumerate(request.studies):
        share = request.kills * (index + 1) // len(request.studies) - request.kills * index // len(request.studies)
        for line in killed(name, share, random.Random(f"{request.seed} {name}"), request.work.resolve() / name):
            wrong += not line.startswith(name)
            print(line, flush=True)
    return 1 if wrong else 0


def killed(name: str, kills: int, moments: random.Random, work: Path) -> Iterator[str]:
    """A line for everything that is wrong, and one that counts."""
    shutil.rmtree(work, ignore_errors=True)
    # Each runs in the same folder, whose name may stand in the tables.
    running, undisturbed = work / "running", work / "undisturbed"
    started = time.monotonic()
    if error := _run(name, running):
        raise InputError(f"the study {name} does not run undisturbed: {error}")
    seconds, count, runs = time.monotonic() - started, 0, 0
    running.rename(undisturbed)
    while count < kills:
        runs += 1
        while (
            error := _run(name, running, moments.uniform(EARLIEST, EARLIEST + seconds), moments.choice(SIGNALS))
        ) == "killed":
            count += 1
        folder = running.rename(work / f"{runs}")
        if error:
            yield f"{folder}: {error}"
            continue
        differences = list(differing(undisturbed, folder))
        yield from (f"{folder}: {line}" for line in differences)
        if not differences:
            shutil.rmtree(folder)
    yield f"{name}: {runs} runs, killed {count} times; an undisturbed one takes {seconds:.0f} s"


def differing(before: Path, after: Path) -> Iterator[str]:
    """A line for each compared file that is not the same in both folders."""
    names = {path.relative_to(where) for where in (before, after) for kind in COMPARED for path in where.rglob(kind)}
    for name in sorted(names):
        one, other = before / name, after / name
        if not one.is_file() or not other.is_file():
            yield f"{name} is in one of the two runs only"
        elif one.read_bytes() != other.read_bytes():
            yield f"{name} differs"


def _run(name: str, folder: Path, seconds: float | None = None, how: signal.Signals = signal.SIGKILL) -> str:
    """Run a study in a folder and kill it after so long: "killed", the end of what it said in error, or nothing."""
    left = None if seconds is None else time.monotonic() + seconds
    said = folder.parent / "stderr.txt"
    said.parent.mkdir(parents=True, exist_ok=True)
    for command in STUDIES[name]:
        process = multiprocessing.get_context("fork").Process(
            target=_command, args=(command.format(out=folder).split(), said)
        )
        process.start()
        process.join(None if left is None else max(0.0, left - time.monotonic()))
        if process.exitcode is None:
            time.sleep(EARLIEST)  # the fork may be this young
            _kill(process, how)
            process.join()
            if process.exitcode in KILLED:
                return "killed"
        if process.exitcode:
            return f"exit code {process.exitcode}: {said.read_text(encoding='utf-8')[-1000:]}"
    return ""


def _kill(process: BaseProcess, how: signal.Signals) -> None:
    """Send the signal to a command and its workers once it leads their group, which on a busy machine takes a while."""
    own = process.pid or 0
    with suppress(ProcessLookupError):  # it has ended meanwhile
        while process.exitcode is None and os.getpgid(own) != own:
            time.sleep(0.01)
        os.killpg(own, how)


def _command(words: Sequence[str], said: Path) -> None:
    """Be the command, in a group of processes of its own: its workers are killed too, and Ctrl-C as by a terminal."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.chdir(ROOT)
    sys.argv = list(words)
    try:
        runpy.run_path(words[0], run_name="__main__")
    except KeyboardInterrupt:  # the script was not yet, or no longer, at its door
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
