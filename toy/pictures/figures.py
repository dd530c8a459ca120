"""Drawings of training, weights and logits: functions `(axes, arrays)` that know nothing of networks and files.

    grokking_curve      accuracy or loss over log steps, where it memorised and grokked
    spectrum            share of the power at each frequency, keys filled, the flat level and untrained weights beside
    component_map       Fourier components x dimensions; component_lengths beside it
    coefficients        β_k of cos w_k(s - c)
    neuron_map          share of each neuron's variance by frequency, neurons sorted by theirs
    plane               numbers on a frequency's plane beside the ideal circle
    logit_line          logits of one question over the outputs, and what the keys give
    logit_density       all logits against what the keys give
    spectrum_2d         length of each product of Fourier components of (a, b), over all outputs

n positions on the circle, K = floor(n/2) frequencies k = 1 … K, list index k - 1. Families that need these as whole
figures are in toy/pictures/families.py, drawings of neurons, attention, errors and ablations in its gallery.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.patches import Circle

from toy.pictures.look import (
    BAND,
    CYCLE,
    GREY,
    INK,
    MAGNITUDE,
    SIZE,
    TRAINED,
    UNTRAINED,
    Real,
    at_end,
    colour_bar,
    frame,
    heat,
    log_steps,
    log_values,
    ticks_apart,
)

Line = tuple[str, Sequence[Real | None], str, str]
"""Name, values over the steps, colour, line style."""


# --------------------------------------------------------------------------------------------------------- training


def over_steps(
    axes: Axes, steps: Sequence[int], lines: Sequence[Line], y: str, marks: Mapping[str, int | None], *, log: bool
) -> None:
    """Lines over logarithmic steps with their names at their ends; `marks` are steps with a name, drawn as verticals.

    Values that are None, and on a logarithmic axis those that are not positive, leave a gap.
    """
    for _, values, colour, style in lines:
        axes.plot(steps, [_drawable(value, log) for value in values], style, color=colour, linewidth=1.6)
    if log:
        log_values(axes)
    shown = [step for step in steps if step > 0] or [1]
    log_steps(axes, shown[0], shown[-1])
    frame(axes, "", y)
    for name, step in marks.items():
        if step is not None and step > 0:
            axes.axvline(step, color=GREY, linewidth=1, linestyle=":", zorder=0)
            axes.annotate(
                f"{name}\n{step:,}", (step, 1), (0, 3), xycoords=("data", "axes fraction"), fontsize=SIZE,
                textcoords="offset points", ha="center", va="bottom", color=GREY, annotation_clip=False,
            )  # fmt: skip
    ends = [(name, _last(values, log), colour) for name, values, colour, _ in lines]
    at_end(axes, [(name, max(shown[-1], 2), end, colour) for name, end, colour in ends if not math.isnan(end)])


def _drawable(value: Real | None, log: bool) -> Real:
    return math.nan if value is None or (log and value <= 0) else value


def _last(values: Sequence[Real | None], log: bool) -> Real:
    known = [each for each in (_drawable(value, log) for value in values) if not math.isnan(each)]
    return known[-1] if known else math.nan


# ---------------------------------------------------------------------------------------------------------- weights


def spectrum(
    axes: Axes,
    shares: Sequence[Real],
    keys: Sequence[int],
    untrained: Sequence[Real] | None,
    title: str,
    *,
    named: bool = True,
) -> None:
    """Bars of the share at each frequency, the keys filled and numbered; untrained weights as a dashed line."""
    every = range(1, len(shares) + 1)
    axes.bar(
        every, [100 * share for share in shares], 0.8, color=[TRAINED if k in keys else BAND for k in every],
        edgecolor=[TRAINED if k in keys else GREY for k in every], linewidth=0.5,
    )  # fmt: skip
    if untrained is not None:
        axes.stairs([100 * share for share in untrained], _edges(len(shares)), baseline=None, color=UNTRAINED,
                    linestyle="--", linewidth=1.2)  # fmt: skip
    axes.axhline(100 / len(shares), color=GREY, linewidth=1, linestyle=":")
    top = 100 * max([*shares, 1 / len(shares)])
    axes.set(xlim=(0.3, len(shares) + 0.7), ylim=(0, 1.18 * top))
    for k in keys if named else ():
        axes.annotate(
            f"{k}", (k, 100 * shares[k - 1]), (0, 2), textcoords="offset points", ha="center", va="bottom",
            fontsize=SIZE, color=TRAINED,
        )  # fmt: skip
    frame(axes, "frequency k", "share of power (%)", title)


def _edges(count: int) -> Float[np.ndarray, " edges"]:
    """Of the bins around 1 … count."""
    return np.arange(count + 1) + 0.5


def component_map(axes: Axes, components: Float[np.ndarray, "n d"], keys: Sequence[int], dimension: str) -> None:
    """|component| of every dimension along every Fourier component (rows), the constant left out by the caller."""
    image = heat(axes, np.abs(components), dimension, "cos and sin of frequency", rasterized=True)
    ordered = sorted(keys)
    axes.set_yticks(*ticks_apart([2 * k - 1.5 for k in ordered], [str(k) for k in ordered], len(components) / 22))
    colour_bar(image, axes, "length of the component")


def component_lengths(axes: Axes, lengths: Float[np.ndarray, " n"], untrained: Float[np.ndarray, " n"]) -> None:
    """Lengths of the components, sorted: few long ones, or a flat line."""
    rank = np.arange(1, len(lengths) + 1)
    axes.plot(rank, np.sort(lengths)[::-1], "o-", color=TRAINED, markersize=3, linewidth=1)
    axes.plot(
        rank, np.sort(untrained)[::-1], "o--", color=UNTRAINED, markersize=3, markerfacecolor="white", linewidth=1
    )
    axes.set_ylim(0)
    frame(axes, "components, longest first", "length of the component")


def coefficients(
    axes: Axes, values: Sequence[Real], keys: Sequence[int], untrained: Sequence[Real] | None, title: str
) -> None:
    """β_k of cos w_k(s - c) by frequency, the keys filled and numbered."""
    every = range(1, len(values) + 1)
    axes.bar(every, values, 0.8, color=[TRAINED if k in keys else BAND for k in every],
             edgecolor=[TRAINED if k in keys else GREY for k in every], linewidth=0.5)  # fmt: skip
    if untrained is not None:
        axes.stairs(untrained, _edges(len(values)), baseline=None, color=UNTRAINED, linestyle="--", linewidth=1.2)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.margins(y=0.14)
    axes.set_xlim(0.3, len(values) + 0.7)
    for k in keys:
        up = values[k - 1] >= 0
        axes.annotate(f"{k}", (k, values[k - 1]), (0, 2 if up else -2), textcoords="offset points", ha="center",
                      va="bottom" if up else "top", fontsize=SIZE, color=TRAINED)  # fmt: skip
    frame(axes, "frequency k", "coefficient (logits)", title)


def neuron_map(axes: Axes, shares: Float[np.ndarray, "k m"], frequencies: Int[np.ndarray, " m"], title: str) -> None:
    """Share of each live neuron's variance at each frequency, neurons ordered by theirs and then by its share.

    `frequencies` is each neuron's own, 0 for a neuron that is constant and left out.
    """
    live = np.flatnonzero(frequencies)
    own = shares[frequencies[live] - 1, live]
    order = live[np.lexsort((-own, frequencies[live]))]
    image = heat(axes, shares[:, order].T, "frequency k", "live neuron, sorted", title, vmin=0, vmax=1,
                 extent=(0.5, len(shares) + 0.5, 0, max(len(order), 1)), rasterized=True)  # fmt: skip
    image.set_cmap(MAGNITUDE)


def plane(
    axes: Axes,
    points: Float[np.ndarray, "n 2"],
    frequency: int,
    title: str,
    *,
    trained: bool = True,
    reach: Real = 1.25,
) -> None:
    """Numbers on a plane, each tied to its place on the ideal circle of frequency k; both have mean square radius 1.

    The axes go from -reach to reach, the same for all that are compared.
    """
    n = len(points)
    angle = 2 * math.pi * frequency * np.arange(n) / n
    ideal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    colour = TRAINED if trained else UNTRAINED
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=GREY, linewidth=1))
    axes.add_collection(LineCollection(list(np.stack([points, ideal], axis=1)), colors=BAND, linewidths=0.8))
    size = 4 if n <= 60 else 2.8
    axes.plot(*points.T, "o", color=colour, markerfacecolor=colour if trained else "white", markersize=size)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(title, fontsize=SIZE, color=colour, parse_math=False)
    axes.set_axis_off()


def scatter_around(
    axes: Axes, points: Float[np.ndarray, "n 2"], turn: Float[np.ndarray, " n"], x: str, y: str, title: str,
    *, join: Sequence[int] = (),
) -> None:  # fmt: skip
    """Points in a plane coloured by `turn` in [0, 1), a phase; `join` is the order in which a line passes them."""
    if len(join):
        closed = points[[*join, join[0]]]
        axes.plot(*closed.T, "-", color=BAND, linewidth=0.8, zorder=1)
    axes.scatter(*points.T, c=turn, cmap=CYCLE, vmin=0, vmax=1, s=16, edgecolors=INK, linewidths=0.3, zorder=2)
    reach = 1.1 * float(np.abs(points).max() or 1.0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    frame(axes, x, y, title)
    axes.set(xticks=[0], yticks=[0], xticklabels=[], yticklabels=[])


# ----------------------------------------------------------------------------------------------------------- logits


def logit_line(
    axes: Axes, logits: Float[np.ndarray, " n"], rebuilt: Float[np.ndarray, " n"], answer: int, x: str, title: str
) -> None:
    """Logits of one question over the outputs c along the circle; the right one is marked."""
    axes.plot(logits, "o-", color=TRAINED, markersize=3, linewidth=1)
    axes.plot(rebuilt, "--", color=INK, linewidth=1.2)
    axes.plot(answer, logits[answer], "o", color=TRAINED, markersize=9, markerfacecolor="none")
    axes.set_xlim(-0.5, len(logits) - 0.5)
    frame(axes, x, "logit, row mean 0", title)


def logit_density(axes: Axes, logits: Float[np.ndarray, " rows"], rebuilt: Float[np.ndarray, " rows"]) -> None:
    """Every logit against what the keys give for it: counts on a grid, and the line of equality."""
    low, high = (float(end(np.concatenate([logits, rebuilt]))) for end in (np.min, np.max))
    pad = 0.03 * ((high - low) or 1.0)
    span = (low - pad, high + pad)
    counts = axes.hist2d(rebuilt, logits, bins=80, range=[list(span), list(span)], norm=LogNorm(), cmap=MAGNITUDE,
                         rasterized=True)[3]  # fmt: skip
    axes.plot(span, span, "--", color=INK, linewidth=1)
    axes.set(xlim=span, ylim=span, aspect="equal")
    frame(axes, "rebuilt from the keys", "logit, row mean 0")
    bar = axes.figure.colorbar(counts, ax=axes, shrink=0.9, pad=0.02, aspect=25)
    bar.set_label("logits", fontsize=SIZE, color=INK)
    bar.ax.tick_params(labelsize=SIZE)


def spectrum_2d(axes: Axes, lengths: Float[np.ndarray, "n n"], keys: Sequence[int]) -> None:
    """Length over all outputs of each product of a Fourier component of a with one of b; a root scale of colours."""
    image = heat(
        axes,
        lengths,
        "cos and sin of frequency, b",
        "cos and sin of frequency, a",
        norm=PowerNorm(0.5, 0),
        rasterized=True,
    )
    places = [0.0, *(2 * k - 0.5 for k in sorted(keys))]
    names = ["const.", *(str(k) for k in sorted(keys))]
    axes.set_xticks(*ticks_apart(places[1:], names[1:], len(lengths) / 22))
    axes.set_yticks(*ticks_apart(places, names, len(lengths) / 26))
    axes.set_aspect("equal")
    colour_bar(image, axes, "length over all outputs")
