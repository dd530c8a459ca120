"""Where a sweep stands, in words: what is done, running, failed and left, with the end of the log where it helps."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from pathlib import Path

from llm_probe.sweep.folder import Sweep
from llm_probe.sweep.grid import Cell
from llm_probe.sweep.merge import log_end

ORDER = ("done", "running", "failed", "interrupted", "to do")


def status(sweep: Sweep) -> str:
    """One line a cell that is running, failed or interrupted, under the counts."""
    states = sweep.states()
    counts = Counter(states.values())
    summed = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    lines = [f"{sweep.folder}: {len(sweep.cells)} {sweep.name} cells: {summed}{_left(sweep)}"]
    if sweep.is_stopped:
        lines.append("stopped: the file STOP is there; the same command takes it away and goes on")
    for cell in sweep.cells:
        state = states[cell.key]
        if state in ("running", "failed", "interrupted"):
            lines += [f"{state:<11} {cell.name}  {_who(sweep, cell)}", *_why(sweep, cell, state)]
    return "\n".join(lines)


def _left(sweep: Sweep) -> str:
    """What the missing cells would take one after the other, if they were like those that are done."""
    seconds = [record["seconds"] for cell in sweep.cells if (record := sweep.record(cell))]
    missing = len(sweep.cells) - len(seconds)
    if not seconds or not missing:
        return ""
    return f"; about {in_time(missing * sum(seconds) / len(seconds))} of work left"


def in_time(seconds: float) -> str:
    """12 s, 3 min, 4.5 h, 2.1 days"""
    for unit, size in (("days", 86400), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _who(sweep: Sweep, cell: Cell) -> str:
    path: Path = sweep.run_folder(cell) / "claim.json"
    if not path.exists():
        return ""
    claim = json.loads(path.read_text(encoding="utf-8"))
    job = f" job {claim['job']}" if claim["job"] else ""
    return f"{claim['host']} process {claim['process']}{job}, {in_time(max(0.0, time.time() - claim['started']))} ago"


def _why(sweep: Sweep, cell: Cell, state: str) -> list[str]:
    if state == "running":
        return []
    folder = sweep.run_folder(cell)
    reason = [f"    {sweep.failure(cell)}"] if state == "failed" else []
    log = [f"    | {line}" for line in log_end(folder / "log.txt")]
    return [*reason, *log, f"    alone: {shlex.join(cell.words(sweep.kind, folder))}"]
