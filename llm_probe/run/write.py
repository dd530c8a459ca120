"""A result on disk: tables as CSV, run.json, the page, and the figures for papers."""

from __future__ import annotations

import json
from pathlib import Path

from llm_probe.page import figures, report
from llm_probe.run.probe_run import ProbeResult
from toy.run.cells import writing_results
from toy.run.files import write_atomic


def write_results(result: ProbeResult, folder: Path) -> None:
    """Write everything a run yields; each file appears whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    with writing_results(folder):
        for name, frame in result.frames.items():
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
        write_atomic(folder / "run.json", json.dumps(result.run, indent=1) + "\n")
        report.write(folder / "report.html", result.frames, result.run)
        figures.save_all(folder / "figures", result.frames)
