"""How fast the permutation tests are at the size of Qwen3-0.6B against the naive way to do one, and the calibration.

python scripts/bench/bench_inference.py --harness 20 --out results/bench/inference.csv

renaming        max-T renamings of the digits at p = 23: 800 prompts, all 11 frequencies, 28 layers of 1,024 dimensions
                of noise. `naive` takes one renaming and one frequency after the other, on `--naive` renamings before and
                after, scaled; the maxima of both ways are compared.
assignment      all 5,040 assignments of seven moduli over 28 planes and 28,672 dimensions; the table of one modulus
harness         `--harness` null networks of `scripts/calibrate.py`, a worker a core, scaled to its 1,000
"""

import _root
import _command

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from _bench_lines import show
from _harness_lines import harness_lines


@dataclass(frozen=True)
class Bench:
    """What is measured."""

    renamings: int = 499
    """Renamings of the digits."""
    naive: int = 3
    """Renamings on which the naive way is timed, twice."""
    harness: int = 0
    """Null networks that are put through the job; 0: none."""
    out: Path | None = None
    """CSV file to write."""


def main() -> int:
    bench = tyro.cli(Bench, description=__doc__, prog="python scripts/bench/bench_inference.py")
    from _permutation_lines import assignment_lines, renaming_lines

    show([*renaming_lines(bench), *assignment_lines(), *harness_lines(bench.harness)], bench.out, "cpu")
    return 0


if __name__ == "__main__":
    sys.exit(main())
