"""One model's share of a run: every claim read and analysed, every domain asked, cell by cell.

A cell that is on disk is not computed again, and a model is only made when a cell needs it. The random-weights
model is a job of its own, made after the trained one was let go: two models may not fit in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property

from llm_probe.activations import streaming
from llm_probe.activations.behaviour import behaviour_rows, example_rows, score
from llm_probe.activations.redrawn import Redraws, redraws_of
from llm_probe.activations.streaming import Location, ReadPlan, States
from llm_probe.models.loading import LoadedModel, check_layers, twin, weights_fingerprint
from llm_probe.questions.claims import Claim, Family, Labels, families, family_of
from llm_probe.questions.domains import Domain
from llm_probe.questions.own import GivenClaim
from llm_probe.questions.prompts import PARTS, Grid, Prompt, behind_examples, published_grid, question_set
from llm_probe.run.config import ProbeConfig
from llm_probe.run.study import Rows, Session, stage, together
from llm_probe.run.vocabulary import ALPHA, Position, Weights
from llm_probe.statistics import renaming
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.gains import Gains, gains_of
from llm_probe.verdicts.evidence import Choice, Evidence, gather
from llm_probe.verdicts.rows import point_rows
from toy.maths.regression import RidgeSmoother
from toy.run.errors import InputError

SPARE_PROMPTS = 12
"""Questions beyond the levels of both operands and the template: spline, carry, circle and what is left to noise."""
NULL_MODELS = {"": "random weights", "-blocks": "random blocks behind trained embeddings"}
"""What the fingerprint of a null model ends in, and what it is called."""
ReadStates = Callable[..., States]
"""(claim, discovery, confirmation, plan, on_prompts=…, grid=…, embedding=…) -> the states of a claim; `embedding`: with
the token embedding, where there is one."""


class Job:
    """A model and the cells of a run that it fills."""

    def __init__(
        self,
        config: ProbeConfig,
        session: Session,
        make: Callable[[], LoadedModel],
        weights: Weights = "trained",
        fingerprint: str = "",
        read_states: ReadStates | None = None,
        item_kinds: Callable[[Claim], list[int]] | None = None,
        called: str = "",
    ) -> None:
        """`read_states` and `item_kinds` stand in for the model and its tokenizer where states are made up: there are
        no words to redraw then. `called`: what the bar of progress says of the weights."""
        self.config, self.session, self.make = config, session, make
        self.weights: Weights = weights
        self.called = called or f"{weights} weights"
        self.locations: dict[str, Location] = {}
        """Where the verdict on a claim was read, by its name, if that was another job's choice: the points kept of its
        prompts are those at the same place."""
        self.read_states = read_states or self._read
        self.redraws = self._redraws if read_states is None else lambda *_: None
        self.item_kinds = item_kinds or self._item_kinds
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

    @property
    def d_model(self) -> int:
        """Width of the stream."""
        return self.loaded.d_model

    def describe(self) -> None:
        """Note the model for run.json."""
        self.session.describe(self.config, self.loaded, self.layers, self.fingerprint)

    def warn(self, claims: Sequence[Claim]) -> None:
        """Say on stderr, before anything is read, which claims cannot be tested here as they are meant to be."""
        for claim in claims:
            kinds = self.item_kinds(claim)
            reason = renaming.undecidable(claim, kinds, self.config.renamings)
            if self._takes_random_words(claim, kinds):
                reason = "its items share tokens or are few: they are compared with random words only, a weaker test"
            if reason:
                print(f"note: {claim.name}: {reason}", file=sys.stderr)

    def untrained(self) -> tuple[Job, Job | None]:
        """The jobs of the random-weights twin and, if it was asked for, of the one that keeps the embeddings; this one
        lets its model go."""
        # The twins fill the cells of this model, so they are filed under this model's fingerprint and layers.
        config = replace(self.config, layers=self.layers)
        makers = [twin(self.loaded, config.seed + 1, keep_embeddings=kept) for kept in (False, True)]
        random, blocks = (
            Job(config, self.session, make, "random", self.fingerprint + name, called=called)
            for make, (name, called) in zip(makers, NULL_MODELS.items(), strict=True)
        )
        del self.loaded
        return random, blocks if config.blocks_control else None

    def let_go(self) -> None:
        """Free the model, if it was made."""
        self.__dict__.pop("loaded", None)

    def _item_kinds(self, claim: Claim) -> list[int]:
        """Which items can change places: in the renaming null, unless digits do, and where a shape is tested.

        "12" ends in the token of "2": numbers that share digits are near each other before anything was learnt.
        """
        return [] if claim.adds_numbers else renaming.claim_item_kinds(claim, self.loaded.tokenizer)

    def evidence(self, claims: Sequence[Claim]) -> list[Evidence]:
        """Every claim read and analysed, with a bar that counts prompts."""
        family = families(claims)
        parts = [prompts_of(claim, self.config) for claim in claims]
        sizes = [sum(map(len, both)) + len(_grid(claim)) for claim, both in zip(claims, parts, strict=True)]
        result = []
        with stage(self.called, sum(sizes), "prompts") as bar:
            for claim, both, size in zip(claims, parts, sizes, strict=True):
                bar.set_postfix_str(claim.name)
                before, own = bar.n, family_of(claim, family)
                result.append(self._evidence(claim, both, own.moduli if own else (), bar.update))
                bar.update(size - (bar.n - before))
        return result

    def _evidence(
        self, claim: Claim, parts: tuple[list[Prompt], list[Prompt]], periods: tuple[int, ...], tick: Callable
    ) -> Evidence:
        key, cells, seed = self.key(claim, self.weights, periods), self.session.cells, self.config.seed

        def keep(made: Choice) -> Choice:
            """On disk before a confirmation prompt is looked at; a choice that is there stands."""
            return Choice(**cells.get(f"{key}-choice", lambda: asdict(made)))

        def make() -> Evidence:
            labels, new_labels = (Labels.of(claim, part) for part in parts)
            kinds = self.item_kinds(claim)
            renamed = renaming.rename(claim, labels, kinds, self.config.renamings, seed)
            plan, also = self._plan(claim, parts[0][0]), {"on_prompts": tick, "grid": True, "embedding": True}
            read = self.read_states(claim, *parts, plan, **also)
            redraws = self.redraws(claim, [*parts[0], *parts[1]], kinds)
            made = gather(claim, self.weights, read, labels, new_labels, renamed, kinds, seed, periods, keep, redraws)
            texts, shown = [prompt.text for prompt in parts[0]], self.locations.get(claim.name, made.location)
            points = point_rows(claim, self.weights, read, labels, texts, shown)
            return replace(made, rows={**made.rows, "points": points})

        return Evidence.of_content(cells.get(key, lambda: make().content()))

    def _read(
        self, claim: Claim, discovery: list[Prompt], confirmation: list[Prompt], plan: ReadPlan,
        *, embedding: bool = False, **more,
    ) -> States:  # fmt: skip
        options = {"chat": self.config.chat, "batch_tokens": self.config.batch_tokens}
        plan = plan.with_embedding() if embedding else plan
        return streaming.read(self.loaded, claim, discovery, confirmation, plan, **options, **more)

    def _redraws(self, claim: Claim, prompts: Sequence[Prompt], kinds: Sequence[int]) -> Redraws | None:
        """Random words in the place of the items, where they are the null."""
        if self.weights == "random" or not self._takes_random_words(claim, kinds):
            return None
        options = {"chat": self.config.chat, "batch_tokens": self.config.batch_tokens}
        return redraws_of(self.loaded, claim, prompts, self._plan(claim, prompts[0]), self.config.seed, **options)

    def _takes_random_words(self, claim: Claim, kinds: Sequence[int]) -> bool:
        """Whether items have too few orders; a prompt file's items are labels, not words."""
        if claim.quantity == "sum" or isinstance(claim, GivenClaim):
            return False
        return renaming.n_item_orders(claim, kinds) < 1 / ALPHA

    def _plan(self, claim: Claim, prompt: Prompt) -> ReadPlan:
        return ReadPlan(self.layers, self.config.site, positions(claim, prompt, self.config.position))

    def cells(self, claim: Claim) -> list[Location]:
        """The places behind the blocks that are read for a claim, in order."""
        return self._plan(claim, claim.prompts("discovery", 1, self.config.seed)[0]).cells

    def columns(self, family: Family, evidence: Mapping[str, Evidence]) -> dict[int, Gains]:
        """The columns of a family's gain table by modulus; companions are read for it."""
        own = {claim.period: evidence[claim.name].gains for claim in family.members}
        more = {claim.period: self.gains(claim, family.moduli) for claim in family.companions}
        return {modulus: column for modulus, column in (own | more).items() if column is not None}

    def gains(self, claim: Claim, periods: tuple[int, ...]) -> Gains:
        """What the periods of a family gain in the discovery prompts of a claim that gets no verdict itself."""

        def make() -> Gains:
            prompts = claim.prompts("discovery", self.config.prompts, self.config.seed)
            labels = Labels.of(claim, prompts)
            _check_nuisances(claim, prompts)
            read = self.read_states(claim, prompts, [], self._plan(claim, prompts[0]), grid=False).discovery
            smoothers = [RidgeSmoother.of(read[:, cell]) for cell in range(read.shape[1])]
            return gains_of(smoothers, adjusted_states(read, labels), labels, periods)

        key = self.key(claim, f"{self.weights}-gains", periods)
        return Gains.of_content(self.session.cells.get(key, lambda: make().content()))

    def key(self, claim: Claim, what: str, periods: tuple[int, ...] = ()) -> str:
        """Name of the cell in which something about a claim is kept."""
        # The claim's own content, so that a changed domain file is another cell; the other domains do not matter.
        config = replace(self.config, domains=(), moduli=(), domain_file=(), prompt_file=(), layers=self.layers)
        return config.hash(claim=repr(claim), what=what, periods=periods, fingerprint=self.fingerprint)

    def behaviour(self, claims: Sequence[Claim]) -> dict[str, Rows]:
        """The answers in every domain that can be asked, by its name; none of a model that writes none."""
        sums = {claim.domain.name: claim for claim in claims if claim.quantity == "sum"}
        if not self.config.behaviour or not sums:
            return {}
        if self.loaded.mute:
            print(f"behaviour skipped: {self.loaded.mute}", file=sys.stderr)
            return {}
        result = {}
        with stage("behaviour", len(sums), "domains") as bar:
            for name, claim in sums.items():
                bar.set_postfix_str(name)
                result[name] = self.session.rows(self.key(claim, "behaviour"), lambda claim=claim: self._ask(claim))
                bar.update()
        return result

    def _ask(self, claim: Claim) -> Rows:
        most, grid = self.config.behaviour_prompts, _grid(claim)
        wide = [prompt for part in PARTS for prompt in question_set(claim.domain, part, most, self.config.seed)]
        parts = [self._answers(claim.domain, "decoupled", wide)]
        if grid:
            narrow = self._answers(claim.domain, "published", grid[:: max(1, len(grid) // most)])
            parts.insert(0, {"behaviour": narrow["behaviour"]})
        for shots in self.config.shots:
            if shots:
                behind = behind_examples(claim.domain, wide[:: len(PARTS)], shots, self.config.seed)
                parts.append({"behaviour": self._answers(claim.domain, "decoupled", behind, shots)["behaviour"]})
        return together(parts)

    def _answers(self, domain: Domain, grid: Grid, prompts: list[Prompt], shots: int = 0) -> Rows:
        scored = score(self.loaded, prompts, domain.possible_answers, chat=self.config.chat)
        examples = example_rows(domain, prompts, scored)
        return {"behaviour": list(behaviour_rows(domain, grid, prompts, scored, shots)), "examples": list(examples)}


def prompts_of(claim: Claim, config: ProbeConfig) -> tuple[list[Prompt], list[Prompt]]:
    """The discovery and the confirmation prompts of a claim.

    Raises:
        InputError: they are too few for the labels or beside the operands that are taken out first, or lack a label.
    """
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
    first, second = ({prompt.label for prompt in part} for part in (discovery, confirmation))
    if absent := set(range(claim.period)) - (first & second):
        raise InputError(
            f"{claim.name} has no prompt with the label {min(absent)} for discovery or for confirmation: rows of a "
            "file fall to them by chance, give more of each label"
        )
    return discovery, confirmation


def positions(claim: Claim, prompt: Prompt, chosen: Sequence[Position]) -> tuple[Position, ...]:
    """Where a claim is read: its own default, or those of the chosen positions that its prompts have.

    Raises:
        InputError: they have none of them.
    """
    if not chosen:
        return claim.default_positions
    there: tuple[Position, ...] = tuple(place for place in chosen if place == "last" or place in prompt.spans)
    if not there:
        has = ", ".join(("last", *prompt.spans))
        raise InputError(f"prompts of {claim.name} have no position {' or '.join(chosen)}: choose from {has}")
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
