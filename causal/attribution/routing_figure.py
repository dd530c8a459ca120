"""Who routes the modulus as pictures and two sentences, from the table of `routing_rows` alone.

    total       share of what another modulus changes that comes through each head to the last token
    attention   what that head gives the modulus of its attention: the two need not agree
    random      `total` of random weights, in units of the trained network's `whole`: their own is about nothing

All on one scale from 0 to 1, layers down and heads across, over all moduli together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from causal.attribution.routing import POOLED, agreement
from llm_probe.page.style import INK, SIZE, frame
from llm_probe.page.views import at


@dataclass(frozen=True)
class Shown:
    """The rows that are drawn: of all moduli together, or of the only one."""

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
        """What was found, and whether attention says the same."""
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
        """Whether the heads that look are those that count."""
        ranked = agreement(self.trained)
        said = f"{_named(first)} gives the modulus {first['attention']:.2f} of its attention"
        others = self.heads.loc[self.heads.index != self.heads["total"].idxmax()]
        if len(others):
            most = others.loc[others["attention"].idxmax()]
            said += f"; of the others {_named(most)} looks most, with {most['attention']:.2f}, for {most['total']:.3f}"
        spearman = f". Spearman's correlation over {len(self.heads)} heads: {ranked:.2f}" if ranked is not None else ""
        return f"{said[:1].upper()}{said[1:]}{spearman}."


def maps(shown: Shown) -> dict[str, pd.DataFrame]:
    """Title to (layers, heads) shares."""
    whole = shown.trained["whole"].iloc[0]
    random = at(shown.random, route="head")
    found = {"attention to the modulus": shown.heads.pivot(index="layer", columns="head", values="attention")}
    if shown.shared:
        found = {"change through the head": shown.heads.pivot(index="layer", columns="head", values="total")} | found
        if len(random):
            scaled = random.assign(share=random["change"] / whole)
            found["change, random weights"] = scaled.pivot(index="layer", columns="head", values="share")
    return {
        title: table.set_axis([int(layer) for layer in table.index]).set_axis([int(h) for h in table.columns], axis=1)
        for title, table in found.items()
    }


def routing_figure(rows: pd.DataFrame) -> Figure:
    """The maps side by side."""
    shown = Shown.of(rows)
    tables = maps(shown) if shown else {}
    figure = Figure((3.0 * max(1, len(tables)) + 0.6, 3.0), layout="constrained")
    frames = figure.subplots(1, max(1, len(tables)), squeeze=False).ravel()
    drawn = None
    for axes, (title, table) in zip(frames, tables.items(), strict=False):
        drawn = axes.pcolormesh(table.columns, table.index, table.to_numpy(), vmin=0, vmax=1, shading="nearest")
        axes.set_title(title, fontsize=SIZE, color=INK)
        frame(axes, "head", "layer")
        axes.set_xticks(table.columns[:: -(-len(table.columns) // 8)])
        axes.set_yticks(table.index[:: -(-len(table.index) // 8)])
        axes.invert_yaxis()
    if drawn is not None:
        figure.colorbar(drawn, ax=list(frames), shrink=0.8).ax.tick_params(labelsize=SIZE)
    return figure


def _named(row: Any) -> str:
    return f"head {int(row['head'])} of layer {int(row['layer'])}"
