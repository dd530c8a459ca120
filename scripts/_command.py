"""The door of every command: the repository's root on `sys.path`, options, help, how a command ends, and `llm-probe`.

Scripts import it first, so that `python scripts/….py` works from a plain checkout. Installed, `llm-probe NAME` runs the
same scripts: COMMANDS says which.
"""

from __future__ import annotations

import os
import sys


def _stopped_early(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """Ctrl-C before there was any work to stop, while a script imports or reads its options, is no traceback."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("\nstopped: nothing was begun", file=sys.stderr, flush=True)
    os._exit(130)


sys.excepthook = _stopped_early  # before the other imports, which take a part of the first second

import ast
import runpy
import shlex
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from toy.run import terminal
from toy.run.errors import InputError, is_out_of_memory, printable
from toy.run.limits import check_numbers

Options = TypeVar("Options")
COMMANDS = {
    "run": "probe_llm.py",
    "plan": "probe_llm.py --dry-run",
    "domains": "domains.py",
    "causal": "run_causal.py",
    "circuits": "circuits.py",
    "sae train": "train_sae.py",
    "sae probe": "probe_sae.py",
    "sweep": "sweep.py",
    "report": "report.py",
    "compare": "compare_results.py",
    "audit": "replication/audit_claims.py",
    "calibrate": "calibrate.py",
    "doctor": "doctor.py",
    "toy train": "train_toy.py",
    "toy analyze": "toys/analyze_toy.py",
    "toy sweep": "toys/sweep_toy.py",
}
"""Subcommand to the script below `scripts/` that does it, with what stands before the other arguments."""
_called: list[str] = []
"""`llm-probe` and its subcommand, where a script was started that way."""


def read(
    file: str,
    options_type: type[Options],
    description: str | None,
    arguments: Sequence[str] | None = None,
    **settings: Any,
) -> Options:
    """The options of the script `file`, from the command line; `settings` are tyro's.

    Help prints the description as it is written, with every example on a line of its own: tyro would fill the lines. A
    number that is out of bounds ends the program as one that is no number does, with exit code 2.
    """
    import tyro

    if {"-h", "--help"} & set(sys.argv[1:] if arguments is None else arguments):
        print(f"{_as_called(description or '', file)}\n")
        description = ""
    options = tyro.cli(options_type, description=description, prog=program(file), args=arguments, **settings)
    if code := ended(lambda: check_numbers(options), ""):
        raise SystemExit(code)
    return options


def program(file: str) -> str:
    """How the script `file` was started: `python scripts/probe_llm.py`, or `llm-probe run`."""
    return " ".join(_called) or f"python scripts/{Path(file).resolve().relative_to(HERE).as_posix()}"


def command(file: str, arguments: Sequence[str] | None = None) -> str:
    """The whole command, as it can be typed again."""
    return f"{program(file)} {shlex.join(sys.argv[1:] if arguments is None else arguments)}".strip()


def run(
    file: str,
    options_type: type[Options],
    description: str | None,
    work: Callable[[Options, str], int | None],
    kept: str,
    arguments: Sequence[str] | None = None,
    **settings: Any,
) -> int:
    """Read the options of the script `file`, do its work with them and the whole command, and return the exit code.

    `kept` says after Ctrl-C what there is; `{0}` stands for the options.
    """
    options = read(file, options_type, description, arguments, **settings)
    return ended(lambda: work(options, command(file, arguments)), kept.format(options))


def ended(work: Callable[[], int | None], stopped: str) -> int:
    """The exit code of `work` (none: 0), 2 after an InputError, or 130 after Ctrl-C: `stopped` says what is kept.

    A reader that goes away (`| head`) is no error, and more than the memory holds was asked for by numbers. Any other
    exception is a fault of the program, and shows its traceback, with what is kept below it.
    """
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped: {stopped}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if is_out_of_memory(error):
            said = printable(" ".join(str(error).split())[:200] or type(error).__name__)
            print(f"error: not enough memory ({said}): give smaller numbers; {stopped}", file=sys.stderr)
            return 2
        error.add_note(f"this is a fault of the program; {stopped}")
        raise


def main() -> int:
    """`llm-probe`: run the script of a subcommand, or list all of them."""
    words = sys.argv[1:]
    name = next((known for known in COMMANDS if words[: len(known.split())] == known.split()), "")
    if not name:
        if unknown := " ".join(word for word in words[:2] if not word.startswith("-")):
            print(f"error: llm-probe has no command {unknown!r}: choose from {', '.join(COMMANDS)}", file=sys.stderr)
            return 2
        return ended(lambda: print(_overview()), "")
    _called[:] = ["llm-probe", name]
    script, *before = COMMANDS[name].split()
    path = HERE / script
    sys.path[:0] = [str(path.parent), str(HERE)]
    sys.modules["_command"] = sys.modules[__name__]
    sys.argv = [str(path), *before, *words[len(name.split()) :]]
    runpy.run_path(str(path), run_name="__main__")
    return 0


def _overview() -> str:
    """Every subcommand with the first sentence of its script."""
    width = terminal.width(100)
    lines = ["usage: llm-probe COMMAND [OPTIONS]; llm-probe COMMAND --help says more", ""]
    for name, script in COMMANDS.items():
        said = ast.get_docstring(ast.parse((HERE / script.split()[0]).read_text(encoding="utf-8"))) or ""
        first = "What a run would take on this machine." if script.endswith("--dry-run") else said.partition("\n")[0]
        lines.append(textwrap.fill(first, width, initial_indent=f"  {name:12s} ", subsequent_indent=" " * 15))
    return "\n".join(lines)


def _as_called(description: str, file: str) -> str:
    """The description with its examples as this user types them."""
    plain = f"python scripts/{Path(file).resolve().relative_to(HERE).as_posix()}"
    return description.strip().replace(plain, program(file))
