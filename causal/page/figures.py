"""Figures of a causal run, from its tables alone.

    turning             rows j, columns (answer - s) mod p, colour = share: a circle that is followed is a diagonal
    against_controls    effect of the tested directions against the distribution of every control's draws
    dial                what is answered while a circle is turned by any number of steps, and along the chord
    layer_positions     how often the donor's answer is given after an exchange of states, layer by layer
    strongest           one row a component and position, the largest measured effects: a dot with its interval is the
                        exact effect, a hollow one the screen, the dashed line the effect of the whole donor prompt
    routing_figure      heads (across) and layers (down) on one scale from 0 to 1, over all moduli together: the share
                        of what another modulus changes that comes through each head to the last token; what that
                        head gives the modulus of its attention, which need not agree; and the share in a network of
                        random weights, in units of the trained network's `whole`, as its own is about nothing

The object interface of matplotlib only, so that nothing depends on a display.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from causal.attribution.routing import POOLED, agreement
from causal.page.addition import figure as addition_figure
from causal.page.mediators import dial
from causal.page.neurons import figure as neurons_figure
from causal.page.succession import figure as succession_figure
from llm_probe.page.style import GREY, INK, OCHRE, RANDOM, SIZE, TRAINED, frame, save_figures
from llm_probe.page.views import at

SHADES = {"random": GREY, "matched": OCHRE, "shuffled": RANDOM}
SHOWN = 12
"""Components of a domain in the figure of the attribution."""


def save_all(folder: Path, frames: Mapping[str, pd.DataFrame]) -> list[Path]:
    """The pictures of a run as svg and png."""
    rotations = _rotations(frames["rotation"])
    domains = [rows for _, rows in frames["causal_map"].groupby("domain", sort=False)]
    figures: dict[str, Figure] = {}
    if rotations:
        figures["turning"] = _panels(turning, rotations, (2.6, 2.2))
        figures["controls"] = _panels(lambda axes, rows: against_controls(axes, rows, frames), rotations, (2.6, 1.8))
        figures["controls"].axes[0].legend(fontsize=SIZE - 2, frameon=False)
    if domains:
        figures["layer_positions"] = _panels(layer_positions, domains, (2.6, 1.7))
    if doses := [rows for _, rows in frames["causal_dose"].groupby(["domain", "layer", "position"], sort=False)]:
        figures["dial"] = _panels(dial, doses, (2.6, 1.8))
        handles, names = figures["dial"].axes[0].get_legend_handles_labels()
        figures["dial"].legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=SIZE)
    if not frames["causal_attribution"].empty:
        figures["attribution"] = attribution_figure(frames["causal_attribution"], frames["causal_agreement"])
    if not frames["causal_routing"].empty:
        figures["routing"] = routing_figure(frames["causal_routing"])
    if not frames["succession_moves"].empty:
        figures["succession"] = succession_figure(frames["succession_moves"])
    if not frames["addition_moves"].empty:
        figures["addition"] = addition_figure(frames["addition_moves"])
    if not frames["shared_neurons"].empty:
        figures["neurons"] = neurons_figure(frames["shared_neurons"])
    return save_figures(folder, figures, "causal")


def turning(axes: Axes, rotation: pd.DataFrame) -> None:
    """The histogram of shifts for every j; `rotation`: of one direction, intervention and position."""
    table = rotation[rotation["shift"] >= 0].pivot_table(index="j", columns="shift", values="share")
    axes.imshow(table.to_numpy(), vmin=0, vmax=1, cmap="viridis", origin="lower", aspect="auto")
    frame(axes, "(answer − s) mod p", "turned by j")
    axes.set_title(str(rotation["domain"].iloc[0]), fontsize=SIZE, color=INK)


def against_controls(axes: Axes, rotation: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> None:
    """P(answer = s + j) of a rotation (line) against each control's draws (histograms)."""
    first = rotation.iloc[0]
    same = {key: first[key] for key in ("domain", "layer", "position")}
    rotated = at(frames["causal_table"], **same, direction=first["direction"], intervention="rotate")
    own = float(rotated["moved"].iloc[0])
    for control, rows in at(frames["causal_controls"], **same, intervention="rotate").groupby("control", sort=False):
        axes.hist(
            rows["effect"], bins=40, range=(0, 1), density=False, histtype="step", linewidth=1.4,
            color=SHADES.get(str(control), INK), label=str(control),
        )  # fmt: skip
    axes.axvline(own, color=TRAINED, linewidth=2)
    axes.annotate("tested", (own, 1), xycoords=("data", "axes fraction"), fontsize=SIZE, color=TRAINED, va="bottom")
    axes.set_xlim(-0.02, 1.02)
    frame(axes, "P(answer = s + j)", "draws")
    axes.set_title(str(first["domain"]), fontsize=SIZE, color=INK)


def layer_positions(axes: Axes, rows: pd.DataFrame) -> None:
    """Share of donor answers by layer (across) and position (down); rows of one domain."""
    table = rows.pivot_table(index="position", columns="layer", values="donor")
    table = table.reindex([name for name in ("item", "offset", "last") if name in table.index])
    axes.imshow(table.to_numpy(), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_yticks(range(len(table)), table.index.tolist())
    axes.set_xticks(range(table.shape[1]), [str(layer) for layer in table.columns])
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        colour = INK if value > 0.6 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=SIZE, color=colour)
    axes.set_title(str(rows["domain"].iloc[0]), fontsize=SIZE, color=INK)
    frame(axes, "layer", "")


def _rotations(rotation: pd.DataFrame) -> list[pd.DataFrame]:
    """The rotations of tested planes, each at the most positions at which it was turned."""
    parts: dict[tuple, pd.DataFrame] = {}
    planes = rotation.loc[[str(name).startswith("planes") for name in rotation["direction"]]]
    for position in ("last", "answer"):  # the second replaces the first
        rows = at(planes, intervention="rotate", position=position)
        parts |= dict(iter(rows.groupby(["domain", "layer"], sort=False)))  # type: ignore[arg-type]
    return list(parts.values())


def strongest(axes: Axes, rows: pd.DataFrame) -> None:
    """The measured components of one domain with the largest exact effects, the largest on top."""
    measured = rows.loc[rows["exact"].notna()].to_dict("records")
    table = sorted(measured, key=lambda row: abs(row["exact"]))[-SHOWN:]
    places, whole = list(range(len(table))), table[0]["whole"]
    screen, exact, low, high = (
        np.array([row[name] for row in table], dtype=float) for name in ("screen", "exact", "exact_low", "exact_high")
    )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.axvline(whole, color=GREY, linewidth=1, linestyle="--")
    axes.annotate("whole prompt ", (whole, 0), fontsize=SIZE - 2, color=GREY, ha="right")
    # A percentile interval may leave out the mean it belongs to.
    spread = np.stack([exact - low, high - exact]).clip(min=0)
    axes.errorbar(exact, places, xerr=spread, fmt="o", color=TRAINED, markersize=4, label="exact")
    axes.plot(screen, places, "o", markersize=5, markerfacecolor="none",
              markeredgecolor=RANDOM, linestyle="none", label="screen")  # fmt: skip
    axes.set_yticks(places, [named(row) for row in table])
    frame(axes, "change of logit difference (donor − own)", "")


def named(row: Mapping[Any, Any]) -> str:
    """`head 2.1 last`: block, head, position."""
    number = f".{int(row['head'])}" if row["component"] == "head" else ""
    return f"{row['component']} {row['layer']}{number} {row['position']}"


def attribution_figure(rows: pd.DataFrame, ranks: pd.DataFrame) -> Figure:
    """A frame for each domain; its title says how well the screen ranks what was measured."""

    def draw(axes: Axes, some: pd.DataFrame) -> None:
        strongest(axes, some)
        name = str(some["domain"].iloc[0])
        told = [
            f"{row['among']} {row['spearman']:.2f}"
            for row in at(ranks, domain=name).to_dict("records")
            if row["among"] != "both" and not pd.isna(row["spearman"])
        ]
        axes.set_title(f"{name} · Spearman {', '.join(told)}" if told else name, fontsize=SIZE, color=INK)

    groups = [some for _, some in rows.groupby("domain", sort=False)]
    figure = _panels(
        draw, [some for some in groups if bool(some["exact"].notna().to_numpy().any())], (4.2, 3.2), most=3, margin=0.0
    )
    for axes in figure.axes[:1]:
        axes.legend(fontsize=SIZE - 2, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.1))
    return figure


@dataclass(frozen=True)
class Shown:
    """The rows in the figure: those of all moduli together, or of the only one."""

    trained: pd.DataFrame
    random: pd.DataFrame

    @staticmethod
    def of(rows: pd.DataFrame) -> Shown | None:
        """None where no trained network was measured, or its heads cannot be read."""
        whole = rows.loc[[str(name).endswith(POOLED) for name in rows["domain"]]]
        some = whole if len(whole) else rows
        some = at(some, domain=some["domain"].iloc[0]) if len(some) else some
        shown = Shown(at(some, weights="trained"), at(some, weights="random"))
        return shown if len(shown.heads) else None

    @property
    def heads(self) -> pd.DataFrame:
        return at(self.trained, route="head")

    @property
    def shared(self) -> bool:
        """Whether there is a whole that the heads have shares of."""
        return bool(np.isfinite(self.heads["total"].to_numpy(dtype=float)).all())

    @property
    def sentences(self) -> list[str]:
        """What was measured, and whether attention says the same."""
        domain, whole = self.trained["domain"].iloc[0], self.trained["whole"].iloc[0]
        if not self.shared:
            return [f"{domain}: another modulus changes the answer by {whole:.2f} nats, which may be nothing."]
        ordered = self.heads.sort_values("total", ascending=False).to_dict("records")
        first, second = ordered[0], ordered[1] if len(ordered) > 1 else None
        through = {name: at(self.trained, route=name)["total"].iloc[0] for name in ("straight", "through")}
        rest = f", the next, {_named(second)}, {second['total']:.3f}" if second else ""
        return [
            f"{domain}: of what another modulus changes ({whole:.1f} nats), {through['straight']:.2f} is read by the "
            f"last token of the modulus itself and {through['through']:.2f} of the tokens between; {_named(first)} "
            f"alone hands on {first['total']:.2f} ({first['total_low']:.2f}–{first['total_high']:.2f}; "
            f"p {first['p']:.2g}){rest}.",
            self._attention(first),
        ]

    def _attention(self, first: Any) -> str:
        """Whether the heads that attend to the modulus are those that count."""
        ranked = agreement(self.trained)
        sentence = f"{_named(first)} gives the modulus {first['attention']:.2f} of its attention"
        others = self.heads.loc[self.heads.index != self.heads["total"].idxmax()]
        if len(others):
            most = others.loc[others["attention"].idxmax()]
            sentence += (
                f"; of the others {_named(most)} attends most, with {most['attention']:.2f}, for {most['total']:.3f}"
            )
        spearman = f". Spearman's correlation over {len(self.heads)} heads: {ranked:.2f}" if ranked is not None else ""
        return f"{sentence[:1].upper()}{sentence[1:]}{spearman}."


def maps(shown: Shown) -> dict[str, pd.DataFrame]:
    """Title to (layers, heads) shares."""
    whole = shown.trained["whole"].iloc[0]
    random = at(shown.random, route="head")
    tables = {"attention to the modulus": shown.heads.pivot(index="layer", columns="head", values="attention")}
    if shown.shared:
        tables = {"change through the head": shown.heads.pivot(index="layer", columns="head", values="total")} | tables
        if len(random):
            scaled = random.assign(share=random["change"] / whole)
            tables["change, random weights"] = scaled.pivot(index="layer", columns="head", values="share")
    return {
        title: table.set_axis([int(layer) for layer in table.index]).set_axis([int(h) for h in table.columns], axis=1)
        for title, table in tables.items()
    }


def routing_figure(rows: pd.DataFrame) -> Figure:
    """The maps side by side."""
    shown = Shown.of(rows)
    tables = maps(shown) if shown else {}
    figure = Figure((3.0 * max(1, len(tables)) + 0.6, 3.0), layout="constrained")
    frames = figure.subplots(1, max(1, len(tables)), squeeze=False).ravel()
    image = None
    for axes, (title, table) in zip(frames, tables.items(), strict=False):
        image = axes.pcolormesh(table.columns, table.index, table.to_numpy(), vmin=0, vmax=1, shading="nearest")
        frame(axes, "head", "layer", title)
        axes.set_xticks(table.columns[:: -(-len(table.columns) // 8)])
        axes.set_yticks(table.index[:: -(-len(table.index) // 8)])
        axes.invert_yaxis()
    if image is not None:
        figure.colorbar(image, ax=list(frames), shrink=0.8).ax.tick_params(labelsize=SIZE)
    return figure


def _named(row: Any) -> str:
    return f"head {int(row['head'])} of layer {int(row['layer'])}"


def _panels(
    draw: Callable[[Axes, pd.DataFrame], None],
    parts: Sequence[pd.DataFrame],
    size: tuple[float, float],
    most: int = 4,
    margin: float = 0.4,
) -> Figure:
    """A figure with a frame a part, at most `most` beside each other, each of this size in inches."""
    across = max(1, min(len(parts), most))
    down = -(-max(1, len(parts)) // across)
    figure = Figure((size[0] * across + margin, size[1] * down + margin), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(parts) :]:
        axes.remove()
    for axes, rows in zip(panels, parts, strict=False):
        draw(axes, rows)
    return figure
