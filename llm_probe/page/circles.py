"""The circle of a claim as a picture: class means on the best plane, trained beside random on one scale.

Labels are as large as their letters, so that the functions have to know how many inches a `unit` of the plane has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from llm_probe.page.glyphs import level_text
from llm_probe.page.style import BAND, GREY, INK, RANDOM, SIZE, TRAINED, TRAINED_AND_RANDOM, Called
from llm_probe.page.views import PLACE, angle_error, at, best_planes, claim_name, step_round
from llm_probe.run.vocabulary import Weights
from toy.run.errors import InputError

NOTHING = 0.3
"""Points all as near to the centre as this are predictions of nothing: they are not worth a label each."""
LABEL_GAP = 0.16
"""Inches from the rim to a label."""
MOST_LABELS = 30
"""Of more points than these every second, third, … is named."""


def circle(
    axes: Axes,
    points: pd.DataFrame,
    weights: Weights,
    angle_error: float | None = None,
    limit: float = 1.3,
    called: Called = TRAINED_AND_RANDOM,
    unit: float = 1.0,
) -> None:
    """Class means of one cell on its best plane, joined in cyclic order; the target circle has radius 1."""
    colour, line, face = (TRAINED, "-", TRAINED) if weights == "trained" else (RANDOM, "--", "white")
    rows = at(points, weights=weights).sort_values("label")
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=BAND, linewidth=1.2))
    axes.plot(0, 0, "+", color=GREY)
    frequency = int(rows["frequency"].iloc[0]) if len(rows) else 1
    step = step_round(len(rows), frequency) if len(rows) else 1
    closed = rows.iloc[[place * step % len(rows) for place in range(len(rows) + 1)]] if len(rows) else rows
    axes.plot(closed["x"], closed["y"], line, color=colour, linewidth=1, alpha=0.7)
    axes.plot(rows["x"], rows["y"], "o", color=colour, markerfacecolor=face, markersize=6 * min(unit, 1) ** 0.5)
    reach = max((math.hypot(x, y) for x, y in zip(rows["x"], rows["y"], strict=True)), default=0.0)
    near = 0 < reach < NOTHING
    if near:
        words, y = f"all within {reach:.2f}\nof the centre", -2 * NOTHING if unit >= 1 else -1.1
        axes.text(0, y, words, ha="center", va="center" if unit >= 1 else "top", fontsize=SIZE, color=GREY)
    named = rows.iloc[:0] if near else closed.iloc[: len(rows) : -(-len(rows) // MOST_LABELS) or 1]
    for row, angle in zip(named.to_dict("records"), label_angles(named, unit), strict=True):
        dx, dy, rim = math.cos(angle), math.sin(angle), max(math.hypot(row["x"], row["y"]), 1) + LABEL_GAP / unit
        axes.annotate(
            str(row["item"]), (row["x"], row["y"]), (rim * dx, rim * dy), fontsize=SIZE, color=INK, va="center",
            ha="left" if dx > 0.3 else "right" if dx < -0.3 else "center", parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": BAND, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
    if rows.empty:
        axes.text(0, 0.1, "not run", ha="center", fontsize=SIZE, color=GREY)
    around = "" if rows.empty else f", k = {frequency}"
    error = "" if angle_error is None else f"angle error {angle_error:.2f} rad (a guess: 1.57)"
    axes.set_title(f"{called[weights == 'random']}{around}\n{error}", fontsize=SIZE, color=colour)
    longest = label_width(points) / unit
    axes.set(xlim=(-limit - longest, limit + longest), ylim=(-limit, limit), aspect="equal")
    axes.set_axis_off()


def label_width(points: pd.DataFrame) -> float:
    """Inches that the longest label takes."""
    return max((0.075 * len(str(item)) for item in points["item"]), default=0.0)


def label_angles(points: pd.DataFrame, unit: float = 1.0) -> list[float]:
    """The angle of each point, pushed apart until the labels of neighbours fit beside each other on a rim."""
    angles = [math.atan2(y, x) for x, y in zip(points["x"], points["y"], strict=True)]
    widths, height = [(0.07 * len(str(item)) + 0.06) / unit for item in points["item"]], 0.15 / unit
    order = sorted(range(len(angles)), key=lambda i: angles[i])
    following = list(zip(order, [*order[1:], *order[:1]], strict=True))
    for _ in range(100 if len(order) > 1 else 0):
        room = [height * abs(math.cos(a)) + width * abs(math.sin(a)) for a, width in zip(angles, widths, strict=True)]
        scale = min(1.0, math.tau / sum(room))
        for place, (i, j) in enumerate(following):
            turn = math.tau if place == len(order) - 1 else 0.0
            short = scale * (room[i] + room[j]) / 2 - (angles[j] + turn - angles[i])
            angles[i], angles[j] = angles[i] - max(short, 0) / 2, angles[j] + max(short, 0) / 2
    return angles


def circle_pair(
    pair: Sequence[Axes],
    points: pd.DataFrame,
    angle_errors: tuple[float | None, float | None] = (None, None),
    called: Called = TRAINED_AND_RANDOM,
) -> None:
    """Trained and random beside each other, on one scale."""
    reach = float(points[["x", "y"]].abs().to_numpy().max()) if len(points) else 1.0
    for axes, weights, error in zip(pair, ("trained", "random"), angle_errors, strict=True):
        circle(axes, points, weights, error, max(1.0, reach) + 0.3, called)


def circle_of(
    axes: Axes, frames: Mapping[str, pd.DataFrame], domain: str, quantity: str = "sum", weights: Weights = "trained"
) -> None:
    """The circle of a claim, in the cell its verdict was read in.

    Raises:
        InputError: the run has no such claim.
    """
    claims = at(frames["verdicts"], domain=domain, quantity=quantity)
    if claims.empty:
        pairs = zip(frames["verdicts"]["domain"], frames["verdicts"]["quantity"], strict=True)
        known = ", ".join(f"{name}: {kind}" for name, kind in pairs)
        raise InputError(f"no claim {domain}: {quantity} in this run: choose from {known or 'none'}")
    place = {key: claims.iloc[0][key] for key in (*PLACE, "layer")}
    error = best_error(frames["r2_table"], place, weights)
    circle(axes, at(frames["circles"], **place), weights, error)
    axes.figure.suptitle(circle_title(claims.iloc[0].to_dict(), frames["circles"], weights), fontsize=SIZE + 1)


def circle_title(claim: Mapping[Any, Any], circles: pd.DataFrame, weights: Weights = "trained") -> str:
    """Claim, layer, what was shown of it if that is no circle, and its k where the plane that is drawn has another."""
    points = at(circles, weights=weights, **{key: claim[key] for key in (*PLACE, "layer")})
    level = level_text(claim)
    title = f"{claim_name(claim['domain'], claim['quantity'])}, layer {claim['layer']}"
    title += f": {level}" if level not in ("", "circle") else ""
    same = claim["frequency"] in points["frequency"].tolist()
    return title if same else f"{title} (judged at k = {claim['frequency']})"


def best_error(r2_table: pd.DataFrame, place: Mapping[str, Any], weights: Weights) -> float | None:
    """Median angle error of a cell's best plane."""
    best = best_planes(at(r2_table, **place), weights)
    return angle_error(best.iloc[0].to_dict()) if len(best) else None
