"""Pictures of what depends on what: frequencies and neurons taken away, and which of two algorithms it is.

Each function makes one family of figures and its sentences from `Material`. An ablation stands beside as many parts
that were not chosen: orange and hollow, the mean over draws and a line to the largest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from toy.pictures import style
from toy.pictures.material import Material, Picture
from toy.pictures.style import BAND, GREY, INK, SIZE, TRAINED, UNTRAINED, Real, frame, listed, note, percent, two

SYMMETRIC = 0.9
"""Gradient symmetricity from which on a network would be taken for a Pizza."""
PIZZA, CLOCK = (0.99, 0.17), (0.33, 0.85)
"""(gradient symmetricity, distance irrelevance) of the two reference networks of Zhong et al. 2023."""
HOW = "mean"
"""What ablated neurons are set to: their mean, which takes away what they say and not that they speak."""


def ablations(material: Material) -> Picture:
    """Key frequencies and top neurons taken away, beside as many others."""
    removed, neurons = material.analysis["frequency_ablation"], material.analysis["neuron_ablation"]
    # A control of as many other neurons exists up to half of them.
    groups = [group for group in neurons["groups"] if 2 * group["size"] <= material.analysis["n_neurons"]]
    cost = []
    if removed is not None:
        lost, control = _points(removed["embedding"]["all"]["drop"]), removed["embedding"]["control_all"]
        beside = "" if control is None else f" (as many other frequencies: {control['mean_drop']:.0f})"
        cost.append(f"without its {len(removed['keys'])} keys: {lost}{beside}")
    if groups:
        cost.append(f"without its {groups[-1]['size']} top neurons: {_points(groups[-1]['top'][HOW]['drop'])}")
    if not cost:
        return Picture(None, "No frequency is key and too few neurons vary along a: there is nothing to take away.")
    figure = style.new_figure(4.0, f"Accuracy lost {', '.join(cost)}")
    panels = figure.subplots(1, len(cost), squeeze=False)[0]
    said = ""
    if removed is not None:
        _draw_frequencies(panels[0], removed)
        said += _frequencies_said(removed)
    else:
        said += "No frequency is key, so none was taken away. "
    if groups:
        names = material.analysis["n_neurons"], neurons["accuracy"]
        draw_group_ablation(panels[-1], groups, *names, HOW)
        said += _neurons_said(neurons, groups[-1])
    return Picture(figure, said.strip())


def _points(drop: Real) -> str:
    return f"{drop:.0f} point{'s' if round(drop) != 1 else ''}"


def _draw_frequencies(axes: Axes, removed: Mapping[str, Any]) -> None:
    """Each key removed from the embedding, then all of them, with controls at the first and at all."""
    cells, controls = removed["embedding"]["each"], removed["embedding"]
    top, every = ((control["mean_drop"], control["max_drop"]) if (control := controls[name]) else None
                  for name in ("control_top", "control_all"))  # fmt: skip
    names, losses = [str(cell["frequencies"][0]) for cell in cells], [cell["drop"] for cell in cells]
    spans: list[tuple[Real, Real] | None] = [top] * len(cells)
    if len(cells) > 1:
        names, losses, spans = [*names, "all"], [*losses, controls["all"]["drop"]], [*spans, every]
    draw_drops(axes, names, losses, spans)
    axes.set_xlabel("key frequency removed from the embedding", fontsize=SIZE)
    axes.set_title("bars: keys · hollow: other frequencies", fontsize=SIZE, loc="right", color=GREY)


def draw_drops(
    axes: Axes, names: Sequence[str], losses: Sequence[Real], controls: Sequence[tuple[Real, Real] | None]
) -> None:
    """Points lost by each removal as bars; its control as a hollow dot at the mean with a line to the largest."""
    places = range(len(names))
    axes.bar(places, losses, 0.62, color=TRAINED)
    for place, loss, control in zip(places, losses, controls, strict=True):
        above = 7 if control is not None and loss < max(losses) / 20 else 2
        note(axes, f"{loss:.0f}", (place, max(loss, 0)), above, TRAINED)
        if control is not None:
            mean, largest = control
            axes.plot([place, place], [mean, largest], color=UNTRAINED, linewidth=2, zorder=3)
            axes.plot(place, mean, "o", color=UNTRAINED, markerfacecolor="white", markersize=6, zorder=4)
    axes.set_xticks(places, names)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.margins(y=0.12)
    frame(axes, "", "accuracy lost (points)")


def draw_group_ablation(axes: Axes, groups: Sequence[Mapping[str, Any]], n_neurons: int, full: Real, how: str) -> None:
    """Accuracy after removing the highest-ranked neurons, as many random ones, and as many of matched power.

    `full` is the accuracy with every neuron; `how` is "zero" or "mean", what the neurons are set to.
    """
    styles = {
        "top": ("highest ranked", "-", TRAINED, TRAINED),
        "random": ("random", "--", UNTRAINED, "white"),
        "matched": ("same variance", ":", GREY, "white"),
    }
    labels = []
    axes.set_ylim(-3, 103)
    for name, (words, stroke, colour, face) in styles.items():
        cells = [(group["size"], group[name][how]) for group in groups if group.get(name)]
        # A control keeps the mean drop in points over its draws; a group its accuracy.
        points = [(size, cell.get("accuracy", full - cell.get("mean_drop", 0.0) / 100)) for size, cell in cells]
        if points:
            axes.plot([0, *(size for size, _ in points)], [100 * full, *(100 * value for _, value in points)],
                      stroke, marker="o", color=colour, markerfacecolor=face, markersize=4, linewidth=1.4)  # fmt: skip
            labels.append((words, points[-1][0], 100 * points[-1][1], colour))
    style.at_end(axes, labels)
    frame(axes, f"neurons removed (of {n_neurons})", "accuracy (%)")


def _beside(control: Mapping[str, Any] | None, words: str, digits: int = 1) -> str:
    """What a control lost, in brackets; `words` may hold its fields in braces. Nothing where there is none."""
    if control is None:
        return ""
    mean, largest = (f"{control[name]:.{digits}f}" for name in ("mean_drop", "max_drop"))
    return f" ({words.format(**control)}: mean {mean}, largest {largest})"


def _frequencies_said(removed: Mapping[str, Any]) -> str:
    embedding, first = removed["embedding"], removed["embedding"]["top"]
    one = _beside(embedding["control_top"], "one of the other frequencies, {draws} draws")
    several = _beside(embedding["control_all"], "{size} others")
    return (
        f"Projecting frequency {first['frequencies'][0]} out of the embedding costs {first['drop']:.1f} points{one}, "
        f"all {len(removed['keys'])} of them {embedding['all']['drop']:.1f}{several}; taking all of them off the "
        f"logits costs {removed['logits']['all']['drop']:.1f}. "
    )


def _neurons_said(neurons: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    single = max(neurons["single"], key=lambda cell: cell[HOW]["drop"])
    said = f"Of single neurons set to their mean, {single['neuron']} costs most: {single[HOW]['drop']:.2f} points"
    said += _beside((neurons["single_control"] or {}).get(HOW), "others", 2)
    said += f". The top {group['size']} together cost {group['top'][HOW]['drop']:.1f}"
    if group.get("random"):
        said += f", as many random ones {group['random'][HOW]['mean_drop']:.1f}"
    if group.get("matched"):
        said += f", as many of the nearest variance {group['matched'][HOW]['drop']:.1f}"
    return said + "."


def clock_or_pizza(material: Material) -> Picture:
    """Where the network lies between the two published algorithms; subgroups where the circle has any."""
    trained, untrained = material.analysis, material.analysis["untrained"]
    here, before = _place(trained), _place(untrained)
    orders = [row for row in trained["subgroups"] if row["order"] > 1]
    panels = (here is not None) + 1 + (len(orders) > 1)
    names = ("gradient_symmetricity", "distance_irrelevance", "circularity")
    measured = [name for name in names if trained[name] is not None]
    words = [f"{name.replace('_', ' ')} {two(trained[name])} (untrained {two(untrained[name])})" for name in measured]
    message = ", ".join(words[:2]).capitalize()
    figure = style.new_figure(3.9, message, width=max(6.6, 3.6 * panels))
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if here is not None:
        _draw_position(next(axes), here, before)
    _draw_measures(next(axes), [name.replace("_", "\n") for name in measured], [trained[name] for name in measured],
                 [untrained[name] for name in measured])  # fmt: skip
    if len(orders) > 1:
        every = sum(len(row["frequencies"]) for row in orders)
        _draw_subgroups(next(axes), [row["order"] for row in orders], [row["logit_share"] for row in orders],
                                [len(row["frequencies"]) / every for row in orders])  # fmt: skip
    return Picture(figure, _position_said(material, here, orders))


def _draw_position(axes: Axes, trained: tuple[Real, Real] | None, untrained: tuple[Real, Real] | None) -> None:
    """The network and its untrained copy between the two published references."""
    for name, (x, y) in (("Pizza", PIZZA), ("Clock", CLOCK)):
        axes.plot(x, y, "x", color=GREY, markersize=8, markeredgewidth=2)
        note(axes, name, (x, y), -9, GREY)
    for point, colour, face, name, up in (
        (untrained, UNTRAINED, "white", "untrained", False),
        (trained, TRAINED, TRAINED, "this network", True),
    ):
        if point is not None:
            axes.plot(*point, "o", color=colour, markerfacecolor=face, markersize=9, markeredgewidth=1.6)
            side = "right" if point[0] > 0.8 else "left" if point[0] < 0.2 else "center"
            note(axes, name, point, 8 if up else -8, colour, ha=side)
    known = [value for point in (trained, untrained) if point for value in point]
    axes.set(xlim=(min(-0.05, *known, 0) - 0.03, 1.06), ylim=(min(0.0, *known, 0) - 0.05, 1.1))
    frame(axes, "gradient symmetricity", "distance irrelevance")


def _draw_subgroups(axes: Axes, orders: Sequence[int], shares: Sequence[Real], flat: Sequence[Real]) -> None:
    """Share of the logit variance of each order; `flat` is the share that equal frequencies would give."""
    places = range(len(orders))
    axes.bar(places, [100 * share for share in shares], 0.62, color=TRAINED)
    axes.plot(places, [100 * share for share in flat], "_", color=GREY, markersize=22, markeredgewidth=2)
    axes.set_xticks(places, [str(order) for order in orders])
    axes.set_ylim(0, 108)
    for place, share in zip(places, shares, strict=True):
        note(axes, f"{100 * share:.0f}", (place, 100 * share), 2, TRAINED, va="baseline")
    frame(axes, "order of the frequency: n / gcd(k, n)", "share of logit variance (%)")


def _draw_measures(
    axes: Axes, names: Sequence[str], values: Sequence[Real | None], beside: Sequence[Real | None]
) -> None:
    """Numbers between 0 and 1, trained as bars and untrained as hollow dots."""
    places = range(len(names))
    axes.barh(places, [0.0 if value is None else value for value in values], 0.55, color=TRAINED)
    axes.plot([math.nan if value is None else value for value in beside], places, "o", color=UNTRAINED,
              markerfacecolor="white", markersize=7, markeredgewidth=1.6)  # fmt: skip
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1.02), ylim=(len(names) - 0.4, -0.6))
    axes.axvline(1, color=BAND, linewidth=0.8, zorder=0)
    frame(axes)


def _place(measured: Mapping[str, Any]) -> tuple[Real, Real] | None:
    symmetricity, irrelevance = measured["gradient_symmetricity"], measured["distance_irrelevance"]
    return None if symmetricity is None or irrelevance is None else (symmetricity, irrelevance)


def _position_said(material: Material, here: tuple[Real, Real] | None, orders: list[dict[str, Any]]) -> str:
    trained, untrained = material.analysis, material.analysis["untrained"]
    if here is None:
        said = (
            "Distance irrelevance needs answers that depend on a and b through one sum: this task is no group "
            f"operation, or its logits do not vary. Gradient symmetricity {two(trained['gradient_symmetricity'])}, "
            f"untrained {two(untrained['gradient_symmetricity'])}. "
        )
    else:
        (_, clock), (_, pizza) = CLOCK, PIZZA
        places = {"Clock": CLOCK, "Pizza": PIZZA, "the untrained network": _place(untrained)}
        nearest = min(places, key=lambda name: math.dist(here, places[name] or (math.inf, math.inf)))
        said = (
            f"Nearest is {nearest}, of Clock ({CLOCK[0]} and {clock}), Pizza ({PIZZA[0]} and {pizza}) "
            f"and an untrained network ({two(untrained['gradient_symmetricity'])} and "
            f"{two(untrained['distance_irrelevance'])}). "
        )
        if untrained["gradient_symmetricity"] > SYMMETRIC:
            said += "Its gradients alone would make a Pizza of the untrained network. "
    said += f"Circularity {two(trained['circularity'])} (untrained {two(untrained['circularity'])})."
    if len(orders) > 1:
        shares = [f"{percent(row['logit_share'])} of order {row['order']}" for row in orders]
        said += (
            f" {material.n} positions have subgroups: a frequency of order m sees the answer only modulo m. Of the "
            f"logit variance along cos w_k(s − c), {listed(shares)}; grey: what equal frequencies would give."
        )
    elif material.n == material.config.modulus:
        said += f" {material.n} is prime: every frequency has the full order and there is no subgroup."
    return said
