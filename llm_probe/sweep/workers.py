"""A worker: computes the cells that nobody has, one after the other, until none is left.

Any number of them may work on one sweep. A worker that is killed loses the cell in progress, which is then free again:
the next worker that comes by computes it. One that fails leaves its reason and its log, and the others go on.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_probe.sweep.folder import Claims, Sweep
from llm_probe.sweep.grid import Cell
from toy.run.errors import InputError
from toy.run.files import write_atomic


def work(sweep: Sweep, cells: Sequence[Cell]) -> int:
    """Compute what is free of these cells, in this order, and return how many were."""
    claims, computed = Claims(sweep.folder), 0
    for cell in cells:
        if sweep.is_stopped:
            break
        if _settled(sweep, cell):
            continue
        with claims.held(cell.key) as mine:
            # Looked at again: it may have been finished between the look and the lock.
            if mine and not _settled(sweep, cell):
                _compute(sweep, cell)
                computed += 1
    return computed


def chosen(
    cells: Sequence[Cell], keys: Sequence[str] = (), share: str | None = None, start: str | None = None
) -> list[Cell]:
    """Which cells a worker looks at, and in which order: all; those of these keys; one share; or one share first.

    Shares are runs of neighbouring cells, because neighbours share their weights.

    Raises:
        InputError: there is no such share.
    """
    if keys:
        return [cell for cell in cells if cell.key in set(keys)]
    if share:
        return list(cells[_share(len(cells), share)])
    if start:
        first = _share(len(cells), start).start
        return [*cells[first:], *cells[:first]]
    return list(cells)


def _share(count: int, text: str) -> slice:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"share {text!r} does not exist: give i/n with i from 1 to n, such as 1/4 to 4/4")
    part, parts = int(match[1]), int(match[2])
    return slice(count * (part - 1) // parts, count * part // parts)


def _settled(sweep: Sweep, cell: Cell) -> bool:
    return sweep.is_done(cell) or sweep.failure(cell) is not None


def _compute(sweep: Sweep, cell: Cell) -> None:
    folder = sweep.run_folder(cell)
    sweep.clear_partial(cell)
    claim = {"host": socket.gethostname(), "process": os.getpid(), "job": _job(), "started": time.time()}
    write_atomic(folder / "claim.json", json.dumps(claim))

    def make() -> dict[str, Any]:
        started = time.monotonic()
        sweep.kind.compute(cell.config, folder)
        tables = [name for name in sweep.kind.tables() if (folder / f"{name}.csv").exists()]
        return {**claim, "seconds": round(time.monotonic() - started, 3), "tables": tables, "run": _run(folder)}

    try:
        with _logged(folder / "log.txt"):
            sweep.store.get(cell.key, make)
    except (Exception, SystemExit) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        write_atomic(folder / "failed.txt", " ".join(reason.split()) + "\n")
        print(f"failed: {cell.name}: {reason}", file=sys.stderr)


def _run(folder: Path) -> dict[str, Any]:
    """What the job itself says about where its numbers come from."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _job() -> str | None:
    job, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{job}_{task}" if job else os.environ.get("SLURM_JOB_ID")


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is printed inside goes to the end of a file, from libraries that are not Python too."""
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
