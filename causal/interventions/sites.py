"""The set of places at which one circle is edited together, and named edits of them.

An answer of several tokens ("15") is decided at several places: its first token after the prompt, its second behind
the first. The circle is fitted at each: at the prompt's last token, and at every node of the answer tree, where each
discovery prompt is followed by that beginning, whether or not it is its own. Position `last` edits the first of them
only, `answer` all of them. What is named here:

    mean, zero          ablation of the orthonormal basis
    unwrite             mean ablation along the pattern: - A Wᵀ (h - μ)
    rotate j            A (R_j - I) Wᵀ (h - μ)              the circle turned by j steps
    rotate orthonormal  the same with W = A = Q
    interchange         the basis' coordinates of a donor prompt;  full interchange: its whole state
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.controls import bases as controls
from causal.interventions import edits as interventions
from causal.interventions.batches import ANSWER
from causal.interventions.directions import Directions, Place, fit
from causal.interventions.engine import Edit, Edits, Engine
from llm_probe.activations.answers import Tokens
from llm_probe.questions.claims import Labels
from toy.maths.regression import Groups
from toy.run.errors import InputError

Maker = Callable[[Directions, Tokens], Edit]
"""From directions and the node they belong to, to an edit there."""
FEWEST = 3
"""Prompts a residue, at least, to fit a place."""


@dataclass(frozen=True)
class SiteSet:
    """One circle at every place where an answer is decided."""

    at: Mapping[Tokens, Directions]
    """Node of the answer tree, () for the prompt's last token, to the directions there."""

    @property
    def root(self) -> Directions:
        return self.at[()]

    def edits(self, position: str, make: Maker) -> Edits:
        """The same kind of edit at one place or at all of them."""
        if position != ANSWER:
            return make(self.root, ())
        return {node: make(directions, node) for node, directions in self.at.items()}


def fit_sites(
    engine: Engine, labels: Labels, domain: str, frequencies: tuple[int, ...], place: Place, name: str = ""
) -> SiteSet:
    """Fit the circle's planes at every node; `engine` holds the discovery prompts at position `answer`.

    Raises:
        InputError: too few operand pairs.
    """
    found = {}
    for node in engine.nodes if engine.position == ANSWER else ((),):
        states = engine.states(node)
        # A node belongs to the prompts whose possible answers begin with it; where too few do, it is left alone.
        there = states.abs().amax(dim=1) > 0
        if node and int(there.sum()) < FEWEST * labels.period:
            continue
        groups = Groups.of(labels.unit[there])
        if groups.count < FEWEST * labels.period:
            raise InputError(
                f"{domain} has {groups.count} operand pairs for {labels.period} labels: give --prompts "
                f"{FEWEST * labels.period} or more"
            )
        found[node] = fit(states[there], labels.label[there], groups, domain, labels.period, frequencies, place, name)
    return SiteSet(found)


def mean(d: Directions, _: Tokens = ()) -> Edit:
    return lambda states, _: interventions.mean(states, d.basis, d.mean)


def zero(d: Directions, _: Tokens = ()) -> Edit:
    return lambda states, _: interventions.zero(states, d.basis)


def unwrite(d: Directions, _: Tokens = ()) -> Edit:
    minus = -torch.eye(d.reader.shape[1], dtype=torch.float64)
    return lambda states, _: interventions.displace(states, d.reader, d.mean, minus, d.writer)


def rotate(steps: int) -> Maker:
    """Turn along the pattern."""

    def make(d: Directions, _: Tokens = ()) -> Edit:
        turn = interventions.rotation(d.frequencies, d.period, steps)
        return lambda states, _: interventions.rotate(states, d.reader, d.mean, turn, d.writer)

    return make


def rotate_orthonormal(steps: int) -> Maker:
    """Turn in the orthonormal basis."""

    def make(d: Directions, _: Tokens = ()) -> Edit:
        turn = interventions.rotation(d.frequencies, d.period, steps)
        return lambda states, _: interventions.rotate(states, d.basis, d.mean, turn, d.basis)

    return make


def interchange(donors: Mapping[Tokens, Float[Tensor, "n d"]]) -> Maker:
    """The coordinates of each prompt's donor, whose states are given for each node."""

    def make(d: Directions, node: Tokens = ()) -> Edit:
        return lambda states, rows: interventions.swap(states, d.basis, donors[node][rows])

    return make


def full_interchange(donors: Mapping[Tokens, Float[Tensor, "n d"]]) -> Maker:
    """The whole state of each prompt's donor."""
    return lambda _, node: lambda states, rows: donors[node][rows].to(states)


def orthonormal(sites: SiteSet) -> SiteSet:
    """The same circle read and written in its orthonormal basis, so that `unwrite` is `mean`."""
    return SiteSet({node: replace(d, reader=d.basis, writer=d.basis) for node, d in sites.at.items()})


def turned(sites: SiteSet, generator: torch.Generator) -> SiteSet:
    """The control of equal ||Δh||: read as before, written elsewhere."""
    return SiteSet({node: replace(d, writer=controls.turned(d.writer, generator)) for node, d in sites.at.items()})


def matched(sites: SiteSet, count: int, generator: torch.Generator) -> list[SiteSet]:
    """The controls of equal removed variance: other bases of the same stream, read and written."""
    drawn = {node: controls.matched(d.basis, d.covariance, count, generator) for node, d in sites.at.items()}

    def one(index: int) -> SiteSet:
        return SiteSet(
            {
                node: replace(d, reader=found.basis, writer=found.basis * found.gain, basis=found.basis)
                for node, d in sites.at.items()
                for found in [drawn[node][index]]
            }
        )

    return [one(index) for index in range(count)]


def donors_of(labels: Int[Tensor, " n"], seed: int) -> Int[Tensor, " n"]:
    """A donor prompt for each prompt, drawn among those with another answer.

    Raises:
        InputError: all prompts have the same answer.
    """
    if len(labels.unique()) < 2:
        raise InputError("all prompts have the same answer: an interchange changes nothing; give more prompts")
    generator = torch.Generator().manual_seed(seed)
    donors = torch.randint(len(labels), (len(labels),), generator=generator)
    while bool((same := labels[donors] == labels).any()):
        donors[same] = torch.randint(len(labels), (int(same.sum()),), generator=generator)
    return donors
