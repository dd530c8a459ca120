"""A series: every claim at every checkpoint, to tables.

checkpoint  ->  Job  ->  evidence, answers  ->  verdicts      one after the other; two models may not fit in memory
the first one's random twin  ->  evidence                      the control of all of them: they share an architecture

Cells are those of a run (`llm_probe.run.job`), all in one folder: what was interrupted goes on, and a checkpoint that
is added later costs itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from llm_probe.emergence.changes import change_of
from llm_probe.emergence.checkpoints import Checkpoint, checkpoints_of
from llm_probe.emergence.config import SeriesConfig
from llm_probe.emergence.table import TABLES, USE, ChangeRow, CheckpointCircleRow, CheckpointRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.selection import named_claims
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job, prompts_of
from llm_probe.run.probe import answered, checked, hypotheses, load_probed
from llm_probe.run.result import CELL_VERSION, PROBE
from llm_probe.run.study import Result, Rows, Session, Study
from llm_probe.run.verdict_row import VerdictRow
from llm_probe.run.vocabulary import ALPHA, Level
from llm_probe.verdicts.evidence import Evidence
from llm_probe.verdicts.judgement import Hypothesis, verdicts
from toy.run.cells import key_of
from toy.run.device import threads_for

Intervene = Callable[[LoadedModel, Claim, CheckpointRow], CheckpointRow]
"""Fills in the columns of a row that need interventions (`table.USE`); what intervenes is above this package."""
NOT_ARCHITECTURE = ("_name_or_path", "dtype", "torch_dtype", "transformers_version", "architectures")
"""Entries of a model's configuration that say where it came from, and not what it is."""
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the least to the most."""


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.emergence.film import film
    from llm_probe.emergence.page import all_figures, circles_shown
    from llm_probe.page.style import save_figures

    save_figures(folder, all_figures(result.frames), "emergence")
    for domain, quantity in circles_shown(result.frames["changes"]):
        film(result.frames, domain, quantity, folder / f"{domain} {quantity}".replace(" ", "_"))


def _page(path: Path, result: Result) -> None:
    from llm_probe.emergence.page import write

    write(path, result.frames, result.run)


def _words(result: Result) -> str:
    from llm_probe.emergence.page import sentences
    from toy.run.terminal import filled

    again = f"again   {result.run['command']}" if result.run.get("command") else ""
    return "\n".join([*(filled(line, "  ") for line in sentences(result.frames)), "", again]).rstrip()


SERIES = Study(TABLES, CELL_VERSION, words=_words, figures=_figures, page=_page)


def run(config: SeriesConfig, folder: Path | None, command: str = "", intervene: Intervene | None = None) -> Result:
    """Probe every checkpoint; with folder None nothing is kept on disk.

    `intervene`: what else is done at each of them, where `config.causal` asks for it.

    Raises:
        InputError: as `checkpoints_of` and as a run raises it.
    """
    checkpoints = checkpoints_of(config)
    plain = checked(config.at(config.model, None))
    claims = named_claims(plain)
    for claim in claims:
        prompts_of(claim, plain)
    also = intervene if config.causal else None
    return SERIES.run(folder, lambda session: _rows(plain, checkpoints, claims, session, also), command)


def _rows(
    config: ProbeConfig,
    checkpoints: Sequence[Checkpoint],
    claims: Sequence[Claim],
    session: Session,
    intervene: Intervene | None,
) -> Rows:
    session.identify(
        {
            "model": config.model,
            "revision": None,
            "checkpoints": [one.name for one in checkpoints],
            "dtype": config.dtype,
            "control": "same architecture, random weights, one for all checkpoints" if config.random_control else None,
            "seed": config.seed,
            "prompts": config.prompts,
            "renamings": config.renamings,
        }
    )
    jobs = Session(PROBE)
    jobs.cells = session.cells
    twin: list[Hypothesis] = []
    tables: dict[str, list[Any]] = {name: [] for name in TABLES}
    for checkpoint in checkpoints:
        own = replace(config, model=checkpoint.model, revision=checkpoint.revision)
        job = Job(own, jobs, partial(load_probed, own), called=checkpoint.name)
        with threads_for(job.d_model):
            trained = hypotheses(job, claims)
            answers = job.behaviour(claims)
            complete = answered(job, trained, answers)
            if config.random_control and not twin:
                twin = hypotheses(_twin(job), claims)
            chances = {name: rows["behaviour"][0].chance for name, rows in answers.items()}
            for one, verdict in judged_beside(complete, twin):
                row = row_of(checkpoint, verdict, chances.get(one.claim.domain.name))
                if intervene and one.claim.quantity == "sum":
                    row = _used(job, one.claim, row, intervene)
                tables["checkpoints"].append(row)
                tables["checkpoint_circles"] += _circle(checkpoint, verdict, one.evidence)
        job.let_go()
    tables["changes"] = [
        row for claim in claims for row in changes(_of(claim, tables["checkpoints"]), claim.adds_numbers)
    ]
    return tables


def _twin(job: Job) -> Job:
    """The job of the random twin, whose cells are filed under the architecture: the next checkpoint has the same."""
    content: Any = job.loaded.model.config
    architecture = {name: value for name, value in content.to_dict().items() if name not in NOT_ARCHITECTURE}
    random, _ = job.untrained()
    random.config = replace(random.config, model="", revision=None)
    random.fingerprint = key_of({"architecture": repr(sorted(architecture.items(), key=repr))})
    return random


def _used(job: Job, claim: Claim, row: CheckpointRow, intervene: Intervene) -> CheckpointRow:
    """The row with what interventions at its place do."""

    def make() -> dict[str, Any]:
        done = intervene(job.loaded, claim, row)
        return {name: getattr(done, name) for name in USE}

    return replace(row, **job.session.cells.get(job.key(claim, f"use {row.layer} {row.site} {row.position}"), make))


def judged_beside(
    complete: Sequence[Hypothesis], twin: Sequence[Hypothesis]
) -> Iterator[tuple[Hypothesis, VerdictRow]]:
    """Every claim with its verdict, the random twin its control; without a twin nothing is supported."""
    if twin:
        complete = [replace(one, random=other.evidence) for one, other in zip(complete, twin, strict=True)]
    yield from zip(complete, verdicts(complete), strict=True)


def row_of(checkpoint: Checkpoint, verdict: VerdictRow, chance: float | None) -> CheckpointRow:
    shared = {field.name: getattr(verdict, field.name, None) for field in fields(CheckpointRow)}
    own = {"checkpoint": checkpoint.name, "step": checkpoint.step, "tokens": checkpoint.tokens}
    return CheckpointRow(**{**shared, **own, "chance": chance if verdict.quantity == "sum" else None})


def _circle(checkpoint: Checkpoint, verdict: VerdictRow, evidence: Evidence) -> Iterator[CheckpointCircleRow]:
    place = (verdict.site, verdict.position, verdict.layer)
    for row in evidence.rows["circles"]:
        if (row.site, row.position, row.layer) == place:
            named = {field.name: getattr(row, field.name, None) for field in fields(CheckpointCircleRow)}
            yield CheckpointCircleRow(**{**named, "step": checkpoint.step})


def _of(claim: Claim, rows: Sequence[CheckpointRow]) -> list[CheckpointRow]:
    return [row for row in rows if (row.domain, row.quantity) == (claim.domain.name, claim.quantity)]


def changes(rows: Sequence[CheckpointRow], adds_numbers: bool = False) -> Iterator[ChangeRow]:
    """From which step on each of the events of one claim holds; rows in the order of their steps."""
    first = rows[0]
    for event, outcomes in events(rows, adds_numbers).items():
        change = change_of(outcomes)
        about = (first.domain, first.quantity, first.period, event, len(rows), sum(outcomes))
        yield ChangeRow(*about, **change.among([row.step for row in rows]), never=change.never)


def events(rows: Sequence[CheckpointRow], adds_numbers: bool = False) -> dict[str, list[bool]]:
    """Event to whether it is there, checkpoint by checkpoint (`ChangeRow.event`); those that could be asked.

    `adds_numbers`: where both operands are numbers the integer is held by any network, unless its level is `helix`.
    """

    def level(row: CheckpointRow) -> int:
        return LEVELS.index(row.level)

    result = {
        "read": [level(row) > 0 and row.plane_r2_low > max(0.0, row.random_r2 or 0.0) for row in rows],
        "ordered": [level(row) >= LEVELS.index("ordered") for row in rows],
        "circle": [row.level == "circle" for row in rows],
    }
    if any(row.p_integer is not None for row in rows):
        result["integer"] = [
            row.level == "helix" if adds_numbers else row.p_integer is not None and row.p_integer <= ALPHA
            for row in rows
        ]
    if any(row.moved is not None for row in rows):
        result["moved"] = [
            row.moved_low is not None and row.moved_low > max(1 / row.period, row.moved_by_chance or 0.0)
            for row in rows
        ]
        result["used"] = [row.use == "used" for row in rows]
    if any(row.accuracy_low is not None for row in rows):
        result["answered"] = [
            row.accuracy_low is not None and row.chance is not None and row.accuracy_low > row.chance for row in rows
        ]
    return result
