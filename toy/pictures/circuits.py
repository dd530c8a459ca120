"""Pictures of what is computed: neurons, logits, attention.

Each public function makes one family of figures and its sentences from `Material`; functions `draw_…(axes, arrays)`
know nothing of networks. Positions run along the task's circle; for addition a position is the number itself. Shapes:
n positions, K = floor(n/2) frequencies, m neurons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, PowerNorm
from torch import Tensor

from toy.analysis.readout import Readout
from toy.maths import fourier, regression
from toy.pictures import style
from toy.pictures.material import Material, Picture, centred_logits, rebuilt_logits
from toy.pictures.style import BAND, GREY, INK, MAGNITUDE, SIZE, TRAINED, Real, frame, listed, percent, span, two

TRACES = 4
PORTRAITS = 5
ATTENTION_HEADS = 4
"""At most so many heads to a figure: those whose attention varies most."""


def neuron_map(material: Material) -> Picture:
    """Neurons sorted by frequency, trained beside untrained on one scale."""
    trained, untrained = material.neuron_shares, material.untrained_neuron_shares
    measured, before = material.analysis, material.analysis["untrained"]
    explained, plain = (_share(each["neurons_explained"]) for each in (measured, before))
    figure = style.new_figure(
        4.6, f"{explained} of live neurons are explained (> 85 %) by one frequency (untrained: {plain})"
    )
    pair = figure.subplots(1, 2)
    for axes, shares, title in ((pair[0], trained, "this network"), (pair[1], untrained, "untrained")):
        live = shares.sum(dim=0) > 0
        own = torch.where(live, shares.argmax(dim=0) + 1, 0)
        draw_neuron_map(axes, shares.numpy(), own.numpy(), title)
    style.colour_bar(pair[1].images[0], list(pair), "share of the neuron's variance")
    counts = measured["neurons_by_frequency"]
    clusters = listed([f"{counts[str(k)]} at k = {k}" for k in material.keys if str(k) in counts])
    said = (
        f"A neuron is explained when more than 85 % of its variance over all pairs is of one frequency: {explained} of "
        f"{measured['n_neurons'] - measured['n_dead_neurons']} live neurons ({measured['n_dead_neurons']} are dead), "
        f"untrained {plain}. Neurons by key: {clusters}. The median neuron is explained to "
        f"{_share(measured['neuron_share_median'])}, untrained {_share(before['neuron_share_median'])}."
    )
    return Picture(figure, said)


def _share(value: Real | None) -> str:
    return "none" if value is None else percent(value)


def draw_neuron_map(
    axes: Axes, shares: Float[np.ndarray, "k m"], frequencies: Int[np.ndarray, " m"], title: str
) -> None:
    """Share of each live neuron's variance at each frequency, neurons ordered by theirs and then by its share.

    `frequencies` is each neuron's own, 0 for a neuron that is constant and left out.
    """
    live = np.flatnonzero(frequencies)
    own = shares[frequencies[live] - 1, live]
    order = live[np.lexsort((-own, frequencies[live]))]
    style.heat(axes, shares[:, order].T, "frequency k", "live neuron, sorted", title, vmin=0, vmax=1,
         extent=(0.5, len(shares) + 0.5, 0, max(len(order), 1)), rasterized=True)  # fmt: skip


def logit_reconstruction(material: Material) -> Picture:
    """Logits against what one cosine per key gives."""
    readout, keys = material.readout, material.keys
    if not keys:
        return Picture(None, "No frequency is key by the neuron rule, so there is nothing to rebuild the logits from.")
    logits = centred_logits(readout)
    rebuilt = rebuilt_logits(readout, material.analysis["logit_coefficients"], keys)
    explained, before = material.analysis["logit_fve"], material.analysis["untrained"]["logit_fve"]
    cosines = f"{len(keys)} cosines" if len(keys) > 1 else "One cosine"
    figure = style.new_figure(
        4.6,
        f"{cosines} of the answer rebuild {percent(explained)} of the logits' variance (untrained: {percent(before)})",
    )
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1])
    questions = (readout.answer >= 0).nonzero()
    n = material.n
    for place, wanted in enumerate(((n // 4, 2 * n // 3), (3 * n // 4, n // 5))):  # well inside the grid
        row = int((questions - torch.tensor(wanted)).abs().sum(dim=1).argmin())
        a, b = questions[row].tolist()
        axes = figure.add_subplot(grid[place, 0])
        question = f"a at {a}, b at {b}" if material.task.group == "multiplicative" else f"a = {a}, b = {b}"
        draw_logit_line(axes, logits[row].numpy(), rebuilt[row].numpy(), int(readout.answer[a, b]),
                           f"output c ({material.place})", question)  # fmt: skip
        if not place:
            axes.set_xlabel("")
    figure.axes[0].set_title("dots: logits · dashed: keys · ring: right answer", fontsize=SIZE, loc="right", color=GREY)
    draw_logit_density(figure.add_subplot(grid[:, 1]), logits.flatten().numpy(), rebuilt.flatten().numpy())
    said = (
        f"Σ β_k cos w_k(s − c) over k = {listed(keys)}, one coefficient a key for all {len(logits):,} questions, "
        f"s the right answer: {percent(explained)} of the variance of the logits around their row means. The same keys "
        f"explain {percent(before)} in untrained weights. With these planes alone the loss is "
        f"{material.analysis['restricted_loss']:.2g} (all of the logits: {material.analysis['full_loss']:.2g})."
    )
    return Picture(figure, said)


def draw_logit_line(
    axes: Axes, logits: Float[np.ndarray, " n"], rebuilt: Float[np.ndarray, " n"], answer: int, x: str, title: str
) -> None:
    """Logits of one question over the outputs c along the circle; the right one is marked."""
    axes.plot(logits, "o-", color=TRAINED, markersize=3, linewidth=1)
    axes.plot(rebuilt, "--", color=INK, linewidth=1.2)
    axes.plot(answer, logits[answer], "o", color=TRAINED, markersize=9, markerfacecolor="none")
    axes.set_xlim(-0.5, len(logits) - 0.5)
    frame(axes, x, "logit, row mean 0", title)


def draw_logit_density(axes: Axes, logits: Float[np.ndarray, " rows"], rebuilt: Float[np.ndarray, " rows"]) -> None:
    """Every logit against what the keys give for it: counts on a grid, and the line of equality."""
    low, high = (float(end(np.concatenate([logits, rebuilt]))) for end in (np.min, np.max))
    pad = 0.03 * ((high - low) or 1.0)
    span = (low - pad, high + pad)
    counts = axes.hist2d(rebuilt, logits, bins=80, range=[list(span), list(span)], norm=LogNorm(), cmap=MAGNITUDE,
                         rasterized=True)[3]  # fmt: skip
    axes.plot(span, span, "--", color=INK, linewidth=1)
    axes.set(xlim=span, ylim=span, aspect="equal")
    frame(axes, "rebuilt from the keys", "logit, row mean 0")
    style.colour_bar(counts, axes, "logits")


def logit_spectrum_2d(material: Material) -> Picture:
    """Products of Fourier components of a and b in the logits."""
    keys = material.keys
    lengths, before = _products(material.readout), _products(material.untrained)
    within, plain = _within(lengths, keys), _within(before, keys)
    message = (
        f"{percent(within)} of the logits' variation over (a, b) lies in products of a key with itself "
        f"(untrained: {percent(plain)})"
        if keys
        else "No key frequency by the neuron rule: no products of a key to look for"
    )
    figure = style.new_figure(5.2, message, width=7.0)
    draw_spectrum_2d(figure.subplots(), lengths.numpy(), keys)
    cells = 4 * len(keys) / (material.n**2 - 1)
    said = (
        "Length over all outputs of each product of cos or sin of a with cos or sin of b; a frequency takes two rows, "
        "and terms of one operand alone stand in the first row and column."
    )
    if keys:
        said += (
            f" The 2 × 2 blocks of the keys {listed(keys)} on the diagonal hold {percent(within)} of the power in "
            f"{percent(cells)} of the cells; untrained {percent(plain)}."
        )
    return Picture(figure, said)


def _products(readout: Readout) -> Float[Tensor, "n n"]:
    """Length over the outputs of each product of Fourier components; the constant is left out."""
    basis = fourier.orthonormal_basis(readout.size)
    logits = readout.logits.double()
    logits = logits - logits.mean(dim=2, keepdim=True)
    lengths = torch.einsum("ia,jb,abc->ijc", basis, basis, logits).norm(dim=2)
    lengths[0, 0] = 0
    return lengths


def _within(lengths: Float[Tensor, "n n"], keys: list[int]) -> float:
    """Share of the power in the blocks (k, k) of the keys."""
    power = lengths.square()
    blocks = [power[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1].sum() for k in keys]
    return float(sum(blocks) / power.sum().clamp_min(1e-300))


def draw_spectrum_2d(axes: Axes, lengths: Float[np.ndarray, "n n"], keys: Sequence[int]) -> None:
    """Length over all outputs of each product of a Fourier component of a with one of b; a root scale of colours."""
    words = [f"cos and sin of frequency, {operand}" for operand in "ba"]
    image = style.heat(axes, lengths, *words, norm=PowerNorm(0.5, 0), rasterized=True)
    places = [0.0, *(2 * k - 0.5 for k in sorted(keys))]
    names = ["const.", *(str(k) for k in sorted(keys))]
    axes.set_xticks(*style.ticks_apart(places[1:], names[1:], len(lengths) / 22))
    axes.set_yticks(*style.ticks_apart(places, names, len(lengths) / 26))
    axes.set_aspect("equal")
    style.colour_bar(image, axes, "length over all outputs")


def attention_patterns(material: Material) -> Picture:
    """How much "=" reads from each operand, per head."""
    pattern = material.readout.attention
    if pattern is None:
        return Picture(None, "An MLP reads both numbers through one layer and has no attention to show.")
    rows = material.analysis["attention_periodicity"]
    spread = _spread(pattern)
    heads = sorted(spread.argsort(descending=True)[:ATTENTION_HEADS].tolist())
    untrained_rows = material.analysis["untrained"]["attention_periodicity"]
    best, before = (max(each, key=lambda row: row["share"]) for each in (rows, untrained_rows))
    figure = style.new_figure(
        5.3,
        f"Frequency {best['frequency']} explains {percent(best['share'])} of how head {best['head']}'s attention to a "
        f"varies (best untrained head: {percent(before['share'])})",
    )
    grid = figure.subplots(2, len(heads), squeeze=False, sharex=True, sharey=True)
    for column, head in enumerate(heads):
        for operand in range(2):
            axes, title = grid[operand, column], f"head {head} to {'ab'[operand]}"
            style.heat(axes, pattern[:, :, head, operand].numpy(), "b", "a", title, vmin=0, vmax=1, rasterized=True)
            axes.set_aspect("equal")
            axes.label_outer()
    style.colour_bar(grid[0, 0].images[0], list(grid.ravel()), "attention of “=”")
    by_head = [f"head {row['head']} k = {row['frequency']} ({percent(row['share'])})" for row in rows]
    plain = float(_spread(material.untrained.attention).max())
    said = (
        f"Rows: attention of the first block from “=” to a and to b, for every pair along the circle. By head, the "
        f"frequency that explains its attention to a best: "
        f"{listed(by_head)}; the best untrained head reaches {percent(before['share'])}. The attention to a has a "
        f"standard deviation of up to {float(spread.max()):.2g} (untrained {plain:.2g})."
    )
    return Picture(figure, said)


def _spread(pattern: Float[Tensor, "n n h pos"] | None) -> Float[Tensor, " h"]:
    """Standard deviation over the grid of each head's attention to a."""
    assert pattern is not None
    return pattern[..., 0].flatten(0, 1).std(dim=0)


def neuron_traces(material: Material) -> Picture:
    """The top neurons along a at fixed b, and over the phase of a with their cosines."""
    chosen = material.analysis["neuron_ranking"][:TRACES]
    if not chosen:
        return Picture(None, "No neuron varies along a, so there is no trace to draw.")
    traces = _traces(material, chosen)
    every_r2 = regression.class_mean_r2(traces)
    r2 = [float(every_r2[row["frequency"] - 1, i]) for i, row in enumerate(chosen)]
    figure = style.new_figure(4.6, f"One cosine explains {span(r2)} of the strongest neurons' variance along a")
    grid = figure.subplots(2, len(chosen), squeeze=False, sharey="col")
    for (above, below), row, share, values in zip(grid.T, chosen, r2, traces.T, strict=True):
        title = f"neuron {row['neuron']}, k = {row['frequency']}, R² {share:.2f}"
        above.plot(values, "o-", color=TRAINED, markersize=2, linewidth=0.7)
        above.set_xlim(-0.5, len(values) - 0.5)
        frame(above, f"a ({material.place})", "activation", title)
        # Constant, cosine and sine of the wave that fits best; there is no sine at the Nyquist frequency.
        design = fourier.design(torch.arange(material.n), row["frequency"], material.n)
        wave = torch.cat([values.mean()[None], (design.T @ values) / design.square().sum(dim=0)])
        draw_over_phase(below, values.numpy(), row["frequency"], wave.numpy())
    for axes in grid[:, 1:].ravel():
        axes.set_ylabel("")
    median = material.analysis["neuron_purity_median"]
    said = (
        f"The {len(chosen)} neurons of largest peak along a, b at its first position: above along a, below over the "
        f"phase of a at the neuron's frequency with the cosine that fits best (in-sample). A wave that the rectifier "
        f"cuts off cannot reach 1. The median live neuron has {percent(median or 0)} of its power at its peak."
    )
    return Picture(figure, said)


def _traces(material: Material, chosen: list[dict]) -> Float[Tensor, "n m"]:
    """Neurons along a, b at its first position, as they were ranked."""
    return material.readout.neurons[:, 0, [row["neuron"] for row in chosen]].double()


def draw_over_phase(
    axes: Axes, activation: Float[np.ndarray, " n"], frequency: int, wave: Float[np.ndarray, " c"]
) -> None:
    """The same neuron over the phase k a / n, in which its wave is one period; dashed, the cosine that fits best.

    `wave` are its constant, cosine and sine, no sine at the Nyquist frequency of an even n.
    """
    n = len(activation)
    phases = frequency * np.arange(n) % n / n
    style.phase_dots(axes, np.stack([phases, activation], axis=1), phases, 14)
    turns = np.linspace(0, 1, 200)
    parts = np.stack([np.ones_like(turns), np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)])[: len(wave)]
    axes.plot(turns, wave @ parts, "--", color=INK, linewidth=1.2)
    axes.set_xlim(-0.02, 1.02)
    frame(axes, f"phase of a at k = {frequency}, in turns", "activation")


def phase_portraits(material: Material) -> Picture:
    """Pairs of top neurons against each other."""
    chosen = _of_two_frequencies(material.analysis["neuron_ranking"])
    if len(chosen) < 2:
        return Picture(None, "Fewer than two neurons vary along a: there is no pair to draw.")
    same = sum(one["frequency"] == other["frequency"] for i, one in enumerate(chosen) for other in chosen[:i])
    pairs = len(chosen) * (len(chosen) - 1) // 2
    figure = style.new_figure(
        7.2,
        f"Pairs of the strongest neurons along a: {same} of {pairs} share their frequency and can draw closed curves",
        width=7.6,
    )
    neurons, frequencies = ([row[name] for row in chosen] for name in ("neuron", "frequency"))
    grid = figure.subplots(len(chosen) - 1, len(chosen) - 1, squeeze=False)
    draw_portraits(grid.tolist(), _traces(material, chosen).numpy(), neurons, frequencies)
    figure.supxlabel("each point is one a, b at its first position; colour: phase of the column's neuron",
                     fontsize=SIZE, color=INK)  # fmt: skip
    phases = [two(row["phase"]) for row in chosen]
    said = (
        f"Neurons {listed(neurons)}: frequencies {listed(frequencies)}, phases {listed(phases)} rad. Two waves of one "
        f"frequency trace an ellipse, as wide as their phases differ (cut at zero by the rectifier)."
    )
    return Picture(figure, said)


def _of_two_frequencies(ranking: list[dict]) -> list[dict]:
    """The top of the ranking, with a second frequency among them if there is one."""
    if not ranking:
        return []
    first = ranking[0]["frequency"]
    own = [row for row in ranking if row["frequency"] == first]
    others = [row for row in ranking if row["frequency"] != first]
    kept = own[: max(PORTRAITS - len(others), 3)] + others
    return kept[:PORTRAITS]


def draw_portraits(
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
        style.phase_dots(axes, np.stack([x, y], axis=1), turn, 13)
        frame(axes)
        axes.set(xticks=[], yticks=[])
        if row == count - 2:
            axes.set_xlabel(f"neuron {neurons[column]}\nk = {frequencies[column]}", fontsize=SIZE)
        if column == 0:
            axes.set_ylabel(f"neuron {neurons[other]}\nk = {frequencies[other]}", fontsize=SIZE)
