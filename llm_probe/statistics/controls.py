"""Control labels for the same prompts: the same search, run for a quantity that the model has no reason to carry.

A probe that is rich enough finds anything; what counts is how much more it reads of the true label than of a control
with as many values, from the same activations: selectivity (Hewitt & Liang 2019, 1909.03368). Each is in [0, p):

- `shuffled` (sums): labels change places among operand pairs of equally many prompts; every label keeps its count.
- `difference`: (a - b) mod p, with a circle of its own; `sum`, (a + b) mod p, where the claim itself is about a - b.
- `latin_square` (a + b and a - b): π3[(π1[a mod p] + π2[b mod p]) mod p] with random permutations, an isotope of the
  true table: the marginals and what one-hot operands absorb (nothing) are those of the task, only the cyclic order is
  gone. A label that is a function of (a + b) mod p or (a - b) mod p, as all are for p <= 3, is rejected.
- `reordered` (items): a random order that is no rotation or reflection of the true one; three items have no other.

All but `shuffled` are functions of the operands, the period and the seed alone and can be confirmed on new prompts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from llm_probe.activations.streaming import Location
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import ControlRow, R2Row
from llm_probe.run.vocabulary import EMBEDDING, Control
from llm_probe.statistics.assignment import divides
from llm_probe.statistics.gains import Gains
from llm_probe.statistics.hypotheses import is_difference, is_sum, mirrored_total
from llm_probe.statistics.planes import circles, heldout_scores
from toy.maths.regression import Groups, RidgeSmoother


def control_labels(labels: Labels, seed: int) -> dict[str, Int[Tensor, " n"]]:
    """Name to control label of every prompt, in [0, period); a control that does not apply is absent."""
    if labels.quantity == "item":
        order = reordered(labels.period, seed)
        return {} if order is None else {"reordered": order[labels.label]}
    controls = {"shuffled": shuffled(labels, seed)}
    controls["sum" if is_difference(labels) else "difference"] = mirrored_total(labels) % labels.period
    table = latin_square(labels.period, seed) if is_sum(labels) or is_difference(labels) else None
    if table is not None:
        controls["latin_square"] = table[labels.first % labels.period, labels.offset % labels.period]
    return controls


def shuffled(labels: Labels, seed: int) -> Int[Tensor, " n"]:
    """Labels permuted among units of equally many prompts."""
    generator = torch.Generator().manual_seed(seed)
    _, unit, sizes = labels.unit.unique(return_inverse=True, return_counts=True)
    of_unit = torch.zeros(len(sizes), dtype=torch.long).scatter_(0, unit, labels.label)
    result = of_unit.clone()
    for size in sizes.unique():
        members = (sizes == size).nonzero()[:, 0]
        result[members] = of_unit[members[torch.randperm(len(members), generator=generator)]]
    return result[unit]


def latin_square(period: int, seed: int) -> Int[Tensor, "p p"] | None:
    """A random isotope of the addition table of Z_p that is no function of a + b or a - b; None for p < 4."""
    if period < 4:
        return None
    generator = torch.Generator().manual_seed(seed)
    residues = torch.arange(period)
    known = (residues[:, None] + residues, residues[:, None] - residues)
    while True:
        rows, columns, values = (torch.randperm(period, generator=generator) for _ in range(3))
        table = values[(rows[:, None] + columns) % period]
        if not any(_is_function_of(table, keys) for keys in known):
            return table


def _is_function_of(table: Int[Tensor, "p p"], keys: Int[Tensor, "p p"]) -> bool:
    """Whether equal keys mod p always have equal values."""
    period = len(table)
    pairs = (keys % period) * period + table
    return len(pairs.unique()) == period


def reordered(items: int, seed: int) -> Int[Tensor, " items"] | None:
    """A random order of the items (item to its new place) that is not the same circle; None for three items."""
    if items < 4:
        return None
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(items, generator=generator)
        steps = (order.roll(-1) - order) % items
        if len(steps.unique()) > 1 or int(steps[0]) not in (1, items - 1):
            return order


def label_control_rows(
    smoothers: Sequence[RidgeSmoother],
    cells: Sequence[Location],
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
        place, k = cells[cell], tested[column]
        rows.append(_row(domain, labels, name, float(r2.max()), place, k, len(labels.label)))  # type: ignore[arg-type]
    return rows


def _heldout(smoothers: Sequence[RidgeSmoother], labels: Labels, frequencies: tuple[int, ...]) -> torch.Tensor:
    """R² (cells, frequencies), each at its best penalty."""
    targets = circles(labels.label, frequencies, labels.period).to(smoothers[0].left.device)
    units = labels.groups("unit")
    assert isinstance(units, Groups), "a claim has at least two operand pairs or items"
    return torch.stack([heldout_scores(smoother, targets, units).amax(dim=0).cpu() for smoother in smoothers])


def prompt_controls(
    claim: Claim, columns: Mapping[int, Gains], plain: Gains, cells: Sequence[Location], n_prompts: int
) -> Iterator[ControlRow]:
    """This claim's period under the other moduli (those that share its period apart), and without a modulus."""
    foreign = [column for modulus, column in columns.items() if not divides(modulus, claim.period)]
    among: dict[Control, list[Gains]] = {"no_modulus": [plain], "wrong_modulus": foreign}
    for control, gains in among.items():
        reached = [
            (1 - math.exp(-2 * gain), cell)
            for column in gains
            for cell, gain in zip(
                cells, column.planes[column.periods.index(claim.period)].amax(dim=1).tolist(), strict=True
            )
        ]
        if reached:
            r2, place = max(reached)
            yield _row(claim.domain.name, claim, control, r2, place, None, n_prompts)


def weights_control(claim: Claim, control: Control, rows: Sequence[R2Row]) -> ControlRow:
    """The best plane behind the blocks of a model with random weights, from the rows of its R² table."""
    planes = [row for row in rows if row.unit == "plane" and row.family == "fourier" and row.layer != EMBEDDING]
    best = max(planes, key=lambda row: -math.inf if row.r2_heldout is None else row.r2_heldout)
    assert best.r2_heldout is not None, "planes are held out"
    place = (best.layer, best.site, best.position)
    return _row(claim.domain.name, claim, control, best.r2_heldout, place, best.frequency, best.n_prompts)


def _row(
    domain: str, of: Claim | Labels, control: Control, r2: float, place: Location, frequency: int | None, n_prompts: int
) -> ControlRow:
    layer, site, position = place
    return ControlRow(domain, of.period, of.quantity, control, r2, layer, site, position, frequency, n_prompts)
