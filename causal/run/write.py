"""A causal run on disk: tables as CSV, run.json, figures; every file appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from causal.run.causal_run import CausalResult
from toy.run.cells import writing_results
from toy.run.files import write_atomic


def write_results(result: CausalResult, folder: Path) -> None:
    """Write everything a run yields.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    from causal.page.figures import save_all

    with writing_results(folder):
        for name, frame in result.frames.items():
            if frame.empty:  # a sweep has one table, a run all others; none may outlive the run it was made by
                (folder / f"{name}.csv").unlink(missing_ok=True)
                continue
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.5g"))
        write_atomic(folder / "run.json", json.dumps(result.run, indent=1, default=str) + "\n")
        save_all(folder / "figures", result.frames)
