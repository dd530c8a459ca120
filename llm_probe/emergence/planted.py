"""Trainings whose answer is known: a circle is mixed in from one checkpoint on, or never. Is its step given back?

The states of checkpoint i of n are those of two networks that know every item and have no order of them, the second
growing at the cost of the first, so that neighbours are alike as they are in a training:

    states(i) = cos(a) first + sin(a) second + [i >= start] circle,     a = pi/2 · i / (n - 1)

They go through the job that users run; the random twin is a third such network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, States
from llm_probe.calibration.codes import CodeNetwork
from llm_probe.calibration.networks import CELLS
from llm_probe.emergence.changes import Change, change_of
from llm_probe.emergence.checkpoints import Checkpoint
from llm_probe.emergence.series import events, judged_beside, row_of
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS
from llm_probe.questions.prompts import Prompt
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.probe import answered, hypotheses
from llm_probe.run.result import PROBE
from llm_probe.run.study import Session
from llm_probe.statistics.renaming import FIRST
from llm_probe.verdicts.judgement import Hypothesis

CHECKPOINTS = 12
CLAIM = Claim(DOMAINS["months"], "item")
SEEDS_A_TRAINING = 4


@dataclass(frozen=True)
class Training:
    """One series of checkpoints."""

    seed: int
    start: int | None
    """The first checkpoint, counted from 0, with a circle; None: there never is one."""
    amplitude: float = 1.0
    """Of the circle, in sizes of a random vector of an item."""

    def states(self, claim: Claim, prompts: Sequence[Prompt], checkpoint: int) -> Float[Tensor, "n cells d"]:
        """The states of some prompts at one checkpoint."""
        first, second, circle = self._networks
        angle = math.pi / 2 * checkpoint / (CHECKPOINTS - 1)
        states = math.cos(angle) * first.states(claim, prompts) + math.sin(angle) * second.states(claim, prompts)
        if self.start is not None and checkpoint >= self.start:
            states[:, -1] += self.amplitude * circle.of(claim, prompts)
        return states

    @property
    def _networks(self) -> tuple[CodeNetwork, CodeNetwork, CodeNetwork]:
        seed = SEEDS_A_TRAINING * self.seed
        return CodeNetwork("look-up", seed), CodeNetwork("look-up", seed + 1), CodeNetwork("circle", seed + 2)

    def changes(self) -> dict[str, Change]:
        """Event to its change point, as a series gives them."""
        control = CodeNetwork("look-up", SEEDS_A_TRAINING * self.seed + 3)
        twin = _complete(self.seed, "twin", lambda prompts: control.states(CLAIM, prompts))
        rows = []
        for index in range(CHECKPOINTS):
            complete = _complete(self.seed, f"{index}", lambda prompts, index=index: self.states(CLAIM, prompts, index))
            for _, verdict in judged_beside(complete, twin):
                rows.append(row_of(Checkpoint(f"step{index}", index, None, "planted", None), verdict, None))
        return {event: change_of(outcomes) for event, outcomes in events(rows).items()}


def _complete(seed: int, name: str, states: Callable[[Sequence[Prompt]], Tensor]) -> list[Hypothesis]:
    """The months of one network, through the job."""

    def read(
        claim: Claim, discovery: Sequence[Prompt], confirmation: Sequence[Prompt], plan: ReadPlan, **_: Any
    ) -> States:
        both = states([*discovery, *confirmation])
        label = torch.tensor([prompt.label for prompt in discovery])
        means = torch.zeros(CELLS, claim.period, both.shape[-1], dtype=torch.float64)
        means.index_add_(1, label, both[: len(discovery)].double().transpose(0, 1))
        means /= label.bincount(minlength=claim.period)[:, None]
        return States(tuple(plan.cells), both[: len(discovery)], both[len(discovery) :], means)

    config = ProbeConfig(behaviour=False, renamings=FIRST, seed=seed, layers=tuple(range(CELLS)))
    job = PlantedJob(config, Session(PROBE), _no_model, "trained", name, read, lambda claim: [0] * claim.period)
    with redirect_stderr(StringIO()):  # what a job says of its progress
        return answered(job, hypotheses(job, [CLAIM]), {})


class PlantedJob(Job):
    """A job of made-up states, whose width is that of the networks."""

    @property
    def d_model(self) -> int:
        return CodeNetwork("look-up", 0).d_model


def _no_model() -> LoadedModel:
    raise AssertionError("a planted training has no model")


def trainings(count: int) -> Iterator[Training]:
    """So many with a circle, whose first checkpoint is drawn from all but the first and the last three, and as many
    without one."""
    starts = torch.randint(1, CHECKPOINTS - 3, (count,), generator=torch.Generator().manual_seed(0)).tolist()
    yield from (Training(seed, start) for seed, start in enumerate(starts))
    yield from (Training(count + seed, None) for seed in range(count))
