"""Shared neurons on the page, from the table of a run alone: what every domain loses without the neurons of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from causal.run.tables import TABLES
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import SIZE, as_svg

LOST = 0.1
"""Of right answers, beyond what matched neurons cost: from there on it is worth saying."""


def figure(rows: pd.DataFrame) -> Figure:
    """Right answers under matched neurons less those without a domain's own; domains held down, asked across."""
    names = list(dict.fromkeys(rows["held"]))
    size = 1.6 + 0.42 * len(names)
    picture = Figure((size + 0.9, size), layout="constrained")
    axes = picture.subplots()
    table = rows.assign(lost=_lost(rows)).pivot(index="held", columns="domain", values="lost")
    lost = table.loc[names, names].to_numpy()
    # Cells as shapes: the page's security policy shows no embedded bitmap.
    axes.pcolormesh(range(len(names)), range(len(names)), lost, cmap="RdBu_r", vmin=-1, vmax=1, shading="nearest")
    for (down, across), value in np.ndenumerate(lost):
        shade = "white" if abs(value) > 0.6 else "#111111"
        axes.text(across, down, f"{round(100 * value)}", ha="center", va="center", fontsize=SIZE - 1, color=shade)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=SIZE)
    axes.set_yticks(range(len(names)), names, fontsize=SIZE)
    axes.set(ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel("questions that are asked", fontsize=SIZE)
    axes.set_ylabel("neurons that are held", fontsize=SIZE)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return picture


def _lost(rows: pd.DataFrame) -> pd.Series:
    """Right answers lost beyond what matched neurons cost."""
    return pd.Series(rows["matched"] - rows["accuracy"])


def sentences(rows: pd.DataFrame) -> list[str]:
    """What a domain loses without its own neurons, and without those of others; nothing where none were held."""
    if rows.empty:
        return []
    own = rows.loc[rows["held"] == rows["domain"]]
    others = rows.loc[rows["held"] != rows["domain"]]
    counted = (_lost(others) >= LOST) & (others["accuracy"] < others["matched_low"])
    first = own.iloc[0]
    kept = {name: f"{own[name].mean():.0%}" for name in ("accuracy_before", "accuracy", "matched", "matched_written")}
    elsewhere = {name: f"{others[name].mean():.0%}" for name in ("accuracy", "matched", "overlap", "overlap_by_chance")}
    return [
        f"Without the {first['neurons']} neurons that matter most to it a domain keeps {kept['accuracy']} of its "
        f"answers on average ({kept['accuracy_before']} before); without as many others, which write "
        f"{kept['matched_written']} of what these do, {kept['matched']}. Without those of another domain it keeps "
        f"{elsewhere['accuracy']} (without matched ones {elsewhere['matched']}): {counted.sum()} of {len(others)} "
        f"pairs lose {100 * LOST:.0f} points more than under matched neurons, and more than under any of the "
        f"{first['draws']} draws. Of two domains' neurons {elsewhere['overlap']} are the same ones "
        f"({elsewhere['overlap_by_chance']} by chance)."
    ]


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no neurons were held."""
    own = folder / "causal-neurons"
    if (finished := finished_run(own, TABLES, required=("shared_neurons",))) is None:
        return None
    run, frames = finished
    files = written_tables(own, TABLES)
    return Section("neurons", "Shared neurons", parts(frames), str(run.get("command") or ""), files)


def parts(frames: Mapping[str, pd.DataFrame]) -> list[Part]:
    """What stands under the heading."""
    rows = frames["shared_neurons"]
    caption = (
        "The neurons that matter most to the sums of one domain are held at their means while the questions of every "
        "domain are asked. Numbers: percentage points of right answers lost beyond what as many other neurons of the "
        "same blocks cost, those nearest to them by what they write."
    )
    result = [Part(paragraphs=sentences(rows), kind="summary")]
    if len(rows):
        result.append(Part(picture=as_svg(figure(rows), "neurons"), caption=caption))
    return result
