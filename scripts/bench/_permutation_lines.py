"""Of `bench_inference.py`: Freedman-Lane permutations and assignments at the size of Qwen3-0.6B, measured on noise.

States are (prompts, layers x d); a table of gains is (units, 7 periods, 7 moduli).
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import torch

from _bench_lines import Line, line
from _naive_permutations import naive_maxima
from _probe_lines import product_rate, timed
from llm_probe.statistics import design
from llm_probe.statistics import dimensions
from llm_probe.statistics import gains
from llm_probe.statistics.assignment import modulus_tests
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.statistics.freedman_lane import expected_left, permutation_maxima, permuted_rows
from llm_probe.questions.prompts import published_grid

if TYPE_CHECKING:
    from bench_inference import Bench

LAYERS, D_MODEL, PERIOD = 28, 1024, 23
MODULI = (7, 9, 11, 13, 17, 19, 23)
CLAIM = Claim(modular("add", PERIOD), "sum")


def freedman_lane_lines(bench: Bench) -> list[Line]:
    """The permutations, naive - fast - naive, and whether they agree."""
    labels = Labels.of(CLAIM, published_grid(CLAIM.domain))
    noise = torch.randn(len(labels.label), LAYERS * D_MODEL, generator=torch.Generator().manual_seed(0))
    nuisances = design.nuisance_basis(labels)
    residuals = noise - nuisances.float() @ (nuisances.float().T @ noise)
    bases = design.circle_bases(labels.total, PERIOD, CLAIM.tested_frequencies, nuisances)
    shared = residuals, bases, nuisances, labels.template
    looped = residuals, bases, expected_left(residuals, nuisances, labels.template)
    rows = permuted_rows(labels.template, bench.naive, torch.Generator().manual_seed(0))
    quick = permutation_maxima(*shared, bench.naive, 0)  # also warms up
    error = float((naive_maxima(*looped, rows) - quick).abs().max() / quick.max())
    naive = [timed(lambda: naive_maxima(*looped, rows), "cpu")]
    rate = [product_rate("cpu", torch.float32)]
    processor = time.process_time()
    fast = timed(lambda: permutation_maxima(*shared, bench.permutations, 1), "cpu")
    processor = time.process_time() - processor
    rate.append(product_rate("cpu", torch.float32))
    naive.append(timed(lambda: naive_maxima(*looped, rows), "cpu"))
    slow = median(naive) * bench.permutations / bench.naive
    operations = 4 * bench.permutations * len(bases) * residuals.numel()
    part = f"Freedman-Lane, {bench.permutations:,} permutations"
    return [
        line(part, "naive (scaled)", slow, "s"),
        line(part, "fast", fast, "s", high=60),
        line(part, "fast, processor time of all threads", processor, "s"),
        line(part, "naive / fast", slow / fast, "x"),
        line(part, "fast, share of the matrix-product rate", operations / fast / median(rate), ""),
        line(part, "matrix product", median(rate) / 1e9, "GFLOP/s"),
        line(part, "difference of maxima", error, "relative", high=1e-5),
    ]


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
