"""Workers on one sweep: nothing lost, nothing twice, nothing half-written, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_probe.sweep.folder import Sweep, open_sweep, plan, status
from llm_probe.sweep.grid import SweepPoint
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import chosen, run_local, work
from toy.run.errors import InputError

SCRIPT = Path(__file__).with_name("trivial.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(sweep: Sweep) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(sweep.folder)], env=ENVIRONMENT)


def done(sweep: Sweep) -> int:
    return len(os.listdir(sweep.folder / "cells")) if (sweep.folder / "cells").exists() else 0  # noqa: PTH208


def begun(sweep: Sweep) -> int:
    return sum(path.stat().st_size for path in (sweep.folder / "begun").iterdir())


def merged(sweep: Sweep) -> dict[str, bytes]:
    merge(sweep)
    return {path.name: path.read_bytes() for path in (sweep.folder / "merged").iterdir()}


def test_many_cells_two_workers_and_random_kills(planned: Callable[..., Sweep], tmp_path: Path) -> None:
    """Each kill costs at most the cell in progress."""
    count = 300
    sweep = planned(number=list(range(count)))
    generator, kills = random.Random(0), 0
    workers = [start(sweep) for _ in range(2)]
    until = time.monotonic() + 600
    while (finished := done(sweep)) < count and time.monotonic() < until:
        number, target = generator.randrange(2), min(count, finished + generator.randrange(15, 45))
        while done(sweep) < target and workers[number].poll() is None:
            time.sleep(generator.uniform(0, 0.05))
        kills += workers[number].poll() is None
        workers[number].kill()
        workers[number].wait()
        workers[number] = start(sweep)
    for worker in workers:
        worker.wait()
    assert kills >= 5
    assert sweep.missing() == []
    assert len(list((sweep.folder / "cells").iterdir())) == count
    assert count <= begun(sweep) <= count + kills
    assert not list(sweep.folder.rglob("*failed*"))
    assert all(len(path.read_text().splitlines()) in (2, 3) for path in sweep.folder.glob("runs/*/rows.csv"))
    whole = plan(tmp_path / "whole", "trivial", sweep.kind, sweep.cells, "a test")
    assert work(whole, whole.cells) == count
    assert merged(sweep) == merged(whole)


def test_what_a_killed_worker_left_half_written_is_removed(planned: Callable[..., Sweep]) -> None:
    """By the next worker on that cell, which holds its lock; what belongs to another cell stays."""
    sweep = planned(number=[1, 2])
    first, second = sweep.cells

    def left(cell: SweepPoint) -> list[Path]:
        half = sweep.folder / "cells" / f".v1-{cell.key}.77.partial.json"
        return [half, sweep.run_folder(cell) / ".rows.77.partial.csv"]

    for path in (*left(first), *left(second)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"half')
    assert work(sweep, [first]) == 1
    assert not any(path.exists() for path in left(first)) and all(path.exists() for path in left(second))
    assert work(sweep, [second]) == 1
    assert not list(sweep.folder.rglob("*partial*"))


def test_local_workers_share_a_sweep(planned: Callable[..., Sweep]) -> None:
    sweep, seen = planned({"seconds": 0.01}, number=list(range(20))), []
    assert run_local(sweep, [sys.executable, str(SCRIPT), str(sweep.folder)], 2, seen.append) == [0, 0]
    assert seen[-1] == 20 and begun(sweep) == 20
    processes = {json.loads(path.read_text())["content"]["process"] for path in sweep.folder.glob("cells/*.json")}
    assert len(processes) == 2


def test_what_is_being_computed_is_left_alone(planned: Callable[..., Sweep]) -> None:
    sweep = planned({"seconds": 60.0}, number=[1])
    worker = start(sweep)
    while sweep.states()[sweep.cells[0].key] != "running":
        time.sleep(0.02)
    assert work(sweep, sweep.cells) == 0
    assert "1 running" in status(sweep) and f"process {worker.pid}" in status(sweep)
    worker.kill()
    worker.wait()
    assert "1 interrupted" in status(sweep)


def test_a_failed_cell_is_named_and_tried_again_on_demand(planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[1, 2], fail=["False", "True"])
    assert work(sweep, sweep.cells) == 4
    assert work(sweep, sweep.cells) == 0
    said = status(sweep)
    assert "4 trivial cells: 2 done, 2 failed" in said
    assert "failed      number=1 fail=True" in said and "1 cannot be squared today" in said
    assert "    | thinking about 1" in said or "InputError" in said
    assert "alone: python trivial.py --number 1 --fail --out" in said
    result = merge(sweep)
    assert [gap["state"] for gap in result.gaps] == ["failed", "failed"] and result.rows == {"rows": 2}
    assert "cannot be squared" in (sweep.folder / "merged" / "gaps.csv").read_text()
    sweep.forget_failures()
    assert work(sweep, sweep.cells) == 2


def test_a_stop_marker_ends_workers(planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[1, 2])
    (sweep.folder / "STOP").touch()
    assert work(sweep, sweep.cells) == 0
    assert "stopped: the file STOP is there" in status(sweep)
    sweep.forget_failures()
    assert work(sweep, sweep.cells) == 2


def test_an_extended_sweep_keeps_what_is_done(planned: Callable[..., Sweep], trivial) -> None:
    work(planned(number=[1, 2]), planned(number=[1, 2]).cells)
    wider = planned(number=[3, 2, 1])
    assert [cell.config.number for cell in wider.missing()] == [3]
    assert [cell.key for cell in open_sweep(wider.folder, trivial.KINDS).cells] == [cell.key for cell in wider.cells]


def test_shares_are_neighbours_and_all_of_them_everything(planned: Callable[..., Sweep]) -> None:
    cells = planned(number=list(range(7))).cells
    parts = [chosen(cells, share=f"{part}/3") for part in (1, 2, 3)]
    assert [[cell.config.number for cell in part] for part in parts] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [cell.config.number for cell in chosen(cells, start="2/3")] == [2, 3, 4, 5, 6, 0, 1]
    assert chosen(cells, keys=[cells[4].key]) == [cells[4]]


@pytest.mark.parametrize("share", ["0/2", "3/2", "half", "1/0"])
def test_a_share_that_does_not_exist(planned: Callable[..., Sweep], share: str) -> None:
    with pytest.raises(InputError, match="does not exist: give i/n"):
        chosen(planned(number=[1]).cells, share=share)


def test_a_folder_without_a_sweep_or_with_an_older_one(planned: Callable[..., Sweep], trivial, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sweep"):
        open_sweep(tmp_path / "nothing", trivial.KINDS)
    sweep = planned(number=[1])
    path = sweep.folder / "sweep.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 0'))
    with pytest.raises(InputError, match=r"was made by version 0 of sweeps, this is 1: move it away and run again"):
        open_sweep(sweep.folder, trivial.KINDS)
