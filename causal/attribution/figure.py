"""Picture of the attribution: the components that decide the answer, measured and as the screen sees them.

    strongest   one row a component and position, the largest measured effects; a dot with its interval is the exact
                effect, a hollow one the screen, the dashed line the effect of the whole donor prompt

Tables are those of `attribution.AttributionRow` and `AgreementRow`, as data frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.page.style import GREY, INK, RANDOM, SIZE, TRAINED, frame

SHOWN = 12


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
    frame(axes, "change of logit difference (donor − own)")


def named(row: Mapping[Any, Any]) -> str:
    """`head 2.1 last`: block, head, position."""
    number = f".{int(row['head'])}" if row["component"] == "head" else ""
    return f"{row['component']} {row['layer']}{number} {row['position']}"


def attribution_figure(rows: pd.DataFrame, agreement: pd.DataFrame) -> Figure:
    """A frame for each domain; its title says how well the screen ranks what was measured."""
    domains = [
        found for _, found in rows.groupby("domain", sort=False) if bool(found["exact"].notna().to_numpy().any())
    ]
    columns = max(1, min(len(domains), 3))
    down = -(-max(1, len(domains)) // columns)
    figure = Figure((4.2 * columns, 3.2 * down), layout="constrained")
    frames = figure.subplots(down, columns, squeeze=False).ravel()
    for axes, found in zip(frames, domains, strict=False):
        strongest(axes, found)
        name = str(found["domain"].iloc[0])
        said = [
            f"{row['among']} {row['spearman']:.2f}"
            for row in agreement.loc[agreement["domain"] == name].to_dict("records")
            if row["among"] != "both" and not pd.isna(row["spearman"])
        ]
        axes.set_title(f"{name} · Spearman {', '.join(said)}" if said else name, fontsize=SIZE, color=INK)
    for axes in frames[len(domains) :]:
        axes.remove()
    if domains:
        figure.axes[0].legend(fontsize=SIZE - 2, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.1))
    return figure
