"""Drawings of neurons, attention, errors and of what is taken away: functions `(axes, arrays)`.

    attention_map       how much "=" reads from one operand, for every pair (a, b)
    trace               one neuron along a at a fixed b; over_phase: its points over one period, with its cosine
    portraits           pairs of neurons against each other along a
    principal_pair      two principal components of the embedding
    error_map           which questions (a, b) are right, trained on or not
    accuracy_by         accuracy for each value of the third operand
    drops               points of accuracy lost by removing each frequency, beside matched controls
    group_ablation      accuracy after removing groups of neurons, and as many others
    position            gradient symmetricity against distance irrelevance: Clock or Pizza
    subgroup_shares     share of the logits by the order of a frequency's character

n positions on the circle. What is trained is blue and filled, what is untrained or a control orange and hollow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.image import AxesImage

from toy.pictures.look import BAND, CYCLE, GREY, INK, SIZE, TRAINED, UNTRAINED, Real, at_end, frame, heat

PIZZA, CLOCK = (0.99, 0.17), (0.33, 0.85)
"""(gradient symmetricity, distance irrelevance) of the two reference networks of Zhong et al. 2023."""

MISSING, RIGHT_TEST, RIGHT_TRAIN, WRONG_TEST, WRONG_TRAIN = range(5)
ERROR_COLOURS = ("#FFFFFF", "#DCE9F3", "#A9CCE6", "#C65200", "#1F2328")
"""No such question; right, then wrong, each not trained on and trained on. In grey they darken in this order."""


# ------------------------------------------------------------------------------------------------ attention, neurons


def attention_map(axes: Axes, weights: Float[np.ndarray, "n n"], title: str) -> AxesImage:
    """Attention from "=" to one operand, a upward and b across, on a scale from 0 to 1."""
    image = heat(axes, weights, "b", "a", title, vmin=0, vmax=1, rasterized=True)
    axes.set_aspect("equal")
    return image


def trace(axes: Axes, activation: Float[np.ndarray, " n"], x: str, title: str) -> None:
    """A neuron along a."""
    axes.plot(activation, "o-", color=TRAINED, markersize=2, linewidth=0.7)
    axes.set_xlim(-0.5, len(activation) - 0.5)
    frame(axes, x, "activation", title)


def over_phase(axes: Axes, activation: Float[np.ndarray, " n"], frequency: int, wave: Float[np.ndarray, " c"]) -> None:
    """The same neuron over the phase k a / n, in which its wave is one period; dashed, the cosine that fits best.

    `wave` are its constant, cosine and sine, no sine at the Nyquist frequency of an even n.
    """
    n = len(activation)
    phases = frequency * np.arange(n) % n / n
    axes.scatter(phases, activation, c=phases, cmap=CYCLE, vmin=0, vmax=1, s=14, edgecolors=INK, linewidths=0.3)
    turns = np.linspace(0, 1, 200)
    parts = np.stack([np.ones_like(turns), np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)])[: len(wave)]
    axes.plot(turns, wave @ parts, "--", color=INK, linewidth=1.2)
    axes.set_xlim(-0.02, 1.02)
    frame(axes, f"phase of a at k = {frequency}, in turns", "activation")


def portraits(
    grid: Sequence[Sequence[Axes]], traces: Float[np.ndarray, "n m"], neurons: Sequence[int], frequencies: Sequence[int]
) -> None:
    """Neuron against neuron along a: one of a row's and one of a column's, coloured by the column's own phase.

    `grid` is an (m - 1, m - 1) array of axes: neurons 1 … m - 1 down, 0 … m - 2 across, empty above the diagonal.
    Pairs of one frequency are joined in the order of their phase.
    """
    n, count = traces.shape
    for row, column in np.ndindex(count - 1, count - 1):
        axes = grid[row][column]
        other = row + 1
        if column >= other:
            axes.set_visible(False)
            continue
        turn = frequencies[column] * np.arange(n) % n / n
        x, y = traces[:, column], traces[:, other]
        if frequencies[other] == frequencies[column]:
            order = np.argsort(turn, kind="stable")
            closed = np.append(order, order[0])
            axes.plot(x[closed], y[closed], "-", color=BAND, linewidth=1, zorder=1)
        axes.scatter(x, y, c=turn, cmap=CYCLE, vmin=0, vmax=1, s=13, edgecolors=INK, linewidths=0.3, zorder=2)
        frame(axes)
        axes.set(xticks=[], yticks=[])
        if row == count - 2:
            axes.set_xlabel(f"neuron {neurons[column]}\nk = {frequencies[column]}", fontsize=SIZE)
        if column == 0:
            axes.set_ylabel(f"neuron {neurons[other]}\nk = {frequencies[other]}", fontsize=SIZE)


def principal_trace(axes: Axes, first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], title: str) -> None:
    """Two principal components against the position on the circle."""
    axes.plot(first, "-", color=TRAINED, linewidth=1.2)
    axes.plot(second, "--", color=INK, linewidth=1.2)
    axes.set_xlim(0, len(first) - 1)
    frame(axes, "position on the circle", "component", title)


# ----------------------------------------------------------------------------------------------------------- errors


def error_map(axes: Axes, states: Int[np.ndarray, "rows columns"], x: str, y: str, title: str) -> None:
    """One square a question, in the order of the numbers; states as in `ERROR_COLOURS`."""
    heat(axes, states, x, y, title, cmap=ListedColormap(ERROR_COLOURS), norm=BoundaryNorm(np.arange(-0.5, 5), 5),
         rasterized=True)  # fmt: skip
    axes.set_aspect("equal")


def error_key(axes: Axes, counts: Sequence[int]) -> None:
    """What the colours of the error maps mean, with how many questions have each."""
    names = ("", "right, not trained on", "right, trained on", "wrong, not trained on", "wrong, trained on")
    axes.set_axis_off()
    for line, state in enumerate((RIGHT_TEST, RIGHT_TRAIN, WRONG_TEST, WRONG_TRAIN)):
        height = 0.95 - 0.09 * line
        axes.plot(0.04, height, "s", color=ERROR_COLOURS[state], markeredgecolor=GREY, markersize=11,
                  transform=axes.transAxes, clip_on=False)  # fmt: skip
        axes.text(0.12, height, f"{names[state]}: {counts[state]:,}", va="center", fontsize=SIZE, color=INK,
                  transform=axes.transAxes)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))


def accuracy_by(axes: Axes, values: Sequence[int], accuracy: Sequence[Real], chance: Real, operand: str = "c") -> None:
    """Accuracy for each value of the third operand."""
    axes.plot(values, [100 * share for share in accuracy], "o-", color=TRAINED, markersize=3.5, linewidth=1)
    axes.axhline(100 * chance, color=GREY, linewidth=1, linestyle=":")
    axes.annotate("chance", (1, 100 * chance), (-2, 3), xycoords=("axes fraction", "data"), ha="right",
                  textcoords="offset points", fontsize=SIZE, color=GREY)  # fmt: skip
    axes.set_ylim(-3, 103)
    frame(axes, f"third operand {operand}", "accuracy (%)")


# --------------------------------------------------------------------------------------------------------- ablations


def drops(
    axes: Axes, names: Sequence[str], losses: Sequence[Real], controls: Sequence[tuple[Real, Real] | None]
) -> None:
    """Points lost by each removal as bars; its control as a hollow dot at the mean with a line to the largest."""
    places = np.arange(len(names))
    axes.bar(places, losses, 0.62, color=TRAINED)
    for place, loss, control in zip(places, losses, controls, strict=True):
        above = 7 if control is not None and loss < max(losses) / 20 else 2
        axes.annotate(f"{loss:.0f}", (place, max(loss, 0)), (0, above), textcoords="offset points", ha="center",
                      va="bottom", fontsize=SIZE, color=TRAINED)  # fmt: skip
        if control is not None:
            mean, largest = control
            axes.plot([place, place], [mean, largest], color=UNTRAINED, linewidth=2, zorder=3)
            axes.plot(place, mean, "o", color=UNTRAINED, markerfacecolor="white", markersize=6, zorder=4)
    axes.set_xticks(places, names)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.margins(y=0.12)
    frame(axes, "", "accuracy lost (points)")


def group_ablation(axes: Axes, groups: Sequence[Mapping[str, Any]], n_neurons: int, full: Real, how: str) -> None:
    """Accuracy after removing the highest-ranked neurons, as many random ones, and as many of matched power.

    `full` is the accuracy with every neuron; `how` is "zero" or "mean", what the neurons are set to.
    """
    looks = {
        "top": ("highest ranked", "-", TRAINED, TRAINED),
        "random": ("random", "--", UNTRAINED, "white"),
        "matched": ("same variance", ":", GREY, "white"),
    }
    labels = []
    axes.set_ylim(-3, 103)
    for name, (words, style, colour, face) in looks.items():
        found = [(group["size"], _accuracy(group[name][how], full)) for group in groups if group.get(name)]
        if found:
            axes.plot([0, *(size for size, _ in found)], [100 * full, *(100 * value for _, value in found)],
                      style, marker="o", color=colour, markerfacecolor=face, markersize=4, linewidth=1.4)  # fmt: skip
            labels.append((words, found[-1][0], 100 * found[-1][1], colour))
    at_end(axes, labels)
    frame(axes, f"neurons removed (of {n_neurons})", "accuracy (%)")


def _accuracy(cell: Mapping[str, Any], full: Real) -> Real:
    """A control keeps the mean drop in points over its draws; a group its accuracy."""
    return cell["accuracy"] if "accuracy" in cell else full - cell["mean_drop"] / 100


# ------------------------------------------------------------------------------------------------- which circuit


def position(axes: Axes, trained: tuple[Real, Real] | None, untrained: tuple[Real, Real] | None) -> None:
    """The network and its untrained copy between the two published references."""
    for name, (x, y) in (("Pizza", PIZZA), ("Clock", CLOCK)):
        axes.plot(x, y, "x", color=GREY, markersize=8, markeredgewidth=2)
        axes.annotate(name, (x, y), (0, -9), textcoords="offset points", ha="center", va="top", fontsize=SIZE,
                      color=GREY)  # fmt: skip
    for point, colour, face, name, up in (
        (untrained, UNTRAINED, "white", "untrained", False),
        (trained, TRAINED, TRAINED, "this network", True),
    ):
        if point is not None:
            axes.plot(*point, "o", color=colour, markerfacecolor=face, markersize=9, markeredgewidth=1.6)
            side = "right" if point[0] > 0.8 else "left" if point[0] < 0.2 else "center"
            axes.annotate(name, point, (0, 8 if up else -8), textcoords="offset points", ha=side, fontsize=SIZE,
                          va="bottom" if up else "top", color=colour)  # fmt: skip
    known = [value for point in (trained, untrained) if point for value in point]
    axes.set(xlim=(min(-0.05, *known, 0) - 0.03, 1.06), ylim=(min(0.0, *known, 0) - 0.05, 1.1))
    frame(axes, "gradient symmetricity", "distance irrelevance")


def subgroup_shares(axes: Axes, orders: Sequence[int], shares: Sequence[Real], flat: Sequence[Real]) -> None:
    """Share of the logit variance of each order; `flat` is the share that equal frequencies would give."""
    places = np.arange(len(orders))
    axes.bar(places, [100 * share for share in shares], 0.62, color=TRAINED)
    axes.plot(places, [100 * share for share in flat], "_", color=GREY, markersize=22, markeredgewidth=2)
    axes.set_xticks(places, [str(order) for order in orders])
    axes.set_ylim(0, 108)
    for place, share in zip(places, shares, strict=True):
        axes.annotate(f"{100 * share:.0f}", (place, 100 * share), (0, 2), textcoords="offset points", ha="center",
                      fontsize=SIZE, color=TRAINED)  # fmt: skip
    frame(axes, "order of the frequency: n / gcd(k, n)", "share of logit variance (%)")


def bars(axes: Axes, names: Sequence[str], values: Sequence[Real | None], beside: Sequence[Real | None]) -> None:
    """Numbers between 0 and 1, trained as bars and untrained as hollow dots."""
    places = np.arange(len(names))
    axes.barh(places, [0.0 if value is None else value for value in values], 0.55, color=TRAINED)
    axes.plot([math.nan if value is None else value for value in beside], places, "o", color=UNTRAINED,
              markerfacecolor="white", markersize=7, markeredgewidth=1.6)  # fmt: skip
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1.02), ylim=(len(names) - 0.4, -0.6))
    axes.axvline(1, color=BAND, linewidth=0.8, zorder=0)
    frame(axes)
