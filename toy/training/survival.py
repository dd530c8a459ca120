"""The results of a sweep: when the seeds of each cell grokked, as survival curves and as tables.

The share of seeds not yet grokked at step t is the Kaplan-Meier estimate (Kaplan & Meier 1958, eq. 2)

    S(t) = Π_{t_i ≤ t} (1 - d_i / n_i)

over the steps t_i at which d_i seeds were first seen grokked, of n_i that were still watched and had not. A seed that
ended without grokking was watched to its last step. One that diverged will never grok: it counts as watched, and not
grokked, to the last step of its cell, so that its leaving does not raise the share of the others.

    sweep.csv      one row a seed: `run_seed`, the evaluations at which it memorised and grokked (99 % of the training,
                   of the test rows) or was no longer a number, its last step and what it reached there
    summary.csv    one row a cell: how many did, the share that grokked with its 95 % Wilson interval, the Kaplan-Meier
                   median, first and last step of those that grokked, and the area under the curve in steps, which
                   counts the others up to `watched_to`
    survival.csv   one row a step of a curve: the share holds from this step to the next row's

Every table starts with a column an axis. `cell` names the cell's file and its run directory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from toy.maths.intervals import wilson
from toy.run.files import as_csv, write_atomic
from toy.training.axes import SweepPoint

CellResults = Sequence[tuple[SweepPoint, dict[str, Any]]]
"""Cells and what `toy.training.sweep.compute` kept of them."""
Row = dict[str, Any]
EVENTS = ("memorised", "grokked", "diverged")
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Survival:
    """A step function from step 0 to the last step that was watched."""

    steps: tuple[int, ...]
    """0, each step at which a seed was first seen grokked, and the last step watched."""
    shares: tuple[Fraction, ...]
    """Not grokked from that step on."""
    at_risk: tuple[int, ...]
    """Watched and not grokked just before that step."""

    @property
    def median(self) -> int | None:
        """The first step at which at most half are left; None if more than half stay."""
        return next((step for step, share in zip(self.steps, self.shares, strict=True) if share <= HALF), None)

    @property
    def mean(self) -> float:
        """The area under the curve: mean steps spent not grokked, of those watched."""
        ends = zip(self.steps, self.steps[1:], self.shares, strict=False)
        return float(sum((share * (following - step) for step, following, share in ends), Fraction(0)))


def survival(grokked_at: Sequence[int | None], watched_to: Sequence[int]) -> Survival:
    """The Kaplan-Meier curve of some seeds: when each grokked, None if it did not, and the last step it was watched.

    At a step where one seed groks and another ends, the one that ends was still watched.
    """
    left = [end if grokked is None else grokked for grokked, end in zip(grokked_at, watched_to, strict=True)]
    steps = sorted({0, *(step for step in grokked_at if step is not None), max(watched_to)})
    share, shares, at_risk = Fraction(1), [], []
    for step in steps:
        watched = sum(each >= step for each in left)
        share *= 1 - Fraction(sum(each == step for each in grokked_at), max(1, watched))
        shares.append(share)
        at_risk.append(watched)
    return Survival(tuple(steps), tuple(shares), tuple(at_risk))


def curve(cell: SweepPoint, content: Row) -> Survival:
    """The curve of a cell's seeds."""
    outcomes = content["outcomes"]
    ends = [cell.config.steps if one["diverged_at"] is not None else one["steps_trained"] for one in outcomes]
    return survival([one["grokked_at"] for one in outcomes], ends)


def seed_rows(results: CellResults) -> list[Row]:
    """The axes, then what came of one seed."""
    return [
        {**cell.values, "run_seed": one["seed"], **{name: value for name, value in one.items() if name != "seed"},
         "device": content["device"], "cell": cell.key}
        for cell, content in results for one in content["outcomes"]
    ]  # fmt: skip


def summary_rows(results: CellResults) -> list[Row]:
    """The axes, then how many seeds of the cell grokked, and when."""
    return [{**cell.values, **_summary(cell, content), "cell": cell.key} for cell, content in results]


def _summary(cell: SweepPoint, content: Row) -> Row:
    outcomes, estimate = content["outcomes"], curve(cell, content)
    counts = {name: sum(one[f"{name}_at"] is not None for one in outcomes) for name in EVENTS}
    grokked = [one["grokked_at"] for one in outcomes if one["grokked_at"] is not None]
    low, high = wilson(counts["grokked"], len(outcomes))
    seconds = [one["seconds"] for one in outcomes if one["seconds"] is not None]
    tested = [one["test_accuracy"] for one in outcomes if one["test_accuracy"] is not None]
    return {
        "seeds": len(outcomes),
        **counts,
        "share_grokked": counts["grokked"] / len(outcomes),
        "share_grokked_low": low,
        "share_grokked_high": high,
        "median_grokked_at": estimate.median,
        "first_grokked_at": min(grokked, default=None),
        "last_grokked_at": max(grokked, default=None),
        "mean_steps_not_grokked": estimate.mean,
        "watched_to": estimate.steps[-1],
        "test_accuracy_worst": min(tested, default=None),
        "seconds_per_seed": sum(seconds) / len(seconds) if seconds else None,
    }


def survival_rows(results: CellResults) -> list[Row]:
    """The axes, then one step of the cell's curve."""
    rows = []
    for cell, content in results:
        estimate = curve(cell, content)
        for step, share, at_risk in zip(estimate.steps, estimate.shares, estimate.at_risk, strict=True):
            rows.append({**cell.values, "step": step, "share_not_grokked": float(share), "at_risk": at_risk})
    return rows


def write_tables(out: Path, results: CellResults, about: Row) -> list[Path]:
    """The tables above as csv, where an empty field means "did not happen", and `about` as sweep.json.

    Raises OSError if they cannot be written.
    """
    tables = {"sweep": seed_rows(results), "summary": summary_rows(results), "survival": survival_rows(results)}
    texts = {"sweep.json": json.dumps(about, indent=1) + "\n"}
    texts |= {f"{name}.csv": as_csv(rows) for name, rows in tables.items()}
    for name, text in texts.items():
        write_atomic(out / name, text)
    return [out / name for name in texts]


def printed(results: CellResults) -> str:
    """The summary as it stands on a terminal: a line a cell."""
    columns = ("grokked", "share (95 %)", "median step", "range", "diverged", "s/seed")
    lines: list[tuple[str, ...]] = [(*(results[0][0].values if results else ()), *columns)]
    for (cell, _), row in zip(results, summary_rows(results), strict=True):
        share, low, high = (row[f"share_grokked{end}"] for end in ("", "_low", "_high"))
        span = f"{row['first_grokked_at']:,}-{row['last_grokked_at']:,}" if row["grokked"] else "-"
        median, seconds = row["median_grokked_at"], row["seconds_per_seed"]
        lines.append(
            (
                *(str(value) for value in cell.values.values()),
                f"{row['grokked']}/{row['seeds']}",
                f"{share:.2f} ({low:.2f}-{high:.2f})",
                "-" if median is None else f"{median:,}",
                span,
                str(row["diverged"] or "-"),
                "-" if seconds is None else f"{seconds:.1f}",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)) for line in lines)
