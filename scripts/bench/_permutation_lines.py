"""Of `bench_inference.py`: renamings and assignments at the size of Qwen3-0.6B, measured on noise.

States are (prompts, layers x d); a table of gains is (units, 7 periods, 7 moduli).
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from _bench_lines import Line, line
from _probe_lines import timed
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.statistics import dimensions, gains
from llm_probe.statistics.assignment import modulus_tests
from llm_probe.statistics.nulls import Renamed, rename
from toy.maths import fourier
from toy.maths.regression import drop_zero, orthonormal, partial_r2, residual

if TYPE_CHECKING:
    from bench_inference import Bench

LAYERS, D_MODEL, PERIOD = 28, 1024, 23
MODULI = (7, 9, 11, 13, 17, 19, 23)
CLAIM = Claim(modular("add", PERIOD), "sum")


def renaming_lines(bench: Bench) -> list[Line]:
    """Max-T renamings, naive - fast - naive, and whether the maxima agree."""
    labels = Labels.of(CLAIM, CLAIM.prompts("discovery", 800, 0))
    noise = torch.randn(len(labels.label), LAYERS, D_MODEL, generator=torch.Generator().manual_seed(0))
    responses = dimensions.adjusted_states(noise, labels).flatten(1)
    renamed = rename(CLAIM, labels, [], bench.renamings, 0)
    few = Renamed(renamed.total[: bench.naive], renamed.carry[: bench.naive])
    fixed, frequencies = dimensions.fixed_nuisances(labels), CLAIM.tested_frequencies

    def maxima(names: Renamed) -> Tensor:
        return dimensions.null_maxima(responses, labels, names, frequencies, fixed)

    naive = [timed(lambda: naive_maxima(responses, labels, few), "cpu")]
    error = float((naive_maxima(responses, labels, few) - maxima(few)).abs().max() / maxima(few).max())
    fast = timed(lambda: maxima(renamed), "cpu")
    naive.append(timed(lambda: naive_maxima(responses, labels, few), "cpu"))
    slow = median(naive) * len(renamed.total) / len(few.total)
    part = f"renaming, {len(renamed.total):,} renamings"
    return [
        line(part, "naive (scaled)", slow, "s"),
        line(part, "fast", fast, "s"),
        line(part, "naive / fast", slow / fast, "x"),
        line(part, "difference of maxima", error, "relative", high=1e-4),
    ]


def naive_maxima(responses: Tensor, labels: Labels, renamed: Renamed) -> Tensor:
    """Largest partial R² of each renaming in the obvious way: its nuisances, then one frequency after the other."""
    fixed, magnitude, maxima = dimensions.fixed_nuisances(labels), dimensions.Magnitude(labels), []
    for total, carry in zip(renamed.total, renamed.carry, strict=True):
        extra = orthonormal(drop_zero(residual(magnitude.columns(total, carry), fixed)))
        nuisances, left = torch.cat([fixed, extra], dim=1), residual(responses.double(), extra)
        families = [fourier.design(total, k, PERIOD) for k in CLAIM.tested_frequencies]
        maxima.append(max(partial_r2(left, columns, nuisances).max() for columns in families))
    return torch.stack(maxima)


def assignment_lines() -> list[Line]:
    """The table of one modulus and every assignment of seven."""
    labels = Labels.of(CLAIM, CLAIM.prompts("discovery", 800, 0))
    generator = torch.Generator().manual_seed(0)
    adjusted = dimensions.adjusted_states(torch.randn(800, LAYERS, D_MODEL, generator=generator), labels)
    table = timed(lambda: gains.dimension_gain(adjusted, labels, MODULI), "cpu")
    planes, single = (torch.randn(units, 7, 7, generator=generator) for units in (LAYERS, LAYERS * D_MODEL))
    tested = median(timed(lambda: modulus_tests(MODULI, planes, single), "cpu") for _ in range(3))
    part = f"assignment, {LAYERS * (D_MODEL + 1):,} units"
    return [
        line(part, "dimensions' table of one modulus", table, "s"),
        line(part, "all 5,040 assignments", tested, "s", high=5),
    ]
