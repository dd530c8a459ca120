"""The main job: every claim under trained and random weights, to verdicts, tables and a page.

claims  ->  Job (trained)  ->  evidence, answers  ->  Job (random)  ->  evidence  ->  verdicts and tables
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llm_probe.models.hub import is_toy
from llm_probe.models.loading import LoadedModel, load, wrap
from llm_probe.questions.claims import Claim, claims_of, families
from llm_probe.questions.domains import Domain, resolve
from llm_probe.questions.own import load_domain, load_prompts
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.study import Frames, Result, Rows, Session, Study, together
from llm_probe.run.table import TABLES, Weights
from llm_probe.statistics.controls import prompt_controls, weights_control
from llm_probe.statistics.gains import note_of, tests_of
from llm_probe.statistics.renaming import undecidable
from llm_probe.verdicts.evidence import Evidence, with_selectivity
from llm_probe.verdicts.judgement import Hypothesis, accuracy_of, verdicts
from toy.run.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_VERSION = 5


def _figures(folder: Path, frames: Frames) -> None:
    from llm_probe.page import figures

    figures.save_all(folder, frames)


def _page(path: Path, result: Result) -> None:
    from llm_probe.page import report

    report.write(path, result.frames, result.run)


def _words(result: Result) -> str:
    from llm_probe.page.terminal import terminal_table

    return terminal_table(result.frames["verdicts"], result.run)


PROBE = Study(TABLES, CELL_VERSION, _figures, _words, _page)


@dataclass(frozen=True)
class ProbeResult(Result):
    """The tables of a probe run, by the names of `table.TABLES`, and its provenance."""

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
        _page(Path(path), self)
        return Path(path)

    def plot(self, axes: Axes, domain: str, quantity: str = "sum", weights: Weights = "trained") -> Axes:
        """Draw a claim's circle on matplotlib axes."""
        from llm_probe.page import figures

        figures.circle_of(axes, self.frames, domain, quantity, weights)
        return axes

    __str__ = Result.__str__


def probe(
    model: Any, tokenizer: Any, domains: Sequence[str | Domain] = ("days", "months"), **options: Any
) -> ProbeResult:
    """Probe a model that is already in memory; options are fields of `ProbeConfig` (`moduli`, `layers`, …).

    Raises:
        InputError: an unknown domain or layer, or a tokenizer without character offsets.
    """
    config = ProbeConfig(model=getattr(model, "name_or_path", "") or type(model).__name__, **options)
    claims = claims_for(config, domains)
    return run(config, claims, lambda: wrap(model, tokenizer, name=config.model), config.out)


def run_config(config: ProbeConfig, command: str = "") -> ProbeResult:
    """What the command line runs: load, probe, keep every cell under the results folder."""

    def loader() -> LoadedModel:
        return load(
            config.model,
            revision=config.revision,
            dtype=config.dtype,
            device=config.device,
            trust_remote_code=config.trust_remote_code,
        )

    return run(config, claims_for(config, domains_of(config)), loader, config.folder, command)


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
    named = [*domains, *(load_domain(path) for path in config.domain_file)]
    own = {domain.name: domain for domain in named if isinstance(domain, Domain)}
    names = [domain if isinstance(domain, str) else domain.name for domain in named]
    # Once each: `mod` and `mod-add` are one, and a domain of one's own replaces one of its name.
    unique = list({domain.name: domain for domain in resolve(names, list(config.moduli), own)}.values())
    if config.templates == "published":
        unique = [replace(domain, questions=dict(list(domain.questions.items())[:1])) for domain in unique]
    claims = claims_of(unique) + [load_prompts(path) for path in config.prompt_file]
    twice = [name for name, count in Counter(claim.name for claim in claims).items() if count > 1]
    if twice:
        raise InputError(f"two claims are called {twice[0]!r}: a prompt file is called by its name, rename it")
    return claims


def run(
    config: ProbeConfig,
    claims: Sequence[Claim],
    make: Callable[[], LoadedModel],
    folder: Path | None,
    command: str = "",
) -> ProbeResult:
    """Probe the claims: the trained weights first, then what it can do, then its random twin."""
    config = _checked(config)
    result = PROBE.run(folder, lambda session: _rows(config, claims, make, session), command)
    return ProbeResult(result.frames, result.run, PROBE)


def _rows(config: ProbeConfig, claims: Sequence[Claim], make: Callable[[], LoadedModel], session: Session) -> Rows:
    job = Job(config, session, make)
    trained = hypotheses(job, claims)
    answers = job.behaviour(claims)
    session.describe(config, job.loaded, job.layers, job.fingerprint)
    complete = [
        replace(
            one,
            accuracy=accuracy_of(answers.get(one.claim.domain.name, {}).get("behaviour", ()))
            if one.claim.quantity == "sum"
            else (None, None, None),
            undecidable=undecidable(one.claim, job.item_kinds(one.claim), config.renamings),
            n_dimensions=job.loaded.d_model * len(job.cells(one.claim)),
        )
        for one in trained
    ]
    random, untrained_blocks = _random(job, claims) if config.random_control else ([], [])
    if random:
        complete = [replace(one, random=other.evidence) for one, other in zip(complete, random, strict=True)]
    parts, controls = [], []
    for index, one in enumerate(complete):
        controls += one.controls
        for of in (one, *random[index : index + 1]):
            r2_table = with_selectivity(of.evidence.rows["r2_table"], of.p_selective)
            parts.append({**of.evidence.rows, "r2_table": r2_table, "controls": []})
        for of in random[index : index + 1]:
            controls.append(weights_control(one.claim, "random_weights", of.evidence.rows["r2_table"]))
        for evidence in untrained_blocks[index : index + 1]:
            controls.append(weights_control(one.claim, "random_blocks", evidence.rows["r2_table"]))
    both = [of.evidence for of in (*complete, *random)]
    session.facts["n_prompts"] = sum(evidence.n_discovery + evidence.n_confirmation for evidence in both)
    return together([*parts, *answers.values(), {"controls": controls, "verdicts": list(verdicts(complete))}])


def hypotheses(job: Job, claims: Sequence[Claim]) -> list[Hypothesis]:
    """Every claim's evidence, with the tests that compare it with others of its family."""
    evidence = {claim.name: one for claim, one in zip(claims, job.evidence(claims), strict=True)}
    result = {claim.name: Hypothesis(claim, evidence[claim.name]) for claim in claims}
    for family in families(claims):
        columns = job.columns(family, evidence)
        plain = job.gains(family.plain, family.moduli)
        tests = tests_of(family.moduli, list(columns.values()), job.config.seed)
        for claim in family.members:
            own, test = evidence[claim.name], tests.get(claim.period)
            rows = tuple(prompt_controls(claim, columns, plain, job.cells(claim), own.n_discovery))
            note = note_of(family.moduli, claim.period, test)
            result[claim.name] = Hypothesis(claim, own, test, note, rows)
    return [result[claim.name] for claim in claims]


def _random(job: Job, claims: Sequence[Claim]) -> tuple[list[Hypothesis], list[Evidence]]:
    """The same under random weights, all of them and of the blocks alone; the trained model is let go."""
    random, blocks = job.untrained()
    result = hypotheses(random, claims)
    random.let_go()
    return result, blocks.evidence(claims) if job.config.blocks_control else []


def _checked(config: ProbeConfig) -> ProbeConfig:
    """The configuration with every layer, site and position named once; InputError if a number is below one."""
    for name in ("prompts", "renamings", "behaviour_prompts", "batch_tokens"):
        if (count := getattr(config, name)) < 1:
            raise InputError(f"{count} {name} cannot be used: give --{name.replace('_', '-')} 1 or more")
    once = {name: tuple(dict.fromkeys(getattr(config, name))) for name in ("layers", "site", "position")}
    return replace(config, **once)
