"""The picture of a comparison: every claim's R² in every run on one line.

One panel a statistic that any two runs share: the confirmed plane R² with its 95 % interval, and the class-mean R²,
which is all that published numbers have. Filled marks are trained weights, hollow ones the same search with random
weights; each run has its own shape and hue. The verdicts stand on the right, in the hues and order of the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from llm_probe.page.style import GREEN, GREY, INK, OCHRE, RED, RULE, SIZE, TRAINED, VIOLET, frame
from llm_probe.page.views import FLOOR, claim_name, number, text

if TYPE_CHECKING:
    from llm_probe.compare.comparison import Comparison

LOOKS = (("o", TRAINED), ("D", VIOLET), ("s", GREEN), ("^", OCHRE), ("P", RED), ("X", GREY))
"""Shape and hue of each run, in order; after six they begin again."""
MARK = 6
NOT_ASKED = "–"


def figure(found: Comparison) -> Figure:
    """All shared claims, in the baseline's order, in all runs."""
    shared = {(row["domain"], row["quantity"]) for row in found.claims.to_dict("records") if row["agrees"] is not None}
    sides = {run.name: _by_claim(run.frames["verdicts"].to_dict("records")) for run in found.runs}
    claims = [claim for claim in sides[found.runs[0].name] if claim in shared]
    statistics = [
        name for name in ("plane_r2", "class_mean_r2") if sum(_has(side, claims, name) for side in sides.values()) > 1
    ]
    # Text right of the axes needs the room of one column of words a run.
    drawn = Figure((3.6 + 3.4 * len(statistics), 1.3 + 0.3 * len(claims)), layout="constrained")
    panels = drawn.subplots(1, max(len(statistics), 1), sharey=True, squeeze=False)[0]
    for axes, statistic in zip(panels, statistics, strict=False):
        _panel(axes, statistic, claims, sides)
    panels[0].set_yticks(range(len(claims)), [claim_name(*claim) for claim in claims], fontsize=SIZE, color=INK)
    panels[0].set_ylim(len(claims) - 0.5, -0.5)
    _words(panels[-1], claims, sides)
    handles = [
        Line2D(
            [],
            [],
            marker=LOOKS[place % len(LOOKS)][0],
            color=LOOKS[place % len(LOOKS)][1],
            linestyle="none",
            label=name,
        )
        for place, name in enumerate(sides)
    ] + [Line2D([], [], marker="o", color=GREY, markerfacecolor="white", linestyle="none", label="random weights")]
    drawn.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=SIZE)
    return drawn


Claims = dict[tuple[str, str], dict[Any, Any]]


def _by_claim(rows: list[dict[Any, Any]]) -> Claims:
    return {(row["domain"], row["quantity"]): row for row in rows}


def _has(side: Claims, claims: list[tuple[str, str]], statistic: str) -> bool:
    return any(number(side[claim][statistic]) is not None for claim in claims if claim in side)


def _panel(axes: Axes, statistic: str, claims: list[tuple[str, str]], sides: dict[str, Claims]) -> None:
    for place, side in enumerate(sides.values()):
        shape, hue = LOOKS[place % len(LOOKS)]
        # Runs stand a little above each other, so that equal values are both seen.
        shift = 0.44 * ((place + 0.5) / len(sides) - 0.5)
        for y, claim in enumerate(claims):
            row = side.get(claim)
            if row is None:
                continue
            _mark(axes, number(row[f"random_{statistic.replace('plane_', '')}"]), y + shift, shape, hue, hollow=True)
            low, high = (number(row.get(f"{statistic}_{end}")) for end in ("low", "high"))
            if low is not None and high is not None:
                axes.plot([max(low, FLOOR), max(high, FLOOR)], [y + shift] * 2, color=hue, linewidth=2)
            _mark(axes, number(row[statistic]), y + shift, shape, hue, hollow=False)
    named = {
        "plane_r2": "held-out R² of the plane (triangle: below −0.2)",
        "class_mean_r2": "class-mean R² (published statistic)",
    }
    frame(axes, named[statistic])
    axes.set(xlim=(FLOOR - 0.05, 1.03) if statistic == "plane_r2" else (-0.03, 1.03), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.hlines(range(len(claims)), *axes.get_xlim(), color=RULE, linewidth=0.8, zorder=0)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)


def _mark(axes: Axes, value: float | None, y: int | float, shape: str, hue: str, *, hollow: bool) -> None:
    """A value, or an arrowhead at the left end where it lies below the floor."""
    if value is not None:
        face = "white" if hollow else hue
        marker = "<" if value < FLOOR else shape
        axes.plot(
            max(value, FLOOR), y, marker, color=hue, markerfacecolor=face, markersize=MARK - hollow, zorder=4 - hollow
        )


def _words(axes: Axes, claims: list[tuple[str, str]], sides: dict[str, Claims]) -> None:
    """The verdicts right of the last panel: one word where all agree, else one a run, bold if it is not the first's."""
    for y, claim in enumerate(claims):
        words = [text(side[claim]["verdict"]) if claim in side else NOT_ASKED for side in sides.values()]
        if len(set(words) - {NOT_ASKED}) == 1:
            _say(axes, y, 8, next(word for word in words if word != NOT_ASKED), GREY)
            continue
        for place, word in enumerate(words):
            _say(axes, y, 8 + 88 * place, word, LOOKS[place % len(LOOKS)][1], bold=word not in (NOT_ASKED, words[0]))


def _say(axes: Axes, y: int, away: int, words: str, colour: str, *, bold: bool = False) -> None:
    axes.annotate(
        words, (1, y), (away, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        fontsize=SIZE, color=colour, weight="bold" if bold else "normal", annotation_clip=False,
    )  # fmt: skip
