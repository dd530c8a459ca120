"""The script that kills runs: a study of cells survives every kill, and one that is not the same is named."""

from __future__ import annotations

import random
from pathlib import Path

import kill_runs
import pytest

from tests.root import ROOT
from toy.run.errors import InputError

STUDY = """
import random, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from toy.run.cells import Cells
from toy.run.files import write_atomic
folder = Path(sys.argv[1])
cells = Cells(folder, 1)
def make(index):
    time.sleep(0.05)
    return {{"square": index ** 2 + {noise}}}
write_atomic(folder / "squares.csv", "".join(str(cells.get(str(index), lambda: make(index))) for index in range(6)))
"""


def study(folder: Path, noise: str) -> tuple[str, ...]:
    script = folder / "study.py"
    script.write_text(STUDY.format(root=str(ROOT), noise=noise))
    return (f"{script} {{out}}",)


def test_what_is_killed_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kill_runs.STUDIES, "squares", study(tmp_path, "0"))
    *wrong, counted = kill_runs.killed("squares", 6, random.Random(0), tmp_path / "runs")
    assert wrong == []
    assert counted.startswith("squares: ") and "killed " in counted


def test_a_run_that_comes_out_otherwise_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kill_runs.STUDIES, "noise", study(tmp_path, "random.random()"))
    *wrong, _ = kill_runs.killed("noise", 1, random.Random(0), tmp_path / "runs")
    assert wrong and all(line.endswith("squares.csv differs") for line in wrong)
    monkeypatch.setitem(kill_runs.STUDIES, "broken", study(tmp_path, "1 / 0"))
    with pytest.raises(InputError, match="the study broken does not run undisturbed: exit code 1: "):
        list(kill_runs.killed("broken", 1, random.Random(0), tmp_path / "runs"))
