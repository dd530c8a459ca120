"""Does the ablation leave ordinary text alone: at every position, and where the stream looks like an answer's place?

Every second document fits the gate (`gates`), the others are tested. Beside the found directions stand random bases of
as many dimensions, ablated in the same way at every position: in a narrow stream they cost text as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from causal.controls.bases import random_basis
from causal.controls.language import Equivalence, TextEngine, equivalence, windows
from causal.experiments import measure
from causal.experiments.experiment import Experiment
from causal.interventions import sites
from causal.interventions.batches import EVERYWHERE
from causal.interventions.engine import Edit
from causal.interventions.gates import Gate, fit_gate, gated
from causal.run.table import CausalRow, Piece

LIKE_ANSWER = "like answer"
RANDOM_BASES = 5
LEVEL = 0.05


def text_piece(experiment: Experiment, texts: Sequence[str]) -> Piece:
    """Rows of the found directions and of random bases on text, and of the gated ablation on the task.

    Raises:
        InputError: either half of the text has fewer than two documents.
    """
    config, place = experiment.config, experiment.place

    def half(start: int) -> TextEngine:
        read = windows(experiment.loaded, texts[start::2], config.window, config.text_tokens)
        return TextEngine(experiment.loaded, read, place[0], place[1])

    fitted, tested = half(0), half(1)
    d = experiment.root
    gate = fit_gate(experiment.main.states(), fitted.states())
    edits: dict[tuple[str, str], Edit] = {
        (EVERYWHERE, "mean"): sites.mean(d),
        (EVERYWHERE, "zero"): sites.zero(d),
        (EVERYWHERE, "unwrite"): sites.unwrite(d),
        (LIKE_ANSWER, "mean"): gated(sites.mean(d), gate),
        (LIKE_ANSWER, "unwrite"): gated(sites.unwrite(d), gate),
    }
    drawn = torch.Generator().manual_seed(config.seed + 2)
    bases = [random_basis(*_shape(d.basis), drawn) for _ in range(RANDOM_BASES)]
    losses = tested.losses([None, *edits.values(), *(sites.zero(replace(d, basis=basis)) for basis in bases)])
    experiment.tick(len(losses) * len(tested.text.ids))
    before, tokens = losses[0], tested.text.tokens
    share = float(gate.opens(tested.states()).double().mean())
    piece = Piece()
    for (position, name), after in zip(edits, losses[1:], strict=False):
        numbers = _numbers(equivalence(before, after, tokens))
        numbers["edited_share"] = 1.0 if position == EVERYWHERE else share
        piece.add(experiment.label(position, experiment.name, name, "text").row(len(tokens), **numbers))
    piece.add(_random_row(experiment, before, losses[1 + len(edits) :], tokens))
    piece.add(*_task_rows(experiment, gate))
    return piece


def _task_rows(experiment: Experiment, gate: Gate) -> list[CausalRow]:
    """The gated ablation on the task, at every position where the gate opens."""
    engine = experiment.engine(EVERYWHERE)
    makers: dict[str, Callable] = {"mean": sites.mean, "unwrite": sites.unwrite}
    found = engine.answers([gated(make(experiment.root), gate) for make in makers.values()], experiment.tick)
    return [
        experiment.label(LIKE_ANSWER, experiment.name, name).row(
            len(after.written), **measure.accuracy(experiment.bench, after)
        )
        for name, after in zip(makers, found, strict=True)
    ]


def _random_row(
    experiment: Experiment,
    before: Float[Tensor, " documents"],
    losses: Sequence[Float[Tensor, " documents"]],
    tokens: Float[Tensor, " documents"],
) -> CausalRow:
    """Random bases together: the mean change, and the interval of the mean loss."""
    numbers = _numbers(equivalence(before, torch.stack(list(losses)).mean(dim=0), tokens))
    label = experiment.label(EVERYWHERE, "random basis", "zero", "text")
    return label.row(len(tokens), draws=len(losses), edited_share=1.0, **numbers)


def _numbers(found: Equivalence) -> dict[str, Any]:
    return {
        "nats": found.before,
        "nats_change": found.change,
        "nats_low": found.low,
        "nats_high": found.high,
        "p_equivalence": found.p,
        "equivalent": found.p < LEVEL,
    }


def _shape(basis: Float[Tensor, "d m"]) -> tuple[int, int]:
    width, size = basis.shape
    return width, size
