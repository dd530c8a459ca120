"""The main job: every claim under trained and random weights, cell by cell, to one result.

    claims  ->  states (one streaming pass each)  ->  findings (trained | random)  ->  verdicts, tables, page

A cell that is on disk is not computed again. The random-weights model is made only when a cell needs it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from tqdm import tqdm

from llm_probe import nulls, table
from llm_probe.activations import ReadPlan
from llm_probe.analysis import Findings, analyse
from llm_probe.behaviour import behaviour_rows, example_rows, score
from llm_probe.claims import Claim, Labels, claims_of
from llm_probe.config import ProbeConfig
from llm_probe.domains import Domain, resolve
from llm_probe.errors import InputError
from llm_probe.models import LoadedModel, check_layers, load, randomised, wrap
from llm_probe.own import load_domain, load_prompts
from llm_probe.prompts import Prompt, published_grid, question_set
from llm_probe.provenance import provenance
from llm_probe.states import GRID_LIMIT, read
from llm_probe.store import Behaviour, Store, weights_fingerprint
from llm_probe.table import Weights
from llm_probe.verdicts import accuracy_of, verdict_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEHAVIOUR_PROMPTS = 120
"""Questions a part and grid that the model is asked to answer."""


@dataclass(frozen=True)
class ProbeResult:
    """Tables of a run, by the names of `table.TABLES`, and its provenance."""

    frames: dict[str, pd.DataFrame]
    run: dict[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """The R² table."""
        return self.frames["r2_table"]

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row a claim."""
        return self.frames["verdicts"]

    def report(self, path: str | Path) -> Path:
        """Write the page, one self-contained file."""
        from llm_probe import report

        report.write(Path(path), self.frames, self.run)
        return Path(path)

    def plot(self, axes: Axes, domain: str, quantity: str = "sum", weights: Weights = "trained") -> Axes:
        """Draw a claim's circle on matplotlib axes."""
        from llm_probe import figures

        figures.circle_of(axes, self.frames, domain, quantity, weights)
        return axes

    def __str__(self) -> str:
        from llm_probe.report import terminal_table

        return terminal_table(self.verdicts, self.run)


def probe(
    model: Any, tokenizer: Any, domains: Sequence[str | Domain] = ("days", "months"), **options: Any
) -> ProbeResult:
    """Probe a model that is already in memory; options are fields of `ProbeConfig` (`moduli`, `layers`, …).

    Raises:
        InputError: an unknown domain or layer, or a tokenizer without character offsets.
    """
    config = ProbeConfig(model=getattr(model, "name_or_path", "") or type(model).__name__, **options)
    named = {domain.name: domain for domain in domains if isinstance(domain, Domain)}
    names = [domain if isinstance(domain, str) else domain.name for domain in domains]
    claims = claims_of(resolve(names, list(config.moduli), named))
    return run(config, claims, lambda: wrap(model, tokenizer, name=config.model), Store(config.out))


def run_config(config: ProbeConfig, command: str = "") -> ProbeResult:
    """What the command line runs: load, probe, keep every cell under the results folder."""
    own = [load_domain(path) for path in config.domain_file]
    domains = resolve(
        [*config.domains, *(domain.name for domain in own)], list(config.moduli), {d.name: d for d in own}
    )
    claims = claims_of([_published_only(domain) if config.templates == "published" else domain for domain in domains])
    claims += [load_prompts(path) for path in config.prompt_file]
    store = Store(config.folder)

    def loader() -> LoadedModel:
        return load(
            config.model,
            revision=config.revision,
            dtype=config.dtype,
            device=config.device,
            trust_remote_code=config.trust_remote_code,
        )

    return run(config, claims, loader, store, command)


def _published_only(domain: Domain) -> Domain:
    def first(texts: Any) -> dict[str, str]:
        return dict(list(texts.items())[:1])

    return replace(domain, questions=first(domain.questions), statements=first(domain.statements))


def run(config: ProbeConfig, claims: Sequence[Claim], loader: Any, store: Store, command: str = "") -> ProbeResult:
    """Probe the claims one after the other; a line or a bar tells where it is."""
    started = time.monotonic()
    job = _Job(config, loader(), store)
    verdicts, findings, behaviours = [], [], {}
    bar = tqdm(claims, unit="claim", disable=None)
    for claim in bar:
        bar.set_description(claim.name)
        trained = job.findings(claim, "trained")
        random = job.findings(claim, "random") if config.random_control else None
        if claim.quantity == "sum" and claim.domain.name not in behaviours:
            behaviours[claim.domain.name] = job.behaviour(claim)
        answered = behaviours.get(claim.domain.name) if claim.quantity == "sum" else None
        verdicts.append(
            verdict_row(
                claim,
                trained.best,
                random.best if random else None,
                accuracy_of(list(answered.rows)) if answered else None,
                nulls.smallest_p(job.token_counts(claim), claim, config.renamings),
                job.loaded.d_model * len(job.layers) * len(config.site),
            )
        )
        findings += [found for found in (trained, random) if found is not None]
    frames = {
        "r2_table": [row for found in findings for row in found.rows],
        "verdicts": verdicts,
        "behaviour": [row for entry in behaviours.values() for row in entry.rows],
        "circles": [row for found in findings for row in found.circles],
        "scan": [row for found in findings for row in found.scan],
        "examples": [row for entry in behaviours.values() for row in entry.examples],
    }
    return ProbeResult(
        {name: table.frame(entries, table.TABLES[name]) for name, entries in frames.items()},
        provenance(config, job.loaded, job.layers, verdicts, time.monotonic() - started, command),
    )


class _Job:
    """One model, its random twin, and the cells of a run."""

    def __init__(self, config: ProbeConfig, loaded: LoadedModel, store: Store) -> None:
        self.config, self.loaded, self.store = config, loaded, store
        self.layers = tuple(config.layers) or tuple(range(len(loaded.layers)))
        check_layers(loaded, self.layers)

    @cached_property
    def random(self) -> LoadedModel:
        return randomised(self.loaded, self.config.seed + 1)

    @cached_property
    def fingerprint(self) -> str:
        return weights_fingerprint(self.loaded.model)

    def token_counts(self, claim: Claim) -> list[int]:
        """Tokens of each item: the renaming null exchanges items of equal length only."""
        if claim.is_arithmetic:
            return []
        return [
            len(self.loaded.tokenizer(" " + item, add_special_tokens=False)["input_ids"]) for item in claim.domain.items
        ]

    def findings(self, claim: Claim, weights: Weights) -> Findings:
        """Read and analyse one claim, unless its cell is there."""
        key = self._key(claim, weights)
        return self.store.findings(key, lambda: self._analyse(claim, weights))

    def _key(self, claim: Claim, weights: str) -> str:
        # The claim's own content, so that a changed domain file is another cell; the other domains do not matter.
        config = replace(self.config, domains=(), moduli=(), domain_file=(), prompt_file=(), layers=self.layers)
        return config.hash(claim=repr(claim), weights=weights, fingerprint=self.fingerprint)

    def _analyse(self, claim: Claim, weights: Weights) -> Findings:
        config = self.config
        loaded = self.loaded if weights == "trained" else self.random
        parts = [claim.prompts("discovery", config.prompts, config.seed)]
        parts.append(claim.prompts("confirmation", config.prompts // 2, config.seed))
        if min(len(part) for part in parts) < claim.period:
            raise InputError(f"{claim.name} has {len(parts[0])} prompts for {claim.period} labels: give more prompts")
        plan = ReadPlan(self.layers, config.site, self._positions(claim, parts[0][0]))
        states = read(loaded, claim, parts[0], parts[1], plan, chat=config.chat, batch_tokens=config.batch_tokens)
        labels, new_labels = (Labels.of(claim, part) for part in parts)
        renamed = nulls.rename(claim, labels, self.token_counts(claim), config.renamings, config.seed)
        return analyse(claim, weights, states, labels, new_labels, renamed, config.seed)

    def _positions(self, claim: Claim, prompt: Prompt) -> tuple[table.Position, ...]:
        if not self.config.position:
            return claim.default_positions
        there: tuple[table.Position, ...] = tuple(
            place for place in self.config.position if place == "last" or place in prompt.spans
        )
        if not there:
            raise InputError(
                f"prompts of {claim.name} have no position {' or '.join(self.config.position)}: "
                f"they have last, {', '.join(prompt.spans)}"
            )
        return there

    def behaviour(self, claim: Claim) -> Behaviour | None:
        """Ask the questions of a domain; None where nothing can be asked."""
        if not self.config.behaviour or self.loaded.is_encoder:
            return None
        return self.store.behaviour(self._key(claim, "behaviour"), lambda: self._ask(claim.domain))

    def _ask(self, domain: Domain) -> Behaviour:
        parts = ("discovery", "confirmation", "causal")
        wide = [prompt for part in parts for prompt in question_set(domain, part, BEHAVIOUR_PROMPTS, self.config.seed)]
        found = self._answers(domain, "decoupled", wide)
        if domain.period > GRID_LIMIT:
            return found
        grid = published_grid(domain)
        narrow = self._answers(domain, "published", grid[:: max(1, len(grid) // BEHAVIOUR_PROMPTS)])
        return Behaviour(narrow.rows + found.rows, found.examples)

    def _answers(self, domain: Domain, grid: Literal["published", "decoupled"], prompts: list[Prompt]) -> Behaviour:
        scored = score(self.loaded, prompts, domain.items, chat=self.config.chat)
        return Behaviour(
            tuple(behaviour_rows(domain, grid, prompts, scored)), tuple(example_rows(domain, prompts, scored))
        )
