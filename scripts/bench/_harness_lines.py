"""Of `bench_inference.py`: how long the calibration's null networks take, each through the job that users run.

The networks are those of a small calibration, so that every kind has its share and the claims take turns; twenty or
more are needed for that. Nothing is kept; each worker has one thread, as in `scripts/calibrate.py`, and its first
network pays for its imports.
"""

import os
import tempfile
import time
from pathlib import Path

from _bench_lines import Line, line

FULL = 1000
"""Networks of a full calibration."""


def harness_lines(networks: int) -> list[Line]:
    """`networks` trials timed and scaled to a full calibration; nothing for 0."""
    if networks < 1:
        return []
    from llm_probe.calibration.harness import null_settings, run_all

    settings, cores = null_settings(networks), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run_all(settings, Path(folder), cores)
        seconds = time.perf_counter() - started
    part = f"calibration, {len(settings)} null networks, {cores} workers"
    return [
        line(part, "time", seconds, "s"),
        line(part, "a network and core", seconds * cores / len(settings), "s"),
        line(part, f"{FULL:,} networks (scaled)", seconds / 60 * FULL / len(settings), "min"),
    ]
