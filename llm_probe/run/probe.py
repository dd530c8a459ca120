"""The main job: every claim under trained and random weights, to verdicts, tables and a page.

claims  ->  Job (trained)  ->  evidence, answers  ->  Job (random)  ->  evidence  ->  verdicts and tables
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from llm_probe.models.adapters import as_transformers
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, load, wrap
from llm_probe.questions.claims import Claim, families
from llm_probe.questions.domains import Domain
from llm_probe.questions.selection import claims_for, named_claims, own_claims
from llm_probe.run.config import ProbeConfig
from llm_probe.run.job import Job, prompts_of
from llm_probe.run.result import PROBE, ProbeResult
from llm_probe.run.study import Rows, Session, together
from llm_probe.run.vocabulary import Position, Site
from llm_probe.statistics.controls import prompt_controls, weights_control
from llm_probe.statistics.directions import CirclePlane
from llm_probe.statistics.gains import note_of, tests_of
from llm_probe.statistics.renaming import undecidable
from llm_probe.verdicts.evidence import Evidence, with_selectivity
from llm_probe.verdicts.judgement import Hypothesis, accuracy_of, verdicts
from toy.run.device import threads_for
from toy.run.errors import InputError
from toy.run.limits import check_counts, check_numbers

DEFAULTS = ProbeConfig()


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
    model: Any,
    tokenizer: Any,
    domains: str | Domain | Sequence[str | Domain] = ("days", "months"),
    *,
    moduli: Sequence[int] = DEFAULTS.moduli,
    layers: int | Sequence[int] = DEFAULTS.layers,
    site: Site | Sequence[Site] = DEFAULTS.site,
    position: Position | Sequence[Position] = DEFAULTS.position,
    templates: Literal["published", "all"] = DEFAULTS.templates,
    domain_file: Sequence[str | Path] = DEFAULTS.domain_file,
    prompt_file: Sequence[str | Path] = DEFAULTS.prompt_file,
    prompts: int = DEFAULTS.prompts,
    renamings: int = DEFAULTS.renamings,
    random_control: bool = DEFAULTS.random_control,
    blocks_control: bool = DEFAULTS.blocks_control,
    behaviour: bool = DEFAULTS.behaviour,
    behaviour_prompts: int = DEFAULTS.behaviour_prompts,
    shots: int | Sequence[int] = DEFAULTS.shots,
    chat: bool = DEFAULTS.chat,
    seed: int = DEFAULTS.seed,
    batch_tokens: int = DEFAULTS.batch_tokens,
    out: str | Path | None = DEFAULTS.out,
) -> ProbeResult:
    """Probe a model that is already in memory.

    Args:
        model: a decoder or an encoder of transformers, or one of peft, nnsight or TransformerLens; its weights, mode
            and hooks stay as they are.
        tokenizer: its fast tokenizer, whose character offsets locate the operands.
        domains: names (`days`, `months`, `hours`, `mod`, …; an unknown one lists them all) or `Domain`s of your own.
        moduli: of the `mod` domains, 5 or more.
        layers: blocks, counted from 0; left out, all of them.
        site: which output of a block: `resid_post`, `mlp_out`, `attn_out`.
        position: which token; left out, `last` for questions and `item` for statements.
        templates: `published`: of the questions, each domain's first template only.
        domain_file: YAML files that describe further domains.
        prompt_file: CSV, JSONL or Parquet files with `prompt`, `label` and `period`.
        prompts: discovery questions a claim; confirmation takes half as many.
        renamings: of the null at most; the smallest p is 1 / (renamings + 1).
        random_control: the same pass over the same architecture with random weights; without it nothing is supported.
        blocks_control: a third pass, random blocks behind the trained embeddings.
        behaviour: ask the model for the answers too.
        behaviour_prompts: questions asked a domain, part and grid.
        shots: worked examples before the questions that are asked.
        chat: wrap each prompt in the tokenizer's chat template.
        seed: of prompts, renamings, bootstrap and random weights.
        batch_tokens: tokens a batch at most; halved when memory runs out.
        out: folder in which finished cells are kept, so that an interrupted run goes on; left out, nothing is written.

    Raises:
        InputError: an unknown domain or layer, a number below one, or a tokenizer without character offsets.
    """
    network = as_transformers(model)
    name = str(getattr(network, "name_or_path", "") or type(network).__name__)
    config = ProbeConfig(
        model="reference" if name == str(REFERENCE_FOLDER) else name,
        moduli=tuple(moduli),
        layers=_several(layers),
        site=_several(site),
        position=_several(position),
        templates=templates,
        domain_file=tuple(map(Path, domain_file)),
        prompt_file=tuple(map(Path, prompt_file)),
        prompts=prompts,
        renamings=renamings,
        random_control=random_control,
        blocks_control=blocks_control,
        behaviour=behaviour,
        behaviour_prompts=behaviour_prompts,
        shots=_several(shots),
        chat=chat,
        seed=seed,
        batch_tokens=batch_tokens,
        out=None if out is None else Path(out),
    )
    make = partial(wrap, network, tokenizer, name=config.model)
    named = [domains] if isinstance(domains, str | Domain) else domains
    return run(ProbePlan(checked(config), tuple(claims_for(config, named)), make), config.out)


def _several(value: Any) -> tuple[Any, ...]:
    """One value, or some of them, as a tuple."""
    return (value,) if isinstance(value, str | int) else tuple(value)


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
    """Probe the claims: the trained weights first, then what the model can do, then its random twin.

    Raises:
        InputError: a claim has too few prompts, which is said before a model is made.
    """
    for claim in plan.claims:
        prompts_of(claim, plan.config)
    return analysed(lambda session: Job(plan.config, session, plan.make), plan.claims, folder, command)


def analysed(
    job_of: Callable[[Session], Job], claims: Sequence[Claim], folder: Path | None, command: str = ""
) -> ProbeResult:
    """The one analysis, of a model's states or of states that the user brings: what differs is the job.

    `claims`: none for a toy, which brings its own.
    """
    planes: dict[str, CirclePlane] = {}

    def work(session: Session) -> Rows:
        job = job_of(session)
        with threads_for(job.d_model):
            complete, rows = _rows(job, claims or own_claims(job.loaded))
        planes.update({one.claim.name: one.evidence.plane for one in complete if one.evidence.plane is not None})
        return rows

    result = PROBE.run(folder, work, command)
    return ProbeResult(result.frames, result.run, PROBE, planes)


def _rows(job: Job, claims: Sequence[Claim]) -> tuple[list[Hypothesis], Rows]:
    """Every claim with all that its verdict rests on, and the rows of every table."""
    config, facts = job.config, job.session.facts
    job.describe()
    job.warn(claims)
    trained = hypotheses(job, claims)
    answers = job.behaviour(claims)
    complete = answered(job, trained, answers)
    random, untrained_blocks = _random(job, trained) if config.random_control else ([], [])
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
    facts["n_prompts"] = sum(evidence.n_discovery + evidence.n_confirmation for evidence in both)
    tables = [*parts, *answers.values(), {"controls": controls, "verdicts": list(verdicts(complete))}]
    return complete, together(tables)


def answered(job: Job, trained: Sequence[Hypothesis], answers: Mapping[str, Rows]) -> list[Hypothesis]:
    """Every claim with what the model answers (`Job.behaviour`), and with how much could be decided at all."""
    return [
        replace(
            one,
            accuracy=accuracy_of(answers.get(one.claim.domain.name, {}).get("behaviour", ()))
            if one.claim.quantity == "sum"
            else (None, None, None),
            undecidable=undecidable(one.claim, job.item_kinds(one.claim), job.config.renamings),
            n_dimensions=job.d_model * len(job.cells(one.claim)),
        )
        for one in trained
    ]


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


def _random(job: Job, trained: Sequence[Hypothesis]) -> tuple[list[Hypothesis], list[Evidence]]:
    """The same under random weights, all of them and of the blocks alone; the trained model is let go."""
    random, blocks = job.untrained()
    claims = [one.claim for one in trained]
    random.locations = {one.claim.name: one.evidence.location for one in trained}
    result = hypotheses(random, claims)
    random.let_go()
    return result, blocks.evidence(claims) if blocks else []


def checked(config: ProbeConfig) -> ProbeConfig:
    """The configuration with every layer, site and position named once; InputError if a number is out of bounds."""
    check_numbers(config)
    check_counts(config, "prompts", "renamings", "behaviour_prompts", "batch_tokens", "site", "shots")
    if min(config.shots, default=0) < 0:
        raise InputError(f"{min(config.shots)} worked examples cannot be given: give --shots 0 or more")
    if min(config.layers, default=0) < 0:
        raise InputError(
            f"layer {min(config.layers)} cannot be chosen: blocks are counted from 0, and the token embedding is read "
            "beside them where items stand"
        )
    once = {name: tuple(dict.fromkeys(getattr(config, name))) for name in ("layers", "site", "position", "shots")}
    return replace(config, **once)
