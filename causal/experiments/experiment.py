"""One circle at one location: fitted on discovery prompts, edited on causal prompts, with rows of every result.

    interventions    every intervention of the registry at the prompt's last token and over the whole answer, and those
                     that say so at every position
    fixed_controls   planes of another period and the leading principal components
    elsewhere        the same ablation where other questions are answered (`specificity.skills`)

and in files of their own, as functions of an experiment: `random_controls`, `patches`, `algorithm_probe`,
`specificity` and `attribution`. With `quantity` = `item` the circle is that of the first operand, i, at its own token:
turned by j it makes i into i + j for whatever reads it, so that an answer s = i + offset follows by j as well (after
Engels et al. 2024, 2405.14860). No prompt, operand pair or template is shared between fitting and testing
(`llm_probe.questions.prompts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from causal.experiments import effects
from causal.experiments.effects import Baseline, Where
from causal.interventions import directions
from causal.interventions.directions import Directions, Location, SiteSet, fit_sites
from causal.interventions.edits import INTERVENTIONS, Intervention
from causal.interventions.engine import Engine
from causal.interventions.questions import ANSWER, EVERYWHERE, Questions, questions_of
from causal.run.config import CausalConfig
from causal.run.tables import CausalRow, RotationRow
from llm_probe.activations.answers import Tokens
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels, Quantity
from sae.circles.latents import FeatureBasis
from toy.maths.intervals import wilson

Tick = Callable[[int], Any]


@dataclass
class Experiment:
    """A claim's circle (or one dimension) at one layer and site."""

    loaded: LoadedModel
    config: CausalConfig
    claim: Claim
    location: Location
    frequencies: tuple[int, ...]
    dim: int | None = None
    features: FeatureBasis | None = None
    """Latents of a sparse autoencoder in the place of planes."""
    quantity: Quantity = "sum"
    """Whose circle it is: the answer's, or that of the first operand (`item`)."""
    tick: Tick = lambda count: None

    @cached_property
    def discovery(self) -> tuple[Engine, Labels]:
        """The prompts that the circle is fitted on."""
        questions = questions_of(self.loaded, self.claim, "discovery", self.config.discovery, self.config.seed)
        position = ANSWER if self.location[2] == "last" else self.location[2]
        labels = Labels.of(self.claim, questions.prompts)
        if self.quantity == "item":
            labels = replace(labels, label=labels.first)
        return self.engine(position, questions), labels

    @cached_property
    def sites(self) -> SiteSet:
        """What is edited."""
        engine, labels = self.discovery
        whose = (self.claim.domain.name, self.claim.period, self.location)
        if self.features is not None:
            return SiteSet({(): directions.span(engine.states(), *whose, self.features.basis, self.features.name)})
        if self.dim is not None:
            return SiteSet({(): directions.dimension(engine.states(), *whose, self.dim)})
        name = "" if self.quantity == "sum" else f"planes of the item, k = {', '.join(map(str, self.frequencies))}"
        return fit_sites(engine, labels, whose[0], self.frequencies, self.location, name)

    @property
    def root(self) -> Directions:
        return self.sites.root

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def can_be_tested(self) -> bool:
        """Whether the model answers better than by guessing; otherwise there is nothing to lose."""
        right = self.baseline.right
        return wilson(int(right.sum()), len(right))[0] > 1 / self.claim.period

    @property
    def position(self) -> str:
        """What is edited together: the answer's own tokens too, where one token does not decide it."""
        return ANSWER if len(self.sites.at) > 1 else self.location[2]

    def held(self, questions: Questions) -> Tensor:
        """Where on the circle each question stands (n,): its answer, or its first operand."""
        if self.quantity == "sum":
            return questions.labels
        return torch.tensor([prompt.first for prompt in questions.prompts])

    def engine(self, position: str, questions: Questions | None = None) -> Engine:
        return Engine(self.loaded, questions or self.questions, self.location[0], self.location[1], position)

    @cached_property
    def questions(self) -> Questions:
        """The causal part."""
        return questions_of(self.loaded, self.claim, "causal", self.config.prompts, self.config.seed)

    @cached_property
    def main(self) -> Engine:
        return self.engine(self.position)

    @cached_property
    def baseline(self) -> Baseline:
        return Baseline(self.questions, self.main.clean(), self.main.states(), self.config.seed)

    @cached_property
    def subset(self) -> tuple[Engine, Baseline]:
        """The first of the prompts, for controls of many draws."""
        questions = self.questions.take(range(min(self.config.control_prompts, len(self.questions.items))))
        engine = self.engine(self.position, questions)
        return engine, Baseline(questions, engine.clean(), engine.states(), self.config.seed)

    def where(self, position: str, direction: str, intervention: str) -> Where:
        """The first columns of a row."""
        layer, site, _ = self.location
        return self.claim.domain.name, self.claim.period, layer, site, position, direction, intervention

    def row(
        self, position: str, direction: str, intervention: str, n: int, condition: str = "", /, **numbers: Any
    ) -> CausalRow:
        """The numbers of one intervention on n prompts, of the claim's own domain unless another condition is given."""
        where = self.where(position, direction, intervention)
        return CausalRow(*where, condition or self.claim.domain.name, n, **numbers)

    def interventions(self) -> Iterator[CausalRow | RotationRow]:
        """Every intervention of the registry on the experiment's directions."""
        circles = [name for name, one in INTERVENTIONS.items() if one.needs == "circle"]
        others = {name: one for name, one in INTERVENTIONS.items() if one.needs != "circle"}
        for position in dict.fromkeys((self.location[2], self.position)):
            engine = self.main if position == self.position else self.engine(position)
            yield from self._edited(engine, position, others)
            for name in circles if self.frequencies else ():
                yield from self._rotations(engine, position, name, self.sites, self.name)
        everywhere = {name: one for name, one in others.items() if one.everywhere}
        yield from self._edited(self.engine(EVERYWHERE), EVERYWHERE, everywhere)

    def _edited(self, engine: Engine, position: str, chosen: Mapping[str, Intervention]) -> Iterator[CausalRow]:
        """Ablations, and exchanges with other prompts' states."""
        donors = self.questions.donors(self.config.seed)
        # The resampled coordinates come from any prompt, so that some keep their answer.
        anyone = torch.randperm(len(donors), generator=torch.Generator().manual_seed(self.config.seed))
        rows = {"donor": donors, "any prompt": anyone}
        nodes = self.sites.at if position == ANSWER else [()]
        needed = {one.needs for one in chosen.values()} & set(rows)
        given = {need: {node: engine.states(node)[rows[need]] for node in nodes} for need in needed}

        def edit(one: Intervention, d: Directions, node: Tokens) -> Any:
            return one.edit(d, given[one.needs][node] if one.needs in given else None)

        edits = [self.sites.edits(position, lambda d, node, one=one: edit(one, d, node)) for one in chosen.values()]
        for (name, one), after in zip(chosen.items(), engine.answers(edits, self.tick), strict=True):
            numbers = effects.accuracy(self.baseline, after)
            numbers |= effects.size(self.baseline, self.root, edit(one, self.root, ()))
            if one.needs in given:
                numbers |= effects.hits(self.baseline, after, self.questions.labels[rows[one.needs]])
            yield self.row(position, self.name, name, len(after.written), **numbers)

    def _rotations(
        self, engine: Engine, position: str, name: str, sites: SiteSet, direction: str
    ) -> Iterator[CausalRow | RotationRow]:
        one, steps = INTERVENTIONS[name], range(1, self.claim.period)
        edits = [sites.edits(position, lambda d, _, j=j: one.edit(d, j)) for j in steps]
        answers = engine.answers(edits, self.tick)
        numbers = effects.turned(self.baseline, answers, steps)
        numbers |= effects.size(self.baseline, sites.root, one.edit(sites.root, 1))
        yield self.row(position, direction, name, len(self.questions.items), **numbers)
        if name == "rotate" and sites is self.sites and position == self.position:
            where = self.where(position, direction, name)
            for j, after in zip((0, *steps), (self.baseline.clean, *answers), strict=True):
                yield from effects.rotation_rows(where, self.baseline, after, j)

    def fixed_controls(self, other_period: int | None) -> Iterator[CausalRow | RotationRow]:
        """Planes of another period, and the leading principal components, under the same interventions."""
        candidates = {"top variance": self.sites.map(_leading)}
        if other_period and self.frequencies:
            candidates[f"period {other_period}"] = self._other_period(other_period)
        mean = INTERVENTIONS["mean"]
        for name, sites in candidates.items():
            after = self.main.answers([sites.edits(self.position, lambda d, _: mean.edit(d))], self.tick)[0]
            numbers = effects.accuracy(self.baseline, after)
            numbers |= effects.size(self.baseline, sites.root, mean.edit(sites.root))
            yield self.row(self.position, name, "mean", len(after.written), **numbers)
            if self.frequencies:
                yield from self._rotations(self.main, self.position, "rotate", sites, name)

    def _other_period(self, period: int) -> SiteSet:
        """Planes of (a + b) mod another period in the same prompts, turned by the angles of this one."""
        engine, labels = self.discovery
        frequencies = tuple(range(1, min(len(self.frequencies), (period - 1) // 2) + 1))
        other = replace(labels, period=period, label=labels.total % period)
        return fit_sites(engine, other, self.claim.domain.name, frequencies, self.location, f"period {period}")

    def elsewhere(self, condition: str, questions: Questions) -> Iterator[CausalRow]:
        """The same ablation where other questions are answered; no row where they have no such position."""
        position = self.location[2]
        if any(position not in item.positions for item in questions.items):
            return
        engine = self.engine(position, questions)
        baseline = Baseline(questions, engine.clean(), engine.states(), self.config.seed)
        after = engine.answers([INTERVENTIONS["mean"].edit(self.root)], self.tick)[0]
        numbers = effects.accuracy(baseline, after)
        yield self.row(position, self.name, "mean", len(questions.items), condition, **numbers)


def _leading(d: Directions) -> Directions:
    """The leading principal components, as many as the directions have columns."""
    basis: Tensor = torch.linalg.eigh(d.covariance).eigenvectors.flip(1)[:, : d.basis.shape[1]]
    return replace(d, basis=basis, reader=basis, writer=basis, name="top variance")
