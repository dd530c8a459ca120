"""In which order do things happen? The events of several trainings beside each other, from a sweep of series.

    the sweep's merged tables            answered, read, integer, ordered, circle, moved, used (`series.events`)
    the snapshots of each training       right answers on pairs that were trained on, and on pairs that were not

Of two events one comes first in a training where the interval of its step ends before that of the other begins; else
the checkpoints do not tell. The order is counted over trainings: several seeds agree, or they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.emergence.changes import change_of
from llm_probe.emergence.pairs import QUESTIONS, PairRow, held_out_share_of, pair_rows, snapshots_of
from llm_probe.page.style import GREEN, OCHRE, RED, SIZE, TRAINED, VIOLET, frame
from llm_probe.page.views import at, claim_name, number
from llm_probe.run.reading import check_unchanged, read_record, read_rows
from llm_probe.run.study import Result, Rows, Session, Study, stage
from toy.run.cells import key_of
from toy.run.errors import InputError

LEARNT = {
    ("trained on", "small"): "small trained pairs",
    ("held out", "small"): "small held-out pairs",
    ("trained on", "all"): "all trained pairs",
    ("held out", "all"): "all held-out pairs",
}
"""Pairs and operands to the event that most of them are answered."""
MOST = 0.5
"""Share of right answers that counts as knowing them."""
EVENTS = (*LEARNT.values(), "integer", "read", "ordered", "circle", "moved", "used")
COLOURS = (TRAINED, OCHRE, GREEN, VIOLET, RED)


@dataclass(frozen=True)
class EventRow:
    """From which step on something holds in one training."""

    training: str
    """Name of the training."""
    domain: str
    """Name of the domain."""
    event: str
    """Of `small trained pairs` and the like: at least half of these questions are answered (lower end of the 95 %
    interval). The others are those of changes.csv, of sums."""
    n: int
    """Number of checkpoints."""
    exceeding: int
    """At how many of them it holds."""
    step: int | None
    """The likeliest first step; empty where no change is reported."""
    not_yet_at: int | None
    """The step before the 95 % interval; empty where that begins with the first checkpoint."""
    above_at: int | None
    """The last step of the interval."""


@dataclass(frozen=True)
class OrderRow:
    """Two events of one domain, counted over trainings."""

    domain: str
    """Name of the domain."""
    first: str
    """Name of one event, as in events.csv."""
    second: str
    """Name of another event of the same domain."""
    trainings: int
    """Trainings in which both are dated."""
    before: int
    """In how many of them the interval of the first ends before that of the second begins."""
    after: int
    """In how many the second's ends before the first's begins; in the others the intervals overlap."""


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.page.style import save_figures

    if figure := order_figure(result.frames["events"]):
        save_figures(folder, {"order": figure}, "order")


def _words(result: Result) -> str:
    lines = sentences(result.frames["events"], result.frames["order"])
    return "\n".join([*lines, "", f"again   {result.run['command']}"])


ORDER = Study({"pairs": PairRow, "events": EventRow, "order": OrderRow}, cell_version=1, words=_words, figures=_figures)


def run(sweep: Path, folder: Path, command: str = "", beside: Path | None = None) -> Result:
    """Ask every snapshot of a sweep's trainings, and put the events into order.

    Args:
        sweep: Folder of a finished sweep of series.
        folder: Where the tables go.
        command: What makes them again.
        beside: Folder of an earlier result, whose trainings are taken over where the sweep has none of their name.

    Raises:
        InputError: the sweep has no merged series, a training has no snapshots any more, or `beside` has no tables.
    """
    changes = merged_changes(sweep)
    earlier = Earlier.of(beside) if beside else Earlier((), ())
    return ORDER.run(folder, lambda session: _rows(changes, session, earlier), command)


@dataclass(frozen=True)
class Earlier:
    """What an earlier run wrote of its trainings."""

    pairs: Sequence[PairRow]
    events: Sequence[EventRow]

    @staticmethod
    def of(folder: Path) -> Earlier:
        """Read back, as it was written. Raises InputError where a table is missing or was edited."""
        check_unchanged(folder, read_record(folder / "run.json"))
        return Earlier(read_rows(folder / "pairs.csv", PairRow), read_rows(folder / "events.csv", EventRow))


def merged_changes(sweep: Path) -> pd.DataFrame:
    """The changes of every series of a sweep, with the model of each.

    Raises:
        InputError: there are none.
    """
    path = sweep / "merged" / "changes.csv"
    try:
        changes = pd.read_csv(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give the folder of a finished sweep of series, "
            "python scripts/sweep.py scripts/models/emergence.yaml"
        ) from error
    if missing := {"model", "domain", "quantity", "event", "step"} - set(changes.columns):
        raise InputError(f"{path} has no column {min(missing)}: give a sweep of series over `model`")
    return changes


def _rows(changes: pd.DataFrame, session: Session, earlier: Earlier) -> Rows:
    sums = at(changes, quantity="sum")
    domains = list(dict.fromkeys(map(str, sums["domain"])))
    pairs: list[PairRow] = []
    trainings = {str(model): Path(str(model)).parent for model in dict.fromkeys(sums["model"])}
    listed = {model: snapshots_of(training) for model, training in trainings.items()}
    with stage("right answers", sum(map(len, listed.values())), "snapshots") as bar:
        for model, training in trainings.items():
            share = held_out_share_of(training)
            for snapshot in listed[model]:
                make = partial(_measured, snapshot, training.name, domains, share)
                key = key_of({"snapshot": str(snapshot), "domains": domains, "share": share, "most": QUESTIONS})
                pairs += session.rows(key, make)["pairs"]
                bar.update()
    events = [*learnt(pairs)]
    for model, training in trainings.items():
        events += dated(at(sums, model=model), training.name)
    own = {training.name for training in trainings.values()}
    pairs = [row for row in earlier.pairs if row.training not in own] + pairs
    events = [row for row in earlier.events if row.training not in own] + events
    return {"pairs": pairs, "events": events, "order": [*orders(events)]}


def _measured(snapshot: Path, training: str, domains: Sequence[str], share: float) -> Rows:
    return {"pairs": [*pair_rows(snapshot, training, domains, share)]}


def learnt(rows: Sequence[PairRow]) -> Iterator[EventRow]:
    """From which step on at least half of the questions of each kind are answered."""
    for training, domain in dict.fromkeys((row.training, row.domain) for row in rows):
        for (pairs, operands), event in LEARNT.items():
            own = [
                row
                for row in rows
                if (row.training, row.domain, row.pairs, row.operands) == (training, domain, pairs, operands)
            ]
            own.sort(key=lambda row: row.step)
            known = [row.accuracy_low > MOST for row in own]
            steps = change_of(known).among([row.step for row in own])
            yield EventRow(training, domain, event, len(own), sum(known), **steps)


def dated(changes: pd.DataFrame, training: str) -> Iterator[EventRow]:
    """The events of one series that have a place in the order."""
    for row in changes.to_dict("records"):
        if row["event"] in EVENTS:
            steps = (number(row[name]) for name in ("step", "not_yet_at", "above_at"))
            whole = [None if step is None else int(step) for step in steps]
            yield EventRow(training, row["domain"], row["event"], int(row["n"]), int(row["exceeding"]), *whole)


def orders(events: Sequence[EventRow]) -> Iterator[OrderRow]:
    """Every two events of every domain."""
    for domain in dict.fromkeys(row.domain for row in events):
        own = {(row.training, row.event): row for row in events if row.domain == domain and row.step is not None}
        trainings = dict.fromkeys(training for training, _ in own)
        for first, second in combinations(EVENTS, 2):
            both = [(own[t, first], own[t, second]) for t in trainings if (t, first) in own and (t, second) in own]
            if both:
                before = sum(_precedes(one, other) for one, other in both)
                after = sum(_precedes(other, one) for one, other in both)
                yield OrderRow(domain, first, second, len(both), before, after)


def _precedes(one: EventRow, other: EventRow) -> bool:
    """Whether one's interval ends before the other's begins; an interval begins behind the step `not_yet_at`."""
    return one.above_at is not None and other.not_yet_at is not None and one.above_at <= other.not_yet_at


def sentences(events: pd.DataFrame, order: pd.DataFrame) -> list[str]:
    """A sentence a domain: its events in the order of their median steps, and on how many pairs all trainings agree."""
    result = []
    for domain in dict.fromkeys(map(str, events["domain"])):
        own = at(events, domain=domain)
        known = own.loc[own["step"].notna()]
        medians = known.groupby("event")["step"].median().sort_values(kind="stable")
        listed = ", ".join(f"{event} {step:,.0f}" for event, step in medians.items())
        pairs = at(order, domain=domain)
        agreed = (pairs[["before", "after"]].max(axis=1) == pairs["trainings"]).sum()
        result.append(
            f"{domain}: {listed or 'nothing is dated'}; of {agreed} of {len(pairs)} pairs of events every training "
            "tells the same one to be the first."
        )
    return result


def order_figure(events: pd.DataFrame) -> Figure | None:
    """A panel a domain: every event's step with its interval, a colour a training."""
    domains = list(dict.fromkeys(map(str, events["domain"])))
    if not domains:
        return None
    across = min(3, len(domains))
    down = -(-len(domains) // across)
    trainings = list(dict.fromkeys(map(str, events["training"])))
    with rc_context({"font.size": SIZE}):
        figure = Figure((3.2 * across + 1.2, 2.5 * down + 0.6), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel().tolist()
        for axes, domain in zip(panels, domains, strict=False):
            events_of(axes, at(events, domain=domain), trainings)
            frame(axes, title=claim_name(domain, "sum"))
        for axes in panels[len(domains) :]:
            axes.remove()
        for axes in panels[max(0, len(domains) - across) : len(domains)]:
            axes.set_xlabel("step", fontsize=SIZE)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(trainings), frameon=False, fontsize=SIZE)
    return figure


def events_of(axes: Axes, rows: pd.DataFrame, trainings: Sequence[str]) -> None:
    """One domain: events down, steps across."""
    known = [event for event in EVENTS if event in set(rows["event"])]
    for index, training in enumerate(trainings):
        own = at(rows, training=training)
        shift = 0.16 * (index - (len(trainings) - 1) / 2)
        colour = COLOURS[index % len(COLOURS)]
        axes.plot([], [], "o", color=colour, markersize=4, label=training)
        for row in own.to_dict("records"):
            low, step, high = (number(row[name]) for name in ("not_yet_at", "step", "above_at"))
            if step is None or high is None:
                continue
            y = known.index(row["event"]) + shift
            axes.plot([low or 0, high], [y, y], color=colour, linewidth=1.2)
            axes.plot([step], [y], "o", color=colour, markersize=4)
    axes.set_yticks(range(len(known)), known)
    axes.set_ylim(len(known) - 0.5, -0.5)
