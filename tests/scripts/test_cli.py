"""The command line as a user meets it: files, one line for every mistake, and runs that are stopped and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import probe_llm
import pytest

from llm_probe.run.table import TABLES
from tests.root import ROOT

SCRIPT = ("scripts/probe_llm.py",)
RUN = ("--domains", "seasons", "sizes", "--prompts", "60", "--renamings", "19", "--behaviour-prompts", "5")
"""Three claims, so that a run can be stopped between them: five cells of findings and one of answers."""
PATIENCE = 600
"""Seconds a process may take: four when nothing else runs, minutes on a machine that is busy with other work."""
# One thread: several processes that spin for two cores take ten times as long.
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    code: int
    out: str
    err: str
    folder: Path

    def files(self, pattern: str = "*") -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob(pattern) if path.is_file()}


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, *SCRIPT, *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background may have been told to ignore Ctrl-C, which its children would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it resets one signal
    )


def end(process: subprocess.Popen[str], folder: Path) -> Ended:
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err, folder)


def probe(folder: Path, *arguments: str) -> Ended:
    return end(start(*arguments, "--out", str(folder)), folder)


def stopped(folder: Path, with_signal: signal.Signals) -> Ended:
    """A run that gets a signal as soon as its first cell is on disk."""
    process = start(*RUN, "--out", str(folder))
    until = time.monotonic() + PATIENCE
    # Not "*.json": a cell that is being written has a name of that ending too, behind a dot.
    while not list((folder / "cells").glob("v*.json")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is None, f"ended with {process.poll()} before its first cell"
    process.send_signal(with_signal)
    return end(process, folder)


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"{name}.csv").read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run of the bundled model that nothing interrupted."""
    return probe(tmp_path_factory.mktemp("finished"), *RUN)


def test_a_run_writes_what_it_promises(finished: Ended) -> None:
    assert finished.code == 0, finished.err
    assert {f"{name}.csv" for name in TABLES} | {"run.json", "report.html"} <= finished.files()
    assert {"figures/verdicts.png", "figures/verdicts.svg"} <= finished.files("figures/*")
    # Findings and the choice before them, of three claims and three kinds of weights; one domain's answers.
    assert len(finished.files("cells/*.json")) == 2 * 3 * 3 + 1
    assert finished.files("*.tmp") == set()


def test_a_run_prints_one_table_and_where_the_rest_is(finished: Ended) -> None:
    for said in ("seasons: sum", "seasons: item", "sizes: item", f"{finished.folder}/report.html"):
        assert said in finished.out
    assert "Traceback" not in finished.err and "Loading weights" not in finished.err
    assert "python scripts/probe_llm.py --domains seasons sizes" in finished.out


def assert_one_error(err: str, message: str) -> None:
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0], err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nobody/nothing"), "nobody/nothing is not in the cache and the hub cannot be reached"),
        (("--domains",), "no claim is named: give domains with --domains"),
        (("--domains", "mod", "--moduli"), "no claim is named"),
        (("--domains", "mod", "--moduli", "1000000007"), "modulus 1000000007 is too large: give 5 to 1,000"),
        (("--domains", "weeks"), "unknown domain 'weeks': choose from mod,"),
        (("--domains", "mod", "--moduli", "4"), "modulus 4 is too small: give 5 to 1,000"),
        (("--layers", "99"), "layer 99 does not exist: reference has layers 0 to 2"),
        (("--domains", "sizes", "--position", "modulus"), "have no position modulus: choose from last, item"),
        (("--domains", "mod", "--moduli", "7", "--prompts", "90"), "give --prompts 360 or more"),
        (("--domain-file", "nowhere.yaml"), "cannot read the domain file nowhere.yaml"),
        (("--prompt-file", "nowhere.csv"), "cannot read prompts from nowhere.csv"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: Sequence[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, because each of its own would spend four seconds on imports."""
    monkeypatch.setattr(sys, "argv", ["probe_llm.py", *arguments, "--out", str(tmp_path / "out")])
    assert probe_llm.main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_error(err, message)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    ended = probe(file, *RUN)
    assert (ended.code, ended.out) == (2, "")
    assert_one_error(ended.err, f"cannot write to {file}")
    assert file.read_text() == "mine"


def test_help_comes_at_once() -> None:
    command = [sys.executable, "-X", "importtime", *SCRIPT, "--help"]
    ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "--domain-file" in ended.stdout
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "llm_probe.run.config" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "matplotlib"})


def test_a_killed_run_goes_on_to_the_identical_tables(finished: Ended, tmp_path: Path) -> None:
    killed = stopped(tmp_path, signal.SIGKILL)
    assert killed.code == -signal.SIGKILL
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("v*.json")}
    assert 0 < len(cells) < 7
    assert killed.files("*.csv") == set()
    again = probe(tmp_path, *RUN)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in cells} == cells  # what was there was not computed again
    assert tables(tmp_path) == tables(finished.folder)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    ended = stopped(tmp_path, signal.SIGINT)
    assert ended.code == 130
    assert f"stopped: finished cells are in {tmp_path / 'cells'}: the same command goes on" in ended.err
    assert "Traceback" not in ended.err
    assert ended.files("*.csv") == ended.files("*.tmp") == set()
