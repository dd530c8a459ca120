"""Every dimension of a layer, one at a time: what the answers lose when it is held at its mean.

The published evidence is five dimensions; this is all of them, at the prompt's last token, with McNemar's test and
Holm's correction for every dimension and domain of the sweep. A dimension is no privileged direction, so an effect here
is a description and no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from causal.experiments import measure
from causal.experiments.experiment import asked
from causal.experiments.measure import Bench
from causal.interventions.engine import Edit, Engine
from causal.run.config import CausalConfig
from causal.run.table import SweepRow
from llm_probe.activations.answers import Answers
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from toy.maths.intervals import holm

AT_ONCE = 64
"""Dimensions of one cell on disk."""
Keep = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]


def sweep(
    loaded: LoadedModel,
    config: CausalConfig,
    claims: Sequence[Claim],
    layers: Sequence[int],
    keep: Keep,
    tick: Callable[[int], Any] = lambda count: None,
) -> list[SweepRow]:
    """A row a domain, layer and dimension; `keep(name, make)` computes a piece or reads it back."""
    rows: list[SweepRow] = []
    for claim in claims:
        for layer in layers:
            layered = _Layer(loaded, config, claim, layer, tick)
            for start in range(0, loaded.d_model, AT_ONCE):
                some = range(start, min(start + AT_ONCE, loaded.d_model))
                content = keep(f"{claim!r} {layer} {start}", lambda layered=layered, some=some: layered.rows(some))
                rows += [SweepRow(**row) for row in content["rows"]]
    corrected = holm(torch.tensor([row.p for row in rows], dtype=torch.float64)).tolist()
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


class _Layer:
    """One layer under one domain's questions, read when the first piece is not on disk."""

    def __init__(
        self, loaded: LoadedModel, config: CausalConfig, claim: Claim, layer: int, tick: Callable[[int], Any]
    ) -> None:
        self.loaded, self.config, self.claim, self.layer, self.tick = loaded, config, claim, layer, tick
        self.ready: tuple[Engine, Bench, Tensor] | None = None

    def rows(self, dims: Sequence[int]) -> dict[str, Any]:
        if self.ready is None:
            seed = self.config.seed
            discovery = asked(self.loaded, self.claim, "discovery", self.config.discovery, seed)
            causal = asked(self.loaded, self.claim, "causal", self.config.prompts, seed)
            engine = Engine(self.loaded, causal, self.layer)
            bench = Bench(causal, engine.clean(), engine.states(), seed)
            self.ready = engine, bench, Engine(self.loaded, discovery, self.layer).states().double().mean(dim=0)
        engine, bench, mean = self.ready
        answers = engine.answers([_held(dim, mean) for dim in dims], self.tick)
        return {"rows": [asdict(self._row(bench, mean, dim, after)) for dim, after in zip(dims, answers, strict=True)]}

    def _row(self, bench: Bench, mean: Tensor, dim: int, after: Answers) -> SweepRow:
        seen = measure.accuracy(bench, after)
        length = float((bench.states[:, dim].double() - mean[dim]).abs().mean())
        kept = {key: seen[key] for key in seen if key != "constrained"}
        name = self.claim.domain.name
        return SweepRow(name, self.layer, dim, len(after.written), p_holm=1.0, delta_norm=length, **kept)


def _held(dim: int, mean: Float[Tensor, " d"]) -> Edit:
    """One dimension at its mean."""

    def edit(states: Tensor, _: Tensor) -> Tensor:
        held = states.clone()
        held[:, dim] = mean[dim]
        return held

    return edit
