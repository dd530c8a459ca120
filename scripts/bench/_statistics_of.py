"""The statistics of made-up states by the code that is on the path, timed: one JSON object on the last line.

python _statistics_of.py PLACES WIDTH CLAIM …     a claim is a modulus (23), or a domain and a quantity (days:item)

Runs by itself, so that `bench_statistics` can put an earlier commit on the path; it uses only what both have. Templates
and operands have a vector each at every place, and every prompt noise. At one place the trained weights' states hold
two circles of the answer beside that, of the noise's size; those of random weights hold none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import torch

from llm_probe.activations.streaming import ReadPlan, States
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import Prompt
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.result import PROBE
from llm_probe.run.study import Session
from llm_probe.verdicts.judgement import Hypothesis, judge

PLANTED = 1
"""The place with circles."""
MEASURED = ("r2_partial", "r2_heldout", "r2_heldout_templates", "r2_heldout_residues", "angle_error")
"""Columns of the R² table that are computed in float64."""


def main() -> None:
    """Time every claim with and without circles, one thread, and print what came out."""
    torch.set_num_threads(1)
    places, width, *names = sys.argv[1:]
    result = {}
    for name in names:
        kind, _, quantity = name.partition(":")
        claim = Claim(modular("add", int(kind)), "sum") if kind.isdigit() else Claim(DOMAINS[kind], quantity)  # type: ignore
        for size in (0.0, 1.0):
            result[f"{name}, {'a circle' if size else 'noise'}"] = analysed(claim, int(places), int(width), size)
    print(json.dumps(result))


def analysed(claim: Claim, places: int, width: int, size: float) -> dict[str, object]:
    """Processor seconds, and the numbers and the verdict of one claim."""

    def states(_: Claim, discovery: Sequence[Prompt], confirmation: Sequence[Prompt], plan: ReadPlan, **__) -> States:
        return made_up([*discovery, *confirmation], len(discovery), plan, claim.period, width, size)

    def kinds(of: Claim) -> list[int]:
        return [] if of.renames_digits else [0] * of.period

    # Its fingerprint and layers are given, so that no model is made.
    config = ProbeConfig(behaviour=False, layers=tuple(range(places)))
    job = Job(config, Session(PROBE), lambda: None, "trained", "made up", states, kinds)  # type: ignore
    start = time.process_time()
    evidence = job.evidence([claim])[0]
    seconds = time.process_time() - start
    numbers = {
        f"{row.layer} {row.unit} {row.dim} {row.family} {row.frequency} {name}": getattr(row, name)
        for row in evidence.rows["r2_table"]
        for name in MEASURED
    }
    verdict = judge(Hypothesis(claim, evidence))[0]
    return {"seconds": seconds, "verdict": verdict, "place": evidence.location[0], "numbers": numbers}


def made_up(prompts: list[Prompt], known: int, plan: ReadPlan, period: int, width: int, size: float) -> States:
    """States of these prompts; the first `known` are for discovery."""
    generator = torch.Generator().manual_seed(0)
    label = torch.tensor([prompt.label for prompt in prompts])
    result = torch.zeros(len(prompts), len(plan.cells), width)
    for key in ("template", "first", "offset"):
        order = {
            value: index for index, value in enumerate(sorted({getattr(prompt, key) for prompt in prompts}, key=str))
        }
        which = torch.tensor([order[getattr(prompt, key)] for prompt in prompts])
        result += torch.randn(len(order), *result.shape[1:], generator=generator)[which]
    result += torch.randn(result.shape, generator=generator)
    for k in (1, 2):
        angle = 2 * torch.pi * k * label / period
        plane = torch.randn(2, width, generator=generator)
        result[:, PLANTED] += size * (torch.stack([angle.cos(), angle.sin()], dim=1) @ plane)
    means = torch.zeros(len(plan.cells), period, width, dtype=torch.float64)
    means.index_add_(1, label[:known], result[:known].transpose(0, 1).double())
    return States(tuple(plan.cells), result[:known], result[known:], means / label[:known].bincount()[:, None])


if __name__ == "__main__":
    main()
