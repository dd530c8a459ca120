"""What the same search finds where there should be nothing: other prompts, other moduli, random weights.

R² of a period in prompts that do not ask for it comes from the gain tables, gain = -½ log(1 - R²); that of a random
model from its own search. The controls that change labels only are in `selectivity`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from llm_probe.activations.states import Cell
from llm_probe.questions.claims import Claim
from llm_probe.run.table import Control, ControlRow
from llm_probe.statistics.assignment import divides
from llm_probe.statistics.gain_tables import Gains
from llm_probe.verdicts.analysis import Findings


def prompt_controls(
    claim: Claim, columns: Mapping[int, Gains], plain: Gains, cells: Sequence[Cell], n_prompts: int
) -> Iterator[ControlRow]:
    """This claim's period under the other moduli (those that share its period apart), and without a modulus."""
    foreign = [column for modulus, column in columns.items() if not divides(modulus, claim.period)]
    for control, among in (("no_modulus", [plain]), ("wrong_modulus", foreign)):
        reached = [
            (1 - math.exp(-2 * gain), cell)
            for column in among
            for cell, gain in zip(cells, column.planes[column.periods.index(claim.period)].tolist(), strict=True)
        ]
        if reached:
            r2, (layer, site, position) = max(reached)
            yield _row(claim, control, r2, layer, site, position, None, n_prompts)  # type: ignore[arg-type]


def weights_control(claim: Claim, control: Control, findings: Findings) -> ControlRow:
    """The best plane of a model with random weights."""
    planes = [row for row in findings.rows if row.unit == "plane" and row.family == "fourier"]
    best = max(planes, key=lambda row: -math.inf if row.r2_heldout is None else row.r2_heldout)
    assert best.r2_heldout is not None, "planes are held out"
    place = (best.layer, best.site, best.position)
    return _row(claim, control, best.r2_heldout, *place, best.frequency, best.n_prompts)


def _row(
    claim: Claim, control: Control, r2: float, layer: int, site, position, frequency: int | None, n_prompts: int
) -> ControlRow:
    return ControlRow(
        domain=claim.domain.name,
        period=claim.period,
        quantity=claim.quantity,
        control=control,
        r2=r2,
        layer=layer,
        site=site,
        position=position,
        frequency=frequency,
        n_prompts=n_prompts,
    )
