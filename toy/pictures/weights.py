"""Pictures of the weights: spectra, coefficients, circles and the embedding gallery.

Each public function makes one family of figures and its sentences from `Material`; functions `draw_…(axes, arrays)`
know nothing of networks. Keys are those of the neuron rule unless the sentence says otherwise; the same measure on
untrained weights stands beside every number: blue and filled is trained, orange and hollow untrained. Shapes: n
positions on the circle, K = floor(n/2) frequencies k = 1 … K, list index k - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from torch import Tensor

from toy.analysis import planes, spectra
from toy.analysis.readout import Readout
from toy.maths import fourier, regression
from toy.pictures import style
from toy.pictures.material import Material, Picture, strongest_sum
from toy.pictures.style import BAND, GREY, INK, SIZE, TRAINED, UNTRAINED, Real, frame, listed, percent, span, two

CIRCLES = 5
"""At most so many keys get a circle of their own."""
MOST_POWER = 0.9


def embedding_and_unembedding(material: Material) -> Picture:
    """Share of the power by frequency, keys filled, flat level and untrained weights beside."""
    keys, trained = material.keys, material.analysis["spectra"]
    untrained = material.analysis["untrained"]["spectra"]
    matrices = {"embedding": "embedding W_E", "unembedding": "unembedding W_U"}
    if material.config.architecture == "mlp":
        matrices["unembedding"] = "output weights (unembedding and W_L are one in the MLP)"
    else:
        matrices["w_l"] = "neurons to logits, W_L = W_out W_U"
    held = {name: sum(trained[name][k - 1] for k in keys) for name in matrices}
    chance = {name: strongest_sum(untrained[name], len(keys)) for name in matrices}
    message = (
        f"{len(keys)} key frequencies hold {percent(held['embedding'])} of the embedding's power and "
        f"{percent(held['unembedding'])} of the unembedding's (untrained, the strongest {len(keys)}: "
        f"{percent(chance['embedding'])} and {percent(chance['unembedding'])})"
        if keys
        else f"No key frequency by the neuron rule: the strongest holds {percent(max(trained['embedding']))} of the "
        f"embedding's power (untrained: {percent(max(untrained['embedding']))})"
    )
    figure = style.new_figure(0.5 + 1.9 * len(matrices), message)
    for axes, (name, title) in zip(figure.subplots(len(matrices), 1, sharex=True), matrices.items(), strict=True):
        draw_spectrum(axes, trained[name], keys, untrained[name], title)
        if axes.get_subplotspec().rowspan.stop < len(matrices):
            axes.set_xlabel("")
    figure.axes[0].set_title("blue: keys · dashed: untrained · dotted: flat", fontsize=SIZE, loc="right")
    rules = {"neurons": "the neuron rule", "embedding": "W_E", "w_l": "W_L", "logits": "the logits"}
    key_lists = [f"by {words} {listed(material.analysis[f'key_frequencies_{rule}'])}" for rule, words in rules.items()]
    count = len(trained["embedding"])
    said = (
        f"Keys {'; '.join(key_lists)}. A flat spectrum has {percent(1 / count)} at each of {count} frequencies; the "
        f"largest share of a single one in an untrained embedding is {percent(max(untrained['embedding']))}."
    )
    return Picture(figure, said)


def _frequency_bars(
    axes: Axes, values: Sequence[Real], keys: Sequence[int], untrained: Sequence[Real] | None, names: tuple[str, str]
) -> None:
    """A bar at each frequency, the keys filled and numbered, untrained weights as a dashed line; y label and title."""
    every = range(1, len(values) + 1)
    axes.bar(every, values, 0.8, color=[TRAINED if k in keys else BAND for k in every],
             edgecolor=[TRAINED if k in keys else GREY for k in every], linewidth=0.5)  # fmt: skip
    if untrained is not None:
        edges = np.arange(len(values) + 1) + 0.5
        axes.stairs(untrained, edges, baseline=None, color=UNTRAINED, linestyle="--", linewidth=1.2)
    axes.set_xlim(0.3, len(values) + 0.7)
    for k in keys:
        style.note(axes, f"{k}", (k, values[k - 1]), 2 if values[k - 1] >= 0 else -2, TRAINED)
    frame(axes, "frequency k", *names)


def draw_spectrum(
    axes: Axes, shares: Sequence[Real], keys: Sequence[int], untrained: Sequence[Real], title: str
) -> None:
    """The share of the power at each frequency, and the share that a flat spectrum has."""
    percents, plain = ([100 * share for share in each] for each in (shares, untrained))
    _frequency_bars(axes, percents, keys, plain, ("share of power (%)", title))
    axes.axhline(100 / len(shares), color=GREY, linewidth=1, linestyle=":")
    axes.set_ylim(0, 1.18 * 100 * max([*shares, 1 / len(shares)]))


def draw_coefficients(
    axes: Axes, values: Sequence[Real], keys: Sequence[int], untrained: Sequence[Real] | None, title: str
) -> None:
    """β_k of cos w_k(s - c) by frequency."""
    axes.margins(y=0.14)
    _frequency_bars(axes, values, keys, untrained, ("coefficient (logits)", title))
    axes.axhline(0, color=INK, linewidth=0.8)


def coefficient_map(material: Material) -> Picture:
    """Fourier components of the embedding by dimension, their lengths, and the logits' cosines."""
    # Along cos and sin of every frequency; the constant, which is no frequency, is left out.
    basis = fourier.orthonormal_basis(material.n)[1:]
    trained, untrained = (basis @ readout.embedding.double() for readout in (material.readout, material.untrained))
    lengths, plain = trained.norm(dim=1), untrained.norm(dim=1)
    few, many = _components_for(lengths), _components_for(plain)
    figure = style.new_figure(
        7.4,
        f"{few} of {len(lengths)} Fourier components hold {percent(MOST_POWER)} of the embedding "
        f"(untrained: {many} of {len(plain)})",
    )
    grid = figure.add_gridspec(2, 2, height_ratios=[1.7, 1], width_ratios=[1.55, 1])
    above, left, right = (figure.add_subplot(place) for place in (grid[0, :], grid[1, 0], grid[1, 1]))
    draw_components(above, trained.numpy(), material.keys, "dimension of the embedding")
    values = material.analysis["logit_coefficients"]
    beside = spectra.logit_coefficients(material.untrained).tolist()
    draw_coefficients(left, values, material.keys, beside, "coefficient of cos w_k(s − c) in the logits, s the answer")
    for components, stroke, colour, face in ((lengths, "o-", TRAINED, TRAINED), (plain, "o--", UNTRAINED, "white")):
        ordered = components.sort(descending=True).values
        right.plot(range(1, len(ordered) + 1), ordered, stroke, color=colour, markerfacecolor=face, markersize=3,
                   linewidth=1)  # fmt: skip
    right.set_ylim(0)
    frame(right, "components, longest first", "length of the component")
    right.set_title("dots: this network · hollow: untrained", fontsize=SIZE, loc="left")
    strongest = sorted(range(1, len(values) + 1), key=lambda k: -abs(values[k - 1]))[: max(len(material.keys), 1)]
    said = (
        f"Rows that stand out are frequencies the network kept. Gini coefficient of the embedding's components "
        f"{material.analysis['gini']:.2f}, of W_L {material.analysis['gini_w_l']:.2f} (untrained "
        f"{material.analysis['untrained']['gini']:.2f} and {material.analysis['untrained']['gini_w_l']:.2f}). "
        f"The logits carry cos w_k(s − c) most at k = {listed(strongest)}, the largest coefficient "
        f"{max(map(abs, values)):.2g} (untrained {max(map(abs, beside)):.2g})."
    )
    return Picture(figure, said)


def _components_for(lengths: Float[Tensor, " m"]) -> int:
    power = lengths.square().sort(descending=True).values
    return int((power.cumsum(0) < MOST_POWER * power.sum()).sum()) + 1


def draw_components(axes: Axes, components: Float[np.ndarray, "n d"], keys: Sequence[int], dimension: str) -> None:
    """|component| of every dimension along every Fourier component (rows), the constant left out by the caller."""
    image = style.heat(axes, np.abs(components), dimension, "cos and sin of frequency", rasterized=True)
    ordered = sorted(keys)
    axes.set_yticks(*style.ticks_apart([2 * k - 1.5 for k in ordered], [str(k) for k in ordered], len(components) / 22))
    style.colour_bar(image, axes, "length of the component")


def circles(material: Material) -> Picture:
    """Numbers on each key's plane beside the ideal circle; the same of untrained weights under it."""
    shown = material.shown[:CIRCLES]
    trained, untrained = (_on_planes(readout, shown) for readout in (material.readout, material.untrained))
    reached, before = ([agreement for _, agreement in each] for each in (trained, untrained))
    kind = "The key frequencies" if material.keys else "No key; the strongest three frequencies"
    message = f"{kind} correlate {span(reached)} with the ideal circle (untrained: {span(before)})"
    reach = 1.04 * max(1.0, *(float(abs(points).max()) for points, _ in trained + untrained))
    figure = style.new_figure(4.9, message, width=max(6.4, 1.95 * len(shown)))
    grid = figure.subplots(2, len(shown), squeeze=False)
    rows = ((grid[0], trained, True, ""), (grid[1], untrained, False, "untrained, "))
    for row, on_planes, is_trained, word in rows:
        for axes, k, (points, agreement) in zip(row, shown, on_planes, strict=True):
            draw_plane(axes, points, k, f"{word}k = {k}\nr = {agreement:.3f}", trained=is_trained, reach=reach)
    said = (
        f"Each {material.place} on the plane of frequency k, tied to its ideal place on the grey circle. Correlation "
        f"{span(reached)} at k = {listed(shown)}. The plane is fitted to the points drawn on it, so untrained weights "
        f"reach {span(before)}: that is the level to compare with."
    )
    if len(material.keys) > CIRCLES:
        said += f" The strongest {CIRCLES} of {len(material.keys)} keys are drawn."
    return Picture(figure, said)


def _on_planes(readout: Readout, frequencies: Sequence[int]) -> list[tuple[np.ndarray, float]]:
    """Points of mean square radius 1 and their correlation with the ideal circle, for each frequency."""
    pairs = []
    for k in frequencies:
        points = planes.points(readout.embedding, planes.basis(readout.embedding, k))
        scale = points.square().sum(dim=1).mean().sqrt().clamp_min(1e-300)
        pairs.append(((points / scale).numpy(), planes.correlation(points, k)))
    return pairs


def draw_plane(
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


def embedding_gallery(material: Material) -> Picture:
    """The first principal components in pairs, against each other and along the circle."""
    rows = material.readout.embedding
    components, shares = planes.principal(rows)
    pairs = min(4, components.shape[1] // 2)
    _, plain = planes.principal(material.untrained.embedding)
    count = 2 * pairs
    message = (
        f"The first {count} principal components hold {percent(float(shares[:count].sum()))} of the embedding "
        f"(untrained {percent(float(plain[:count].sum()))})"
    )
    figure = style.new_figure(5.0, message)
    grid = figure.subplots(2, pairs, squeeze=False, height_ratios=[1.5, 1])
    best = [int(fourier.dominant_frequency(components[:, 2 * i : 2 * i + 1])) for i in range(pairs)]
    for i, k in enumerate(best):
        pair = components[:, 2 * i : 2 * i + 2].numpy()
        turn = k * np.arange(material.n) % material.n / material.n
        names = (f"component {2 * i + 1}", f"component {2 * i + 2}")
        title = f"{percent(float(shares[2 * i : 2 * i + 2].sum()))} of the variance"
        # Joined in the order of their phase, if that has one and most of both components' variance is of the wave.
        is_wave = bool((regression.class_mean_r2(components[:, 2 * i : 2 * i + 2])[k - 1] > 0.5).all())
        coprime = is_wave and math.gcd(material.n, k) == 1
        join = [pow(k, -1, material.n) * place % material.n for place in range(material.n)] if coprime else []
        _draw_pair(grid[0, i], pair, turn, *names, title, join=join)
        grid[1, i].plot(pair[:, 0], "-", color=TRAINED, linewidth=1.2)
        grid[1, i].plot(pair[:, 1], "--", color=INK, linewidth=1.2)
        grid[1, i].set_xlim(0, material.n - 1)
        frame(grid[1, i], material.place, "" if i else "component", f"strongest frequency {k}")
    circularity, before = (each["circularity"] for each in (material.analysis, material.analysis["untrained"]))
    said = (
        f"Colour is the phase of the component's strongest frequency ({listed(best)}); neighbours in phase are "
        f"joined where both components are mostly of it. Below, both along the circle (solid the first, dashed the "
        f"second). Circularity of the first four components {two(circularity)} (untrained {two(before)}; a single "
        f"circle in each gives 1)."
    )
    return Picture(figure, said)


def _draw_pair(
    axes: Axes, points: Float[np.ndarray, "n 2"], turn: Float[np.ndarray, " n"], x: str, y: str, title: str,
    *, join: Sequence[int] = (),
) -> None:  # fmt: skip
    """Points in a plane coloured by `turn` in [0, 1), a phase; `join` is the order in which a line passes them."""
    if len(join):
        closed = points[[*join, join[0]]]
        axes.plot(*closed.T, "-", color=BAND, linewidth=0.8, zorder=1)
    style.phase_dots(axes, points, turn, 16)
    reach = 1.1 * float(np.abs(points).max() or 1.0)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    frame(axes, x, y, title)
    axes.set(xticks=[0], yticks=[0], xticklabels=[], yticklabels=[])
