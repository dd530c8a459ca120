"""A real Slurm array: a task is cancelled in the middle, the sweep resubmitted, and the merged tables are the same.

`sudo bash scripts/slurm/local_cluster.sh start` makes this machine a cluster of one node; without Slurm the tests are
skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.root import ROOT

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
GRID = """
kind: probe
fields: {domains: [sizes], prompts: 40, renamings: 9, random_control: false, behaviour: false}
axes:
  seed: [0, 1, 2]
"""


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def sweep(*words: str) -> subprocess.CompletedProcess[str]:
    return said(sys.executable, "scripts/sweep.py", *words)


def until(reached: Callable[[], object], what: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"waited {seconds} s until {what}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def slurm() -> None:
    """A cluster that takes jobs: one that is there, or this machine, if Slurm is installed and may be started."""
    if not shutil.which("sbatch"):
        pytest.skip("Slurm is not installed: sudo bash scripts/slurm/local_cluster.sh start")
    if said("sinfo", "-h").returncode != 0:
        if os.geteuid() != 0:
            pytest.skip("no Slurm answers: sudo bash scripts/slurm/local_cluster.sh start")
        started = said("bash", "scripts/slurm/local_cluster.sh", "start")
        assert started.returncode == 0, started.stderr


def submitted(answer: subprocess.CompletedProcess[str]) -> tuple[str, str, int]:
    """Array, merge, tasks."""
    match = re.search(r"job (\d+) \((\d+) tasks.* the merge after it, (\d+)", answer.stdout)
    assert match, answer.stdout + answer.stderr
    return match[1], match[3], int(match[2])


def in_queue(job: str) -> bool:
    return bool(said("squeue", "-h", "-j", job).stdout.strip())


def merged(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "merged").iterdir()}


@pytest.mark.timeout(900)
def test_a_cancelled_and_resubmitted_array_merges_to_the_same_bytes(slurm: None, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    folder, whole = tmp_path / "array", tmp_path / "whole"
    command = (str(tmp_path / "grid.yaml"), "--executor", "slurm", "--out", str(folder))
    array, merging, tasks = submitted(sweep(*command))
    assert tasks == 3
    # In the middle of a cell: its own first pieces are on disk.
    until(lambda: list(folder.glob("runs/*/cells/*.json")), "a task is in the middle of its cell")
    running = next(folder.glob("runs/*/cells")).parent.name
    number = [cell["key"] for cell in json.loads((folder / "sweep.json").read_text())["cells"]].index(running)
    assert said("scancel", f"{array}_{number}").returncode == 0
    until(lambda: not in_queue(array) and not in_queue(merging), "array and merge are over")
    gaps = pd.read_csv(folder / "merged" / "gaps.csv")
    assert gaps[["cell", "state"]].to_numpy().tolist() == [[running, "interrupted"]]
    assert "2 done, 1 interrupted" in sweep("status", str(folder)).stdout

    again, merging, tasks = submitted(sweep(*command))
    assert tasks == 1
    until(lambda: not in_queue(again) and not in_queue(merging), "the rest is over")
    assert "3 done" in sweep("status", str(folder)).stdout
    alone = sweep(str(tmp_path / "grid.yaml"), "--out", str(whole))
    assert alone.returncode == 0, alone.stderr
    assert len(merged(whole)) > 10 and merged(folder) == merged(whole)


def test_a_partition_that_does_not_exist(slurm: None, tmp_path: Path) -> None:
    answer = sweep("--set", "seed=0", "--executor", "slurm", "--partition", "nowhere", "--out", str(tmp_path / "x"))
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "error: Slurm refused the job: Batch job submission failed: Invalid partition name specified"
    ]


def test_a_stop_marker_ends_the_chain_of_an_array(slurm: None, tmp_path: Path) -> None:
    from llm_probe.sweep.workers import Task

    task = Task(["true"], tmp_path / "STOP")
    assert task.checkpoint() is not None
    (tmp_path / "STOP").touch()
    assert task.checkpoint() is None
