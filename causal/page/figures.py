"""Pictures of a causal run, as functions `(axes, tables)`.

    turning          rows j, columns (answer - s) mod p, colour = share: a circle that is followed is a diagonal
    against_controls effect of the tested directions against the distribution of every control's draws
    layer_positions  where the model gives the donor's answer after an exchange of states, layer by layer

The object interface of matplotlib only, so that nothing depends on a display.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from causal.attribution.figure import attribution_figure
from causal.attribution.routing_figure import routing_figure
from llm_probe.page.style import GREY, INK, OCHRE, RANDOM, SIZE, TRAINED, frame, save_figures
from llm_probe.page.views import at

SHADES = {"random": GREY, "matched": OCHRE, "shuffled": RANDOM}


def turning(axes: Axes, rotation: pd.DataFrame) -> None:
    """The histogram of shifts for every j; `rotation`: of one direction, intervention and position."""
    table = rotation[rotation["shift"] >= 0].pivot_table(index="j", columns="shift", values="share")
    axes.imshow(table.to_numpy(), vmin=0, vmax=1, cmap="viridis", origin="lower", aspect="auto")
    frame(axes, "(answer − s) mod p", "turned by j")
    axes.set_title(str(rotation["domain"].iloc[0]), fontsize=SIZE, color=INK)


def against_controls(axes: Axes, own: float, draws: pd.DataFrame, effect: str) -> None:
    """The effect of the tested directions (line) and of each control's draws (histograms)."""
    for control, rows in draws.groupby("control", sort=False):
        axes.hist(
            rows["effect"], bins=40, range=(0, 1), density=False, histtype="step", linewidth=1.4,
            color=SHADES.get(str(control), INK), label=str(control),
        )  # fmt: skip
    axes.axvline(own, color=TRAINED, linewidth=2)
    axes.annotate("tested", (own, 1), xycoords=("data", "axes fraction"), fontsize=SIZE, color=TRAINED, va="bottom")
    axes.set_xlim(-0.02, 1.02)
    frame(axes, effect, "draws")


def layer_positions(axes: Axes, rows: pd.DataFrame) -> None:
    """Share of donor answers by layer (across) and position (down); rows of one domain."""
    table = rows.pivot_table(index="position", columns="layer", values="donor")
    table = table.reindex([name for name in ("item", "offset", "last") if name in table.index])
    axes.imshow(table.to_numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_yticks(range(len(table)), table.index.tolist())
    axes.set_xticks(range(table.shape[1]), [str(layer) for layer in table.columns])
    for (row, column), value in zip(
        ((r, c) for r in range(table.shape[0]) for c in range(table.shape[1])), table.to_numpy().ravel(), strict=True
    ):
        colour = INK if value > 0.6 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=SIZE, color=colour)
    axes.set_title(str(rows["domain"].iloc[0]), fontsize=SIZE, color=INK)
    frame(axes, "layer", "")


def save_all(folder: Path, frames: Mapping[str, pd.DataFrame]) -> list[Path]:
    """The pictures of a run as svg and png."""
    figures: dict[str, Figure] = {}
    shown = _shown(frames["rotation"])
    if shown:
        figures["turning"] = _grid(len(shown), 2.2)
        for axes, rows in zip(figures["turning"].axes, shown, strict=False):
            turning(axes, rows)
        figures["controls"] = _controls(shown, frames)
    domains = [rows for _, rows in frames["causal_map"].groupby("domain", sort=False)]
    if domains:
        figures["layer_positions"] = _grid(len(domains), 1.7)
        for axes, rows in zip(figures["layer_positions"].axes, domains, strict=False):
            layer_positions(axes, rows)
    if not frames["causal_attribution"].empty:
        figures["attribution"] = attribution_figure(frames["causal_attribution"], frames["causal_agreement"])
    if not frames["causal_routing"].empty:
        figures["routing"] = routing_figure(frames["causal_routing"])
    return save_figures(folder, figures, "causal")


def _shown(rotation: pd.DataFrame) -> list[pd.DataFrame]:
    """The rotations of found planes, each at the most places at which it was turned."""
    parts: dict[tuple, pd.DataFrame] = {}
    found = rotation.loc[[str(name).startswith("planes") for name in rotation["direction"]]]
    for position in ("last", "answer"):  # the second replaces the first
        rows = at(found, intervention="rotate", position=position)
        for key in dict.fromkeys(zip(rows["domain"], rows["layer"], strict=True)):
            parts[key] = at(rows, domain=key[0], layer=key[1])
    return list(parts.values())


def _controls(shown: list[pd.DataFrame], frames: Mapping[str, pd.DataFrame]) -> Figure:
    """One frame a circle: P(answer = s + j) against the draws."""
    figure = _grid(len(shown), 1.8)
    table, draws = frames["causal_table"], frames["causal_controls"]
    for axes, rows in zip(figure.axes, shown, strict=False):
        first = rows.iloc[0]
        same = {key: first[key] for key in ("domain", "layer", "position")}
        own = at(table, **same, direction=first["direction"], intervention="rotate")["moved"]
        against_controls(axes, float(own.iloc[0]), at(draws, **same, intervention="rotate"), "P(answer = s + j)")
        axes.set_title(str(first["domain"]), fontsize=SIZE, color=INK)
    if figure.axes:
        figure.axes[0].legend(fontsize=SIZE - 2, frameon=False)
    return figure


def _grid(count: int, height: float) -> Figure:
    rows = -(-count // 4)
    figure = Figure((2.6 * min(count, 4) + 0.4, height * rows + 0.4), layout="constrained")
    for axes in figure.subplots(rows, min(count, 4), squeeze=False).ravel()[count:]:
        axes.remove()
    return figure
