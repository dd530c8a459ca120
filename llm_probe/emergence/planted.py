"""Trainings whose answer is known: a circle is mixed in from one checkpoint on, or never. Is its step given back?

The states of checkpoint i of n are those of two networks that know every item and have no order of them, the second
growing at the cost of the first, so that neighbours are alike as they are in a training:

    states(i) = cos(a) first + sin(a) second + [i >= start] circle,     a = pi/2 · i / (n - 1)

They go through the job that users run; the random twin is a third such network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.calibration.codes import CodeNetwork
from llm_probe.calibration.trials import Network, NetworkJob, NetworkStates
from llm_probe.emergence.changes import Change, change_of
from llm_probe.emergence.checkpoints import Checkpoint
from llm_probe.emergence.series import events, judged_beside, row_of
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS
from llm_probe.questions.prompts import Prompt
from llm_probe.run.config import ProbeConfig
from llm_probe.run.probe import answered, hypotheses
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

    def changes(self) -> dict[str, Change]:
        """Event to its change point, as a series gives them."""
        control = CodeNetwork("look-up", SEEDS_A_TRAINING * self.seed + 3)
        twin = _complete(self.seed, control)
        rows = []
        for index in range(CHECKPOINTS):
            for _, verdict in judged_beside(_complete(self.seed, State(self, index)), twin):
                rows.append(row_of(Checkpoint(f"step{index}", index, None, "planted", None), verdict, None))
        return {event: change_of(outcomes) for event, outcomes in events(rows).items()}


@dataclass(frozen=True)
class State:
    """The network of one checkpoint."""

    training: Training
    checkpoint: int

    @property
    def seed(self) -> int:
        return SEEDS_A_TRAINING * self.training.seed

    @property
    def d_model(self) -> int:
        return CodeNetwork("look-up", self.seed).d_model

    def states(self, claim: Claim, prompts: Sequence[Prompt]) -> Float[Tensor, "n cells d"]:
        """The states of these prompts."""
        first, second = (CodeNetwork("look-up", self.seed + i).states(claim, prompts) for i in (0, 1))
        angle = math.pi / 2 * self.checkpoint / (CHECKPOINTS - 1)
        states, start = math.cos(angle) * first + math.sin(angle) * second, self.training.start
        if start is not None and self.checkpoint >= start:
            states[:, -1] += self.training.amplitude * CodeNetwork("circle", self.seed + 2).of(claim, prompts)
        return states


def _complete(seed: int, network: Network) -> list[Hypothesis]:
    """The months of one network, through the job."""
    config = ProbeConfig(behaviour=False, renamings=FIRST, seed=seed)
    with redirect_stderr(StringIO()):  # what a job says of its progress
        job = NetworkJob(config, NetworkStates(network, {}))
        return answered(job, hypotheses(job, [CLAIM]), {})


def trainings(count: int) -> Iterator[Training]:
    """So many with a circle, whose first checkpoint is drawn from all but the first and the last three, and as many
    without one."""
    starts = torch.randint(1, CHECKPOINTS - 3, (count,), generator=torch.Generator().manual_seed(0)).tolist()
    yield from (Training(seed, start) for seed, start in enumerate(starts))
    yield from (Training(count + seed, None) for seed in range(count))
