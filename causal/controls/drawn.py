"""Controls that are drawn many times: the same ablation and turn along patterns that should do nothing.

    random     the found circle's own change of every state, written along a pattern turned at random
    matched    random bases that hold as much variance (`controls.matched`)
    shuffled   planes fitted to labels that changed places among operand pairs

Each draw is one mean ablation and turns by at most six j spread over 1 … p - 1, on the first of the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from causal.algorithms.predictions import spread
from causal.experiments import measure
from causal.experiments.experiment import Experiment
from causal.interventions import directions, sites
from causal.interventions.sites import SiteSet
from causal.run.table import ControlDraw, Piece
from llm_probe.activations.answers import Answers
from llm_probe.statistics.controls import shuffled
from toy.maths.regression import Groups, RidgeSmoother

DRAWN = ("random", "matched", "shuffled")
TURNS = 6


def drawn_controls(experiment: Experiment, control: str) -> Piece:
    """A row a draw, and rows of the means over draws."""
    engine, bench = experiment.few
    period, labels, position = experiment.claim.period, bench.questions.labels, experiment.position
    steps = spread(period, TURNS) if experiment.frequencies else []
    piece, sizes, d = Piece(), [], experiment.root

    def add(name: str, draw: int, shifts: list[int], found: list[Answers]) -> None:
        moved, stayed = (
            sum(float((after.written == (labels + j) % period).double().mean()) for j, after in pairs) / len(found)
            for pairs in (list(zip(shifts, found, strict=True)), [(0, after) for after in found])
        )
        turns = len(found) if name == "rotate" else 0
        piece.add(ControlDraw(d.domain, d.layer, d.site, position, control, name, draw, turns, moved, stayed))

    for draw, (ablated, turned) in enumerate(draws(experiment, control)):
        edits = [ablated.edits(position, sites.unwrite), *(turned.edits(position, sites.rotate(j)) for j in steps)]
        answers = engine.answers(edits, experiment.tick)
        add("mean", draw, [0], answers[:1])
        if steps:
            add("rotate", draw, steps, answers[1:])
        sizes.append(measure.size(bench, ablated.root, sites.unwrite(ablated.root)))
    _means(experiment, control, piece, {key: sum(one[key] for one in sizes) / len(sizes) for key in sizes[0]})
    return piece


def _means(experiment: Experiment, control: str, piece: Piece, size: dict[str, float]) -> None:
    bench = experiment.few[1]
    for name in ("mean", "rotate"):
        values = [draw.effect for draw in piece.of(ControlDraw) if draw.intervention == name]
        if not values:
            continue
        average = sum(values) / len(values)
        if name == "rotate":
            numbers = {"moved": average, "extreme": max(values)}
        else:
            before = float(bench.right.double().mean())
            numbers = {"accuracy_before": before, "accuracy": average, "extreme": min(values), **size}
        label = experiment.label(experiment.position, control, name)
        piece.add(label.row(len(bench.right), draws=len(values), **numbers))


def draws(experiment: Experiment, control: str) -> Iterator[tuple[SiteSet, SiteSet]]:
    """What is ablated and what is turned in each draw."""
    generator, count = torch.Generator().manual_seed(experiment.config.seed + 1), experiment.config.draws
    if control == "random":
        plain = sites.orthonormal(experiment.sites)
        for _ in range(count):
            yield sites.turned(plain, generator), sites.turned(experiment.sites, generator)
    elif control == "matched":
        for one in sites.matched(experiment.sites, count, generator):
            yield one, one
    else:
        for one in _shuffled(experiment):
            yield sites.orthonormal(one), one


def _shuffled(experiment: Experiment) -> Iterator[SiteSet]:
    engine, labels = experiment.discovery
    states = {node: engine.states(node) for node in experiment.sites.at}
    smoothers = {node: RidgeSmoother.of(one) for node, one in states.items()}
    groups, claim = Groups.of(labels.unit), experiment.claim
    for draw in range(experiment.config.draws):
        wrong = shuffled(labels, experiment.config.seed + 1 + draw)
        yield SiteSet(
            {
                node: directions.fit(
                    states[node], wrong, groups, claim.domain.name, claim.period, experiment.frequencies,
                    experiment.place, "shuffled", smoothers[node],
                )
                for node in experiment.sites.at
            }
        )  # fmt: skip
