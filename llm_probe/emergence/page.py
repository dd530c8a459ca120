"""What a series shows: a sentence a claim, the order of events, and R² and right answers over training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from llm_probe.emergence.table import TABLES
from llm_probe.page import TEMPLATES
from llm_probe.page.sections import Part, Run, Section, finished_run, written_tables
from llm_probe.page.style import BAND, GREEN, GREY, RANDOM, SIZE, TRAINED, VIOLET, as_svg, frame
from llm_probe.page.views import FLOOR, at, claim_name, number, r2_text, text
from llm_probe.run.study import Frames
from toy.run.files import write_atomic
from toy.run.templates import render

PER_ROW = 3
WIDE = 20
"""From such a ratio of the last to the first step on, steps stand on a logarithmic axis."""
MARKS = {"circle": (TRAINED, 5.5), "ordered": ("white", 5.5), "helix": ("white", 5.5)}
"""Level to the face and size of its mark."""
CAPTION = (
    "Blue: R² of the plane on new prompts, 95 % interval; filled marks: the level is circle; hollow: it is "
    "ordered or helix. Orange, dashed: the same search with random weights. Green: right answers; dotted: guessing. "
    "Grey: the step from which the plane is read, with its interval."
)
MOVED = " Violet: answers that follow when a state is moved along the circles of the answer."
HEAD = ("claim", "event", "from step", "not yet at", "by", "checkpoints above", "P(never)")


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no series was finished in its checkpoints/."""
    if (finished := finished_run(folder / "checkpoints", TABLES, ["checkpoints"])) is None:
        return None
    run, frames = finished
    return _section(frames, run, written_tables(folder / "checkpoints", TABLES))


def write(path: Path, frames: Frames, run: Run) -> None:
    """The page of a series alone, titled by its whole path: most folders of checkpoints are called `snapshots`."""
    names = [f"{name}.csv" for name in TABLES]
    count, control = len(run["checkpoints"]), run.get("control") or "none"
    about = [text(run["model"]), f"{count} checkpoints", f"control: {control}"]
    own = _section(frames, run, names)
    write_atomic(path, render(TEMPLATES, "study.html", title=own.title, about=about, run=run, sections=[own]))


def _section(frames: Frames, run: Run, files: list[str]) -> Section:
    table = [HEAD, *_event_rows(frames["changes"])]
    caption = CAPTION + MOVED * bool(frames["checkpoints"]["moved"].notna().any())
    pictures = [Part(picture=as_svg(figure, "emergence"), caption=caption) for figure in all_figures(frames).values()]
    parts = [Part(paragraphs=sentences(frames), kind="facts"), *pictures, Part("The order of events", table=table)]
    return Section("checkpoints", "Over training", parts, text(run.get("command")), files)


def _event_rows(changes: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in changes.to_dict("records"):
        steps = (number(row[name]) for name in ("step", "not_yet_at", "above_at"))
        shown = ["–" if step is None else f"{step:,.0f}" for step in steps]
        yield (
            claim_name(row["domain"], row["quantity"]),
            row["event"],
            *shown,
            f"{row['exceeding']} of {row['n']}",
            f"{row['never']:.2g}",
        )


def sentences(frames: Frames) -> list[str]:
    """What happened to each claim, a sentence each, in the order in which it happened."""
    result = []
    for domain, quantity in claims_of(frames["changes"]):
        own = at(frames["changes"], domain=domain, quantity=quantity)
        dated = own.loc[own["step"].notna()].sort_values("step", kind="stable")
        rows = at(frames["checkpoints"], domain=domain, quantity=quantity)
        last = rows.iloc[-1]
        then = f"at step {last['step']:,} {last['level']}, R² {r2_text(last['plane_r2'])}"
        happened = ", ".join(f"{row['event']} from step {_dated(row)}" for row in dated.to_dict("records"))
        result.append(
            f"{claim_name(domain, quantity)}: {happened or 'nothing stands above its null for good'}; {then}."
        )
    return result


def _dated(row: dict) -> str:
    step, low, high = (number(row[name]) for name in ("step", "not_yet_at", "above_at"))
    after = "" if low is None else f"after {low:,.0f}, "
    return f"{step:,.0f} ({after}by {high:,.0f})"


def all_figures(frames: Frames) -> dict[str, Figure]:
    """R² and right answers over training, a panel a claim; nothing without checkpoints."""
    rows = frames["checkpoints"]
    if rows.empty:
        return {}
    claims = claims_of(rows)
    lines = -(-len(claims) // PER_ROW)
    with rc_context({"font.size": SIZE}):
        figure = Figure((3.3 * min(PER_ROW, len(claims)) + 0.3, 0.3 + 2.1 * lines), layout="constrained")
        grid = (
            figure.subplots(lines, min(PER_ROW, len(claims)), squeeze=False, sharex=True, sharey=True).ravel().tolist()
        )
        for axes, (domain, quantity) in zip(grid, claims, strict=False):
            own = {"domain": domain, "quantity": quantity}
            over_training(axes, at(rows, **own), at(frames["changes"], **own))
            frame(axes, title=claim_name(domain, quantity))
        for axes in grid[len(claims) :]:
            axes.remove()
        figure.supxlabel("step", fontsize=SIZE)
        figure.supylabel("held-out R², share of right answers", fontsize=SIZE)
    return {"emergence": figure}


def claims_of(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Domain and quantity of every claim, in order."""
    return list(dict.fromkeys((str(row["domain"]), str(row["quantity"])) for row in rows.to_dict("records")))


def circles_shown(changes: pd.DataFrame) -> list[tuple[str, str]]:
    """Domain and quantity of every claim that becomes a circle: those worth a film."""
    return claims_of(changes.loc[(changes["event"] == "circle") & changes["step"].notna()])


def over_training(axes: Axes, rows: pd.DataFrame, changes: pd.DataFrame) -> None:
    """One claim: R² with its interval and levels, the random twin, right answers, the step of reading."""
    steps = rows["step"].tolist()
    for row in at(changes, event="read").to_dict("records"):
        low, step, high = (number(row[name]) for name in ("not_yet_at", "step", "above_at"))
        if step is not None and high is not None:
            axes.axvspan(steps[0] if low is None else low, high, color=BAND, alpha=0.5, linewidth=0)
            axes.axvline(step, color=GREY, linewidth=1)
    low, r2, high, random = (
        rows[name].clip(FLOOR) for name in ("plane_r2_low", "plane_r2", "plane_r2_high", "random_r2")
    )
    axes.fill_between(steps, low, high, color=TRAINED, alpha=0.2, linewidth=0)
    axes.plot(steps, r2, color=TRAINED, linewidth=1.2)
    for step, value, level in zip(steps, r2, rows["level"], strict=True):
        face, size = MARKS.get(level, (TRAINED, 2.5))
        axes.plot([step], [value], "o", color=TRAINED, markerfacecolor=face, markersize=size)
    axes.plot(steps, random, "--", color=RANDOM, linewidth=1.2)
    axes.plot(steps, rows["accuracy"], color=GREEN, linewidth=1.2)
    axes.plot(steps, rows["chance"], ":", color=GREEN, linewidth=0.8)
    axes.plot(steps, rows["moved"], color=VIOLET, linewidth=1.2)
    first = min((step for step in steps if step > 0), default=1)
    if max(steps) > WIDE * first:
        axes.set_xscale("symlog", linthresh=first)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_ylim(FLOOR - 0.03, 1.03)
