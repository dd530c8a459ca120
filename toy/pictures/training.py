"""Pictures of what the network does and how it came to it: training, errors, progress.

Each function makes one family of figures and its sentences from `Material`; a single checkpoint has no history, and
the sentence that stands for the figure says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from torch import Tensor

from toy.analysis.progress import phases
from toy.pictures import style
from toy.pictures.material import Material, Picture
from toy.pictures.style import GREY, INK, SIZE, TRAINED, UNTRAINED, Line, Real, frame, listed, percent, two
from toy.training.train import Milestones

NO_HISTORY = "There is no history to draw: it takes a run directory with two evaluations or checkpoints at least."
LINES = 8
"""At most so many keys get a line of their own."""
MISSING, RIGHT_TEST, RIGHT_TRAIN, WRONG_TEST, WRONG_TRAIN = range(5)
ERROR_COLOURS = ("#FFFFFF", "#DCE9F3", "#A9CCE6", "#C65200", "#1F2328")
"""No such question; right, then wrong, each not trained on and trained on. In grey they darken in this order."""
MAPS = 7
"""At most so many values of a third operand get an error map, those of lowest accuracy first."""


def grokking_curve(material: Material) -> Picture:
    """Accuracy and loss over log steps, with the evaluations at which it memorised and grokked."""
    rows = material.metrics
    if len(rows) < 2:
        return Picture(None, NO_HISTORY)
    marks = milestones(rows)
    last, steps = rows[-1], [row["step"] for row in rows]
    reached = [f"{name} at step {step:,}" for name, step in marks.items() if step is not None]
    if marks["grokked"] is None:
        reached.append(f"not grokked by step {last['step']:,}")
    message = f"{', '.join(reached)}; test accuracy at the end {percent(last['test_accuracy'])}"
    figure = style.new_figure(5.6, message[0].upper() + message[1:])
    above, below = figure.subplots(2, 1, sharex=True)
    parts = (("train", GREY, "--"), ("test", TRAINED, "-"))
    accuracy = [(name, [100 * row[f"{name}_accuracy"] for row in rows], colour, style) for name, colour, style in parts]
    accuracy.append(("guessing", [100 / material.config.modulus] * len(rows), GREY, ":"))
    loss = [(name, [row[f"{name}_loss"] for row in rows], colour, style) for name, colour, style in parts]
    above.set_ylim(-3, 103)
    style.over_steps(above, steps, accuracy, "accuracy (%)", marks, log=False)
    style.over_steps(below, steps, loss, "cross-entropy (nats)", dict.fromkeys(marks), log=True)
    for step in marks.values():
        if step:
            below.axvline(step, color=GREY, linewidth=1, linestyle=":", zorder=0)
    below.set_xlabel("step (log scale)", fontsize=SIZE)
    said = (
        f"99 % of the training rows were right at step {_step(marks['memorised'])}, 99 % of the test rows at "
        f"{_step(marks['grokked'])}; at the end (step {last['step']:,}) test accuracy "
        f"{percent(last['test_accuracy'])}, test loss {last['test_loss']:.2g}, training loss {last['train_loss']:.2g}. "
        f"Guessing gives {percent(1 / material.config.modulus)}."
    )
    return Picture(figure, said)


def milestones(rows: Sequence[dict[str, Any]]) -> dict[str, int | None]:
    """The first evaluations with 99 % of the training rows and of the test rows right."""
    passed = Milestones()
    for row in rows:
        passed.see(row["step"], row["train_accuracy"], row["test_accuracy"])
    return {"memorised": passed.memorised_at, "grokked": passed.grokked_at}


def _step(step: int | None) -> str:
    return "no step" if step is None else f"{step:,}"


def error_maps(material: Material) -> Picture:
    """Right and wrong for every question, trained on or not; per third operand where there is one."""
    rows, right = material.table.rows, material.table.scores.right
    trained_on = torch.zeros(len(right), dtype=torch.bool)
    trained_on[material.table.train] = True
    states = RIGHT_TEST + trained_on.long() + 2 * (~right).long()
    counts = torch.bincount(states, minlength=5).tolist()
    wrong = int((~right).sum())
    message = (
        f"All {len(right):,} questions are right"
        if not wrong
        else f"{wrong:,} of {len(right):,} questions are wrong, {counts[WRONG_TRAIN]:,} of them trained on"
    )
    by_c = material.analysis["accuracy_by_c"]
    figure = style.new_figure(5.4 if by_c is None else 7.4, message, width=style.WIDTH - 2 * (by_c is None))
    if by_c is None:
        axes, key = figure.subplots(1, 2, width_ratios=[2, 1])
        _draw_errors(axes, _grid(rows.operands, states, rows.modulus), "b", "a", "")
    else:
        key = _maps_by_c(figure, material, states, by_c)
    _draw_key(key, counts)
    summary = material.analysis
    said = (
        f"Accuracy {percent(summary['full_accuracy'])} of the whole table, {percent(summary['test_accuracy'])} of the "
        f"rows that were not trained on, {percent(summary['train_accuracy'])} of those that were."
    )
    if by_c is not None:
        worst = min(by_c, key=lambda c: by_c[c])
        said += f" The lowest accuracy of any third operand is {percent(by_c[worst])}, at c = {worst}."
    return Picture(figure, said)


def _maps_by_c(figure: Any, material: Material, states: Int[Tensor, " rows"], by_c: dict[str, float]) -> Axes:
    """Accuracy by third operand above the maps of the least accurate ones; the axes left for the key."""
    above, below = figure.subfigures(2, 1, height_ratios=[1, 2.3])
    _draw_accuracy_by(above.subplots(), list(map(int, by_c)), list(by_c.values()), 1 / material.config.modulus)
    chosen = sorted(sorted(by_c, key=lambda c: (by_c[c], int(c)))[:MAPS], key=int)
    grid = below.subplots(2, 4).ravel()
    third, operands = material.table.rows.operands[:, 2], material.table.rows.operands
    for axes, c in zip(grid, chosen, strict=False):
        of_c = third == int(c)
        squares = _grid(operands[of_c], states[of_c], material.config.modulus)
        _draw_errors(axes, squares, "b", "a", f"c = {c}: {percent(by_c[c])}")
    for axes in grid[len(chosen) : -1]:
        axes.set_visible(False)
    return grid[-1]


def _draw_errors(axes: Axes, states: Int[np.ndarray, "rows columns"], x: str, y: str, title: str) -> None:
    """One square a question, in the order of the numbers; states as in `ERROR_COLOURS`."""
    style.heat(axes, states, x, y, title, cmap=ListedColormap(ERROR_COLOURS), norm=BoundaryNorm(np.arange(-0.5, 5), 5),
         rasterized=True)  # fmt: skip
    axes.set_aspect("equal")


def _draw_key(axes: Axes, counts: Sequence[int]) -> None:
    """What the colours of the error maps mean, with how many questions have each."""
    names = ("", "right, not trained on", "right, trained on", "wrong, not trained on", "wrong, trained on")
    axes.set_axis_off()
    for line, state in enumerate((RIGHT_TEST, RIGHT_TRAIN, WRONG_TEST, WRONG_TRAIN)):
        height = 0.95 - 0.09 * line
        axes.plot(0.04, height, "s", color=ERROR_COLOURS[state], markeredgecolor=GREY, markersize=11,
                  transform=axes.transAxes, clip_on=False)  # fmt: skip
        axes.text(0.12, height, f"{names[state]}: {counts[state]:,}", va="center", fontsize=SIZE, color=INK,
                  transform=axes.transAxes)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _draw_accuracy_by(
    axes: Axes, values: Sequence[int], accuracy: Sequence[Real], chance: Real, operand: str = "c"
) -> None:
    """Accuracy for each value of the third operand."""
    axes.plot(values, [100 * share for share in accuracy], "o-", color=TRAINED, markersize=3.5, linewidth=1)
    axes.axhline(100 * chance, color=GREY, linewidth=1, linestyle=":")
    axes.annotate("chance", (1, 100 * chance), (-2, 3), xycoords=("axes fraction", "data"), ha="right",
                  textcoords="offset points", fontsize=SIZE, color=GREY)  # fmt: skip
    axes.set_ylim(-3, 103)
    frame(axes, f"third operand {operand}", "accuracy (%)")


def _grid(operands: Int[Tensor, "rows operands"], states: Int[Tensor, " rows"], modulus: int) -> Int[np.ndarray, "p p"]:
    """One state for each (a, b); questions that the task does not have stay missing."""
    squares = torch.full((modulus, modulus), MISSING)
    squares[operands[:, 0], operands[:, 1]] = states
    return squares.numpy()


def progress_measures(material: Material) -> Picture:
    """Restricted and excluded loss, coefficients, Gini, sum of squares and what is explained, over the checkpoints."""
    rows = list(material.progress)
    if len(rows) < 2:
        return Picture(None, NO_HISTORY)
    ends_of = phases(rows)
    names = {"memorisation_ends": "memorised", "circuit_formation_ends": "circuit formed", "cleanup_ends": "cleaned up"}
    ends = {words: ends_of[name] for name, words in names.items() if ends_of[name] is not None}
    reached = [f"{words} by step {step:,}" for words, step in ends.items()]
    shown = _panels(rows)
    message = f"Progress: {', '.join(reached)}" if reached else "Progress: no phase has ended"
    figure = style.new_figure(2.8 * len(shown) / 2, message)
    panels = figure.subplots(len(shown) // 2, 2, sharex=True).ravel().tolist()
    for axes, (y, lines, limits, log) in zip(panels, shown, strict=True):
        if limits is not None:
            axes.set_ylim(*limits)
        style.over_steps(axes, [row["step"] for row in rows], lines, y, {}, log=log)
        for step in ends.values():
            axes.axvline(max(step, 1), color=GREY, linewidth=1, linestyle=":", zorder=0)
    for axes in panels[-2:]:
        axes.set_xlabel("step (log scale)", fontsize=SIZE)
    return Picture(figure, _progress_said(material, rows))


Panel = tuple[str, list[Line], tuple[Real, Real] | None, bool]
"""Name of the axis, lines, limits where they are fixed, whether it is logarithmic."""


def _panels(rows: Sequence[dict[str, Any]]) -> list[Panel]:
    """What each frame of the progress measures shows; without a key there is none for single keys."""
    every = {name: [row[name] for row in rows] for name in rows[0]}

    def by_key(name: str) -> list[Line]:
        return [(f"k = {k}", [row[name][k] for row in rows], TRAINED, "-") for k in list(rows[-1][name])[:LINES]]

    largest = max(value or 0.0 for value in every["sum_squared_weights"])
    losses: list[Line] = [
        ("test", every["test_loss"], INK, "-"),
        ("restricted", every["restricted_loss"], TRAINED, "-"),
        ("excluded", every["excluded_loss"], UNTRAINED, "--"),
        ("train", every["train_loss"], GREY, ":"),
    ]
    explained: list[Line] = [
        ("logits", every["logit_fve"], TRAINED, "-"),
        ("neurons", every["neurons_explained"], INK, "--"),
        ("circularity", every["circularity"], GREY, ":"),
    ]
    sparsity: list[Line] = [("W_E", every["gini"], TRAINED, "-"), ("W_L", every["gini_w_l"], INK, "--")]
    frames: list[Panel] = [
        ("cross-entropy (nats)", losses, None, True),
        ("excluded loss, one key (nats)", by_key("excluded_loss_by_frequency"), None, True),
        ("share explained; circularity", explained, (-0.03, 1.03), False),
        ("coefficient of cos w_k(s − c)", by_key("logit_coefficients"), None, False),
        ("Gini of the components", sparsity, (0, 1), False),
        ("sum of squared weights", [("", every["sum_squared_weights"], TRAINED, "-")], (0, 1.08 * largest), False),
    ]
    return [frame for frame in frames if frame[1]]


def _progress_said(material: Material, rows: Sequence[dict[str, Any]]) -> str:
    first, last = rows[0], rows[-1]
    keyless = "" if material.keys else " Without a key the restricted loss is that of the mean logits."
    return (
        f"Keys are those of the last checkpoint ({listed(material.keys)}), their part of the logits alone gives the "
        f"restricted loss, the rest the excluded one. From step {first['step']:,} to {last['step']:,} restricted loss "
        f"{_short(first['restricted_loss'])} to {_short(last['restricted_loss'])}, excluded loss "
        f"{_short(first['excluded_loss'])} to {_short(last['excluded_loss'])}, test loss {_short(first['test_loss'])} "
        f"to {_short(last['test_loss'])}, sum of squared weights {_short(first['sum_squared_weights'])} to "
        f"{_short(last['sum_squared_weights'])}, Gini of W_E {two(first['gini'])} to {two(last['gini'])}. Dotted: the "
        f"ends of the phases.{keyless}"
    )


def _short(value: Real | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
