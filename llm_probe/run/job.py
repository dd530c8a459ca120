"""One model's share of a run: every claim read and analysed, every domain asked, cell by cell.

A cell that is on disk is not computed again, and a model is only made when a cell needs it. The random-weights
model is a job of its own, made after the trained one was let go: two models may not fit in memory.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

from tqdm import tqdm

from llm_probe.activations.behaviour import behaviour_rows, example_rows, score
from llm_probe.activations.states import Cell, States, read
from llm_probe.activations.streaming import ReadPlan
from llm_probe.models.loading import LoadedModel, check_layers, twin
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.companions import Family, families, family_of
from llm_probe.questions.domains import Domain
from llm_probe.questions.own import GivenClaim
from llm_probe.questions.prompts import PARTS, Grid, Prompt, published_grid, question_set
from llm_probe.run.config import ProbeConfig
from llm_probe.run.store import Behaviour, Store, weights_fingerprint
from llm_probe.run.table import Position, Weights
from llm_probe.statistics import nulls
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.gain_tables import Gains, gains_of
from llm_probe.statistics.renaming import item_kinds
from llm_probe.verdicts.analysis import Findings, analyse
from toy.maths.regression import RidgeSmoother
from toy.run.errors import InputError

SPARE_PROMPTS = 12
"""Questions beyond the levels of both operands and the template: spline, carry, circle and what is left to noise."""


class Job:
    """A model and the cells of a run that it fills."""

    def __init__(
        self,
        config: ProbeConfig,
        store: Store,
        make: Callable[[], LoadedModel],
        weights: Weights = "trained",
        fingerprint: str = "",
    ) -> None:
        self.config, self.store, self.make = config, store, make
        self.weights: Weights = weights
        self.fingerprint = fingerprint or weights_fingerprint(self.loaded.model)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model, made when it is first needed."""
        loaded = self.make()
        check_layers(loaded, self.config.layers)
        return loaded

    @cached_property
    def layers(self) -> tuple[int, ...]:
        return tuple(self.config.layers) or tuple(range(len(self.loaded.layers)))

    def untrained(self) -> tuple[Job, Job]:
        """The jobs of the random-weights twin and of the one that keeps the embeddings; this one lets its model go."""
        # The twins fill the cells of this model, so they are filed under this model's fingerprint and layers.
        config = replace(self.config, layers=self.layers)
        makers = [twin(self.loaded, config.seed + 1, keep_embeddings=kept) for kept in (False, True)]
        random, blocks = (
            Job(config, self.store, make, "random", self.fingerprint + name)
            for make, name in zip(makers, ("", "-blocks"), strict=True)
        )
        del self.loaded
        return random, blocks

    def let_go(self) -> None:
        """Free the model, if it was made."""
        self.__dict__.pop("loaded", None)

    def item_kinds(self, claim: Claim) -> list[int]:
        """Which items can change places in the renaming null; empty where digits do."""
        if claim.renames_digits:
            return []
        if isinstance(claim, GivenClaim):
            return [0] * claim.period
        texts = claim.domain.questions if claim.quantity == "sum" else claim.domain.statements
        around = {token for text in texts.values() for token in self._tokens(_without_slots(text))}
        return item_kinds([[self._tokens(" " + item), self._tokens(item)] for item in claim.domain.items], around)

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.loaded.tokenizer.encode(text, add_special_tokens=False))

    def all_findings(self, claims: Sequence[Claim]) -> list[Findings]:
        """Every claim read and analysed, with a bar that counts prompts."""
        found_families = families(claims)
        parts = [self._parts(claim) for claim in claims]
        sizes = [sum(map(len, both)) + len(_grid(claim)) for claim, both in zip(claims, parts, strict=True)]
        found = []
        with _stage(f"{self.weights} weights", sum(sizes), "prompts") as bar:
            for claim, both, size in zip(claims, parts, sizes, strict=True):
                bar.set_postfix_str(claim.name)
                before = bar.n
                family = family_of(claim, found_families)
                found.append(self._findings(claim, both, family.moduli if family else (), bar.update))
                bar.update(size - (bar.n - before))
        return found

    def _findings(
        self, claim: Claim, parts: tuple[list[Prompt], list[Prompt]], periods: tuple[int, ...], tick: Callable
    ) -> Findings:
        key = self._key(claim, self.weights, periods)

        def make() -> Findings:
            config = self.config
            labels, new_labels = (Labels.of(claim, part) for part in parts)
            renamed = nulls.rename(claim, labels, self.item_kinds(claim), config.renamings, config.seed)
            states = self._read(claim, *parts, tick)
            return analyse(
                claim,
                self.weights,
                states,
                labels,
                new_labels,
                renamed,
                config.seed,
                periods,
                lambda made: self.store.choice(key, made),
            )

        return self.store.findings(key, make)

    def _read(
        self, claim: Claim, discovery: list[Prompt], confirmation: list[Prompt], tick: Callable, *, grid: bool = True
    ) -> States:
        plan = ReadPlan(self.layers, self.config.site, positions(claim, discovery[0], self.config.position))
        return read(
            self.loaded,
            claim,
            discovery,
            confirmation,
            plan,
            chat=self.config.chat,
            batch_tokens=self.config.batch_tokens,
            on_prompts=tick,
            grid=grid,
        )

    def cells(self, claim: Claim) -> list[Cell]:
        """The places that are read for a claim, in order."""
        prompt = claim.prompts("discovery", 1, self.config.seed)[0]
        return ReadPlan(self.layers, self.config.site, positions(claim, prompt, self.config.position)).cells

    def columns(self, family: Family, found: Mapping[str, Findings]) -> dict[int, Gains]:
        """The columns of a family's gain table by modulus; companions are read for it."""
        asked = {claim.period: found[claim.name].gains for claim in family.members}
        more = {claim.period: self.gains(claim, family.moduli) for claim in family.companions}
        return {modulus: column for modulus, column in (asked | more).items() if column is not None}

    def gains(self, claim: Claim, periods: tuple[int, ...]) -> Gains:
        """What the periods of a family gain in the discovery prompts of a claim that is not itself judged."""

        def make() -> Gains:
            prompts = claim.prompts("discovery", self.config.prompts, self.config.seed)
            labels = Labels.of(claim, prompts)
            _check_nuisances(claim, prompts)
            states = self._read(claim, prompts, [], lambda count: None, grid=False).discovery
            smoothers = [RidgeSmoother.of(states[:, cell]) for cell in range(states.shape[1])]
            return gains_of(smoothers, adjusted_states(states, labels), labels, periods)

        return self.store.gains(self._key(claim, f"{self.weights}-gains", periods), make)

    def _parts(self, claim: Claim) -> tuple[list[Prompt], list[Prompt]]:
        config = self.config
        discovery = claim.prompts("discovery", config.prompts, config.seed)
        confirmation = claim.prompts("confirmation", config.prompts // 2, config.seed)
        if min(len(discovery), len(confirmation)) < claim.period:
            raise InputError(
                f"{claim.name} has {len(discovery)} discovery and {len(confirmation)} confirmation prompts for "
                f"{claim.period} labels: give more prompts or templates"
            )
        if claim.quantity == "sum":
            _check_nuisances(claim, discovery)
        return discovery, confirmation

    def _key(self, claim: Claim, what: str, periods: tuple[int, ...] = ()) -> str:
        # The claim's own content, so that a changed domain file is another cell; the other domains do not matter.
        config = replace(self.config, domains=(), moduli=(), domain_file=(), prompt_file=(), layers=self.layers)
        return config.hash(claim=repr(claim), what=what, periods=periods, fingerprint=self.fingerprint)

    def all_behaviour(self, claims: Sequence[Claim]) -> dict[str, Behaviour]:
        """The answers in every domain that can be asked, by its name; none of an encoder."""
        asked = {claim.domain.name: claim for claim in claims if claim.quantity == "sum"}
        if not self.config.behaviour or not asked:
            return {}
        if self.loaded.is_encoder:
            print("behaviour skipped: an encoder does not continue a text", file=sys.stderr)
            return {}
        found = {}
        with _stage("behaviour", len(asked), "domains") as bar:
            for name, claim in asked.items():
                bar.set_postfix_str(name)
                found[name] = self.store.behaviour(self._key(claim, "behaviour"), lambda claim=claim: self._ask(claim))
                bar.update()
        return found

    def _ask(self, claim: Claim) -> Behaviour:
        most = self.config.behaviour_prompts
        wide = [prompt for part in PARTS for prompt in question_set(claim.domain, part, most, self.config.seed)]
        answered = self._answers(claim.domain, "decoupled", wide)
        grid = _grid(claim)
        if not grid:
            return answered
        narrow = self._answers(claim.domain, "published", grid[:: max(1, len(grid) // most)])
        return Behaviour(narrow.rows + answered.rows, answered.examples)

    def _answers(self, domain: Domain, grid: Grid, prompts: list[Prompt]) -> Behaviour:
        scored = score(self.loaded, prompts, domain.items, chat=self.config.chat)
        rows = tuple(behaviour_rows(domain, grid, prompts, scored))
        return Behaviour(rows, tuple(example_rows(domain, prompts, scored)))


def _without_slots(text: str) -> str:
    return text.replace("{item}", " ").replace("{offset}", " ")


def positions(claim: Claim, prompt: Prompt, asked: Sequence[Position]) -> tuple[Position, ...]:
    """Where a claim is read: its own default, or those of the asked positions that its prompts have.

    Raises:
        InputError: they have none of them.
    """
    if not asked:
        return claim.default_positions
    there: tuple[Position, ...] = tuple(place for place in asked if place == "last" or place in prompt.spans)
    if not there:
        has = ", ".join(("last", *prompt.spans))
        raise InputError(f"prompts of {claim.name} have no position {' or '.join(asked)}: choose from {has}")
    return there


def _check_nuisances(claim: Claim, prompts: Sequence[Prompt]) -> None:
    """Raises InputError if one-hot operands and templates explain so few prompts by themselves."""
    levels = [len({getattr(prompt, key) for prompt in prompts}) for key in ("first", "offset", "template")]
    if len(prompts) < sum(levels) + SPARE_PROMPTS:
        enough = 2 * (len(claim.domain.first_operands) + len(claim.domain.offsets))
        raise InputError(
            f"{claim.name} has {len(prompts)} discovery prompts, too few beside {levels[0]} and {levels[1]} different "
            f"operands, which are taken out first: give --prompts {enough} or more, or more templates"
        )


def _grid(claim: Claim) -> list[Prompt]:
    return published_grid(claim.domain) if claim.quantity == "sum" and claim.domain.has_grid else []


@contextmanager
def _stage(name: str, total: int, unit: str) -> Iterator[tqdm]:
    """A bar on a terminal; elsewhere one line when the stage is done."""
    started = time.monotonic()
    with tqdm(total=total, desc=name, unit=f" {unit}", disable=None, leave=False) as bar:
        yield bar
    if not sys.stderr.isatty():
        print(f"{name}: {total:,} {unit} in {time.monotonic() - started:.0f} s", file=sys.stderr)
