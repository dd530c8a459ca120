"""Pictures of what depends on what: frequencies and neurons taken away, and which of two algorithms it is.

Each function makes one family of figures and its sentences from `Material`. An ablation stands beside as many parts
that were not chosen: orange and hollow, the mean over draws and a line to the largest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from toy.pictures import gallery
from toy.pictures.look import GREY, SIZE, Real, listed, new_figure, percent, two
from toy.pictures.material import Material, Picture

SYMMETRIC = 0.9
"""Gradient symmetricity from which on a network would be taken for a Pizza."""
HOW = "mean"
"""What ablated neurons are set to: their mean, which takes away what they say and not that they speak."""


def ablations(material: Material) -> Picture:
    """Key frequencies and top neurons taken away, beside as many others."""
    removed, neurons = material.analysis["frequency_ablation"], material.analysis["neuron_ablation"]
    # A control of as many other neurons exists up to half of them.
    groups = [group for group in neurons["groups"] if 2 * group["size"] <= material.analysis["n_neurons"]]
    cost = []
    if removed is not None:
        cost.append(f"without its {len(removed['keys'])} keys: {_frequencies_lost(removed)}")
    if groups:
        cost.append(f"without its {groups[-1]['size']} top neurons: {_points(groups[-1]['top'][HOW]['drop'])}")
    if not cost:
        return Picture(None, "No frequency is key and too few neurons vary along a: there is nothing to take away.")
    figure = new_figure(4.0, f"Accuracy lost {', '.join(cost)}")
    panels = figure.subplots(1, len(cost), squeeze=False)[0]
    said = ""
    if removed is not None:
        _draw_frequencies(panels[0], removed)
        said += _frequencies_said(removed)
    else:
        said += "No frequency is key, so none was taken away. "
    if groups:
        names = material.analysis["n_neurons"], neurons["accuracy"]
        gallery.group_ablation(panels[-1], groups, *names, HOW)
        said += _neurons_said(neurons, groups[-1])
    return Picture(figure, said.strip())


def _frequencies_lost(removed: Mapping[str, Any]) -> str:
    lost, control = _points(removed["embedding"]["all"]["drop"]), removed["embedding"]["control_all"]
    return lost if control is None else f"{lost} (as many other frequencies: {control['mean_drop']:.0f})"


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
    gallery.drops(axes, names, losses, spans)
    axes.set_xlabel("key frequency removed from the embedding", fontsize=SIZE)
    axes.set_title("bars: keys · hollow: other frequencies", fontsize=SIZE, loc="right", color=GREY)


def _frequencies_said(removed: Mapping[str, Any]) -> str:
    embedding, logits = removed["embedding"], removed["logits"]
    first, control = embedding["top"], embedding["control_top"]
    said = f"Projecting frequency {first['frequencies'][0]} out of the embedding costs {first['drop']:.1f} points"
    if control is not None:
        said += (
            f" (one of the other frequencies, {control['draws']} draws: mean {control['mean_drop']:.1f}, largest "
            f"{control['max_drop']:.1f})"
        )
    said += f", all {len(removed['keys'])} of them {embedding['all']['drop']:.1f}"
    if (control := embedding["control_all"]) is not None:
        said += f" ({control['size']} others: mean {control['mean_drop']:.1f}, largest {control['max_drop']:.1f})"
    return f"{said}; taking all of them off the logits costs {logits['all']['drop']:.1f}. "


def _neurons_said(neurons: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    control = neurons["single_control"]
    single = max(neurons["single"], key=lambda cell: cell[HOW]["drop"])
    said = f"Of single neurons set to their mean, {single['neuron']} costs most: {single[HOW]['drop']:.2f} points"
    if control is not None:
        said += f" (others: mean {control[HOW]['mean_drop']:.2f}, largest {control[HOW]['max_drop']:.2f})"
    said += f". The top {group['size']} together cost {group['top'][HOW]['drop']:.1f}"
    if group.get("random"):
        said += f", as many random ones {group['random'][HOW]['mean_drop']:.1f}"
    if group.get("matched"):
        said += f", as many of the nearest variance {group['matched'][HOW]['drop']:.1f}"
    return said + "."


# --------------------------------------------------------------------------------------------------- which algorithm


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
    figure = new_figure(3.9, message, width=max(6.6, 3.6 * panels))
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if here is not None:
        gallery.position(next(axes), here, before)
    gallery.bars(next(axes), [name.replace("_", "\n") for name in measured], [trained[name] for name in measured],
                 [untrained[name] for name in measured])  # fmt: skip
    if len(orders) > 1:
        every = sum(len(row["frequencies"]) for row in orders)
        gallery.subgroup_shares(next(axes), [row["order"] for row in orders], [row["logit_share"] for row in orders],
                                [len(row["frequencies"]) / every for row in orders])  # fmt: skip
    return Picture(figure, _position_said(material, here, orders))


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
        (_, clock), (_, pizza) = gallery.CLOCK, gallery.PIZZA
        places = {"Clock": gallery.CLOCK, "Pizza": gallery.PIZZA, "the untrained network": _place(untrained)}
        nearest = min(places, key=lambda name: _distance(here, places[name]))
        said = (
            f"Nearest is {nearest}, of Clock ({gallery.CLOCK[0]} and {clock}), Pizza ({gallery.PIZZA[0]} and {pizza}) "
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


def _distance(here: tuple[Real, Real], reference: tuple[Real, Real] | None) -> Real:
    return (
        math.inf if reference is None else sum((one - other) ** 2 for one, other in zip(here, reference, strict=True))
    )
