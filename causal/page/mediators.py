"""Read or used, and the angle as a dial: what moving along a circle does beside trained directions, and on the way.

dial    P(the own answer), P(those between), P(the end) against the steps turned; solid along the circle, dashed
        along the chord to the same end
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llm_probe.page.style import GREEN, GREY, INK, SIZE, TRAINED, as_svg, frame
from llm_probe.page.views import at
from toy.run.templates import render

TEMPLATES = Path(__file__).parent / "templates"
STYLES = {"circle": "-", "chord": "--"}
SHARES = (("own", "own answer", GREY), ("between", "answers between", TRAINED), ("end", "the end", GREEN))
NOTE = (
    "Solid: turned along the circle, the answers between come in turn. Dashed: the straight line to the same end. "
    "Moving the whole distribution of the answers by as many steps predicts the first to {predicted:.1f} nats where "
    "the answers have changed by {unmoved:.1f}, the chord to {chord:.1f} (mean over the way)."
)


def dial(axes: Axes, rows: pd.DataFrame) -> None:
    """What is answered on the way; `rows`: one circle's."""
    for route, style in STYLES.items():
        own = at(rows, route=route).sort_values("steps")
        for column, name, colour in SHARES:
            label = name if route == "circle" else None
            axes.plot(own["steps"], own[column], style, color=colour, linewidth=1.3, label=label)
    axes.set_ylim(-0.03, 1.03)
    frame(axes, "steps turned", "probability")
    axes.set_title(f"{rows['domain'].iloc[0]}, layer {rows['layer'].iloc[0]}", fontsize=SIZE, color=INK)


def dial_picture(rows: pd.DataFrame) -> tuple[str, Markup, str]:
    """Heading, picture and note of one circle."""
    with rc_context({"font.size": SIZE}):
        figure = Figure((3.3, 2.5), layout="constrained")
        axes = figure.subplots()
        dial(axes, rows)
        axes.set_title("")
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=SIZE - 1, handlelength=1.2)
        picture = as_svg(figure, "dial")
    inside = rows.loc[(rows["steps"] > 0) & (rows["steps"] < rows["j"])]
    along = {route: at(inside, route=route) for route in STYLES}
    note = NOTE.format(
        predicted=along["circle"]["kl_predicted"].mean(),
        unmoved=along["circle"]["kl_unmoved"].mean(),
        chord=along["chord"]["kl_predicted"].mean(),
    )
    return "The angle as a dial", picture, note


def mediator_table(rows: pd.DataFrame) -> tuple[str, Markup, str]:
    """Heading, table and note of one circle: its planes beside as many trained directions."""
    content = render(TEMPLATES, "mediators.html", rows=rows.to_dict("records"))
    n = int(rows["n"].iloc[0])
    note = (
        f"Share of {n} prompts whose answer follows when the state is moved to where another answer's states are on "
        "average. Trained: as many directions that were fitted to move the answer, on other prompts. Angle: the "
        "largest between the two, in brackets what 5 % of random subspaces stay below."
    )
    return "Read, or used?", content, note
