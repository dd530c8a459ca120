"""The page, the table and the terminal summary of an audit.

audit.html writes one file without script or network. An experiment is a section, a claim a row: the published value as
a dot on a line from 0 to 1, the strongest null as a band from its median to its 95 % quantile, the best simple function
as a hollow diamond, the verdict in a word, the reason in a sentence. The line is drawn for shares only (R², accuracy),
never for perplexities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_probe.page import TEMPLATES
from llm_probe.replication.audit.claims import ClaimColumns, Kind
from llm_probe.replication.audit.evidence import DROPS, Judgement
from llm_probe.replication.audit.judge import VERDICTS, Verdict, p_text
from llm_probe.replication.audit.searches import search_of
from llm_probe.run.study import Result, Study
from toy.run.files import write_atomic
from toy.run.templates import render as render_template

PLURALS: dict[Kind, str] = {
    "ablation": "shares of ablations",
    "perplexity": "perplexities of ablations",
    "accuracy": "accuracies",
}


@dataclass(frozen=True)
class AuditRow(ClaimColumns):
    """What an audit says of one published number: the columns beside the claim's own."""

    published: float
    """The published value, repeated beside what it is compared with."""
    null_median: str
    """Median of the strongest null of the claim's search; empty where no null is known."""
    null_95: str
    """95 % quantile of that null."""
    p_fwer: str
    """Chance under the nulls of as large a number (of a polynomial, as small a one), corrected for the search; of
    several nulls the largest. Of an ablation, Fisher's test, corrected for the number of ablations."""
    confounds: str
    """Simple functions of the operands, and polynomials published beside it, with their R²; best first."""
    verdict: Verdict
    """What the number is worth by itself: `above chance` says no more than that nothing simpler named here gives it,
    `not evidence by itself` that a null or something simpler does or that it cannot be compared, `contradicted` that
    the numbers or the questions say the opposite (`replication/audit/judge.py`)."""
    reason: str
    """The rule that decided, with its numbers, in one sentence."""


FITS: tuple[Kind, ...] = ("class_mean_r2", "mean_r2", "line_r2", "input_r2")
SHOWN = 6
"""Rows of an experiment that are seen before its list is opened."""
NAMES: dict[Kind, str] = {
    "class_mean_r2": "R² of class means", "mean_r2": "R² of class means, averaged", "line_r2": "R² of a line",
    "rival_r2": "R² of a polynomial", "input_r2": "R² over all inputs", "ablation": "ablation",
    "perplexity": "perplexity", "accuracy": "accuracy",
}  # fmt: skip
ORDER: tuple[Kind, ...] = tuple(NAMES)


def experiments(judgements: Sequence[Judgement]) -> dict[str, list[Judgement]]:
    """Judgements by experiment (its epochs together), R² and drops first, the largest value first in each."""
    groups: dict[str, list[Judgement]] = {}
    for one in judgements:
        groups.setdefault(one.claim.experiment.split("_epoch_")[0], []).append(one)
    for members in groups.values():
        members.sort(key=lambda one: (ORDER.index(one.claim.kind), one.claim.metric not in DROPS, -one.claim.value))
    return dict(sorted(groups.items(), key=lambda item: ORDER.index(item[1][0].claim.kind)))


def sentence(judgements: Sequence[Judgement]) -> str:
    """The head: how many claims, and what became of them."""
    return f"{len(judgements)} published number{'s' * (len(judgements) != 1)}: {counted(judgements)}."


def by_kind(judgements: Sequence[Judgement]) -> list[str]:
    """The same for each kind of statistic, as "351 R² of class means: 0 above chance, …"."""
    lines = []
    for kind in ORDER:
        members = [one for one in judgements if one.claim.kind == kind]
        if members:
            lines.append(f"{len(members)} {PLURALS.get(kind, NAMES[kind])}: {counted(members)}")
    return lines


def counted(judgements: Sequence[Judgement]) -> str:
    """How many have which verdict."""
    counts = Counter(one.verdict for one in judgements)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def audit_row(one: Judgement) -> AuditRow:
    """The row of `verdicts.csv`."""
    return AuditRow(
        **one.claim.columns(),
        published=one.claim.value,
        null_median="" if one.null_median is None else f"{one.null_median:.5f}",
        null_95="" if one.null_95 is None else f"{one.null_95:.5f}",
        p_fwer="" if one.p_fwer is None else f"{one.p_fwer:.4g}",
        confounds="; ".join(f"{each.name} ({each.r2:.3f})" for each in one.confounds),
        verdict=one.verdict,
        reason=one.reason,
    )


def audit_study(judgements: Sequence[Judgement], refusals: Sequence[str], facts: Sequence[str]) -> Study:
    """The audit as a study: its table, its words and its page, `audit.html`."""

    def write_page(path: Path, result: Result) -> None:
        write_atomic(path, render(judgements, refusals, facts, result.run["command"]))

    return Study(
        {"verdicts": AuditRow},
        cell_version=1,
        words=lambda result: terminal(judgements),
        page=write_page,
        page_name="audit.html",
        digits=None,
        record="audit.json",
    )


def terminal(judgements: Sequence[Judgement]) -> str:
    """One line an experiment: how many claims, what became of them, and its largest number."""
    groups = experiments(judgements)
    width = max([len("experiment"), *(len(name) for name in groups)])
    lines = [f"{'experiment':<{width}}  claims  above  no evidence  contradicted  largest number"]
    for name, members in groups.items():
        counts = Counter(one.verdict for one in members)
        cells = f"{len(members):>6}  " + "  ".join(
            f"{counts[word]:>{width}}" for word, width in zip(VERDICTS, (5, 11, 12), strict=True)
        )
        one = headline(members)
        p = "" if one.p_fwer is None else f", p {p_text(one.p_fwer)}"
        lines.append(f"{name:<{width}}  {cells}  {what(one)} {value(one)}{p}: {one.verdict}")
    return "\n".join([*lines, "", sentence(judgements), *(f"  {line}" for line in by_kind(judgements))])


def headline(members: Sequence[Judgement]) -> Judgement:
    """The number an experiment is known for: its largest drop, or its largest value that has a null."""
    drops = [one for one in members if one.claim.metric in DROPS]
    return max(drops or [one for one in members if one.p_fwer is not None] or members, key=lambda one: one.claim.value)


def what(one: Judgement) -> str:
    """What a claim is about, in few words."""
    claim = one.claim
    words = {"mod": claim.modulus, "layer": claim.layer, "dim": claim.dim, "k": claim.frequency}
    return ", ".join(f"{name} {number}" for name, number in words.items() if number is not None) or claim.domain


def value(one: Judgement) -> str:
    """The published number, with no more digits than help."""
    return f"{one.claim.value:.3f}" if abs(one.claim.value) < 10 else f"{one.claim.value:.1f}"


def render(judgements: Sequence[Judgement], refusals: Sequence[str], facts: Sequence[str], command: str) -> str:
    """The page as text; `facts` say what the nulls rest on."""
    functions = (by_kind, confound, counted, headline, kind_of, null_band, searches, sentence, value, what)
    return render_template(
        TEMPLATES,
        "audit.html",
        judgements=judgements,
        experiments=experiments(judgements),
        verdicts=VERDICTS,
        shown=SHOWN,
        facts=facts,
        command=command,
        refusals=refusals,
        **{function.__name__: function for function in functions},
    )


def searches(members: Sequence[Judgement]) -> str:
    """How the fits of an experiment were searched for."""
    return "; or ".join(sorted({search_of(one.claim).how for one in members if one.claim.kind in FITS}))


def kind_of(one: Judgement) -> str:
    """The statistic and its domain; a perplexity and an accuracy of one ablation differ in nothing but the metric."""
    kind = NAMES[one.claim.kind] if one.claim.kind in FITS else one.claim.metric.replace("_", " ")
    domain = one.claim.domain.split(' "', maxsplit=1)[0].replace("_", " ")
    return f"{kind}, {domain if len(domain) <= 44 else domain[:43] + '…'}"


def null_band(one: Judgement) -> list[float] | None:
    """The strongest null's median and 95 % quantile, the smaller first."""
    return None if one.null_median is None or one.null_95 is None else sorted((one.null_median, one.null_95))


def confound(one: Judgement) -> float | None:
    """R² of the best simple function or published rival."""
    return max((each.r2 for each in one.confounds), default=None)
