"""The page, the table and the terminal summary of an audit.

audit.html writes one file without script or network. An experiment is a section, a claim a row: the published value as a dot on a
line from 0 to 1, the strongest null as a band from its median to its 95 % quantile, the best simple function as a
hollow diamond, the verdict in a word, the reason in a sentence. The line is drawn for shares only (R², accuracy), never
for perplexities.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from llm_probe.page import TEMPLATES
from llm_probe.page.views import VERDICTS
from llm_probe.replication.audit.claims import COLUMNS, Kind
from llm_probe.replication.audit.evidence import DROPS, Judgement
from llm_probe.replication.audit.judge import Verdict, p_text
from llm_probe.replication.audit.searches import search_of
from toy.run.templates import render as render_template

PLURALS: dict[Kind, str] = {
    "ablation": "shares of ablations",
    "perplexity": "perplexities of ablations",
    "accuracy": "accuracies",
}


@dataclass(frozen=True)
class AuditRow:
    """What an audit says of one published number: the columns beside the claim's own."""

    published: float
    """The published value again, beside what it is compared with."""
    null_median: str
    """Median of the strongest null of the claim's search; empty where no null is known."""
    null_95: str
    """Its 95 % quantile."""
    p_fwer: str
    """Chance under the nulls of as large a number (of a polynomial, as small a one), corrected for the search; of
    several nulls the largest. Of an ablation, Fisher's test, corrected for the number of ablations."""
    confounds: str
    """Simple functions of the operands, and polynomials published beside it, with their R²; best first."""
    verdict: Verdict
    """`supported`, `refuted` or `undetermined`: what the number is worth by itself (`replication/audit/judge.py`)."""
    reason: str
    """Why, in a sentence."""


VERDICT_COLUMNS = (*COLUMNS, *(field.name for field in fields(AuditRow)))
FITS: tuple[Kind, ...] = ("class_mean_r2", "mean_r2", "line_r2", "input_r2")
SHOWN = 6
"""Rows of an experiment that are seen before its list is opened."""
ORDER: tuple[Kind, ...] = (
    "class_mean_r2", "mean_r2", "line_r2", "rival_r2", "input_r2", "ablation", "perplexity", "accuracy",
)  # fmt: skip
NAMES: dict[Kind, str] = {
    "class_mean_r2": "R² of class means", "mean_r2": "R² of class means, averaged", "line_r2": "R² of a line",
    "rival_r2": "R² of a polynomial", "input_r2": "R² over all inputs", "ablation": "ablation",
    "perplexity": "perplexity", "accuracy": "accuracy",
}  # fmt: skip


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
    return f"{len(judgements)} published number{'s' * (len(judgements) != 1)}: {_counted(judgements)}."


def by_kind(judgements: Sequence[Judgement]) -> list[str]:
    """The same for each kind of statistic, as "351 R² of class means: 0 supported, …"."""
    lines = []
    for kind in ORDER:
        members = [one for one in judgements if one.claim.kind == kind]
        if members:
            lines.append(f"{len(members)} {PLURALS.get(kind, NAMES[kind])}: {_counted(members)}")
    return lines


def _counted(judgements: Sequence[Judgement]) -> str:
    counts = Counter(one.verdict for one in judgements)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def table(judgements: Sequence[Judgement]) -> str:
    """`verdicts.csv`; an empty cell means "not applicable"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(VERDICT_COLUMNS)
    for one in judgements:
        row = AuditRow(
            published=one.claim.value,
            null_median="" if one.null_median is None else f"{one.null_median:.5f}",
            null_95="" if one.null_95 is None else f"{one.null_95:.5f}",
            p_fwer="" if one.p_fwer is None else f"{one.p_fwer:.4g}",
            confounds="; ".join(f"{each.name} ({each.r2:.3f})" for each in one.confounds),
            verdict=one.verdict,
            reason=one.reason,
        )
        writer.writerow([*(getattr(one.claim, name) for name in COLUMNS), *vars(row).values()])
    return text.getvalue()


def terminal(judgements: Sequence[Judgement]) -> str:
    """One line an experiment: how many claims, what became of them, and its largest number."""
    groups = experiments(judgements)
    width = max([len("experiment"), *(len(name) for name in groups)])
    lines = [f"{'experiment':<{width}}  claims  supp.  undet.  refuted  largest number"]
    for name, members in groups.items():
        counts = Counter(one.verdict for one in members)
        cells = f"{len(members):>6}  {counts['supported']:>5}  {counts['undetermined']:>6}  {counts['refuted']:>7}"
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
    return render_template(
        TEMPLATES,
        "audit.html",
        summary=sentence(judgements),
        kinds=by_kind(judgements),
        verdicts=VERDICTS,
        experiments=[_experiment(name, members) for name, members in experiments(judgements).items()],
        shown=SHOWN,
        facts=facts,
        command=command,
        refusals=refusals,
    )


def _experiment(name: str, members: Sequence[Judgement]) -> dict[str, Any]:
    known_for = headline(members)
    return {
        "name": name,
        "title": name.replace("_", " "),
        "counts": Counter(one.verdict for one in members),
        "counted": _counted(members),
        "largest": f"{what(known_for)}: {value(known_for)}",
        "searches": "; or ".join(sorted({search_of(one.claim).how for one in members if one.claim.kind in FITS})),
        "rows": [_row(one) for one in members],
    }


def _row(one: Judgement) -> dict[str, Any]:
    """A claim as the template prints it; the places on the line from 0 to 1 are percentages."""
    claim = one.claim
    # A perplexity and an accuracy of one ablation differ in nothing but the metric.
    kind = NAMES[claim.kind] if claim.kind in FITS else claim.metric.replace("_", " ")
    known = one.null_median is not None and one.null_95 is not None
    return {
        "what": what(one),
        "about": f"{kind}, {_short(claim.domain)}",
        "tip": f"{claim.metric}, {claim.model}, {claim.source}",
        "value": value(one),
        "share": claim.kind != "perplexity" and 0 <= claim.value <= 1,
        "published": 100 * claim.value,
        "band": [100 * end for end in sorted((one.null_median or 0.0, one.null_95 or 0.0))] if known else None,
        "confound": 100 * max(each.r2 for each in one.confounds) if one.confounds else None,
        "verdict": one.verdict,
        "reason": one.reason,
    }


def _short(domain: str) -> str:
    words = domain.split(' "', maxsplit=1)[0].replace("_", " ")
    return words if len(words) <= 44 else words[:43] + "…"
