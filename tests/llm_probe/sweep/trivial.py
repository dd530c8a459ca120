"""A job that takes a moment, and a worker for it: `python trivial.py <folder> [--start i/n]`.

Every cell that is begun leaves one byte in <folder>/begun/<number>, so that a second time would be seen.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from llm_probe.sweep.folder import open_sweep
from llm_probe.sweep.grid import Kind
from llm_probe.sweep.workers import chosen, work
from toy.run.errors import InputError
from toy.run.files import write_atomic


@dataclass(frozen=True)
class TrivialConfig:
    """A number, how long to think about it, and whether to fail."""

    number: int = 0
    seconds: float = 0.0
    words: tuple[str, ...] = ()
    fail: bool = False
    model: str | None = None
    out: Path | None = None


@dataclass(frozen=True)
class TrivialRow:
    """The answer."""

    number: int
    square: int
    half: float
    note: str | None


def compute(config: TrivialConfig, folder: Path, command: str) -> None:
    """The square of the number."""
    begun = folder.parents[1] / "begun"
    begun.mkdir(exist_ok=True)
    with (begun / str(config.number)).open("a") as file:
        file.write("x")
    time.sleep(config.seconds)
    print(f"thinking about {config.number}")
    if config.fail:
        raise InputError(f"{config.number} cannot be squared today")
    note = "" if config.number % 2 else f'"odd, isn\'t it"\n{config.number}'.replace('"', '""')
    row = f'{config.number},{config.number**2},{config.number / 2},"{note}"\n'
    write_atomic(folder / "rows.csv", "number,square,half,note\n" + row)
    if config.model:
        write_atomic(folder / "run.json", f'{{"weights_fingerprint": "{config.model}{config.number}"}}')


KINDS = {"trivial": Kind(TrivialConfig, "trivial.py", compute, lambda: {"rows": TrivialRow}, loads=("model",))}


def main() -> None:
    """A worker."""
    sweep = open_sweep(Path(sys.argv[1]), KINDS)
    work(sweep, chosen(sweep.cells, start=sys.argv[3] if len(sys.argv) > 2 else None))


if __name__ == "__main__":
    main()
