"""The main job: every claim under trained and random weights, to verdicts, tables and a page.

claims  ->  Job (trained)  ->  evidence, answers  ->  Job (random)  ->  evidence  ->  verdicts and tables
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llm_probe.models.loading import LoadedModel, load, wrap
from llm_probe.questions.claims import Claim, families
from llm_probe.questions.domains import Domain
from llm_probe.questions.selection import claims_for, named_claims, own_claims
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job
from llm_probe.run.study import Result, Rows, Session, Study, together
from llm_probe.run.table import TABLES
from llm_probe.run.vocabulary import Weights
from llm_probe.statistics.controls import prompt_controls, weights_control
from llm_probe.statistics.gains import note_of, tests_of
from llm_probe.statistics.renaming import undecidable
from llm_probe.verdicts.evidence import Evidence, with_selectivity
from llm_probe.verdicts.judgement import Hypothesis, accuracy_of, verdicts
from toy.run.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_VERSION = 14


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.page import figures
    from llm_probe.page.terminal import called

    figures.save_all(folder, result.frames, called(result.run))


def _page(path: Path, result: Result) -> None:
    from llm_probe.page import report

    report.write(path, result.frames, result.run)


def _words(result: Result) -> str:
    from llm_probe.page.terminal import terminal_table

    return terminal_table(result.frames["verdicts"], result.run)


PROBE = Study(TABLES, CELL_VERSION, words=_words, figures=_figures, page=_page)


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


@dataclass(frozen=True)
class ProbePlan:
    """What a run will do, decided before a model is made."""

    config: ProbeConfig
    """Checked, every layer, site and position named once."""
    claims: tuple[Claim, ...]
    """Empty for a toy, which brings the questions of its own task (`LoadedModel.own_domain`)."""
    make: Callable[[], LoadedModel]
    """Makes the model when it is first needed."""


def probe(
    model: Any, tokenizer: Any, domains: Sequence[str | Domain] = ("days", "months"), **options: Any
) -> ProbeResult:
    """Probe a model that is already in memory; options are fields of `ProbeConfig` (`moduli`, `layers`, …).

    Raises:
        InputError: an unknown domain or layer, or a tokenizer without character offsets.
    """
    config = ProbeConfig(model=getattr(model, "name_or_path", "") or type(model).__name__, **options)
    make = partial(wrap, model, tokenizer, name=config.model)
    return run(ProbePlan(checked(config), tuple(claims_for(config, domains)), make), config.out)


def plan_of(config: ProbeConfig, make: Callable[[], LoadedModel] | None = None) -> ProbePlan:
    """The plan of a configuration; `make` stands in for loading the model that it names.

    Raises:
        InputError: an unknown domain, a file that cannot be read, a number below one, or a toy that is given domains.
    """
    return ProbePlan(checked(config), tuple(named_claims(config)), make or partial(load_probed, config))


def load_probed(config: ProbeConfig) -> LoadedModel:
    """The model that is probed: its weights stand under `trained` in the tables, whatever they are."""
    options = {name: getattr(config, name) for name in ("revision", "dtype", "device", "trust_remote_code", "seed")}
    loaded = load(config.model, random_weights=config.weights == "random", **options)
    return replace(loaded, weights="trained")


def run(plan: ProbePlan, folder: Path | None, command: str = "") -> ProbeResult:
    """Probe the claims: the trained weights first, then what the model can do, then its random twin."""
    result = PROBE.run(folder, lambda session: _rows(plan, session), command)
    return ProbeResult(result.frames, result.run, PROBE)


def _rows(plan: ProbePlan, session: Session) -> Rows:
    config, job = plan.config, Job(plan.config, session, plan.make)
    claims = plan.claims or own_claims(job.loaded)
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


def checked(config: ProbeConfig) -> ProbeConfig:
    """The configuration with every layer, site and position named once; InputError if a number is too small."""
    for name in ("prompts", "renamings", "behaviour_prompts", "batch_tokens"):
        if (count := getattr(config, name)) < 1:
            raise InputError(f"{count} {name} cannot be used: give --{name.replace('_', '-')} 1 or more")
    if min(config.shots, default=0) < 0:
        raise InputError(f"{min(config.shots)} worked examples cannot be given: give --shots 0 or more")
    if min(config.layers, default=0) < 0:
        raise InputError(
            f"layer {min(config.layers)} cannot be chosen: blocks are counted from 0, and the token embedding is read "
            "beside them where items stand"
        )
    once = {name: tuple(dict.fromkeys(getattr(config, name))) for name in ("layers", "site", "position", "shots")}
    return replace(config, **once)
