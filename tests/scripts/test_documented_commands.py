"""What README and docs tell people to type: every option of every command is one that the command takes."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import _command
import pytest

from tests.root import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HELPERS = {path.name for path in (ROOT / "scripts").rglob("_*.py")} - {"_command.py"}
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:python scripts/|llm-probe )[^`]+)`")


def typed(text: str) -> list[str]:
    """The commands of a page, comments and continuation lines taken off; those with a gap (…) are no commands."""
    blocks = "\n".join(SHELL.findall(text)).replace("\\\n", " ")
    lines = [*blocks.splitlines(), *(code.replace("\n", " ") for code in INLINE.findall(text))]
    return [line for line in lines if re.match(r"(python scripts/|llm-probe )", line) and "…" not in line]


COMMANDS = sorted({command for page in PAGES for command in typed(page.read_text(encoding="utf-8"))})


def parse(command: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read the options of a command and do nothing with them: the exit code."""

    def only_read(file: str, kind: type, doc: str | None, *_: Any, **settings: Any) -> int:
        _command.read(file, kind, doc, **settings)
        return 0

    monkeypatch.setattr(_command, "run", only_read)
    monkeypatch.setattr(_command, "ended", lambda *_: 0)
    monkeypatch.setattr(_command, "_called", [])
    for name in [name for name in sys.modules if f"{name}.py" in HELPERS]:
        monkeypatch.delitem(sys.modules, name)  # it holds the functions that stand above
    program, *words = shlex.split(command, comments=True)
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    if program == "llm-probe":
        monkeypatch.setattr(sys, "argv", ["llm-probe", *words])
        start = _command.main
    else:
        script = ROOT / words[0]
        monkeypatch.setattr(sys, "argv", [str(script), *words[1:]])
        monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
        start = lambda: runpy.run_path(str(script), run_name="__main__")  # noqa: E731
    with pytest.raises(SystemExit) as ended:
        code = start()
        raise SystemExit(code if isinstance(code, int) else 0)
    return ended.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_its_options_exist(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(command, monkeypatch) == 0


@pytest.mark.parametrize(
    "command", ["python scripts/probe_llm.py --no-such-option", "llm-probe sweep --out", "llm-probe q"]
)
def test_a_wrong_option_is_noticed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(command, monkeypatch) == 2
