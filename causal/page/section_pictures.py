"""Pictures of the page's causal section as inline SVG and HTML, small enough for a dozen circles on one page.

    rotations row j (steps of the rotation), column (answer - s) mod p, colour = share of the answers; a circle that
              the answer follows is a diagonal. Beside it the share that wrote none of the answers, and
              P(answer = s + j)
    against   one lane a control: histogram of its draws' effects from 0 to 1, the tested directions as a line
    heads     layers down, heads across: a share
    layers    tokens down, layers across: share of answers that become the donor's when its state is put there

Cells of one colour are one path on a ground that stands for zero: 24 x 24 cells are a few kB. `figures` draws the same
for papers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from llm_probe.page.sections import Element, Real, svg, svg_path, svg_text
from llm_probe.page.style import magnitude
from toy.run.templates import render

TEMPLATES = Path(__file__).parent / "templates"
LEVELS = 20
"""Colours of a share: twentieths."""
BINS = 50
"""Of a histogram of draws; one bin is `STEP` wide."""
STEP = 5.8
NARROW = 10
"""Layers above which the cells of a map have no room for a number."""
CAPTION = 160
"""Width of the words under a map of heads."""
BRIGHT = 0.45
"""Share from which viridis is light enough for dark text."""


def colour(share: Real) -> str:
    """Viridis at a share, in steps."""
    return magnitude(round(share * LEVELS) / LEVELS)


def _squares(cells: Mapping[str, str]) -> list[Element]:
    """Cells of one colour as one path; colour to path."""
    return [svg_path(path, fill=fill) for fill, path in cells.items()]


def rotations(rotation: pd.DataFrame, period: int) -> Markup:
    """The histogram of shifts for every j; `rotation`: rows of one direction, intervention and position."""
    table = rotation.pivot_table(index="j", columns="shift", values="share").reindex(columns=range(-1, period))
    shares = table.fillna(0.0).to_numpy()  # (rotations, 1 + p); column 0: none of the answers
    size, left, top = max(13, min(26, 190 // period)), 46, 34
    height, none, every = size * len(shares), left + size * period + 6, -(-18 // size)
    grounds = ((left, size * period), (none, size))
    squares = {colour(0): "".join(f"M{x} {top}h{wide}v{height}h-{wide}z" for x, wide in grounds)}
    for row, column in np.argwhere(shares >= 0.5 / LEVELS).tolist():
        x = none if column == 0 else left + size * (column - 1)
        fill = colour(shares[row, column])
        squares[fill] = squares.get(fill, "") + f"M{x} {top + size * row}h{size}v{size}h-{size}z"
    below = top + height + 16
    elements = [
        *_squares(squares),
        *(svg_text(left + size * (shift + 0.5), top - 6, shift, "middle") for shift in range(0, period, every)),
        svg_text(left, top - 21, "(answer − s) mod p"),
        svg_text(none + size / 2, below, "none", "middle"),
        svg_text(none + size + 36, top - 6, "s + j", "end"),
        svg_text(left, below, "rows: rotated by j"),
    ]
    moved = [shares[row, 1 + int(step) % period] for row, step in enumerate(table.index)]
    for row, step in enumerate(table.index):
        y = top + size * (row + 0.5) + 4
        elements += [svg_text(left - 6, y, int(step), "end")] * (row % every == 0)
        elements.append(svg_text(none + size + 36, y, f"{moved[row]:.2f}", "end", ""))
    label = f"Answers after rotating by j; the share that moved by j is {min(moved):.2f} to {max(moved):.2f}"
    return svg(label, none + size + 40, top + height + 22, elements)


def against(effect: str, own: Real, interval: tuple[Real, Real], controls: Mapping[str, Sequence[Real]]) -> Markup:
    """The effect of the tested directions (with its interval) beside the draws of every control, from 0 to 1."""
    left, width, top, lane, high = 6, STEP * BINS, 24, 42, 20
    at, low, up = (left + width * share for share in (own, *interval))
    anchor = "start" if own < 0.3 else "end" if own > 0.7 else "middle"
    elements = [svg_text(at, top - 11, f"tested {own:.2f}", anchor, "t")]
    for index, (name, effects) in enumerate(controls.items()):
        floor = top + lane * (index + 1)
        words = f"{len(effects)} draws, mean {np.mean(effects):.2f}, {min(effects):.2f} to {max(effects):.2f}"
        words = words if len(effects) > 1 else f"{effects[0]:.2f}"
        elements.append(svg_text(left, floor - lane + 14, f"{name}: {words}", kind=""))
        counts = np.histogram(np.clip(effects, 0, 1), bins=BINS, range=(0, 1))[0]
        bars = "".join(
            f"M{left + STEP * bar:.4g} {floor}v-{max(high * counts[bar] / counts.max(), 2):.3g}h{STEP}V{floor}z"
            for bar in np.flatnonzero(counts).tolist()
        )
        elements += [svg_path(f"M{left} {floor}h{width:g}", kind="axis"), svg_path(bars, kind="draws")]
        # Not through the words above each lane.
        elements.append(svg_path(f"M{low:.4g} {floor}v-{high}H{max(up, low + 1):.4g}v{high}z", kind="spread"))
        elements.append(svg_path(f"M{at:.4g} {floor}v-{high}", kind="tested"))
    bottom = top + lane * len(controls)
    elements += [svg_text(left + width * tick, bottom + 16, f"{tick:g}", "middle") for tick in (0, 0.5, 1)]
    elements.append(svg_text(left + width / 2, bottom + 32, effect, "middle"))
    label = f"{effect}: tested {own:.2f}, beside {', '.join(controls)}"
    return svg(label, width + 2 * left, bottom + 38, elements)


def layers(rows: pd.DataFrame, edited: int) -> Markup:
    """The layer and position map of one domain as a table; `edited`: the layer whose circle was rotated, in bold."""
    table = rows.pivot_table(index="position", columns="layer", values="donor").dropna()
    lines = {
        token: [(layer, share, colour(share), ink(share)) for layer, share in table.loc[token].items()]
        for token in ("item", "offset", "last")
        if token in table.index
    }
    numbers = len(table.columns) <= NARROW
    values = {"layers": table.columns.tolist(), "edited": edited, "lines": lines, "numbers": numbers}
    return render(TEMPLATES, "layers.html", **values)


def heads(table: pd.DataFrame) -> Markup:
    """Layers down, heads across; `table`: shares, with the layers as its index."""
    shares, left, top = table.to_numpy(dtype=float), 34, 22
    down, across = shares.shape
    size = max(9, min(38, 300 // max(down, across)))
    squares: dict[str, str] = {}
    for row, column in np.ndindex(down, across):
        fill = colour(float(shares[row, column]))
        squares[fill] = squares.get(fill, "") + f"M{left + size * column} {top + size * row}h{size}v{size}h-{size}z"
    every = -(-18 // size)
    elements = [
        *_squares(squares),
        *(svg_text(left + size * (k + 0.5), top - 6, k, "middle") for k in range(0, across, every)),
        *(svg_text(left - 6, top + size * (k + 0.5) + 4, table.index[k], "end") for k in range(0, down, every)),
        svg_text(left, top + size * down + 16, "layers down, heads across"),
    ]
    for row, column in np.ndindex(down, across) if across <= NARROW else ():
        x, y = left + size * (column + 0.5), top + size * (row + 0.5) + 4
        tag, attributes, words = svg_text(x, y, f"{round(float(shares[row, column]), 2) + 0:.2f}", "middle")
        elements.append((tag, {**attributes, "class": None, "style": f"fill:{ink(float(shares[row, column]))}"}, words))
    most = np.unravel_index(shares.argmax(), shares.shape)
    where = f"head {most[1]} of layer {table.index[most[0]]}"
    label = f"Share by layer and head; the largest is {shares.max():.2f}, {where}"
    return svg(label, left + max(size * across, CAPTION), top + size * down + 22, elements)


def ink(share: Real) -> str:
    """The colour of a number on a ground of this share."""
    return "#000" if share >= BRIGHT else "#fff"
