"""Single dimensions of the stream: every one of a layer held at its mean, and the published ablation of some.

The published evidence is five dimensions; the sweep is all of them, one at a time, at the prompt's last token, with
McNemar's test and Holm's correction for every dimension and domain. A dimension is no privileged direction, so an
effect here is a description and no verdict.

The published protocol (unixsysdev/grokking-fourier, commit 536610f, causal_ablation.py): 50 pairs below the modulus as
"{a} + {b} mod {p} =", `output[:, :, dim] = 0` of one block at every position, also while the answer is written. Its
text was ten sentences; here it is the text of the run, with intervals. The same rows come with McNemar's test, the
interval of the change and mean ablation, because zero is far from what these dimensions usually hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from causal.experiments import effects
from causal.experiments.effects import Baseline
from causal.experiments.experiment import Experiment, Tick
from causal.interventions.edits import INTERVENTIONS
from causal.interventions.engine import Edit, Engine
from causal.interventions.questions import EVERYWHERE, ask, questions_of
from causal.run.config import CausalConfig
from causal.run.tables import CausalRow, SweepRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import published_grid
from llm_probe.run.study import Rows
from toy.maths.intervals import holm
from toy.run.errors import InputError

AT_ONCE = 64
"""Dimensions of one cell on disk."""
PAIRS = 50
SEED = 42
"""The published number of operand pairs and seed of their choice."""
CONDITION = "published"
MakeRows = Callable[[], Iterable[Any]]


def sweep(
    loaded: LoadedModel,
    config: CausalConfig,
    claims: Sequence[Claim],
    layers: Sequence[int],
    cell: Callable[[str, MakeRows], Rows],
    tick: Tick = lambda count: None,
) -> list[SweepRow]:
    """A row for each domain, layer and dimension; `cell(name, make)` computes rows or reads them back."""
    rows: list[SweepRow] = []
    for claim in claims:
        for layer in layers:
            swept = _SweptLayer(loaded, config, claim, layer, tick)
            for start in range(0, loaded.d_model, AT_ONCE):
                dims = range(start, min(start + AT_ONCE, loaded.d_model))
                name = f"sweep {claim!r} {layer} {start}"
                rows += cell(name, lambda swept=swept, dims=dims: swept.rows(dims))["causal_sweep"]
    corrected = holm(torch.tensor([row.p for row in rows], dtype=torch.float64)).tolist()
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


class _SweptLayer:
    """One layer under one domain's questions, which are read when the first cell is not on disk."""

    def __init__(self, loaded: LoadedModel, config: CausalConfig, claim: Claim, layer: int, tick: Tick) -> None:
        self.loaded, self.config, self.claim, self.layer, self.tick = loaded, config, claim, layer, tick

    @cached_property
    def _ready(self) -> tuple[Engine, Baseline, Tensor]:
        seed = self.config.seed
        discovery = questions_of(self.loaded, self.claim, "discovery", self.config.discovery, seed)
        causal = questions_of(self.loaded, self.claim, "causal", self.config.prompts, seed)
        engine = Engine(self.loaded, causal, self.layer)
        mean = Engine(self.loaded, discovery, self.layer).states().double().mean(dim=0)
        return engine, Baseline(causal, engine.clean(), engine.states(), seed), mean

    def rows(self, dims: Sequence[int]) -> Iterator[SweepRow]:
        engine, baseline, mean = self._ready
        answers = engine.answers([_held(dim, mean) for dim in dims], self.tick)
        for dim, after in zip(dims, answers, strict=True):
            numbers = effects.accuracy(baseline, after)
            del numbers["constrained"]
            length = float((baseline.states[:, dim].double() - mean[dim]).abs().mean())
            key = (self.claim.domain.name, self.layer, dim, len(after.written))
            yield SweepRow(*key, p_holm=1.0, delta_norm=length, **numbers)


def _held(dim: int, mean: Tensor) -> Edit:
    """One dimension at its mean."""

    def edit(states: Tensor, _: Tensor) -> Tensor:
        held = states.clone()
        held[:, dim] = mean[dim]
        return held

    return edit


def published_rows(experiment: Experiment) -> Iterator[CausalRow]:
    """Rows of zero and mean ablation at every position.

    Raises:
        InputError: the domain has no published grid.
    """
    domain = experiment.claim.domain
    if not domain.has_grid:
        raise InputError(f"{domain.name} has no published grid: choose another claim")
    grid = published_grid(domain)
    chosen = np.random.default_rng(SEED).choice(len(grid), size=min(PAIRS, len(grid)), replace=False)
    questions = ask(experiment.loaded, [grid[index] for index in chosen], domain.items)
    states = experiment.engine("last", questions).states()
    engine = experiment.engine(EVERYWHERE, questions)
    baseline = Baseline(questions, engine.clean(), states, experiment.config.seed)
    edits = {name: INTERVENTIONS[name].edit(experiment.root) for name in ("zero", "mean")}
    for (name, edit), after in zip(edits.items(), engine.answers(list(edits.values()), experiment.tick), strict=True):
        numbers = effects.accuracy(baseline, after) | effects.size(baseline, experiment.root, edit)
        yield experiment.row(EVERYWHERE, experiment.name, name, len(questions.items), CONDITION, **numbers)
