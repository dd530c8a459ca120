"""Plain sums as a claim: no family of moduli, every digit renamed, and a helix where its periods are held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from llm_probe.activations.streaming import ReadPlan, States
from llm_probe.calibration.trials import _no_model
from llm_probe.questions.claims import Claim, families
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import Prompt
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.result import PROBE
from llm_probe.run.study import Session
from llm_probe.statistics.renaming import digit_classes
from llm_probe.verdicts.judgement import Hypothesis

ADD = Claim(DOMAINS["add"], "sum")


def test_plain_sums_belong_to_no_family_of_moduli() -> None:
    own = families([ADD, Claim(modular("add", 7), "sum")])
    assert [[claim.name for claim in family.members] for family in own] == [["mod-add 7: sum"]]
    assert digit_classes(ADD) == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]  # its questions say no modulus whose digits stay


@pytest.mark.parametrize(
    ("periods", "level", "what"),
    [((10, 5, 100), "helix", "T = 100"), ((10, 5), "decodable", ""), ((), "nothing", "")],
)
def test_a_sum_is_a_helix_where_more_than_its_last_digit_is_held(
    periods: tuple[int, ...], level: str, what: str
) -> None:
    def states(
        _: Claim, discovery: Sequence[Prompt], confirmation: Sequence[Prompt], plan: ReadPlan, **__: Any
    ) -> States:
        generator, both = torch.Generator().manual_seed(0), [*discovery, *confirmation]
        total = torch.tensor([prompt.total for prompt in both]).double()
        rows = torch.randn(len(both), 24, generator=generator).double()
        for period in periods:
            angle = 2 * torch.pi * total / period
            plane = torch.randn(2, 24, generator=generator).double()
            rows += torch.stack([angle.cos(), angle.sin()], dim=1) @ plane
        held, means = rows.float()[:, None], torch.randn(1, 10, 24, generator=generator).double()
        return States(tuple(plan.cells), held[: len(discovery)], held[len(discovery) :], means)

    config = ProbeConfig(behaviour=False, layers=(0,), renamings=99, prompts=400)
    job = Job(config, Session(PROBE), _no_model, "trained", "made up", states, lambda _: [])
    shown = Hypothesis(ADD, job.evidence([ADD])[0]).shown
    assert (shown.level, shown.what) == (level, what)
    if periods:
        assert "no test can tell this period of its sums from every other" in shown.stopped_by
