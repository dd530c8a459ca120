"""Random controls of a circle: directions that are as large and should do nothing, many draws of each.

    random         the same change of the same coordinates, written along a pattern that is turned at random but keeps
                   its lengths and angles (`turned`): ||Δh|| is equal state by state, and so is its variance
    matched        a random basis from the stream's own covariance, orthogonal to the tested one:
                   B = orth(N (Nᵀ Σ N)^α Z), Z Gaussian, N a basis of the rest of the stream. α makes the removed
                   variance tr(BᵀΣB) that of the tested basis; where the rest of the stream has no such variance, a
                   gain on the change of the coordinates makes up for it, so that the mean ||Δh||² is equal in any case
    shuffled       planes fitted to labels that changed places among operand pairs (`label_controls`)

Each draw is one mean ablation and turns by at most six j spread over 1 … p - 1, on the first of the prompts. A basis B
is (d, m). Fixed controls (planes of another period, the leading principal components) are in `experiment`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from causal.algorithms.predictions import spread
from causal.experiments.effects import size
from causal.experiments.experiment import Experiment
from causal.interventions.directions import SiteSet, fit
from causal.interventions.edits import INTERVENTIONS
from causal.run.tables import CausalRow, ControlDraw
from llm_probe.statistics.controls import shuffled
from llm_probe.statistics.patterns import random_basis
from toy.maths.regression import Groups, RidgeSmoother

CONTROLS = ("random", "matched", "shuffled")
TURNS = 6
LARGEST_POWER = 1.0
"""α = 1: random directions distributed as the stream's own states are. Beyond it every draw would be the same few."""
STEPS = 24
"""Halvings of the interval of α."""


@dataclass(frozen=True)
class Matched:
    """A random basis and what its change is multiplied by."""

    basis: Float[Tensor, "d m"]
    gain: float


def turned(writer: Float[Tensor, "d m"], generator: torch.Generator) -> Float[Tensor, "d m"]:
    """A pattern with the same Gram matrix in a uniformly random place."""
    _, singular, right = torch.linalg.svd(writer, full_matrices=False)
    return random_basis(writer, generator) * singular @ right


def matched(
    basis: Float[Tensor, "d m"], covariance: Float[Tensor, "d d"], count: int, generator: torch.Generator
) -> list[Matched]:
    """Random bases orthogonal to `basis` that remove as much variance, or whose gain makes up for what is lacking."""
    width, columns = basis.shape
    if 2 * columns > width:  # no room beside the tested basis
        return [Matched(random_basis(basis, generator), 1.0) for _ in range(count)]
    rest = torch.linalg.qr(basis, mode="complete").Q[:, columns:]
    values, vectors = torch.linalg.eigh(rest.T @ covariance @ rest)
    values, vectors = values.clamp_min(0), rest @ vectors
    target = float((basis * (covariance @ basis)).sum())
    bases = []
    for _ in range(count):
        draw = torch.randn(len(values), columns, generator=generator, dtype=torch.float64)
        tilted = _tilted(values, vectors, draw, target)
        removed = float((tilted * (covariance @ tilted)).sum())
        bases.append(Matched(tilted, (target / max(removed, 1e-300)) ** 0.5))
    return bases


def _tilted(
    values: Float[Tensor, " r"], vectors: Float[Tensor, "d r"], draw: Float[Tensor, "r m"], target: float
) -> Float[Tensor, "d m"]:
    """The draw at the power α in [0, 1] whose removed variance is nearest to the target (it grows with α)."""
    scale = values / values.max().clamp_min(1e-300)

    def at(power: float) -> tuple[Float[Tensor, "r m"], float]:
        basis = torch.linalg.qr(scale.clamp_min(1e-12)[:, None] ** power * draw).Q
        return basis, float((values[:, None] * basis.square()).sum())

    low, high = 0.0, LARGEST_POWER
    if at(low)[1] >= target:
        return vectors @ at(low)[0]
    if at(high)[1] <= target:
        return vectors @ at(high)[0]
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[1] < target else (low, middle)
    return vectors @ at(high)[0]


def random_controls(experiment: Experiment, control: str) -> Iterator[ControlDraw | CausalRow]:
    """A row for each draw, and rows of the means over draws."""
    engine, baseline = experiment.subset
    period, labels, position = experiment.claim.period, baseline.questions.labels, experiment.position
    unwrite, rotate = INTERVENTIONS["unwrite"], INTERVENTIONS["rotate"]
    steps = spread(period, TURNS) if experiment.frequencies else []
    effects: dict[str, list[float]] = {}
    sizes, d = [], experiment.root
    for draw, (ablated, rotated) in enumerate(draws(experiment, control)):
        edits = [ablated.edits(position, lambda d, _: unwrite.edit(d))]
        edits += [rotated.edits(position, lambda d, _, j=j: rotate.edit(d, j)) for j in steps]
        answers = engine.answers(edits, experiment.tick)
        for name, some, turns in (("mean", answers[:1], [0]), ("rotate", answers[1:], steps)):
            if some:
                moved, stayed = (
                    sum(float((after.written == (labels + j) % period).double().mean()) for j, after in pairs)
                    / len(some)
                    for pairs in (list(zip(turns, some, strict=True)), [(0, after) for after in some])
                )
                effects.setdefault(name, []).append(moved)
                count = len(some) if name == "rotate" else 0
                yield ControlDraw(d.domain, d.layer, d.site, position, control, name, draw, count, moved, stayed)
        sizes.append(size(baseline, ablated.root, unwrite.edit(ablated.root)))
    for name, values in effects.items():
        average = sum(values) / len(values)
        if name == "rotate":
            numbers = {"moved": average, "extreme": max(values)}
        else:
            before = float(baseline.right.double().mean())
            mean_size = {key: sum(one[key] for one in sizes) / len(sizes) for key in sizes[0]}
            numbers = {"accuracy_before": before, "accuracy": average, "extreme": min(values), **mean_size}
        yield experiment.row(position, control, name, len(baseline.right), draws=len(values), **numbers)


def draws(experiment: Experiment, control: str) -> Iterator[tuple[SiteSet, SiteSet]]:
    """What is ablated and what is turned in each draw; read and written in its basis, `unwrite` is `mean`."""
    generator, count = torch.Generator().manual_seed(experiment.config.seed + 1), experiment.config.draws

    def orthonormal(sites: SiteSet) -> SiteSet:
        return sites.map(lambda d: replace(d, reader=d.basis, writer=d.basis))

    if control == "random":
        plain = orthonormal(experiment.sites)
        for _ in range(count):
            ablated, rotated = (
                sites.map(lambda d: replace(d, writer=turned(d.writer, generator)))
                for sites in (plain, experiment.sites)
            )
            yield ablated, rotated
    elif control == "matched":
        bases = {node: matched(d.basis, d.covariance, count, generator) for node, d in experiment.sites.at.items()}
        for index in range(count):
            at = {}
            for node, d in experiment.sites.at.items():
                basis, gain = bases[node][index].basis, bases[node][index].gain
                at[node] = replace(d, reader=basis, writer=basis * gain, basis=basis)
            yield SiteSet(at), SiteSet(at)
    else:
        for sites in _shuffled(experiment):
            yield orthonormal(sites), sites


def _shuffled(experiment: Experiment) -> Iterator[SiteSet]:
    engine, labels = experiment.discovery
    states = {node: engine.states(node) for node in experiment.sites.at}
    smoothers = {node: RidgeSmoother.of(one) for node, one in states.items()}
    groups, claim = Groups.of(labels.unit), experiment.claim
    for draw in range(experiment.config.draws):
        wrong = shuffled(labels, experiment.config.seed + 1 + draw)
        yield SiteSet(
            {
                node: fit(
                    states[node], wrong, groups, claim.domain.name, claim.period, experiment.frequencies,
                    experiment.location, "shuffled", smoothers[node],
                )
                for node in experiment.sites.at
            }
        )  # fmt: skip
