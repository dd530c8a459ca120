"""How fast the permutation tests are at the size of Qwen3-0.6B against the naive way to do one, and the calibration.

python scripts/bench/bench_inference.py --harness 20 --out results/bench/inference.csv

Freedman-Lane   10,000 max-T permutations at p = 23: the published grid's 529 prompts, all 11 frequencies, 28 layers
                of 1,024 dimensions of noise. `naive` permutes the residuals and loops over the frequencies, on
                `--naive` permutations before and after, scaled. Both draw the same; their maxima are compared.
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

    permutations: int = 10_000
    naive: int = 20
    """Permutations on which the naive way is timed, twice."""
    harness: int = 0
    """Null networks that are put through the job; 0: none."""
    out: Path | None = None
    """CSV file to write."""


def main() -> int:
    bench = tyro.cli(Bench, description=__doc__, prog="python scripts/bench/bench_inference.py")
    from _permutation_lines import assignment_lines, freedman_lane_lines

    show([*freedman_lane_lines(bench), *assignment_lines(), *harness_lines(bench.harness)], bench.out, "cpu")
    return 0


if __name__ == "__main__":
    sys.exit(main())
