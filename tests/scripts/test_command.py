"""The three ends of a command: what its work returned, a mistake in one sentence, and Ctrl-C with what is kept."""

from __future__ import annotations

import pytest
from _command import ended

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
    with pytest.raises(ValueError, match="a bug"):
        ended(lambda: raising(ValueError("a bug")), "nothing")
