"""08_digits: how the ten digits lie in the embedding of a network that adds.

With the ten rows of W_E, share_k = their centred power along cos, sin 2πkd/10 (k = 5: the cosine only); k = 1 … 5 sum
to 1. Null: digits renamed, the largest share over k, so that p is corrected; the one column of k = 5 has to pass the
same bar. A small p says that the order of the digits is in their rows, not that they close a circle: half a circle is
mostly k = 1, too. A straight line has the shares of the diamonds. Ten points in d > 10 dimensions have *some* plane
that shows a circle (planes.py); what tells is its radius, 1 if the plane held all of the variance, beside the
untrained one's.

Shapes: n = 10 digits, d stream, K = 5 frequencies in order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

from toy.addition.network import Addition
from toy.analysis import planes
from toy.analysis.spectra import matrix_shares
from toy.maths import fourier
from toy.pictures.look import BAND, GREY, INK, SIZE, TRAINED, UNTRAINED, frame, new_figure, percent

DIGITS = torch.arange(10)
RENAMINGS = 999
"""The smallest p is 1/1000."""


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
    names = (torch.randperm(len(rows), generator=generator) for _ in range(RENAMINGS))
    null = torch.stack([matrix_shares(rows[name]).max() for name in names])
    # Renamings that turn or mirror the circle have the same share, to rounding.
    above = int((null >= shares.max() - 1e-9).sum())
    return Circle(shares, int(shares.argmax()) + 1, (1 + above) / (1 + RENAMINGS), float(null.quantile(0.95)))


def on_plane(rows: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n 2"]:
    """The digits on the plane of cos, sin 2πkd/n, at radius 1 if it held all of their variance.

    The cosine of k = n/2 has no sine: the other axis is the largest variance beside it.
    """
    centred = planes.centred(rows)
    if 2 * k < len(rows):
        found = planes.points(rows, planes.basis(rows, k))
    else:
        direction = normalize(centred.T @ fourier.circle(torch.arange(len(rows)), k, len(rows))[:, 0], dim=0)
        along = centred @ direction
        rest, _ = planes.principal(centred - along[:, None] * direction)
        found = torch.stack([along, rest[:, 0]], dim=1)
    return found / centred.square().sum(1).mean().sqrt().clamp_min(1e-300)


def digits(model: Addition, untrained: Addition) -> Figure:
    """The spectrum of the digits, and the plane of its largest wave in both networks."""
    rows, plain = (net.W_E[: len(DIGITS)].detach().double().cpu() for net in (model, untrained))
    own, other = circle(rows), circle(plain)
    figure = new_figure(
        3.9,
        f"Digits in the embedding: the wave k = {own.k} holds {percent(own.shares.max().item())} of their variance, "
        f"p = {own.p:.2g} against renamed digits (untrained: k = {other.k}, {percent(other.shares.max().item())}, "
        f"p = {other.p:.2g})",
    )
    spectrum, *both = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    _spectrum(spectrum, own, other)
    nets = (("trained", rows, TRAINED), ("untrained", plain, UNTRAINED))
    for axes, (name, which, colour) in zip(both, nets, strict=True):
        _ring(axes, on_plane(which, own.k), colour)
        axes.set_title(f"{name}, plane of k = {own.k}", fontsize=SIZE, loc="left", color=colour)
    return figure


def _spectrum(axes: Axes, own: Circle, other: Circle) -> None:
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
