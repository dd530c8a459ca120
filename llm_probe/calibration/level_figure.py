"""The levels given to networks of each family: a bar a family, a colour a level, the rate of circles beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from llm_probe.calibration.hard_nulls import LevelRow
from llm_probe.page.style import BAND, GREEN, GREY, INK, OCHRE, SIZE, SKY, TRAINED, VIOLET, frame, save_figures

COLOURS = {
    "nothing": BAND,
    "decodable": GREY,
    "clusters": OCHRE,
    "ordered": SKY,
    "helix": VIOLET,
    "circle": TRAINED,
}
"""Level to its colour, from the least to the most."""
NAMES = {"sum": "answers", "item": "items"}


def level_bars(axes: Axes, rows: Sequence[LevelRow]) -> None:
    """A bar a family and quantity; the part with the expected level is outlined."""
    for place, row in enumerate(rows):
        counts = {level: int(count) for level, count in (part.rsplit(" ", 1) for part in row.levels.split(", "))}
        left = 0.0
        for level, colour in COLOURS.items():
            width = counts.get(level, 0) / row.n_networks
            expected = level == row.expected
            axes.barh(
                place, width, left=left, height=0.72, color=colour, edgecolor=GREEN if expected else "none",
                linewidth=1.6 if expected and width else 0,
            )  # fmt: skip
            left += width
        said = f"circle {row.circle:.3f} (≤ {row.circle_upper:.3f})  n = {row.n_networks}"
        for edge, away, side, text in ((0, -8, "right", f"{row.family}, {NAMES[row.quantity]}"), (1, 8, "left", said)):
            axes.annotate(
                text, (edge, place), (away, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha=side, va="center", fontsize=SIZE, color=INK, annotation_clip=False,
            )  # fmt: skip
    frame(axes, "share of networks (outlined: the level that names what they hold)", "")
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), yticks=[])
    handles = [Patch(color=colour, label=level) for level, colour in COLOURS.items()]
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, frameon=False, fontsize=SIZE,
        handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip


def write(folder: Path, rows: Sequence[LevelRow]) -> list[Path]:
    """`levels` as svg and png; nothing without rows.

    Returns:
        What was written.
    """
    if not rows:
        return []
    figure = Figure((8.2, 1.0 + 0.3 * len(rows)), layout="constrained")
    level_bars(figure.subplots(), rows)
    return save_figures(folder, {"levels": figure}, "llm_probe")
