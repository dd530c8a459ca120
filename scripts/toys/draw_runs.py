"""Draw what several runs of one toy have measured, side by side, and each of them again; without weights.

python scripts/toys/draw_runs.py results/toy/universal         accuracy against the modulus, a panel a run
python scripts/toys/draw_runs.py results/toy/addition          accuracy against the number of digits, a line a run
python scripts/toys/draw_runs.py work/universal --no-each      the comparison alone

Reads the tables that train_universal.py and train_addition.py wrote. figures/comparison.svg and .png
appear in the folder, other figures in figures/ of each run.
"""

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from toy.run.errors import InputError


@dataclass(frozen=True)
class Options:
    """What to draw."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Holds a folder a run; those without accuracy.csv are left out."""
    each: bool = True
    """Draw every run's own figures, too."""


def main() -> int:
    return run(__file__, Options, __doc__, _draw, "what was written is whole")


def _draw(options: Options, _: str) -> None:
    from toy.addition import pictures as addition
    from toy.universal import pictures as universal
    from toy.pictures import style
    from toy.run.files import read_table

    folders = [path.parent for path in sorted(options.folder.glob("*/accuracy.csv"))]
    if not folders:
        raise InputError(f"{options.folder} holds no run with accuracy.csv: give the folder of run folders")
    runs = {folder.name: read_table(folder, "accuracy.csv", ()) for folder in folders}
    toys = [toy for toy in (universal, addition) if all(set(toy.ACCURACY) <= set(table) for table in runs.values())]
    if not toys:
        raise InputError(f"{', '.join(runs)} in {options.folder} are not of one toy: give a folder for each toy")
    for folder in folders if options.each else []:
        style.write(folder / "figures", toys[0].draw(folder))
        print(folder / "figures")
    for path in style.write(options.folder / "figures", {"comparison": toys[0].compare(runs)}):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
