"""Published R² beside what a model gives on the same prompts, and beside the calibrated verdict on that model.

One row a claim: its own columns, the value that was run again (`published.rerun`), and, if a probe run of the same
model is at hand, what the suite says of the same domain and period. A published R² can be reproduced to the third
digit and mean nothing: only the verdict says whether it does.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from llm_probe.replication.audit.claims import COLUMNS, PublishedClaim
from llm_probe.replication.audit.searches import domain_of
from llm_probe.replication.experiments.rerun import Rerun
from toy.run.errors import InputError


@dataclass(frozen=True)
class RerunRow:
    """What stands beside a claim's own columns."""

    published: float
    """The published value."""
    reproduced: float | None
    """The same statistic of the same dimension, layer and frequency in this model."""
    difference: float | None
    """Reproduced minus published."""
    reproduced_frequency: int | None
    """The best k of that dimension here; empty for polynomials and means over moduli."""
    reproduced_best_dim: int | None
    """The best of all dimensions of that layer …"""
    reproduced_best_r2: float | None
    """… and its R²: the end of the search that the number came from."""
    rank: int | None
    """Place of the published dimension among those of its layer, 1 the best."""
    n_prompts: int | None
    """Prompts that were read for it."""
    reason: str
    """Why it was not run again; empty if it was."""
    calibrated: str
    """This suite's verdict on the domain's sums in the probe run given by `--from`; empty without one, and where
    nothing was run again."""


REASONS_SHOWN = 8
RERUN_COLUMNS = (*COLUMNS, *(field.name for field in fields(RerunRow)))
Verdicts = Mapping[tuple[str, int], str]
"""(domain, period) of a claim about sums to its verdict."""


def calibrated_verdicts(folder: Path, model: str) -> dict[tuple[str, int], str]:
    """The verdicts on sums of a probe run of `model`.

    Raises:
        InputError: the folder holds no such table, or is of another model.
    """
    try:
        rows = list(csv.DictReader((folder / "verdicts.csv").read_text(encoding="utf-8").splitlines()))
        of_model = json.loads((folder / "run.json").read_text(encoding="utf-8"))["model"]
        found = {(row["domain"], int(row["period"])): row["verdict"] for row in rows if row["quantity"] == "sum"}
    except (OSError, KeyError, ValueError, TypeError) as error:
        why = "give the results folder of scripts/probe_llm.py with --from"
        raise InputError(f"{folder} holds no verdicts.csv and run.json of a probe run: {why}") from error
    if of_model != model:
        raise InputError(f"{folder} is a run of {of_model}, not of {model}: its verdicts say nothing about that model")
    return found


def rows(reruns: Sequence[Rerun], verdicts: Verdicts | None = None) -> list[RerunRow]:
    """One row a claim, in order."""
    return [_row(one, verdicts or {}) for one in reruns]


def _row(one: Rerun, verdicts: Verdicts) -> RerunRow:
    claim, value = one.claim, one.reproduced
    # A verdict on this model says nothing about a claim on another one.
    judged = value is not None and claim.modulus is not None
    return RerunRow(
        published=claim.value,
        reproduced=value,
        difference=None if value is None else value - claim.value,
        reproduced_frequency=one.frequency,
        reproduced_best_dim=one.best_dim,
        reproduced_best_r2=one.best_value,
        rank=one.rank,
        n_prompts=one.n_prompts or None,
        reason=one.reason or "",
        calibrated=verdicts.get((domain_of(claim), claim.modulus or 0), "") if judged else "",
    )


def table(reruns: Sequence[Rerun], verdicts: Verdicts | None = None) -> str:
    """`reruns.csv`; an empty cell means "not applicable"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RERUN_COLUMNS)
    for one, row in zip(reruns, rows(reruns, verdicts), strict=True):
        beside = [f"{value:.6g}" if isinstance(value, float) else value for value in vars(row).values()]
        writer.writerow([*(getattr(one.claim, name) for name in COLUMNS), *beside])
    return text.getvalue()


def terminal(reruns: Sequence[Rerun], verdicts: Verdicts | None = None) -> str:
    """One line an experiment (medians over its claims), then why the others were not run again."""
    groups: dict[str, list[tuple[PublishedClaim, RerunRow]]] = {}
    for one, row in zip(reruns, rows(reruns, verdicts), strict=True):
        if row.reproduced is not None:
            groups.setdefault(one.claim.experiment, []).append((one.claim, row))
    width = max(map(len, ["experiment", *groups]))
    head = "run again  published  reproduced  |difference|  best dim's"
    lines = [f"{'experiment':<{width}}  {head}{'  calibrated' if verdicts else ''}"] if groups else []
    for name, members in groups.items():
        columns = zip(*(_numbers(row) for _, row in members), strict=True)
        numbers = [statistics.median(column) for column in columns]
        said = Counter(row.calibrated or "no verdict" for _, row in members) if verdicts else {}
        judged = ", ".join(f"{count} {word}" for word, count in said.items())
        cells = "{:>9.3f}  {:>10.3f}  {:>12.3f}  {:>10.3f}".format(*numbers)
        lines.append(f"{name:<{width}}  {len(members):>9}  {cells}  {judged}".rstrip())
    done = sum(len(members) for members in groups.values())
    lines += ["", f"{done} of {len(reruns)} claims run again (medians above); of the others:"]
    reasons = Counter(one.reason for one in reruns if one.reason).most_common()
    lines += [f"  {count:>4}  {reason}" for reason, count in reasons[:REASONS_SHOWN]]
    if rest := reasons[REASONS_SHOWN:]:
        lines.append(f"  {sum(count for _, count in rest):>4}  for {len(rest)} other reasons, in the table")
    return "\n".join(lines)


def _numbers(row: RerunRow) -> tuple[float, float, float, float]:
    assert row.reproduced is not None and row.difference is not None and row.reproduced_best_r2 is not None
    return row.published, row.reproduced, abs(row.difference), row.reproduced_best_r2
