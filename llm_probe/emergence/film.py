"""The items of one claim as they arrange themselves: an mp4 and a gif, a frame a checkpoint.

    left     the items on the plane of the verdict at this step (held out), joined in their order; the axes do not move
    below    R² of the plane over training with a mark at the step

The plane is chosen anew at every checkpoint, and its angle is that of the labels: the first item stands at the right,
the others follow against the clock wherever the model has them so. Nothing is interpolated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from llm_probe.emergence.page import claims_of, over_training
from llm_probe.page.style import BAND, INK, SIZE, TRAINED, frame
from llm_probe.page.views import at, claim_name
from llm_probe.run.study import Frames
from toy.pictures.animate import Frame, shown_for, write_gif, write_mp4
from toy.run.errors import InputError
from toy.run.files import replace_with

INCHES, DPI = (5.6, 7.2), 100
REACH = 1.35
"""Half the width of the plane, in radii of a perfect circle."""


def film(frames: Frames, domain: str, quantity: str, path: Path) -> list[Path]:
    """Film one claim of a series' tables; the mp4 and the gif beside it, `path` without its ending.

    Raises:
        InputError: the tables hold no such claim at two checkpoints.
    """
    rows = at(frames["checkpoints"], domain=domain, quantity=quantity)
    circles = at(frames["checkpoint_circles"], domain=domain, quantity=quantity)
    steps = [int(step) for step in rows["step"] if (circles["step"] == step).any()]
    if len(steps) < 2:
        known = [claim_name(*claim) for claim in claims_of(frames["checkpoint_circles"])]
        raise InputError(
            f"there is no film of {claim_name(domain, quantity)}: the series has {', '.join(known) or 'nothing'}"
        )
    changes = at(frames["changes"], domain=domain, quantity=quantity)
    pictures = [_picture(rows, circles, changes, step) for step in steps]
    repeats, written = shown_for(len(steps)), []
    for ending, write in ((".mp4", write_mp4), (".gif", write_gif)):
        target = path.with_name(path.name + ending)
        replace_with(target, lambda temporary, write=write: write(temporary, pictures, repeats))
        written.append(target)
    return written


def _picture(rows: pd.DataFrame, circles: pd.DataFrame, changes: pd.DataFrame, step: int) -> Frame:
    """One checkpoint as an image."""
    own = at(circles, step=step).sort_values("label")
    row = at(rows, step=step).iloc[0]
    with rc_context({"font.size": SIZE}):
        figure = Figure(INCHES, dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        plane, below = figure.subplots(2, 1, height_ratios=(2.6, 1))
        turn = np.linspace(0, 2 * np.pi, 200)
        plane.plot(np.cos(turn), np.sin(turn), color=BAND, linewidth=1)
        closed = pd.concat([own, own.iloc[:1]])
        plane.plot(closed["x"], closed["y"], color=BAND, linewidth=0.8)
        plane.scatter(own["x"], own["y"], s=26, color=TRAINED, zorder=3)
        for x, y, item in zip(own["x"], own["y"], own["item"], strict=True):
            at_point = {"textcoords": "offset points", "xytext": (6, 4), "fontsize": SIZE, "color": INK}
            plane.annotate(str(item), (float(x), float(y)), **at_point)
        plane.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
        where = f"block {row['layer']}, k = {row['frequency']}, {row['level']}"
        frame(plane, title=f"{claim_name(row['domain'], row['quantity'])}, step {step:,}: {where}")
        over_training(below, rows, changes)
        below.axvline(step, color=INK, linewidth=1.8)
        frame(below, "step", "R²")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
