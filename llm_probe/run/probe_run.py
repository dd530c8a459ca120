"""The main job: every claim under trained and random weights, to verdicts, tables and a page.

claims  ->  Job (trained)  ->  findings, answers  ->  Job (random)  ->  findings  ->  verdicts and tables
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llm_probe.models.hub import is_toy
from llm_probe.models.loading import LoadedModel, load, wrap
from llm_probe.questions.claims import Claim, claims_of
from llm_probe.questions.companions import families
from llm_probe.questions.domains import Domain, resolve
from llm_probe.questions.own import load_domain, load_prompts
from llm_probe.run import table
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.provenance import provenance
from llm_probe.run.store import Behaviour, Store
from llm_probe.run.table import Control, Weights
from llm_probe.statistics import nulls
from llm_probe.statistics.gain_tables import note_of, tests_of
from llm_probe.verdicts.controls import prompt_controls, weights_control
from llm_probe.verdicts.joined import Judged
from llm_probe.verdicts.judgement import accuracy_of, verdict_row, with_holm
from toy.run.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        from llm_probe.page import report

        report.write(Path(path), self.frames, self.run)
        return Path(path)

    def plot(self, axes: Axes, domain: str, quantity: str = "sum", weights: Weights = "trained") -> Axes:
        """Draw a claim's circle on matplotlib axes."""
        from llm_probe.page import figures

        figures.circle_of(axes, self.frames, domain, quantity, weights)
        return axes

    def __str__(self) -> str:
        from llm_probe.page.terminal import terminal_table

        return terminal_table(self.verdicts, self.run)


def probe(
    model: Any, tokenizer: Any, domains: Sequence[str | Domain] = ("days", "months"), **options: Any
) -> ProbeResult:
    """Probe a model that is already in memory; options are fields of `ProbeConfig` (`moduli`, `layers`, …).

    Raises:
        InputError: an unknown domain or layer, or a tokenizer without character offsets.
    """
    config = ProbeConfig(model=getattr(model, "name_or_path", "") or type(model).__name__, **options)
    claims = claims_for(config, domains)
    return run(config, claims, lambda: wrap(model, tokenizer, name=config.model), Store(config.out))


def run_config(config: ProbeConfig, command: str = "") -> ProbeResult:
    """What the command line runs: load, probe, keep every cell under the results folder."""
    claims, store = claims_for(config, domains_of(config)), Store(config.folder)

    def loader() -> LoadedModel:
        return load(
            config.model,
            revision=config.revision,
            dtype=config.dtype,
            device=config.device,
            trust_remote_code=config.trust_remote_code,
        )

    return run(config, claims, loader, store, command)


def domains_of(config: ProbeConfig) -> Sequence[str | Domain]:
    """The domains that the command line names; of a toy, its own task.

    Raises:
        InputError: a toy is asked for anything else.
    """
    if not is_toy(config.model):
        return config.domains
    from llm_probe.questions.toy_domain import toy_domain
    from toy.training.layouts import load_checkpoint

    domain = toy_domain(load_checkpoint(Path(config.model).expanduser())[1])
    default = ProbeConfig()
    for name in ("domains", "moduli", "domain_file", "prompt_file"):
        if getattr(config, name) != getattr(default, name):
            raise InputError(
                f"{config.model} is a toy, which knows its own task only ({domain.name}): "
                f"leave out --{name.replace('_', '-')}"
            )
    return [domain]


def claims_for(config: ProbeConfig, domains: Sequence[str | Domain]) -> list[Claim]:
    """The claims of these domains, of the configuration's domain files and of its prompt files."""
    asked = [*domains, *(load_domain(path) for path in config.domain_file)]
    own = {domain.name: domain for domain in asked if isinstance(domain, Domain)}
    names = [domain if isinstance(domain, str) else domain.name for domain in asked]
    # Once each: `mod` and `mod-add` are one, and a domain of one's own replaces one of its name.
    found = list({domain.name: domain for domain in resolve(names, list(config.moduli), own)}.values())
    if config.templates == "published":
        found = [replace(domain, questions=dict(list(domain.questions.items())[:1])) for domain in found]
    claims = claims_of(found) + [load_prompts(path) for path in config.prompt_file]
    twice = [name for name, count in Counter(claim.name for claim in claims).items() if count > 1]
    if twice:
        raise InputError(f"two claims are called {twice[0]!r}: a prompt file is called by its name, rename it")
    return claims


def run(
    config: ProbeConfig, claims: Sequence[Claim], make: Callable[[], LoadedModel], store: Store, command: str = ""
) -> ProbeResult:
    """Probe the claims: the trained weights first, then what it can do, then its random twin."""
    started = time.monotonic()
    config = _checked(config)
    job = Job(config, store, make)
    trained = judged_together(job, claims)
    answers = job.all_behaviour(claims)
    undecidable = [nulls.undecidable(claim, job.item_kinds(claim), config.renamings) for claim in claims]
    searched = job.loaded.d_model * len(job.layers) * len(config.site)
    record = provenance(config, job.loaded, job.layers, command) | {"weights_fingerprint": job.fingerprint}
    controls = _random(job, claims) if config.random_control else {}
    random = controls.get("random_weights", [None] * len(claims))
    verdicts = with_holm(
        [
            verdict_row(claim, one, control, _accuracy(claim, answers), reason, searched)
            for claim, one, control, reason in zip(claims, trained, random, undecidable, strict=True)
        ]
    )
    both = [one.findings for pair in zip(trained, random, strict=True) for one in pair if one is not None]
    rows = {
        "r2_table": [row for found in both for row in found.rows],
        "verdicts": verdicts,
        "behaviour": [row for entry in answers.values() for row in entry.rows],
        "circles": [row for found in both for row in found.circles],
        "scan": [row for found in both for row in found.scan],
        "controls": [
            row
            for index, (claim, one) in enumerate(zip(claims, trained, strict=True))
            for row in (
                *one.controls,
                *(weights_control(claim, name, found[index].findings) for name, found in controls.items()),
            )
        ],
        "invariants": [row for found in both for row in found.invariants],
        "examples": [row for entry in answers.values() for row in entry.examples],
    }
    record["n_prompts"] = sum(found.best.n_discovery + found.best.n_confirmation for found in both)
    record["seconds"] = round(time.monotonic() - started, 1)
    return ProbeResult({name: table.frame(rows[name], kind) for name, kind in table.TABLES.items()}, record)


def judged_together(job: Job, claims: Sequence[Claim]) -> list[Judged]:
    """Every claim's findings, with the tests that compare it with others of its family."""
    found = {claim.name: findings for claim, findings in zip(claims, job.all_findings(claims), strict=True)}
    result = {claim.name: Judged.alone(claim, found[claim.name]) for claim in claims}
    for family in families(claims):
        columns = job.columns(family, found)
        plain = job.gains(family.plain, family.moduli)
        tests = tests_of(family.moduli, list(columns.values()), job.config.seed)
        for claim in family.members:
            rows = prompt_controls(claim, columns, plain, job.cells(claim), found[claim.name].best.n_discovery)
            note = note_of(family.moduli, claim.period, tests.get(claim.period))
            result[claim.name] = Judged.of(claim, found[claim.name], tests.get(claim.period), note, tuple(rows))
    return [result[claim.name] for claim in claims]


def _random(job: Job, claims: Sequence[Claim]) -> dict[Control, list[Judged]]:
    """The same under random weights, all of them and of the blocks alone; the trained model is let go."""
    random, blocks = job.untrained()
    found: dict[Control, list[Judged]] = {"random_weights": judged_together(random, claims)}
    random.let_go()
    if job.config.blocks_control:
        found["random_blocks"] = [
            Judged.alone(claim, findings) for claim, findings in zip(claims, blocks.all_findings(claims), strict=True)
        ]
    return found


def _accuracy(claim: Claim, answers: Mapping[str, Behaviour]) -> tuple[float, float, float] | None:
    asked = claim.quantity == "sum" and claim.domain.name in answers
    return accuracy_of(answers[claim.domain.name].rows) if asked else None


def _checked(config: ProbeConfig) -> ProbeConfig:
    """The configuration with every layer, site and position named once; InputError if a number is below one."""
    for name in ("prompts", "renamings", "behaviour_prompts", "batch_tokens"):
        if (count := getattr(config, name)) < 1:
            raise InputError(f"{count} {name} cannot be used: give --{name.replace('_', '-')} 1 or more")
    once = {name: tuple(dict.fromkeys(getattr(config, name))) for name in ("layers", "site", "position")}
    return replace(config, **once)
