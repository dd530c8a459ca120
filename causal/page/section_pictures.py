"""Pictures of the page's causal section as inline SVG and HTML, small enough for a dozen circles on one page.

    turning   row j (steps turned), column (answer - s) mod p, colour = share of the answers; a circle that the answer
              follows is a diagonal. Beside it the share that wrote none of the answers, and P(answer = s + j)
    against   one lane a control: histogram of its draws' effects from 0 to 1, the found directions as a line
    heads     layers down, heads across: a share
    layers    tokens down, layers across: share of answers that become the donor's when its state is put there

Cells of one colour are one path on a ground that stands for zero: 24 x 24 cells are a few kB. `figures` draws the same
for papers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

Share = int | float
"""A column of zeros and ones is read back as integers."""
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


def colour(share: Share) -> str:
    """Viridis at a share, in steps."""
    return to_hex(colormaps["viridis"](round(min(max(share, 0.0), 1.0) * LEVELS) / LEVELS))


def turning(rotation: pd.DataFrame, period: int) -> str:
    """The histogram of shifts for every j; `rotation`: rows of one direction, intervention and position."""
    table = rotation.pivot_table(index="j", columns="shift", values="share").reindex(columns=range(-1, period))
    shares = table.fillna(0.0).to_numpy()  # (turns, 1 + p); column 0: none of the answers
    size, left, top = max(13, min(26, 190 // period)), 46, 34
    height, none, every = size * len(shares), left + size * period + 6, -(-18 // size)
    grounds = ((left, size * period), (none, size))
    squares = {colour(0): "".join(f"M{x} {top}h{wide}v{height}h-{wide}z" for x, wide in grounds)}
    for row, column in np.argwhere(shares >= 0.5 / LEVELS).tolist():
        x = none if column == 0 else left + size * (column - 1)
        fill = colour(shares[row, column])
        squares[fill] = squares.get(fill, "") + f"M{x} {top + size * row}h{size}v{size}h-{size}z"
    drawn = [f'<path fill="{fill}" d="{path}"/>' for fill, path in squares.items()]
    drawn += [_text(left + size * (shift + 0.5), top - 6, shift, "middle") for shift in range(0, period, every)]
    drawn += [_text(left, top - 21, "(answer − s) mod p"), _text(none + size / 2, top + height + 16, "none", "middle")]
    drawn += [_text(none + size + 36, top - 6, "s + j", "end"), _text(left, top + height + 16, "rows: turned by j")]
    moved = [shares[row, 1 + int(step) % period] for row, step in enumerate(table.index)]
    for row, step in enumerate(table.index):
        y = top + size * (row + 0.5) + 4
        drawn += [_text(left - 6, y, int(step), "end")] * (row % every == 0)
        drawn.append(_text(none + size + 36, y, f"{moved[row]:.2f}", "end", ""))
    said = f"Answers after turning by j; the share that moved by j is {min(moved):.2f} to {max(moved):.2f}"
    return _svg(none + size + 40, top + height + 22, said, drawn)


def against(effect: str, found: Share, interval: tuple[Share, Share], controls: Mapping[str, Sequence[Share]]) -> str:
    """The effect of the found directions (with its interval) beside the draws of every control, from 0 to 1."""
    left, width, top, lane, high = 6, STEP * BINS, 24, 42, 20
    at, low, up = (left + width * share for share in (found, *interval))
    anchor = "start" if found < 0.3 else "end" if found > 0.7 else "middle"
    drawn = [_text(at, top - 11, f"found {found:.2f}", anchor, "t")]
    for index, (name, effects) in enumerate(controls.items()):
        floor, many = top + lane * (index + 1), len(effects) > 1
        said = f"{len(effects)} draws, mean {np.mean(effects):.2f}, {min(effects):.2f} to {max(effects):.2f}"
        drawn.append(_text(left, floor - lane + 14, f"{name}: {said if many else f'{effects[0]:.2f}'}", kind=""))
        counts = np.histogram(np.clip(effects, 0, 1), bins=BINS, range=(0, 1))[0]
        bars = "".join(
            f"M{left + STEP * bar:.4g} {floor}v-{max(high * counts[bar] / counts.max(), 2):.3g}h{STEP}V{floor}z"
            for bar in np.flatnonzero(counts).tolist()
        )
        drawn.append(f'<path class="axis" d="M{left} {floor}h{width:g}"/><path class="draws" d="{bars}"/>')
        # Not through the words above each lane.
        drawn.append(f'<path class="spread" d="M{low:.4g} {floor}v-{high}H{max(up, low + 1):.4g}v{high}z"/>')
        drawn.append(f'<path class="found" d="M{at:.4g} {floor}v-{high}"/>')
    bottom = top + lane * len(controls)
    drawn += [_text(left + width * tick, bottom + 16, f"{tick:g}", "middle") for tick in (0, 0.5, 1)]
    drawn.append(_text(left + width / 2, bottom + 32, effect, "middle"))
    return _svg(width + 2 * left, bottom + 38, f"{effect}: found {found:.2f}, beside {', '.join(controls)}", drawn)


def layers(rows: pd.DataFrame, edited: int) -> str:
    """The layer and position map of one domain as a table; `edited`: the layer whose circle was turned, in bold."""
    table = rows.pivot_table(index="position", columns="layer", values="donor").dropna()
    heads = [f'<th scope="col">{f"<b>{layer}</b>" if layer == edited else layer}</th>' for layer in table.columns]
    lines = [f'<tr><th scope="col">layer</th>{"".join(heads)}</tr>']
    for token in [name for name in ("item", "offset", "last") if name in table.index]:
        cells = [
            f'<td style="background:{colour(share)};color:{"#000" if share >= BRIGHT else "#fff"}" '
            f'title="{token}, layer {layer}: {share:.2f}">{f"{share:.2f}" * (len(table.columns) <= NARROW)}</td>'
            for layer, share in table.loc[token].items()
        ]
        lines.append(f'<tr><th scope="row">{token}</th>{"".join(cells)}</tr>')
    return f'<div class="scroll"><table class="places">{"".join(lines)}</table></div>'


def heads(table: pd.DataFrame) -> str:
    """Layers down, heads across; `table`: shares, with the layers as its index."""
    shares, left, top = table.to_numpy(dtype=float), 34, 22
    down, across = shares.shape
    size = max(9, min(38, 300 // max(down, across)))
    squares: dict[str, str] = {}
    for row, column in np.ndindex(down, across):
        fill = colour(float(shares[row, column]))
        squares[fill] = squares.get(fill, "") + f"M{left + size * column} {top + size * row}h{size}v{size}h-{size}z"
    drawn = [f'<path fill="{fill}" d="{path}"/>' for fill, path in squares.items()]
    every = -(-18 // size)
    drawn += [_text(left + size * (k + 0.5), top - 6, k, "middle") for k in range(0, across, every)]
    drawn += [_text(left - 6, top + size * (k + 0.5) + 4, table.index[k], "end") for k in range(0, down, every)]
    drawn.append(_text(left, top + size * down + 16, "layers down, heads across"))
    if across <= NARROW:
        for row, column in np.ndindex(down, across):
            at, fill = round(float(shares[row, column]), 2) + 0, "#000" if shares[row, column] >= BRIGHT else "#fff"
            x, y = left + size * (column + 0.5), top + size * (row + 0.5) + 4
            drawn.append(f'<text x="{x:.4g}" y="{y:.4g}" text-anchor="middle" style="fill:{fill}">{at:.2f}</text>')
    most = np.unravel_index(shares.argmax(), shares.shape)
    said = f"Share by layer and head; the largest is {shares.max():.2f}, head {most[1]} of layer {table.index[most[0]]}"
    return _svg(left + max(size * across, CAPTION), top + size * down + 22, said, drawn)


def _text(x: int | float, y: int | float, said: object, anchor: str = "start", kind: str = "muted") -> str:
    return f'<text x="{x:.4g}" y="{y:.4g}" text-anchor="{anchor}" class="{kind}">{escape(str(said))}</text>'


def _svg(width: int | float, height: int | float, said: str, drawn: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width:.4g} {height:.4g}" width="{width:.4g}" height="{height:.4g}"'
    return f'<svg {size} role="img" aria-label="{escape(said)}">{"".join(drawn)}</svg>'
