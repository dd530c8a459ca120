"""The page, the table and the terminal summary of an audit.

One HTML file without script or network. An experiment is a section, a claim a row: the published value as a dot on a
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
from html import escape
from pathlib import Path

from llm_probe.replication.audit.claims import COLUMNS, Kind
from llm_probe.replication.audit.evidence import DROPS, Judgement
from llm_probe.replication.audit.judge import Verdict, p_text
from llm_probe.replication.audit.searches import search_of

PLURALS: dict[Kind, str] = {
    "ablation": "shares of ablations",
    "perplexity": "perplexities of ablations",
    "accuracy": "accuracies",
}
VERDICTS = ("supported", "undetermined", "refuted")


@dataclass(frozen=True)
class AuditRow:
    """One published number, judged: what stands beside the claim's own columns."""

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
    """`supported`, `refuted` or `undetermined`: what the number is worth by itself (`replication/audit/judge.py`)."""
    reason: str
    """The rule that decided, with its numbers, in one sentence."""


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
        claim = [getattr(one.claim, name) for name in COLUMNS]
        writer.writerow([*claim, *vars(_audited(one)).values()])
    return text.getvalue()


def _audited(one: Judgement) -> AuditRow:
    return AuditRow(
        published=one.claim.value,
        null_median=_number(one.null_median),
        null_95=_number(one.null_95),
        p_fwer="" if one.p_fwer is None else f"{one.p_fwer:.4g}",
        confounds="; ".join(f"{each.name} ({each.r2:.3f})" for each in one.confounds),
        verdict=one.verdict,
        reason=one.reason,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def terminal(judgements: Sequence[Judgement]) -> str:
    """One line an experiment: how many claims, what became of them, and its largest number."""
    groups = experiments(judgements)
    width = max([len("experiment"), *(len(name) for name in groups)])
    lines = [f"{'experiment':<{width}}  claims  supp.  undet.  refuted  largest number"]
    for name, members in groups.items():
        counts = Counter(one.verdict for one in members)
        cells = f"{len(members):>6}  {counts['supported']:>5}  {counts['undetermined']:>6}  {counts['refuted']:>7}"
        lines.append(f"{name:<{width}}  {cells}  {_line_of(headline(members))}")
    return "\n".join([*lines, "", sentence(judgements), *(f"  {line}" for line in by_kind(judgements))])


def headline(members: Sequence[Judgement]) -> Judgement:
    """The number an experiment is known for: its largest drop, or its largest value that a null was found for."""
    drops = [one for one in members if one.claim.metric in DROPS]
    return max(drops or [one for one in members if one.p_fwer is not None] or members, key=lambda one: one.claim.value)


def _line_of(one: Judgement) -> str:
    p = "" if one.p_fwer is None else f", p {p_text(one.p_fwer)}"
    return f"{what(one)} {value(one)}{p}: {one.verdict}"


def what(one: Judgement) -> str:
    """What a claim is about, in few words."""
    claim = one.claim
    words = {"mod": claim.modulus, "layer": claim.layer, "dim": claim.dim, "k": claim.frequency}
    place = ", ".join(f"{name} {number}" for name, number in words.items() if number is not None)
    return place or claim.domain


def value(one: Judgement) -> str:
    """The published number, with no more digits than help."""
    return f"{one.claim.value:.3f}" if abs(one.claim.value) < 10 else f"{one.claim.value:.1f}"


def render(judgements: Sequence[Judgement], refusals: Sequence[str], facts: Sequence[str], command: str) -> str:
    """The page as text; `facts` say what the nulls rest on."""
    style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
    groups = experiments(judgements)
    sections = "\n".join(_section(name, members) for name, members in groups.items())
    refused = "".join(f"<li>{escape(one)}</li>" for one in refusals)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of published claims</title><style>{style}</style></head><body>
<h1>What published numbers support by themselves</h1>
<p class="summary">{escape(sentence(judgements))}</p>
<ul class="about">{"".join(f"<li>{escape(line)}</li>" for line in by_kind(judgements))}</ul>
<p>Each number is compared with what its own search finds where there is nothing, and with simple functions of the
operands that reach the same number. A refuted number may belong to a true sentence: it is then no evidence for it.</p>
<div class="key"><span><i class="dot"></i>published</span>
<span><i class="band"></i>strongest null, median to 95 %</span>
<span><i class="confound"></i>best simple function or published rival</span>
{"".join(f"<span>{_chip(verdict)}</span>" for verdict in VERDICTS)}</div>
{_contents(groups)}
{sections}
<footer>{"".join(f"<p>{escape(fact)}</p>" for fact in facts)}
<p>Made by <code>{escape(command)}</code>; every row is in <code>verdicts.csv</code>,
the rules are in <code>llm_probe/replication/audit/judge.py</code>.</p>
{f"<h2>Refused rows</h2><ul>{refused}</ul>" if refusals else ""}</footer>
</body></html>
"""


def _contents(groups: dict[str, list[Judgement]]) -> str:
    rows = []
    for name, members in groups.items():
        counts = Counter(one.verdict for one in members)
        cells = "".join(f"<td>{counts[verdict] or '–'}</td>" for verdict in VERDICTS)
        first = escape(f"{what(headline(members))}: {value(headline(members))}")
        link = f'<a href="#{escape(name)}">{escape(_title(name))}</a>'
        rows.append(f"<tr><td>{link}</td><td>{len(members)}</td>{cells}<td>{first}</td></tr>")
    if not rows:
        return ""
    head = "".join(f"<th>{word}</th>" for word in ("experiment", "claims", *VERDICTS, "largest number"))
    return f'<table class="contents"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _title(experiment: str) -> str:
    return experiment.replace("_", " ")


def _section(name: str, members: Sequence[Judgement]) -> str:
    rows = [_row(one) for one in members]
    header = (
        '<div class="row header"><span>about</span><span class="value">published</span>'
        '<span class="ends"><span>0</span><span>1</span></span><span>verdict</span><span>reason</span></div>'
    )
    rest = rows[SHOWN:]
    more = f"<details><summary>{len(rest)} more</summary>{''.join(rest)}</details>" if rest else ""
    heading = f"<h2>{escape(_title(name))}<small>{escape(_counted(members))}</small></h2>"
    searched = sorted({search_of(one.claim).how for one in members if one.claim.kind in FITS})
    how = f'<p class="about">{escape("; or ".join(searched))}</p>' if searched else ""
    return f'<section id="{escape(name)}">{heading}{how}{header}{"".join(rows[:SHOWN])}{more}</section>'


def _row(one: Judgement) -> str:
    claim = one.claim
    # A perplexity and an accuracy of one ablation differ in nothing but the metric.
    kind = NAMES[claim.kind] if claim.kind in FITS else claim.metric.replace("_", " ")
    about = f"{escape(what(one))}<small>{escape(kind)}, {escape(_short(claim.domain))}</small>"
    tip = escape(f"{claim.metric}, {claim.model}, {claim.source}")
    cells = {
        "what": about,
        "value": value(one),
        "plot": _line(one),
        "verdict": _chip(one.verdict),
        "why": escape(one.reason),
    }
    inner = "".join(f'<span class="{name}">{cell}</span>' for name, cell in cells.items())
    return f'<div class="row" title="{tip}">{inner}</div>'


def _short(domain: str) -> str:
    words = domain.split(' "', maxsplit=1)[0].replace("_", " ")
    return words if len(words) <= 44 else words[:43] + "…"


def _line(one: Judgement) -> str:
    if one.claim.kind == "perplexity" or not 0 <= one.claim.value <= 1:
        return ""
    band = ""
    if one.null_median is not None and one.null_95 is not None:
        low, high = sorted((one.null_median, one.null_95))
        band = f'<i class="band" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>'
    if one.confounds:
        best = 100 * max(each.r2 for each in one.confounds)
        band += f'<i class="confound" style="left:{best:.2f}%"></i>'
    return f'<span class="line">{band}<i class="dot" style="left:{100 * one.claim.value:.2f}%"></i></span>'


def _chip(verdict: str) -> str:
    return f'<span class="chip {verdict}">{verdict}</span>'
