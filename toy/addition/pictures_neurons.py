"""06_neurons: the most periodic neurons of a network that adds, on the whole grid of two-digit a and b.

Above, a neuron's activation for every (a, b); a function of a + b has stripes at 45°. Below, what was published: its
mean over the pairs of equal a + b, here with the wave that fits these means best,

    c + α cos 2πf(a + b) + β sin 2πf(a + b)        f = k/100 of the largest share of its variance (addition_neurons.py)

The right-hand column has the untrained network's most "periodic" neurons by the published statistic: best R² of such
a wave on the means, over fifty f from half a cycle to one in two. Shapes: g numbers, n sums, m neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator
from torch import Tensor

from toy.addition.network import Addition
from toy.addition.neurons import (
    CYCLES,
    LINES,
    NUMBERS,
    SUMS,
    activations,
    centred,
    fits,
    line_bases,
    shares,
    sum_means,
)
from toy.maths import fourier
from toy.pictures.look import INK, MAGNITUDE, SIZE, TRAINED, UNTRAINED, frame, heat, new_figure, two

SHOWN, AT_A_PLACE, PLAIN = 6, 3, 2
"""Trained neurons, at most so many of one place; untrained ones."""
PERIODS = 10
"""At most so many of a wave are drawn; it is fitted to all."""
COLOURS = 8
"""Of a map: eight maps of 256 would make a large file."""


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
    figure = new_figure(
        9.6,
        f"{two(trained[0].share)} of a neuron's variance is a wave of a + b, period "
        f"{100 / trained[0].k:.3g}; untrained {two(plain[0].share)}, though R² on means {two(plain[0].r2)}",
    )
    grid = figure.subplots(4, 4, height_ratios=[1.6, 1, 1.6, 1])
    for axes in grid.flat:
        axes.set_visible(False)
    for band, alone in zip((0, 2), plain, strict=False):
        for column, neuron in enumerate(trained[3 * (band // 2) :][:3]):
            _draw(grid[band, column], grid[band + 1, column], neuron, TRAINED)
        _draw(grid[band, 3], grid[band + 1, 3], alone, UNTRAINED)
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


def _draw(above: Axes, below: Axes, neuron: Neuron, colour: str) -> None:
    """The map above the means."""
    low, high = float(NUMBERS[0]) - 0.5, float(NUMBERS[-1]) + 0.5
    few = colormaps[MAGNITUDE].resampled(COLOURS)
    image = heat(above, neuron.grid.numpy(), "b", "a", extent=(low, high, low, high), cmap=few)
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
    found: list[Neuron] = []
    for place, grid in activations(model).items():
        share, line = shares(*centred(grid), bases, same).max(0)
        fit, best = fits(grid, CYCLES).max(0)
        for i in (fit if published else share).argsort(descending=True)[:AT_A_PLACE].tolist():
            k = LINES[int(line[i])]
            cycles = CYCLES[int(best[i])] if published else k / 100
            r2 = float(fits(grid[:, :, [i]], [cycles]))
            found.append(Neuron(place, i, float(share[i]), k, cycles, r2, grid[:, :, i]))
    return sorted(found, key=lambda neuron: -(neuron.r2 if published else neuron.share))[:count]


def wave(means: Float[Tensor, " n"], cycles: float, at: Float[Tensor, " x"]) -> Float[Tensor, " x"]:
    """c + α cos + β sin of least squares on the means, at any a + b."""
    known, wanted = (
        torch.cat([torch.ones(len(n), 1, dtype=torch.float64), fourier.design(n, 1, 1 / cycles)], dim=1)
        for n in (SUMS, at)
    )
    return wanted @ torch.linalg.lstsq(known, means[:, None]).solution[:, 0]
