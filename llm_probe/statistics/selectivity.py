"""Does the same search find a label that the model has no reason to carry?

Every control label (`label_controls`) is searched as the true one was: every cell, frequency and penalty, held out by
operand pair (or item). What counts is selectivity, R² true - R² control (Hewitt & Liang 2019, 1909.03368): a probe
that reads a Latin square as well as a sum says nothing about sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from llm_probe.activations.states import Cell
from llm_probe.questions.claims import Labels
from llm_probe.run.table import ControlRow
from llm_probe.statistics.label_controls import control_labels
from llm_probe.statistics.planes import PENALTIES, circles
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals, plane_r2


def label_control_rows(
    smoothers: Sequence[RidgeSmoother],
    cells: Sequence[Cell],
    labels: Labels,
    domain: str,
    frequencies: tuple[int, ...],
    seed: int,
) -> list[ControlRow]:
    """The best plane of each control label, over all cells and frequencies."""
    rows = []
    for name, control in control_labels(labels, seed).items():
        # An item is what is left out: its control label, not its own, says which prompts belong together.
        known = replace(labels, label=control)
        # At half the period sum and difference are one function, the parity: no control for each other.
        tested = frequencies if name == "latin_square" else tuple(k for k in frequencies if 2 * k != labels.period)
        r2 = _heldout(smoothers, known, tested)
        cell, column = divmod(int(r2.argmax()), r2.shape[1])
        layer, site, position = cells[cell]
        rows.append(
            ControlRow(
                domain=domain,
                period=labels.period,
                quantity=labels.quantity,
                control=name,  # type: ignore[arg-type]
                r2=float(r2.max()),
                layer=layer,
                site=site,
                position=position,
                frequency=tested[column],
                n_prompts=len(labels.label),
            )
        )
    return rows


def _heldout(smoothers: Sequence[RidgeSmoother], labels: Labels, frequencies: tuple[int, ...]) -> torch.Tensor:
    """R² (cells, frequencies), each at its best penalty."""
    targets = circles(labels.label, frequencies, labels.period).to(smoothers[0].left.device)
    units = labels.groups("unit")
    assert isinstance(units, Groups), "a claim has at least two operand pairs or items"
    baseline = baseline_residuals(targets, units)
    found = []
    for smoother in smoothers:
        path = smoother.heldout_path(targets, units, PENALTIES)
        found.append(torch.stack([plane_r2(errors, baseline) for errors in path]).amax(dim=0).cpu())
    return torch.stack(found)
