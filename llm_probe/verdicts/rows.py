"""Findings as table rows: every plane and the best few dimensions of every cell, family by family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.states import States
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import CircleRow, R2Row, ScanRow, Weights
from llm_probe.statistics import dimensions
from llm_probe.statistics.dimensions import FAMILIES, DimensionSearch
from llm_probe.statistics.planes import PlaneSearch
from llm_probe.statistics.scan import Scan
from toy.maths import fourier
from toy.maths.regression import r2_in_sample, rival_columns

KEPT_DIMENSIONS = 4
"""Dimensions a cell that go into the table, by each of the two statistics."""


@dataclass(frozen=True)
class Evidence:
    """What the searches found for one claim under one set of weights, and the states they searched."""

    claim: Claim
    weights: Weights
    states: States
    labels: Labels
    planes: PlaneSearch
    dimensions: DimensionSearch
    scan: Scan | None
    class_mean_r2: Float[Tensor, "cells k d"] | None
    """The published statistic of every cell, frequency and dimension."""

    def row(self, cell: int, **values: object) -> R2Row:
        """A row of this claim; what is not given stays empty."""
        layer, site, position = self.states.cells[cell]
        known = {
            "weights": self.weights,
            "domain": self.claim.domain.name,
            "period": self.claim.period,
            "quantity": self.claim.quantity,
            "layer": layer,
            "site": site,
            "position": position,
            "n_prompts": len(self.labels.label),
            "n_groups": len(self.labels.unit.unique()),
        }
        return R2Row(**{**dict.fromkeys(field.name for field in fields(R2Row)), **known, **values})  # type: ignore[arg-type]


def plane_rows(evidence: Evidence) -> Iterator[R2Row]:
    """Every cell's plane at every tested frequency, and its two polynomial rivals."""
    found = evidence.planes
    for cell in range(len(evidence.states.cells)):
        shares = _variance_shares(evidence, cell)
        for column, frequency in enumerate(found.frequencies):
            optional = {
                "r2_heldout_templates": found.r2_templates,
                "r2_heldout_residues": found.r2_residues,
            }
            yield evidence.row(
                cell,
                unit="plane",
                family="fourier",
                frequency=frequency,
                r2_heldout=float(found.r2[cell, column]),
                variance_share=shares[frequency - 1] if shares else None,
                angle_error=float(found.angle_error[cell, column]),
                p_fwer=float(found.p_fwer[cell, column]),
                **{name: float(table[cell, column]) for name, table in optional.items() if table is not None},
            )
        for family, values in found.rivals.items():
            yield evidence.row(cell, unit="plane", family=family, r2_heldout=float(values[cell]))


def _variance_shares(evidence: Evidence, cell: int) -> list[float]:
    """Share of the between-class variance at k = 1, 2, …; nothing without class means."""
    if evidence.states.class_means is None:
        return []
    power = fourier.power(evidence.states.class_means[cell]).sum(dim=1)
    return (power / power.sum()).tolist()


def dimension_rows(evidence: Evidence) -> Iterator[R2Row]:
    """The kept dimensions of every cell: Fourier at the frequency best by each statistic, then every rival."""
    for cell in range(len(evidence.states.cells)):
        for dim, frequencies in kept_dimensions(evidence, cell).items():
            for frequency in sorted(frequencies):
                yield _dimension_row(evidence, cell, dim, "fourier", frequency)
            for family in FAMILIES[1:]:
                yield _dimension_row(evidence, cell, dim, family, None)


def kept_dimensions(evidence: Evidence, cell: int) -> dict[int, set[int]]:
    """Dimension to its best frequencies, for the best few by class-mean R² and by partial R²."""
    partial = evidence.dimensions.r2[:, cell]
    tables = [(partial, torch.tensor(evidence.planes.frequencies))]
    if evidence.class_mean_r2 is not None:
        published = evidence.class_mean_r2[cell]
        tables.append((published, torch.arange(1, len(published) + 1)))
    kept = sorted({dim for table, _ in tables for dim in _best(table)})
    return {dim: {int(names[int(table[:, dim].argmax())]) for table, names in tables} for dim in kept}


def _best(table: Float[Tensor, "k d"]) -> Sequence[int]:
    return table.max(dim=0).values.topk(min(KEPT_DIMENSIONS, table.shape[1])).indices.tolist()


def _dimension_row(evidence: Evidence, cell: int, dim: int, family: str, frequency: int | None) -> R2Row:
    labels, found = evidence.labels, evidence.dimensions
    response = evidence.states.discovery[:, cell, dim, None].double().cpu()
    if frequency is None:
        columns, r2 = dimensions.family_columns(labels, family), found.rivals[family][cell, dim]
    else:
        columns = fourier.design(labels.label, frequency, labels.period)
        tested = evidence.planes.frequencies
        r2 = found.r2[tested.index(frequency), cell, dim] if frequency in tested else None
    return evidence.row(
        cell,
        unit="dimension",
        dim=dim,
        family=family,
        frequency=frequency,
        r2_class_means=_published(evidence, cell, dim, family, frequency),
        r2_partial=None if r2 is None else float(r2),
        aicc_gain=None if r2 is None else float(found.aicc(family, r2[None], len(labels.label))[0]),
        r2_heldout=float(dimensions.heldout_r2(response, columns, labels)[0]),
        p_fwer=None if r2 is None or frequency is None else float(found.p_fwer(r2)),
    )


def _published(evidence: Evidence, cell: int, dim: int, family: str, frequency: int | None) -> float | None:
    """In-sample R² of the class means for one family; a parabola in the integer result has none."""
    if evidence.states.class_means is None or evidence.class_mean_r2 is None or family == "polynomial_total":
        return None
    if frequency is not None:
        return float(evidence.class_mean_r2[cell, frequency - 1, dim])
    means = evidence.states.class_means[cell][:, dim, None].double().cpu()
    return float(r2_in_sample(means, rival_columns(torch.arange(len(means)), len(means), family))[0])


def circle_rows(evidence: Evidence) -> Iterator[CircleRow]:
    """Every item's mean held-out point on every cell's best plane."""
    found, claim = evidence.planes, evidence.claim
    for cell, (layer, site, position) in enumerate(evidence.states.cells):
        frequency = found.frequencies[int(found.r2[cell].argmax())]
        for label, item in enumerate(claim.domain.items):
            x, y = found.points[cell, label].tolist()
            yield CircleRow(
                evidence.weights, claim.domain.name, claim.quantity, site, position, layer, frequency, label, item, x, y
            )


def scan_rows(evidence: Evidence) -> Iterator[ScanRow]:
    """Variance share at every scanned period of every cell."""
    if evidence.scan is None:
        return
    for cell, (layer, site, position) in enumerate(evidence.states.cells):
        for frequency, share in zip(
            evidence.scan.frequencies.tolist(), evidence.scan.share[cell].tolist(), strict=True
        ):
            yield ScanRow(evidence.weights, evidence.claim.domain.name, layer, site, position, 1 / frequency, share)
