"""Is an accepted circle of a language model the one that it uses? `mediators` at the place of an experiment.

The trained directions descend on discovery prompts, of which no prompt, operand pair or template is among the causal
ones that both subspaces are judged on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.algorithms.mediators import Change, Labelled, Mediator, strongest
from causal.algorithms.tables import MediatorRow
from causal.experiments.experiment import Experiment
from causal.interventions.directions import states_at
from causal.interventions.engine import Edit, Edits, Engine
from causal.interventions.questions import ANSWER
from causal.interventions.trained_subspace import STEPS, missed
from llm_probe.geometry.third_direction import class_means

STRONGEST = (1, 2)
"""Numbers of frequencies, the strongest first, that stand beside as many trained directions; then all."""


class ExperimentPlace:
    """The states that an experiment edits, at every node where an answer is decided."""

    def __init__(self, experiment: Experiment) -> None:
        self.period, self.nodes = experiment.claim.period, list(experiment.sites.at)
        whole, labels = experiment.discovery
        means = []
        for node in self.nodes:
            states, rows = states_at(whole, node)
            means.append(class_means(states.double(), labels.label[rows], self.period))
        self.means = torch.stack(means)
        # The means are of all discovery prompts; the descent reads as many as there are to judge on, at each step.
        self._test = experiment.subset[0]
        few = whole.questions.take(range(min(len(self._test.questions.items), len(whole.questions.items))))
        self._training = experiment.engine(whole.position, few)
        self.training, self.test = (self._labelled(experiment, engine) for engine in (self._training, self._test))

    def _labelled(self, experiment: Experiment, engine: Engine) -> Labelled:
        states = torch.stack([engine.states(node) for node in self.nodes])
        return Labelled(states, experiment.held(engine.questions), engine.questions.labels)

    def loss(self, change: Change, target: Int[Tensor, " n"]) -> Tensor:
        return missed(self._training.log_p(self._edits(self._training, change)), target)

    def chosen(self, change: Change) -> Int[Tensor, " n"]:
        return self._test.answers([self._edits(self._test, change)])[0].chosen

    def _edits(self, engine: Engine, change: Change) -> Edits:
        """The change of every node as an edit."""

        def added(own: Float[Tensor, "n d"], states: Tensor, rows: Tensor) -> Tensor:
            return states + own[rows].to(states)

        edits: dict[tuple[int, ...], Edit] = {
            node: partial(added, own) for node, own in zip(self.nodes, change, strict=True)
        }
        return edits if engine.position == ANSWER else edits[()]


def mediator_rows(experiment: Experiment) -> Iterator[MediatorRow]:
    """The strongest plane, the two strongest and all accepted ones, each beside as many trained directions."""
    mediator = Mediator(ExperimentPlace(experiment), experiment.config.seed, starts=1, steps=STEPS)
    d, most = experiment.root, len(experiment.frequencies)
    for count in sorted({*(some for some in STRONGEST if some < most), most}):
        frequencies = strongest(mediator.place.means[0], experiment.frequencies, count)
        mediation = mediator.mediation(frequencies)
        low, high = mediation.interval("plane")
        moved, right = mediation.moved, mediation.ablated
        yield MediatorRow(
            d.domain, d.period, d.layer, d.site, experiment.position, ", ".join(map(str, frequencies)), mediation.width,
            mediation.n, mediation.use, moved["plane"], low, high, moved["trained"], moved["random"],
            moved["other order"], right["plane"], right["trained"], right["random"], mediation.angle, mediation.haar,
        )  # fmt: skip
