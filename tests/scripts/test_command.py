"""The three ends of a command: what its work returned, a mistake in one sentence, and Ctrl-C with what is kept."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest
from _command import ended, read

from tests.root import ROOT
from toy.run.errors import InputError


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_work_that_ends_gives_its_own_code(returned: int | None, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: returned, "nothing") == code
    assert capsys.readouterr() == ("", "")


def test_a_mistake_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: raising(InputError("layer 9 does not exist")), "nothing") == 2
    assert capsys.readouterr() == ("", "error: layer 9 does not exist\n")


def test_ctrl_c_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: raising(KeyboardInterrupt()), "cells are kept") == 130
    assert capsys.readouterr() == ("", "\nstopped: cells are kept\n")


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="a bug") as caught:
        ended(lambda: raising(ValueError("a bug")), "cells are kept")
    assert caught.value.__notes__ == ["this is a fault of the program; cells are kept"]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory:\nyou tried to allocate 8e18 bytes")],
)
def test_more_than_the_memory_holds_is_one_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: raising(error), "cells are kept") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: not enough memory (") and said.endswith("give smaller numbers; cells are kept\n")
    assert said.count("\n") == 1


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: raising(InputError("no model \x1b[2J\x07here")), "nothing") == 2
    assert capsys.readouterr().err == "error: no model \\x1b[2J\\x07here\n"


@dataclass(frozen=True)
class Options:
    seed: int = 0


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_a_seed_out_of_bounds_ends_as_one_that_is_no_number(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_with:
        read("scripts/probe_llm.py", Options, None, ["--seed", seed])
    assert ended_with.value.code == 2
    assert f"error: --seed {seed} is out of bounds" in capsys.readouterr().err


IMPORTING = """
import sys
sys.path.insert(0, "scripts")
import _command, time
print("importing", flush=True)
{}
"""


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        (IMPORTING.format("time.sleep(60)"), 130, "\nstopped: nothing was begun\n"),
        (IMPORTING.format('print("importing", flush=True); 1 / 0'), 1, "ZeroDivisionError"),
    ],
)
def test_ctrl_c_while_a_script_imports_is_no_traceback(program: str, code: int, said: str) -> None:
    """Before there is any work to stop; what goes wrong there still shows its traceback."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it resets one signal
    )
    assert process.stdout and process.stdout.readline() == "importing\n"
    if code == 130:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == code
    assert said in err
    assert ("Traceback" in err) == (code == 1)
