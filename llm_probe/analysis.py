"""One claim under one set of weights: from residual states to rows and to the plane that is judged.

    discovery states  ->  planes.search, dimensions.search, scan      (everything is chosen here)
    confirmation states  ->  planes.confirm                            (tested once)
    published grid  ->  class means  ->  the published statistic       (for comparison)

`Findings` is what is written to disk for the claim; the verdict is made from two of them, trained and random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe import dimensions, planes
from llm_probe import scan as period_scan
from llm_probe.claims import Claim, Labels
from llm_probe.dimensions import FAMILIES, DimensionSearch
from llm_probe.nulls import Renamed
from llm_probe.planes import PENALTIES, Confirmation, PlaneSearch
from llm_probe.scan import Scan
from llm_probe.table import CircleRow, Position, R2Row, ScanRow, Site, Weights
from toy import fourier
from toy.regression import RidgeSmoother, class_mean_r2, r2_in_sample, rival_columns

ALPHA = 0.01
"""Level of every test that enters a verdict."""
KEPT_DIMENSIONS = 4
"""Dimensions a cell that go into the table, by each of the two statistics."""

Cell = tuple[int, Site, Position]


@dataclass(frozen=True)
class States:
    """Residual states of one claim, read in one pass."""

    cells: tuple[Cell, ...]
    discovery: Float[Tensor, "n cells d"]
    confirmation: Float[Tensor, "m cells d"]
    class_means: Float[Tensor, "cells labels d"] | None
    """Means over the published grid (for items: over the discovery statements); None without a grid."""


@dataclass(frozen=True)
class Best:
    """The plane that is judged, and what was found beside it."""

    layer: int
    site: Site
    position: Position
    frequency: int
    r2: float
    r2_low: float
    r2_high: float
    discovery_r2: float
    null_r2: float
    angle_error: float
    p_fwer: float
    p_period: float | None
    rival: str
    rival_r2: float
    """The strongest polynomial rival in the same cell, discovery prompts."""
    layers_held: tuple[int, ...]
    dim: int | None
    dim_layer: int | None
    dim_frequency: int | None
    class_mean_r2: float | None
    n_discovery: int
    n_confirmation: int


@dataclass(frozen=True)
class Findings:
    """Everything one claim yields under one set of weights."""

    best: Best
    rows: tuple[R2Row, ...]
    circles: tuple[CircleRow, ...]
    scan: tuple[ScanRow, ...]


def analyse(
    claim: Claim,
    weights: Weights,
    states: States,
    labels: Labels,
    new_labels: Labels,
    renamed: Renamed,
    seed: int,
) -> Findings:
    """Choose on the discovery prompts, confirm once, and lay out the rows."""
    frequencies = claim.tested_frequencies
    smoothers = [RidgeSmoother.of(states.discovery[:, cell]) for cell in range(len(states.cells))]
    found = planes.search(smoothers, labels, renamed, frequencies)
    scanned = period_scan.scan(smoothers, labels, frequencies, seed) if claim.is_arithmetic else None
    by_dimension = dimensions.search(states.discovery, labels, renamed, frequencies)
    cell, column = choose(found, scanned)
    confirmed = planes.confirm(
        states.discovery[:, cell],
        states.confirmation[:, cell],
        labels,
        new_labels,
        frequencies[column],
        PENALTIES[int(found.penalty[cell, column])],
        seed,
    )
    means = class_mean_table(states)
    context = _Context(claim, weights, states, labels, found, by_dimension, means)
    return Findings(
        _best(context, scanned, cell, column, confirmed, len(new_labels.label)),
        (*_plane_rows(context), *_dimension_rows(context)),
        _circle_rows(context),
        _scan_rows(context, scanned),
    )


def choose(found: PlaneSearch, scanned: Scan | None) -> tuple[int, int]:
    """(cell, frequency column) to confirm: the best R², or the most prominent line where periods can be compared.

    Only places that beat the null compete, if there are any.
    """
    score = found.r2 if scanned is None else torch.where(scanned.prominence.isinf(), found.r2 - 2, scanned.prominence)
    passed = found.p_fwer <= ALPHA
    if bool(passed.any()):
        score = score.masked_fill(~passed, -torch.inf)
    index = int(score.argmax())
    return index // score.shape[1], index % score.shape[1]


def class_mean_table(states: States) -> Float[Tensor, "cells k d"] | None:
    """The published statistic of every cell, frequency and dimension."""
    if states.class_means is None:
        return None
    return torch.stack([class_mean_r2(means) for means in states.class_means]).cpu()


@dataclass(frozen=True)
class _Context:
    claim: Claim
    weights: Weights
    states: States
    labels: Labels
    planes: PlaneSearch
    dimensions: DimensionSearch
    class_mean_r2: Float[Tensor, "cells k d"] | None

    @property
    def n_groups(self) -> int:
        return len(self.labels.unit.unique())

    def row(self, cell: int, **values: object) -> R2Row:
        """A row of this claim with everything that is not given left empty."""
        layer, site, position = self.states.cells[cell]
        empty = dict.fromkeys(
            ("dim", "frequency", "r2_class_means", "r2_partial", "aicc_gain", "r2_heldout", "r2_heldout_templates",
             "r2_heldout_residues", "angle_error", "p_fwer")
        )  # fmt: skip
        place = {"layer": layer, "site": site, "position": position, "n_prompts": len(self.labels.label)}
        claim = {"domain": self.claim.domain.name, "period": self.claim.period, "quantity": self.claim.quantity}
        return R2Row(**{**empty, **place, **claim, "weights": self.weights, "n_groups": self.n_groups, **values})


def _best(
    context: _Context, scanned: Scan | None, cell: int, column: int, confirmed: Confirmation, n_confirmation: int
) -> Best:
    found, cells = context.planes, context.states.cells
    rival = max(found.rivals, key=lambda family: float(found.rivals[family][cell]))
    held = sorted({cells[index][0] for index in torch.nonzero((found.p_fwer <= ALPHA).any(dim=1))[:, 0].tolist()})
    top: dict[str, int | float | None] = {"dim": None, "dim_layer": None, "dim_frequency": None, "class_mean_r2": None}
    if context.class_mean_r2 is not None:
        n_frequencies, d = context.class_mean_r2.shape[1:]
        index = int(context.class_mean_r2.argmax())
        top = {
            "dim": index % d,
            "dim_layer": cells[index // (n_frequencies * d)][0],
            "dim_frequency": index // d % n_frequencies + 1,
            "class_mean_r2": float(context.class_mean_r2.max()),
        }
    layer, site, position = cells[cell]
    return Best(
        layer,
        site,
        position,
        frequency=found.frequencies[column],
        r2=confirmed.r2,
        r2_low=confirmed.low,
        r2_high=confirmed.high,
        discovery_r2=float(found.r2[cell, column]),
        null_r2=found.null_r2,
        angle_error=confirmed.angle_error,
        p_fwer=float(found.p_fwer[cell, column]),
        p_period=scanned.p_period if scanned is not None else None,
        rival=rival,
        rival_r2=float(found.rivals[rival][cell]),
        layers_held=tuple(held),
        n_discovery=len(context.labels.label),
        n_confirmation=n_confirmation,
        **top,  # type: ignore[arg-type]
    )


def _plane_rows(context: _Context) -> list[R2Row]:
    found, rows = context.planes, []

    def optional(table: Tensor | None, cell: int, column: int) -> float | None:
        return None if table is None else float(table[cell, column])

    for cell in range(len(context.states.cells)):
        for column, frequency in enumerate(found.frequencies):
            rows.append(
                context.row(
                    cell,
                    unit="plane",
                    family="fourier",
                    frequency=frequency,
                    r2_heldout=float(found.r2[cell, column]),
                    r2_heldout_templates=optional(found.r2_templates, cell, column),
                    r2_heldout_residues=optional(found.r2_residues, cell, column),
                    angle_error=float(found.angle_error[cell, column]),
                    p_fwer=float(found.p_fwer[cell, column]),
                )
            )
        rows += [
            context.row(cell, unit="plane", family=family, r2_heldout=float(values[cell]))
            for family, values in found.rivals.items()
        ]
    return rows


def kept_dimensions(context: _Context, cell: int) -> list[int]:
    """The best few dimensions of a cell by class-mean R² and by partial R²."""
    tables = [context.dimensions.r2[:, cell]]
    if context.class_mean_r2 is not None:
        tables.append(context.class_mean_r2[cell])
    best = [table.max(dim=0).values.topk(min(KEPT_DIMENSIONS, table.shape[1])).indices.tolist() for table in tables]
    return sorted({dim for part in best for dim in part})


def _dimension_rows(context: _Context) -> list[R2Row]:
    claim, labels, found = context.claim, context.labels, context.dimensions
    items = torch.arange(claim.period)
    rows: list[R2Row] = []
    for cell in range(len(context.states.cells)):
        dims = kept_dimensions(context, cell)
        responses = context.states.discovery[:, cell, dims].double().cpu()
        means = None if context.states.class_means is None else context.states.class_means[cell][:, dims].double().cpu()
        for family in FAMILIES:
            # For a Fourier row, the frequency that is best by each statistic; they need not agree.
            for frequency, members in _by_frequency(context, cell, dims) if family == "fourier" else [(None, None)]:
                columns = (
                    fourier.design(labels.label, frequency, claim.period)
                    if frequency
                    else dimensions.family_columns(labels, family)
                )
                heldout = dimensions.heldout_r2(responses, columns, labels)
                published = _published(context, means, family, frequency, items, cell, dims)
                for slot, dim in enumerate(dims):
                    if members is not None and dim not in members:
                        continue
                    r2 = (
                        found.r2[context.planes.frequencies.index(frequency), cell, dim]
                        if frequency and frequency in context.planes.frequencies
                        else None
                        if frequency
                        else found.rivals[family][cell, dim]
                    )
                    rows.append(
                        context.row(
                            cell,
                            unit="dimension",
                            dim=dim,
                            family=family,
                            frequency=frequency,
                            r2_class_means=None if published is None else float(published[slot]),
                            r2_partial=None if r2 is None else float(r2),
                            aicc_gain=None if r2 is None else float(found.aicc(family, r2[None], len(labels.label))[0]),
                            r2_heldout=float(heldout[slot]),
                            p_fwer=float(found.p_fwer(r2)) if frequency and r2 is not None else None,
                        )
                    )
    return rows


def _by_frequency(context: _Context, cell: int, dims: Sequence[int]) -> list[tuple[int, set[int]]]:
    members: dict[int, set[int]] = {}
    for dim in dims:
        best = {context.planes.frequencies[int(context.dimensions.r2[:, cell, dim].argmax())]}
        if context.class_mean_r2 is not None:
            best.add(int(context.class_mean_r2[cell, :, dim].argmax()) + 1)
        for frequency in best:
            members.setdefault(frequency, set()).add(dim)
    return sorted(members.items())


def _published(
    context: _Context,
    means: Float[Tensor, "labels d"] | None,
    family: str,
    frequency: int | None,
    items: Int[Tensor, " labels"],
    cell: int,
    dims: Sequence[int],
) -> Float[Tensor, " d"] | None:
    """In-sample R² of the class means for one family; a parabola in the integer result has none."""
    if means is None or context.class_mean_r2 is None or family == "polynomial_total":
        return None
    if frequency:
        return context.class_mean_r2[cell, frequency - 1, list(dims)]
    return r2_in_sample(means, rival_columns(items, context.claim.period, family))


def _circle_rows(context: _Context) -> tuple[CircleRow, ...]:
    found, claim = context.planes, context.claim
    return tuple(
        CircleRow(
            context.weights, claim.domain.name, claim.quantity, site, position, layer,
            found.frequencies[int(found.r2[cell].argmax())], label, item,
            float(found.points[cell, label, 0]), float(found.points[cell, label, 1]),
        )
        for cell, (layer, site, position) in enumerate(context.states.cells)
        for label, item in enumerate(claim.domain.items)
    )  # fmt: skip


def _scan_rows(context: _Context, scanned: Scan | None) -> tuple[ScanRow, ...]:
    if scanned is None:
        return ()
    return tuple(
        ScanRow(context.weights, context.claim.domain.name, layer, site, position, 1 / float(frequency), float(r2))
        for cell, (layer, site, position) in enumerate(context.states.cells)
        for frequency, r2 in zip(scanned.frequencies, scanned.r2[cell], strict=True)
    )
