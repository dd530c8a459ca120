"""Sums of two digits on the page: what a model answers, and what moves its answer, from the tables of a run alone.

The figure is that of the next item (`succession`), with a column for the first operand and one for the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from causal.page.succession import moved_words, moves_figure
from causal.run.tables import TABLES
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import as_svg
from llm_probe.page.views import at

NAMES = {"item": "First operand", "sum": "Sum"}
"""Quantity to what a reader calls it."""
HEAD = ("worked examples", "right", "95 % interval", "written", "the most frequent sum")
CAPTION = (
    "The state of the first operand, at its token, or of the sum, at the prompt's last token, is moved to where "
    "another digit's mean stands behind that block: altogether, or only along the circle of period 10. Where the blue "
    "line stays with the grey ones, the answer does not follow the circle. No move can reach many more answers than "
    "are right where nothing is moved."
)


def figure(moves: pd.DataFrame) -> Figure:
    """A column for the operand and one for the sum."""
    return moves_figure({NAMES[str(name)]: own for name, own in moves.groupby("quantity", sort=False)})


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no sums of digits were asked for."""
    own = folder / "causal-addition"
    if (finished := finished_run(own, TABLES, required=("addition",))) is None:
        return None
    run, frames = finished
    files = written_tables(own, TABLES)
    return Section("addition", "Used? Sums of two digits", parts(frames), str(run.get("command") or ""), files)


def parts(frames: Mapping[str, pd.DataFrame]) -> list[Part]:
    """What stands under the heading."""
    answers, moves = frames["addition"], frames["addition_moves"]
    rows = [
        (
            str(row["shots"]), f"{row['accuracy']:.2f}", f"{row['accuracy_low']:.2f} to {row['accuracy_high']:.2f}",
            f"{row['written']:.2f}", f"{row['chance']:.2f}",
        )
        for row in answers.to_dict("records")
    ]  # fmt: skip
    result = [Part(paragraphs=sentences(answers, moves), kind="summary"), Part(table=[HEAD, *rows])]
    if len(moves):
        result.append(Part(picture=as_svg(figure(moves), "addition"), caption=CAPTION))
    return result


def sentences(answers: pd.DataFrame, moves: pd.DataFrame) -> list[str]:
    """What the model can do, and what moves its answer: a sentence for the operand and one for the sum."""
    if answers.empty:
        return []
    best = answers.sort_values("shots").iloc[-1]
    known = (
        f"Sums of two digits below ten are right in {best['accuracy']:.0%} behind {best['shots']:.0f} worked examples"
    )
    if moves.empty:
        return [f"{known}, no more than the most frequent sum would give: nothing was moved."]
    means = at(moves, direction="class means")
    before = ", ".join(
        f"{own['accuracy_before'].iloc[0]:.0%} where the {NAMES[str(name)].lower()} is moved"
        for name, own in means.groupby("quantity", sort=False)
    )
    return [
        f"{known} ({before}).",
        *(f"{NAMES[str(name)]}: {moved_words(own, 'it')}" for name, own in moves.groupby("quantity", sort=False)),
    ]
