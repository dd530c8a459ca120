"""Pictures of what a network that adds holds, drawn from its weights and activations beside an untrained network's.

06_neurons     the most periodic neurons on the whole grid of two-digit a and b. Above, the activation for every (a, b):
               a function of a + b has stripes at 45°. Below, what was published: its mean over the pairs of equal
               a + b, here with the wave that fits these means best, c + α cos 2πf(a + b) + β sin 2πf(a + b), f = k/100
               of the largest share of its variance (neurons.py). The right-hand column has the untrained network's most
               "periodic" neurons by the published statistic: best R² of such a wave on the means, over fifty f from
               half a cycle to one in two.
07_attention   mean attention of every head of the decoder over held-out pairs that have max_digits digits each and a
               sum of one more, so that places line up. A row is the digit that is said next, read at the character
               before it; 1 is the ones digit. aligned = mean over j of Σ_{c ∈ {a_j, b_j}} A[before s_j, c], j = 1 …
               max_digits. Where a head attends is not yet what it reads: behind the first block, and in the memory of
               an encoder, a character also holds what was moved there.
08_digits      the ten rows of W_E: share_k = their centred power along cos, sin 2πkd/10 (k = 5: the cosine only);
               k = 1 … 5 sum to 1. Null: digits renamed, the largest share over k, so that p is corrected. A small p
               says that the order of the digits is in their rows, not that they close a circle: half a circle is mostly
               k = 1, too; the diamonds are a straight line. Ten points in d > 10 dimensions have *some* plane that
               shows a circle (planes.py); what tells is its radius, 1 if the plane held all of the variance.

Shapes: g numbers, n sums or digits, m neurons, h heads, t characters read at, s attended to, d stream, K = 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator
from torch import Tensor, nn
from torch.nn.functional import normalize

from toy.addition import neurons as periodic
from toy.addition.config import AdditionConfig
from toy.addition.network import Addition, Attention, Pairs, answer_of, prompts, targets
from toy.addition.neurons import CYCLES, LINES, NUMBERS, SUMS, centred, fits, line_bases, shares, sum_means
from toy.addition.tables import lengths, sample
from toy.analysis import planes
from toy.analysis.spectra import matrix_shares
from toy.maths import fourier
from toy.pictures import style
from toy.pictures.style import BAND, GREY, INK, MAGNITUDE, SIZE, TRAINED, UNTRAINED, frame, percent, two

SHOWN, AT_A_PLACE, PLAIN = 6, 3, 2
"""Trained neurons, at most so many of one place; untrained ones."""
PERIODS = 10
"""At most so many of a wave are drawn; it is fitted to all."""
COLOURS = 8
"""Of a map: eight maps of 256 would make a large file."""
PAIRS = 200
ACROSS = 4
"""Maps of attention side by side."""
DIGITS = torch.arange(10)
RENAMINGS = 999
"""The smallest p is 1/1000."""


def draw(model: Addition, untrained: Addition) -> dict[str, Figure]:
    """All figures of a network, beside an untrained one."""
    return {name: family(model, untrained) for name, family in FAMILIES.items()}


@dataclass(frozen=True)
class Neuron:
    """One that is drawn."""

    place: str
    index: int
    share: float
    """The largest of its variance that a wave of a + b holds, beyond what one operand explains."""
    k: int
    """Of that wave: cycles per 100."""
    cycles: float
    """Per unit of a + b, of the wave that is drawn."""
    r2: float
    """Of that wave on the means: the published statistic."""
    grid: Float[Tensor, "g g"]


def neurons(model: Addition, untrained: Addition) -> Figure:
    """The trained neurons of largest share, beside the untrained ones that the published statistic finds."""
    trained = chosen(model, SHOWN, published=False)
    plain = chosen(untrained, PLAIN, published=True)
    figure = style.new_figure(
        9.6,
        f"{two(trained[0].share)} of a neuron's variance is a wave of a + b, period "
        f"{100 / trained[0].k:.3g}; untrained {two(plain[0].share)}, though R² on means {two(plain[0].r2)}",
    )
    grid = figure.subplots(4, 4, height_ratios=[1.6, 1, 1.6, 1])
    for axes in grid.flat:
        axes.set_visible(False)
    for band, alone in zip((0, 2), plain, strict=False):
        for column, neuron in enumerate(trained[3 * (band // 2) :][:3]):
            _draw_neuron(grid[band, column], grid[band + 1, column], neuron, TRAINED)
        _draw_neuron(grid[band, 3], grid[band + 1, 3], alone, UNTRAINED)
    # Maps share their axes: numbers stand at the left and at the lower ones.
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")
    for axes in grid[[0, 2], 1:].flat:
        axes.tick_params(labelleft=False)
    for axes in grid[0]:
        axes.set_xlabel("")
        axes.tick_params(labelbottom=False)
    figure.supxlabel(
        f"maps: bright is most active · dots: means over equal a + b, of short waves the middle {PERIODS} periods",
        fontsize=SIZE, color=INK,
    )  # fmt: skip
    return figure


def _draw_neuron(above: Axes, below: Axes, neuron: Neuron, colour: str) -> None:
    """The map above the means."""
    low, high = float(NUMBERS[0]) - 0.5, float(NUMBERS[-1]) + 0.5
    few = colormaps[MAGNITUDE].resampled(COLOURS)
    image = style.heat(above, neuron.grid.numpy(), "b", "a", extent=(low, high, low, high), cmap=few)
    image.set_interpolation("none")  # a pixel a pair
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_locator(MultipleLocator(30))
    which = "untrained, " if colour == UNTRAINED else f"period {100 / neuron.k:.3g}, "
    title = f"{neuron.place}, neuron {neuron.index}\n{which}share {two(neuron.share)}"
    above.set_title(title, fontsize=SIZE, loc="left", color=colour)
    means = sum_means(neuron.grid[:, :, None])[:, 0]
    middle, reach = float(SUMS.double().mean()), min(len(SUMS), PERIODS / neuron.cycles) / 2
    shown = (SUMS - middle).abs() <= reach
    below.plot(SUMS[shown], means[shown], ".", color=colour, markersize=2.5, rasterized=True)
    fine = torch.linspace(middle - reach, middle + reach, 101, dtype=torch.float64)
    below.plot(fine, wave(means, neuron.cycles, fine), color=INK, linewidth=0.8)
    frame(below, "a + b", "mean activation", f"wave of period {1 / neuron.cycles:.3g}: R² {two(neuron.r2)}")
    for axis in (below.xaxis, below.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=3))
    for axes in (above, below):
        axes.set_visible(True)


def chosen(model: Addition, count: int, *, published: bool) -> list[Neuron]:
    """The `count` neurons of largest share or, `published`, of the best published fit, largest first."""
    bases, same = line_bases(), torch.arange(len(NUMBERS))
    candidates: list[Neuron] = []
    for place, grid in periodic.activations(model).items():
        share, line = shares(*centred(grid), bases, same).max(0)
        fit, best = fits(grid, CYCLES).max(0)
        for i in (fit if published else share).argsort(descending=True)[:AT_A_PLACE].tolist():
            k = LINES[int(line[i])]
            cycles = CYCLES[int(best[i])] if published else k / 100
            r2 = float(fits(grid[:, :, [i]], [cycles]))
            candidates.append(Neuron(place, i, float(share[i]), k, cycles, r2, grid[:, :, i]))
    return sorted(candidates, key=lambda neuron: -(neuron.r2 if published else neuron.share))[:count]


def wave(means: Float[Tensor, " n"], cycles: float, at: Float[Tensor, " x"]) -> Float[Tensor, " x"]:
    """c + α cos + β sin of least squares on the means, at any a + b."""
    known, wanted = (
        torch.cat([torch.ones(len(n), 1, dtype=torch.float64), fourier.design(n, 1, 1 / cycles)], dim=1)
        for n in (SUMS, at)
    )
    return wanted @ torch.linalg.lstsq(known, means[:, None]).solution[:, 0]


@dataclass(frozen=True)
class Head:
    """Where one attends, on average."""

    name: str
    attention: Float[Tensor, "t s"]
    columns: list[str]
    """Names of what it attends to: a1 … a5 + b1 … b5 = s1 … s6, or a part of it."""
    aligned: float | None
    """None if it cannot see the operands."""


def equal_pairs(config: AdditionConfig) -> Pairs:
    """Held-out pairs of max_digits digits each whose sum has one more."""
    most = config.max_digits
    pairs = sample(config, lengths(most, most), 4 * PAIRS)
    return pairs[pairs.sum(1) >= 10**most][:PAIRS]


@torch.no_grad()
def mean_attention(model: Addition, pairs: Pairs) -> dict[str, Float[Tensor, "h t s"]]:
    """Mean attention in each decoder block, read from "=" on; to the encoder first, if there is one."""
    device, order = model.W_U.device, model.config.order
    prompt, answer = prompts(pairs, order).to(device), answer_of(targets(pairs, order)).to(device)
    blocks = range(len(model.decoder))
    sites = {f"block {i}": model.get_submodule(f"decoder.{i}.attention") for i in blocks}
    if len(model.encoder):
        crosses = {f"block {i} cross": model.get_submodule(f"decoder.{i}.cross") for i in blocks}
        sites = crosses | {f"{name} self": site for name, site in sites.items()}
    kept: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, Attention)
        kept[module] = module.weights(*inputs)[:, :, -answer.shape[1] :].double().mean(0).cpu()

    handles = [site.register_forward_pre_hook(keep) for site in sites.values()]
    try:
        model(prompt, answer)
    finally:
        for handle in handles:
            handle.remove()
    return {name: kept[site] for name, site in sites.items()}


def heads(model: Addition, pairs: Pairs) -> list[Head]:
    """Every head of the decoder, in the order of `mean_attention`."""
    prompt, answer = characters(model.config)
    every = []
    for name, block in mean_attention(model, pairs).items():
        columns = {len(answer): answer, len(prompt): prompt}.get(block.shape[2], [*prompt, *answer])
        for index, weights in enumerate(block):
            share = aligned(weights, model.config) if "a1" in columns else None
            every.append(Head(f"{name}, head {index}", weights, columns, share))
    return every


def characters(config: AdditionConfig) -> tuple[list[str], list[str]]:
    """Names of those of the prompt and of those of the answer, in the order of the text."""
    step, count = 1 if config.order == "reversed" else -1, config.max_digits
    a, b, s = ([f"{name}{j}" for j in range(1, count + 1 + (name == "s"))][::step] for name in "abs")
    return [*a, "+", *b], ["=", *s]


def aligned(weights: Float[Tensor, "t s"], config: AdditionConfig) -> float:
    """Attention to the digits of the place that is said next, mean over places; columns begin with the prompt."""
    prompt, answer = characters(config)
    same = [
        weights[row, prompt.index(f"{name}{said[1:]}")]
        for row, said in enumerate(answer[1:])
        for name in "ab"
        if f"{name}{said[1:]}" in prompt
    ]
    return float(torch.stack(same).sum()) / config.max_digits


def attention(model: Addition, untrained: Addition) -> Figure:
    """A map a head; the untrained network's share is in its title."""
    pairs = equal_pairs(model.config)
    trained, plain = heads(model, pairs), heads(untrained, pairs)
    best = max(trained, key=lambda head: head.aligned or 0.0)
    across = min(model.config.n_heads, ACROSS)
    down = -(-len(trained) // across)
    figure = style.new_figure(
        1.3 + 1.45 * down,
        f"{best.name.capitalize()} gives {percent(best.aligned or 0.0)} of its attention to the digits of the place it "
        f"adds (untrained: at most {percent(max(head.aligned or 0.0 for head in plain))})",
    )
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(trained) :]:
        axes.set_visible(False)
    said = [*characters(model.config)[1][1:], "end"]
    for index, (head, other) in enumerate(zip(trained, plain, strict=True)):
        below = trained[index + across].columns if index + across < len(trained) else []
        axes = grid.flat[index]
        _map(axes, head, said if index % across == 0 else [], named=below != head.columns)
        told = "" if head.aligned is None else f"\naligned {two(head.aligned)}, untrained {two(other.aligned)}"
        axes.set_title(f"{head.name}{told}", fontsize=SIZE, loc="left", color=INK)
    style.colour_bar(grid[0, 0].images[0], list(grid.flat), "attention")
    figure.supylabel("said next: digit of the sum, 1 the ones", fontsize=SIZE, color=INK)
    figure.supxlabel("attended to: digits of a, b and of the sum s so far, 1 the ones", fontsize=SIZE, color=INK)
    return figure


def _map(axes: Axes, head: Head, said: list[str], *, named: bool) -> None:
    """One head, what is said first above; columns have names where no map of the same ones stands below."""
    image = style.heat(axes, head.attention.numpy(), "", "", vmin=0, vmax=1)
    image.set_interpolation("none")  # a pixel a cell
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_yticks(range(len(said)), [name.removeprefix("s") for name in said])
    columns = head.columns if named else []
    # A column has room for the place alone: the number's name stands below its middle.
    axes.set_xticks(range(len(columns)), [name[1:] or name for name in columns])
    for name in "abs":
        if own := [index for index, column in enumerate(columns) if column[0] == name]:
            axes.annotate(
                name, ((own[0] + own[-1]) / 2, 0), (0, -14), xycoords=axes.get_xaxis_transform(), ha="center",
                va="top", textcoords="offset points", fontsize=SIZE, color=INK,
            )  # fmt: skip


@dataclass(frozen=True)
class Circle:
    """The waves of the ten digits in one embedding."""

    shares: Float[Tensor, " K"]
    k: int
    """Of the largest share."""
    p: float
    bar: float
    """95 % of the renamings stay below it at every k."""


def circle(rows: Float[Tensor, "n d"]) -> Circle:
    """The largest wave of n digits, beside those of digits renamed at random."""
    generator = torch.Generator().manual_seed(0)
    shares = matrix_shares(rows)
    names = torch.stack([torch.randperm(len(rows), generator=generator) for _ in range(RENAMINGS)], dim=1)
    power = fourier.power(rows[names].flatten(1)).unflatten(1, (RENAMINGS, -1)).sum(2)
    null = (power / power.sum(0).clamp_min(1e-300)).amax(0)
    # Renamings that turn or mirror the circle have the same share, to rounding.
    above = int((null >= shares.max() - 1e-9).sum())
    return Circle(shares, int(shares.argmax()) + 1, (1 + above) / (1 + RENAMINGS), float(null.quantile(0.95)))


def on_plane(rows: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n 2"]:
    """The digits on the plane of cos, sin 2πkd/n, at radius 1 if it held all of their variance.

    The cosine of k = n/2 has no sine: the other axis is the largest variance beside it.
    """
    centred = planes.centred(rows)
    if 2 * k < len(rows):
        points = planes.points(rows, planes.basis(rows, k))
    else:
        direction = normalize(centred.T @ fourier.circle(torch.arange(len(rows)), k, len(rows))[:, 0], dim=0)
        along = centred @ direction
        rest, _ = planes.principal(centred - along[:, None] * direction)
        points = torch.stack([along, rest[:, 0]], dim=1)
    return points / centred.square().sum(1).mean().sqrt().clamp_min(1e-300)


def digits(model: Addition, untrained: Addition) -> Figure:
    """The spectrum of the digits, and the plane of its largest wave in both networks."""
    rows, plain = (net.W_E[: len(DIGITS)].detach().double().cpu() for net in (model, untrained))
    own, other = circle(rows), circle(plain)
    figure = style.new_figure(
        3.9,
        f"Digits in the embedding: the wave k = {own.k} holds {percent(own.shares.max().item())} of their variance, "
        f"p = {own.p:.2g} against renamed digits (untrained: k = {other.k}, {percent(other.shares.max().item())}, "
        f"p = {other.p:.2g})",
    )
    spectrum, *both = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    _draw_digit_shares(spectrum, own, other)
    nets = (("trained", rows, TRAINED), ("untrained", plain, UNTRAINED))
    for axes, (name, which, colour) in zip(both, nets, strict=True):
        _ring(axes, on_plane(which, own.k), colour)
        axes.set_title(f"{name}, plane of k = {own.k}", fontsize=SIZE, loc="left", color=colour)
    return figure


def _draw_digit_shares(axes: Axes, own: Circle, other: Circle) -> None:
    k = range(1, len(own.shares) + 1)
    line = matrix_shares(DIGITS.double()[:, None])
    axes.axhspan(0, own.bar, color=BAND, alpha=0.6, zorder=0, linewidth=0)
    axes.plot(k, line, "D", color=GREY, markerfacecolor="none", markersize=6, zorder=3)
    axes.plot(k, other.shares, "o--", color=UNTRAINED, markerfacecolor="white", linewidth=1, markersize=6)
    axes.plot(k, own.shares, "o-", color=TRAINED, markersize=6)
    top = max(float(each.max()) for each in (line, own.shares, other.shares))
    axes.set(ylim=(0, 1.08 * max(top, own.bar)), xticks=list(k), xlim=(0.6, len(k) + 0.4))
    key = "dots: trained · hollow: untrained\n◇ a straight line · shade: 95 % of renamings"
    frame(axes, "k: cycles per ten digits", "share of the digits' variance", key)


def _ring(axes: Axes, points: Float[Tensor, "n 2"], colour: str) -> None:
    """Digits joined in their order, and the circle of all variance."""
    round_about = fourier.circle(torch.arange(101), 1, 100)
    axes.plot(*round_about.T.tolist(), color=BAND, linewidth=1)
    axes.plot(*torch.cat([points, points[:1]]).T.tolist(), color=colour, linewidth=0.8, alpha=0.6)
    for digit, (x, y) in enumerate(points.tolist()):
        axes.text(
            x, y, str(digit), ha="center", va="center", fontsize=SIZE, color=colour, weight="bold",
            bbox={"boxstyle": "circle,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
        )  # fmt: skip
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel("grey: if it held all of the variance", fontsize=SIZE, color=INK)
    axes.spines[:].set_visible(False)


FAMILIES = {"06_neurons": neurons, "07_attention": attention, "08_digits": digits}
