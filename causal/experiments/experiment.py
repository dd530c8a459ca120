"""One circle at one place: fitted on discovery prompts, edited on causal prompts, piece by piece.

    interventions    every intervention at the prompt's last token, over the whole answer, at every position
    fixed_controls   planes of another period and the leading principal components
    elsewhere        the same ablation where other questions are answered (`skills`)

and in files of their own, as functions of an experiment:

    drawn            200 draws each of random patterns, matched bases and planes of shuffled labels, with fewer prompts
    patches          helix and polynomial in the circle's place
    observer         which algorithm adds
    specificity      the same ablation on ordinary text, at every position and where a gate opens

No prompt, operand pair or template is shared between fitting and testing (`llm_probe.questions.prompts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from causal.controls import bases as controls
from causal.experiments import measure
from causal.experiments.measure import Bench, Label
from causal.interventions import directions, sites
from causal.interventions.batches import ANSWER, EVERYWHERE
from causal.interventions.directions import Directions, Place
from causal.interventions.engine import Engine
from causal.interventions.questions import Questions, ask
from causal.interventions.sites import Maker, SiteSet
from causal.run.config import CausalConfig
from causal.run.table import Piece
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Part
from sae.circles.latents import FeatureBasis
from toy.maths.intervals import wilson

Tick = Callable[[int], Any]


@dataclass
class Experiment:
    """A claim's circle (or one dimension) at one layer and site."""

    loaded: LoadedModel
    config: CausalConfig
    claim: Claim
    place: Place
    frequencies: tuple[int, ...]
    dim: int | None = None
    features: FeatureBasis | None = None
    """Latents of a sparse autoencoder in the place of planes."""
    tick: Tick = lambda count: None

    def _asked(self, part: Part, size: int) -> Questions:
        return asked(self.loaded, self.claim, part, size, self.config.seed)

    @cached_property
    def discovery(self) -> tuple[Engine, Labels]:
        """The prompts that the circle is fitted on."""
        questions = self._asked("discovery", self.config.discovery)
        position = ANSWER if self.place[2] == "last" else self.place[2]
        return self.engine(position, questions), Labels.of(self.claim, questions.prompts)

    @cached_property
    def sites(self) -> SiteSet:
        """What is edited."""
        engine, labels = self.discovery
        whose = (self.claim.domain.name, self.claim.period, self.place)
        if self.features is not None:
            return SiteSet({(): directions.span(engine.states(), *whose, self.features.basis, self.features.name)})
        if self.dim is not None:
            return SiteSet({(): directions.dimension(engine.states(), *whose, self.dim)})
        return sites.fit_sites(engine, labels, whose[0], self.frequencies, self.place)

    @property
    def root(self) -> Directions:
        return self.sites.root

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def can_be_tested(self) -> bool:
        """Whether the model answers better than by guessing; otherwise there is nothing to lose."""
        right = self.bench.right
        return wilson(int(right.sum()), len(right))[0] > 1 / self.claim.period

    @property
    def position(self) -> str:
        """What is edited together: the answer's own tokens too, where one token does not decide it."""
        return ANSWER if len(self.sites.at) > 1 else self.place[2]

    def engine(self, position: str, questions: Questions | None = None) -> Engine:
        return Engine(self.loaded, questions or self.questions, self.place[0], self.place[1], position)

    @cached_property
    def questions(self) -> Questions:
        """The causal part."""
        return self._asked("causal", self.config.prompts)

    @cached_property
    def main(self) -> Engine:
        return self.engine(self.position)

    @cached_property
    def bench(self) -> Bench:
        return Bench(self.questions, self.main.clean(), self.main.states(), self.config.seed)

    @cached_property
    def few(self) -> tuple[Engine, Bench]:
        """The first of the prompts, for controls of many draws."""
        questions = self.questions.take(range(min(self.config.control_prompts, len(self.questions.items))))
        engine = self.engine(self.position, questions)
        return engine, Bench(questions, engine.clean(), engine.states(), self.config.seed)

    def label(self, position: str, direction: str, intervention: str, condition: str = "") -> Label:
        return Label(self.root, position, direction, intervention, condition or self.claim.domain.name)

    def interventions(self) -> Piece:
        """Every intervention on the found directions."""
        piece = Piece()
        for position in dict.fromkeys((self.place[2], self.position)):
            engine = self.main if position == self.position else self.engine(position)
            self._ablations(piece, engine, position, {"mean": sites.mean, "zero": sites.zero, "unwrite": sites.unwrite})
            self._swaps(piece, engine, position)
            if self.frequencies:
                self._rotations(piece, engine, position, self.sites, self.name)
        everywhere = self.engine(EVERYWHERE)
        self._ablations(piece, everywhere, EVERYWHERE, {"mean": sites.mean, "zero": sites.zero})
        return piece

    def _ablations(self, piece: Piece, engine: Engine, position: str, makers: Mapping[str, Maker]) -> None:
        found = engine.answers([self.sites.edits(position, make) for make in makers.values()], self.tick)
        for (name, make), after in zip(makers.items(), found, strict=True):
            numbers = measure.accuracy(self.bench, after) | measure.size(self.bench, self.root, make(self.root, ()))
            piece.add(self.label(position, self.name, name).row(len(after.written), **numbers))

    def _swaps(self, piece: Piece, engine: Engine, position: str) -> None:
        donors = sites.donors_of(self.questions.labels, self.config.seed)
        # The resampled coordinates come from any prompt, so that some keep their answer.
        generator = torch.Generator().manual_seed(self.config.seed)
        anyone = torch.randperm(len(donors), generator=generator)
        nodes = self.sites.at if position == ANSWER else [()]
        given = {who: {node: engine.states(node)[rows] for node in nodes} for who, rows in
                 (("donor", donors), ("anyone", anyone))}  # fmt: skip
        makers: dict[str, Maker] = {
            "resample": sites.interchange(given["anyone"]),
            "interchange": sites.interchange(given["donor"]),
            "full interchange": sites.full_interchange(given["donor"]),
        }
        found = engine.answers([self.sites.edits(position, make) for make in makers.values()], self.tick)
        for (name, make), after in zip(makers.items(), found, strict=True):
            numbers = measure.accuracy(self.bench, after) | measure.size(self.bench, self.root, make(self.root, ()))
            target = self.questions.labels[anyone if name == "resample" else donors]
            numbers |= measure.hits(self.bench, after, target)
            piece.add(self.label(position, self.name, name).row(len(after.written), **numbers))

    def _rotations(
        self, piece: Piece, engine: Engine, position: str, at: SiteSet, direction: str, *, both: bool = True
    ) -> None:
        kinds = {"rotate": sites.rotate} | ({"rotate orthonormal": sites.rotate_orthonormal} if both else {})
        steps = list(range(1, self.claim.period))
        for name, maker in kinds.items():
            found = engine.answers([at.edits(position, maker(j)) for j in steps], self.tick)
            label = self.label(position, direction, name)
            numbers = measure.turned(self.bench, found, steps)
            numbers |= measure.size(self.bench, at.root, maker(1)(at.root, ()))
            piece.add(label.row(len(self.questions.items), **numbers))
            if name == "rotate" and at is self.sites and position == self.position:
                for j, after in zip((0, *steps), (self.bench.clean, *found), strict=True):
                    piece.add(*measure.rotation_rows(label, self.bench, after, j))

    def fixed_controls(self, other_period: int | None) -> Piece:
        """Planes of another period, and the leading principal components, under the same interventions."""
        piece = Piece()
        size = self.root.basis.shape[1]
        leading = SiteSet({node: _with(d, controls.principal(d.covariance, size)) for node, d in self.sites.at.items()})
        candidates = {"top variance": leading}
        if other_period and self.frequencies:
            candidates[f"period {other_period}"] = self._other_period(other_period)
        for name, at in candidates.items():
            after = self.main.answers([at.edits(self.position, sites.mean)], self.tick)[0]
            numbers = measure.accuracy(self.bench, after) | measure.size(self.bench, at.root, sites.mean(at.root))
            piece.add(self.label(self.position, name, "mean").row(len(after.written), **numbers))
            if self.frequencies:
                self._rotations(piece, self.main, self.position, at, name, both=False)
        return piece

    def _other_period(self, period: int) -> SiteSet:
        """Planes of (a + b) mod another period in the same prompts, turned by the angles of this one."""
        engine, labels = self.discovery
        wanted = tuple(range(1, min(len(self.frequencies), (period - 1) // 2) + 1))
        other = Labels(**{**vars(labels), "period": period, "label": labels.total % period})
        return sites.fit_sites(engine, other, self.claim.domain.name, wanted, self.place, f"period {period}")

    def elsewhere(self, condition: str, questions: Questions) -> Piece:
        """The same ablation where other questions are answered; no row where they have no such position."""
        if any(self.place[2] not in item.positions for item in questions.items):
            return Piece()
        engine = self.engine(self.place[2], questions)
        bench = Bench(questions, engine.clean(), engine.states(), self.config.seed)
        after = engine.answers([sites.mean(self.root)], self.tick)[0]
        piece = Piece()
        label = self.label(self.place[2], self.name, "mean", condition)
        piece.add(label.row(len(questions.items), **measure.accuracy(bench, after)))
        return piece


def asked(loaded: LoadedModel, claim: Claim, part: Part, size: int, seed: int) -> Questions:
    """Questions of a part of a claim."""
    return ask(loaded, claim.prompts(part, size, seed), claim.domain.items)


def _with(d: Directions, basis: torch.Tensor) -> Directions:
    return Directions(**{**vars(d), "basis": basis, "reader": basis, "writer": basis, "name": "top variance"})
