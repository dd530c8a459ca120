"""How fast the permutation tests are at the size of Qwen3-0.6B against the naive way to do one, and the calibration.

python scripts/bench/bench_inference.py --harness 20 --out results/bench/inference.csv

renaming        max-T renamings of the digits at p = 23: 800 prompts, all 11 frequencies, 28 layers of 1,024 dimensions
                of noise. `naive` takes one renaming and one frequency after the other, on `--naive` renamings before
                and after, scaled; the maxima of both ways are compared.
assignment      all 5,040 assignments of seven moduli over 28 planes and 28,672 dimensions; the table of one modulus
calibration     `--harness` null networks of `scripts/calibrate.py`, each through the job that users run, one worker a
                core with one thread each, scaled to its 1,000. Give 20 or more, so that every kind of network has its
                share; the first of each worker pays for its imports.
"""

from __future__ import annotations

import _root
from _command import run

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench._bench import Line, line, show, timed

if TYPE_CHECKING:
    from torch import Tensor

    from llm_probe.questions.claims import Claim, Labels
    from llm_probe.statistics.renaming import Renamed

LAYERS, D_MODEL, PERIOD, PROMPTS = 28, 1024, 23, 800
MODULI = (7, 9, 11, 13, 17, 19, 23)
CALIBRATION = 1000
"""Networks of a full calibration."""


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
    return run(__file__, Bench, __doc__, measure, "nothing was written, the same command starts again")


def measure(bench: Bench, _: str) -> None:
    """Run every part, and show the table."""
    show([*renaming_lines(bench), *assignment_lines(), *calibration_lines(bench.harness)], bench.out, "cpu")


def noise() -> tuple[Claim, Labels, Tensor]:
    """Sums mod 23, their labels, and noise (prompts, layers, d) without what the fixed nuisances explain."""
    import torch

    from llm_probe.questions.claims import Claim, Labels
    from llm_probe.questions.domains import modular
    from llm_probe.statistics.dimensions import adjusted_states

    claim = Claim(modular("add", PERIOD), "sum")
    labels = Labels.of(claim, claim.prompts("discovery", PROMPTS, 0))
    states = torch.randn(PROMPTS, LAYERS, D_MODEL, generator=torch.Generator().manual_seed(0))
    return claim, labels, adjusted_states(states, labels)


def renaming_lines(bench: Bench) -> list[Line]:
    """Max-T renamings, naive - fast - naive, and whether the maxima agree."""
    from llm_probe.statistics.dimensions import fixed_nuisances, null_maxima
    from llm_probe.statistics.renaming import Renamed, rename

    claim, labels, states = noise()
    responses, fixed = states.flatten(1), fixed_nuisances(labels)
    renamed = rename(claim, labels, [], bench.renamings, 0)
    few = Renamed(renamed.total[: bench.naive], renamed.carry[: bench.naive])

    def maxima(names: Renamed) -> Tensor:
        return null_maxima(responses, labels, names, claim.tested_frequencies, fixed)

    def looped() -> Tensor:
        return naive_maxima(claim, labels, responses, few)

    naive = [timed(looped)]
    error = float((looped() - maxima(few)).abs().max() / maxima(few).max())
    fast = timed(lambda: maxima(renamed))
    naive.append(timed(looped))
    slow = median(naive) * len(renamed.total) / len(few.total)
    part = f"renaming, {len(renamed.total):,} renamings"
    return [
        line(part, "naive (scaled)", slow, "s"),
        line(part, "fast", fast, "s"),
        line(part, "naive / fast", slow / fast, "x"),
        line(part, "difference of maxima", error, "relative", high=1e-4),
    ]


def naive_maxima(claim: Claim, labels: Labels, responses: Tensor, renamed: Renamed) -> Tensor:
    """Largest partial R² of each renaming in the obvious way: its nuisances, then one frequency after the other."""
    import torch

    from llm_probe.statistics.dimensions import Magnitude, fixed_nuisances
    from toy.maths import fourier
    from toy.maths.regression import drop_zero, orthonormal, partial_r2, residual

    fixed, magnitude, maxima = fixed_nuisances(labels), Magnitude(labels), []
    for total, carry in zip(renamed.total, renamed.carry, strict=True):
        extra = orthonormal(drop_zero(residual(magnitude.columns(total, carry), fixed)))
        nuisances, left = torch.cat([fixed, extra], dim=1), residual(responses.double(), extra)
        waves = [fourier.design(total, k, claim.period) for k in claim.tested_frequencies]
        maxima.append(max(partial_r2(left, columns, nuisances).max() for columns in waves))
    return torch.stack(maxima)


def assignment_lines() -> list[Line]:
    """The table (units, 7 periods) of one modulus, and every assignment of seven."""
    import torch

    from llm_probe.statistics.assignment import modulus_tests
    from llm_probe.statistics.gains import dimension_gain

    _, labels, states = noise()
    generator = torch.Generator().manual_seed(1)
    planes, single = (torch.randn(units, 7, 7, generator=generator) for units in (LAYERS, LAYERS * D_MODEL))
    part = f"assignment, {LAYERS * (D_MODEL + 1):,} units"
    table = timed(lambda: dimension_gain(states, labels, MODULI))
    tested = median(timed(lambda: modulus_tests(MODULI, planes, single)) for _ in range(3))
    return [
        line(part, "dimensions' table of one modulus", table, "s"),
        line(part, "all 5,040 assignments", tested, "s", high=5),
    ]


def calibration_lines(networks: int) -> list[Line]:
    """Null networks of a small calibration, timed and scaled to a full one; nothing is kept, and nothing for 0."""
    if networks < 1:
        return []
    from llm_probe.calibration.harness import null_settings, run_all

    settings, cores = null_settings(networks), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(lambda: run_all(settings, Path(folder), cores))
    part = f"calibration, {len(settings)} null networks, {cores} workers"
    return [
        line(part, "time", seconds, "s"),
        line(part, "a network and core", seconds * cores / len(settings), "s"),
        line(part, f"{CALIBRATION:,} networks (scaled)", seconds / 60 * CALIBRATION / len(settings), "min"),
    ]


if __name__ == "__main__":
    sys.exit(main())
