"""A result on disk: tables as CSV, run.json, the page, and the figures for papers."""

from __future__ import annotations

import json
from pathlib import Path

from llm_probe import figures, report
from llm_probe.run import ProbeResult
from toy.errors import InputError
from toy.files import write_atomic


def write_results(result: ProbeResult, folder: Path) -> None:
    """Write everything a run yields; each file appears whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    try:
        for name, frame in result.frames.items():
            write_atomic(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
        write_atomic(folder / "run.json", json.dumps(result.run, indent=1) + "\n")
        report.write(folder / "report.html", result.frames, result.run)
        figures.save_all(folder / "figures", result.frames)
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or folder}: {error.strerror}; free some space or give another --out, "
            "finished cells are kept"
        ) from error
