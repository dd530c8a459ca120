"""One circle at one place: fitted on discovery prompts, edited on causal prompts, piece by piece.

    interventions   every intervention at the prompt's last token, over the whole answer, at every position
    controls        200 draws each of random patterns, matched bases and planes of shuffled labels, with fewer prompts;
                    planes of another period and the leading principal components
    others          the same ablation under other domains' questions
    text            the same ablation on ordinary text, at every position and where the gate opens

Each piece is rows of `table`, computed once (`store`). No prompt, operand pair or template is shared between fitting
and testing (`llm_probe.prompts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from causal import controls, directions, measure, sites
from causal.batches import ANSWER, EVERYWHERE
from causal.config import CausalConfig
from causal.directions import Directions, Place
from causal.engine import Engine
from causal.measure import Bench, Label
from causal.questions import Questions, ask
from causal.sites import Maker, SiteSet
from causal.table import CausalRow, ControlDraw, RotationRow
from llm_probe.behaviour import wilson
from llm_probe.claims import Claim, Labels
from llm_probe.label_controls import shuffled
from llm_probe.models import LoadedModel
from llm_probe.prompts import Part
from toy.regression import Groups, RidgeSmoother

Tick = Callable[[int], Any]


@dataclass(frozen=True)
class Piece:
    """Rows that were made together."""

    rows: list[CausalRow]
    rotation: list[RotationRow]
    draws: list[ControlDraw]


@dataclass
class Experiment:
    """A claim's circle (or one dimension) at one layer and site."""

    loaded: LoadedModel
    config: CausalConfig
    claim: Claim
    place: Place
    frequencies: tuple[int, ...]
    dim: int | None = None
    tick: Tick = lambda count: None

    def _asked(self, part: Part, size: int) -> Questions:
        return asked(self.loaded, self.claim, part, size, self.config.seed)

    @cached_property
    def _discovery(self) -> tuple[Engine, Labels]:
        questions = self._asked("discovery", self.config.discovery)
        engine = Engine(self.loaded, questions, self.place[0], self.place[1], ANSWER)
        return engine, Labels.of(self.claim, questions.prompts)

    @cached_property
    def sites(self) -> SiteSet:
        """What is edited."""
        engine, labels = self._discovery
        if self.dim is None:
            return sites.fit_sites(engine, labels, self.claim.domain.name, self.frequencies, self.place)
        one = directions.dimension(engine.states(), self.claim.domain.name, self.claim.period, self.place, self.dim)
        return SiteSet({(): one})

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
        """Where the answer is decided: at one place or at several."""
        return ANSWER if len(self.sites.at) > 1 else "last"

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
        piece = Piece([], [], [])
        for position in dict.fromkeys(("last", self.position)):
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
            piece.rows.append(self.label(position, self.name, name).row(len(after.written), **numbers))

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
            piece.rows.append(self.label(position, self.name, name).row(len(after.written), **numbers))

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
            piece.rows.append(label.row(len(self.questions.items), **numbers))
            for j, after in zip((0, *steps), (self.bench.clean, *found), strict=True):
                piece.rotation.extend(measure.rotation_rows(label, self.bench, after, j))

    def fixed_controls(self, other_period: int | None) -> Piece:
        """Planes of another period, and the leading principal components, under the same interventions."""
        piece = Piece([], [], [])
        size = self.root.basis.shape[1]
        leading = SiteSet({node: _with(d, controls.principal(d.covariance, size)) for node, d in self.sites.at.items()})
        candidates = {"top variance": leading}
        if other_period and self.frequencies:
            candidates[f"period {other_period}"] = self._other_period(other_period)
        for name, at in candidates.items():
            after = self.main.answers([at.edits(self.position, sites.mean)], self.tick)[0]
            numbers = measure.accuracy(self.bench, after) | measure.size(self.bench, at.root, sites.mean(at.root))
            piece.rows.append(self.label(self.position, name, "mean").row(len(after.written), **numbers))
            if self.frequencies:
                self._rotations(piece, self.main, self.position, at, name, both=False)
        return piece

    def _other_period(self, period: int) -> SiteSet:
        """Planes of (a + b) mod another period in the same prompts, turned by the angles of this one."""
        engine, labels = self._discovery
        wanted = tuple(range(1, min(len(self.frequencies), (period - 1) // 2) + 1))
        other = Labels(**{**vars(labels), "period": period, "label": labels.total % period})
        return sites.fit_sites(engine, other, self.claim.domain.name, wanted, self.place, f"period {period}")

    def drawn_controls(self, control: str) -> Piece:
        """Draws of one control: mean ablation, and a turn by one j a draw (j = 1, 2, … in order)."""
        engine, bench = self.few
        piece = Piece([], [], [])
        found: dict[str, list[float]] = {"mean": [], "rotate": []}
        sizes = []
        for draw, (ablated, rotated) in enumerate(self._draws(control)):
            j = 1 + draw % (self.claim.period - 1)
            edits = {"mean": ablated.edits(self.position, sites.unwrite)}
            if self.frequencies:
                edits["rotate"] = rotated.edits(self.position, sites.rotate(j))
            answers = engine.answers(list(edits.values()), self.tick)
            for (name, after), step in zip(zip(edits, answers, strict=True), (0, j), strict=False):
                target = (bench.questions.labels + step) % self.claim.period
                found[name].append(float((after.written == target).double().mean()))
                stayed = float((after.written == bench.questions.labels).double().mean())
                label = self.label(self.position, control, name)
                piece.draws.append(_draw(label, control, draw, step, found[name][-1], stayed))
            sizes.append(measure.size(bench, ablated.root, sites.unwrite(ablated.root)))
        means = {key: sum(one[key] for one in sizes) / len(sizes) for key in sizes[0]}
        before = {"accuracy_before": float(bench.right.double().mean())}
        for name, values in found.items():
            average = sum(values) / max(1, len(values))
            numbers = (
                {"moved": average, "extreme": max(values, default=0.0)}
                if name == "rotate"
                else {"accuracy": average, "extreme": min(values, default=1.0), **before, **means}
            )
            if values:
                row = self.label(self.position, control, name).row(len(bench.right), draws=len(values), **numbers)
                piece.rows.append(row)
        return piece

    def _draws(self, control: str) -> Iterator[tuple[SiteSet, SiteSet]]:
        """What is ablated and what is turned in each draw."""
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        if control == "random":
            plain = sites.orthonormal(self.sites)
            for _ in range(self.config.draws):
                yield sites.turned(plain, generator), sites.turned(self.sites, generator)
        elif control == "matched":
            for one in sites.matched(self.sites, self.config.draws, generator):
                yield one, one
        else:
            for one in self._shuffled():
                yield sites.orthonormal(one), one

    def _shuffled(self) -> Iterator[SiteSet]:
        engine, labels = self._discovery
        states = {node: engine.states(node) for node in self.sites.at}
        smoothers = {node: RidgeSmoother.of(one) for node, one in states.items()}
        groups = Groups.of(labels.unit)
        for draw in range(self.config.draws):
            wrong = shuffled(labels, self.config.seed + 1 + draw)
            yield SiteSet(
                {
                    node: directions.fit(
                        states[node], wrong, groups, self.claim.domain.name, self.claim.period, self.frequencies,
                        self.place, "shuffled", smoothers[node],
                    )
                    for node in self.sites.at
                }
            )  # fmt: skip

    def other_domain(self, claim: Claim) -> Piece:
        """The same ablation where other questions are answered."""
        questions = asked(self.loaded, claim, "causal", self.config.other_prompts, self.config.seed)
        engine = self.engine("last", questions)
        bench = Bench(questions, engine.clean(), engine.states(), self.config.seed)
        after = engine.answers([sites.mean(self.root)], self.tick)[0]
        label = self.label("last", self.name, "mean", claim.domain.name)
        return Piece([label.row(len(questions.items), **measure.accuracy(bench, after))], [], [])


def asked(loaded: LoadedModel, claim: Claim, part: Part, size: int, seed: int) -> Questions:
    """Questions of a part of a claim."""
    return ask(loaded, claim.prompts(part, size, seed), claim.domain.items)


def _with(d: Directions, basis: torch.Tensor) -> Directions:
    return Directions(**{**vars(d), "basis": basis, "reader": basis, "writer": basis, "name": "top variance"})


def _draw(label: Label, control: str, draw: int, j: int, effect: float, stayed: float) -> ControlDraw:
    d, name = label.directions, label.intervention
    return ControlDraw(d.domain, d.layer, d.site, label.position, control, name, draw, j, effect, stayed)
