"""The highest level that was shown of a claim, and the test that stopped it at the next.

    nothing      no plane reads the answer of new operand pairs better than under renamed labels
    decodable    each answer (item) has a direction of its own; no geometry
    clusters     they go together in groups: a named partition, or runs of neighbours
    ordered      a line, an open arc, a line folded back - or an order that is not yet a circle's
    helix        the integer result itself is held, so that every period can be read (its periods are named)
    circle       an order round a circle of the claim's period, beyond all of these

Every step has a null of its own. A *circle* needs all of (level ALPHA each; an intersection, so no correction):

    p_renaming   sums: read on operand pairs that were left out, against renamed labels (`statistics.planes`)
    p_selective  sums: this period, not every period of the integer (`assignment`, `scan`; words: `geometry.integer`)
    p_order      the answers' vectors in this order, beyond every partition, against other orders (`geometry.order`)
    p_axes       … and both axes of the plane, not one (at 0.05)
    p_redrawn    items with too few orders, instead of both: against random words that share tokens in the same way
                 (`geometry.redrawn`; its own axes at 0.05), asked only where everything below is passed
    ratio        the circle is likelier than every other shape (`geometry.shapes`)
    closure      items: the last is as near to the first as neighbours are, 1 on a circle, 0 where the ends are as far
                 apart as opposite items; within `CLOSED`, beyond which four unrelated vectors (seasons) lie as well;
                 its interval over templates is said, the estimate decides

The steps below it only give the rest a name, at 0.05: with seven items no partition in two can have a smaller p than
1/21. One of twenty look-ups is therefore called clusters or ordered. The integer alone, where the period is not read,
is no name of something that was shown before, and has to pass ALPHA; of sums of numbers it is none at all (`integer`).
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_probe.run.vocabulary import ALPHA, Level, Quantity
from llm_probe.verdicts.geometry import Geometry

NAMED = 0.05
"""Level of the tests that give what is no circle its name, and of the second axis of one that is ordered."""
CLOSED = (0.5, 1.5)
"""Half way from ends that are neighbours (1) to ends as far apart as opposite items (0), and as much the other way."""


@dataclass(frozen=True)
class Shown:
    """A level, what exactly it is, and why it is not the next."""

    level: Level
    what: str
    """Partition, shape or periods; empty where the level says it all."""
    stopped_by: str
    """The test that it did not pass, with its number; empty for a circle."""


def shown(
    quantity: Quantity,
    p_renaming: float,
    p_selective: float | None,
    geometry: Geometry,
    closure: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Shown:
    """The level of one claim; `p_selective` None where it could not be tested, which stops a sum below `circle`.

    `closure`: of items; None where neighbours are no nearer than opposite items. `interval`: its 95 % interval, None
    where it has none; it is said beside the closure and does not decide.
    """
    if quantity == "sum":
        unread = f"renamed labels are read as well (p {p_renaming:.2g})" if p_renaming > ALPHA else ""
        if unread or p_selective is None or p_selective > ALPHA:
            return _integer(unread, p_selective, geometry)
    if geometry.null == "words":
        reason = stopped_before_redraws(geometry, closure, interval) or _no_better_than_words(geometry)
    else:
        reason = _no_circle(geometry) or (_open(closure, interval) if quantity == "item" else "")
    if not reason:
        return Shown("circle", "", "")
    if geometry.p_shape > NAMED:
        return Shown("decodable", "", reason)
    if geometry.ratio > 0:
        return Shown("ordered", "", reason)
    if geometry.rival in ("clusters", "runs"):
        return Shown("clusters", geometry.rival_name, reason)
    return Shown("ordered", geometry.rival, reason)


def _integer(unread: str, p_selective: float | None, geometry: Geometry) -> Shown:
    """The period is not read, or not this period alone: is it the integer that is held?"""
    reason = unread or "no test can tell this period of its sums from every other"
    if not unread and p_selective is not None:
        reason = f"other periods are as strong (p {p_selective:.2g})"
    level = NAMED if not unread else ALPHA
    if not geometry.integer_alone and (unread or not geometry.periods):
        level = 0.0
    if geometry.p_integer is not None and geometry.p_integer <= level:
        periods = ", ".join(f"{period:g}" for period in geometry.periods)
        return Shown("helix", f"T = {periods}" if periods else "no single period", reason)
    return Shown("nothing" if unread else "decodable", "", reason)


def _no_circle(geometry: Geometry) -> str:
    """Why the vectors of the labels are not shown to stand round a circle; empty if they are."""
    beyond = f" that keep {geometry.hardest}" if geometry.hardest else ""
    if geometry.p_order > ALPHA:
        return f"other orders{beyond} do as well (p {geometry.p_order:.2g})"
    if geometry.p_axes > NAMED:
        return f"one axis only: the other is no better in this order than in others (p {geometry.p_axes:.2g})"
    return _unlikely(geometry)


def stopped_before_redraws(
    geometry: Geometry, closure: float | None, interval: tuple[float, float] | None = None
) -> str:
    """Why items are no circle whatever random words would say; empty where those have to be asked."""
    return _unlikely(geometry) or _open(closure, interval)


def _no_better_than_words(geometry: Geometry) -> str:
    """Why items with too few orders are not shown to stand round a circle by random words; empty if they are."""
    if geometry.p_redrawn is None or geometry.p_redrawn_axes is None:
        return "another order of its items lies better on the circle"
    if geometry.p_redrawn > ALPHA:
        return f"random words that share tokens in the same way do as well (p {geometry.p_redrawn:.2g})"
    if geometry.p_redrawn_axes > NAMED:
        return f"one axis only: the other is no better than with random words (p {geometry.p_redrawn_axes:.2g})"
    return ""


def _unlikely(geometry: Geometry) -> str:
    """Why another shape is likelier than the circle; empty if none is."""
    if geometry.ratio > 0:
        return ""
    if geometry.ratio > -1:
        return f"the circle is no likelier than {rival(geometry)} ({-geometry.ratio:.1f} nats apart)"
    return f"{rival(geometry)} is likelier than the circle, by {-geometry.ratio:.1f} nats"


def _open(closure: float | None, interval: tuple[float, float] | None) -> str:
    """Why the ends of an order of items do not meet; empty if they do."""
    if closure is None:
        return "neighbours are no nearer to each other than opposite items"
    if not CLOSED[0] <= closure <= CLOSED[1]:
        ends = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
        return f"its ends do not meet as neighbours do: closure {closure:.2f}{ends}, where a circle has 1"
    return ""


def rival(geometry: Geometry) -> str:
    """The closest rival in words."""
    if geometry.rival == "clusters":
        return f"a code of clusters ({geometry.rival_name})"
    if geometry.rival == "runs":
        return f"a code of {geometry.rival_name}"
    return f"{'an' if geometry.rival[0] == 'o' else 'a'} {geometry.rival}"
