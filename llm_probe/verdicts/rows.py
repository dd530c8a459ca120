"""What a search yields as table rows: every plane and the best few dimensions of every place, family by family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.streaming import Location, States
from llm_probe.geometry.third_direction import class_means, template_centred, third_directions
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import CircleRow, PointRow, R2Row, ScanRow
from llm_probe.run.vocabulary import Weights
from llm_probe.statistics import dimensions
from llm_probe.statistics.dimensions import FAMILIES, DimensionSearch
from llm_probe.statistics.planes import PlaneSearch, circles, heldout_predictions
from llm_probe.statistics.scan import Scan
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother, r2_in_sample, rival_columns

Fit = tuple[str, int | None]
"""A family of columns, and the frequency of a circle."""
KEPT_DIMENSIONS = 4
"""Dimensions a cell that go into the table, by each of the two statistics."""


@dataclass(frozen=True)
class SearchedPlanes:
    """The planes of one claim on its discovery prompts under one set of weights, and the states they were read from."""

    claim: Claim
    weights: Weights
    states: States
    labels: Labels
    planes: PlaneSearch

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


@dataclass(frozen=True)
class Searches(SearchedPlanes):
    """All searches behind the blocks."""

    dimensions: DimensionSearch
    scan: Scan | None
    class_mean_r2: Float[Tensor, "cells k d"] | None
    """The published statistic of every cell, frequency and dimension."""


def plane_rows(searches: SearchedPlanes) -> Iterator[R2Row]:
    """Every cell's plane at every tested frequency, and its two polynomial rivals."""
    result = searches.planes
    for cell in range(len(searches.states.cells)):
        shares = _variance_shares(searches, cell)
        for column, frequency in enumerate(result.frequencies):
            optional = {"r2_heldout_templates": result.r2_templates, "r2_heldout_residues": result.r2_residues}
            yield searches.row(
                cell,
                unit="plane",
                family="fourier",
                frequency=frequency,
                r2_heldout=float(result.r2[cell, column]),
                variance_share=shares[frequency - 1] if shares else None,
                angle_error=float(result.angle_error[cell, column]),
                p_renaming=float(result.p_renaming[cell, column]),
                **{name: float(table[cell, column]) for name, table in optional.items() if table is not None},
            )
        for family, values in result.rivals.items():
            yield searches.row(cell, unit="plane", family=family, r2_heldout=float(values[cell]))


def _variance_shares(searches: SearchedPlanes, cell: int) -> list[float]:
    """Share of the between-class variance at k = 1, 2, …; nothing without class means."""
    if searches.states.class_means is None:
        return []
    power = fourier.power(searches.states.class_means[cell]).sum(dim=1)
    return (power / power.sum()).tolist()


def dimension_rows(searches: Searches) -> Iterator[R2Row]:
    """The kept dimensions of every cell: Fourier at the frequency best by each statistic, then every rival."""
    wanted: list[tuple[int, int, Fit]] = []
    for cell in range(len(searches.states.cells)):
        for dim, frequencies in kept_dimensions(searches, cell).items():
            fits: list[Fit] = [("fourier", frequency) for frequency in sorted(frequencies)]
            wanted += [(cell, dim, fit) for fit in [*fits, *((family, None) for family in FAMILIES[1:])]]
    heldout = _heldout(searches, wanted)
    for cell, dim, fit in wanted:
        yield _dimension_row(searches, cell, dim, fit, heldout[cell, dim, fit])


def _heldout(searches: Searches, wanted: Sequence[tuple[int, int, Fit]]) -> dict[tuple[int, int, Fit], float]:
    """Held-out R² of every row: all dimensions that share a family's columns from one factorisation of these."""
    result = {}
    for fit in dict.fromkeys(fit for _, _, fit in wanted):
        alike = [(cell, dim) for cell, dim, other in wanted if other == fit]
        cells, dims = (list(index) for index in zip(*alike, strict=True))
        responses = searches.states.discovery[:, cells, dims].double().cpu()
        r2 = dimensions.heldout_r2(responses, _columns(searches.labels, fit), searches.labels)
        result |= {(*place, fit): value for place, value in zip(alike, r2.tolist(), strict=True)}
    return result


def _columns(labels: Labels, fit: Fit) -> Float[Tensor, "n c"]:
    family, frequency = fit
    if frequency is None:
        return dimensions.family_columns(labels, family)
    return fourier.design(labels.label, frequency, labels.period)


def kept_dimensions(searches: Searches, cell: int) -> dict[int, set[int]]:
    """Dimension to its best frequencies, for the best few by class-mean R² and by partial R²."""
    partial = searches.dimensions.r2[:, cell]
    tables = [(partial, torch.tensor(searches.planes.frequencies))]
    if searches.class_mean_r2 is not None:
        published = searches.class_mean_r2[cell]
        tables.append((published, torch.arange(1, len(published) + 1)))
    kept = sorted({dim for table, _ in tables for dim in _best(table)})
    return {dim: {int(names[int(table[:, dim].argmax())]) for table, names in tables} for dim in kept}


def _best(table: Float[Tensor, "k d"]) -> Sequence[int]:
    return table.max(dim=0).values.topk(min(KEPT_DIMENSIONS, table.shape[1])).indices.tolist()


def _dimension_row(searches: Searches, cell: int, dim: int, fit: Fit, r2_heldout: float) -> R2Row:
    (family, frequency), result = fit, searches.dimensions
    if frequency is None:
        r2 = result.rivals[family][cell, dim]
    else:
        tested = searches.planes.frequencies
        r2 = result.r2[tested.index(frequency), cell, dim] if frequency in tested else None
    return searches.row(
        cell,
        unit="dimension",
        dim=dim,
        family=family,
        frequency=frequency,
        r2_class_means=_published(searches, cell, dim, family, frequency),
        r2_partial=None if r2 is None else float(r2),
        aicc_gain=None if r2 is None else float(result.aicc(family, r2[None], len(searches.labels.label))[0]),
        r2_heldout=r2_heldout,
        p_renaming=None if r2 is None or frequency is None else float(result.p_renaming(r2)),
    )


def _published(searches: Searches, cell: int, dim: int, family: str, frequency: int | None) -> float | None:
    """In-sample R² of the class means for one family; a parabola in the integer result has none."""
    if searches.states.class_means is None or searches.class_mean_r2 is None or family == "polynomial_total":
        return None
    if frequency is not None:
        return float(searches.class_mean_r2[cell, frequency - 1, dim])
    means = searches.states.class_means[cell][:, dim, None].double().cpu()
    return float(r2_in_sample(means, rival_columns(torch.arange(len(means)), len(means), family))[0])


def circle_rows(searches: SearchedPlanes) -> Iterator[CircleRow]:
    """Every item's mean held-out point on every cell's best plane, and its height beside the plane."""
    result, claim, labels = searches.planes, searches.claim, searches.labels
    for cell, (layer, site, position) in enumerate(searches.states.cells):
        frequency = result.frequencies[int(result.r2[cell].argmax())]
        centred = template_centred(searches.states.discovery[:, cell], labels.template)
        heights, *_ = third_directions(class_means(centred, labels.label, claim.period), frequency)
        place = (searches.weights, claim.domain.name, claim.quantity, site, position, layer, frequency)
        for label, item in enumerate(claim.domain.items):
            x, y = result.points[cell, label].tolist()
            yield CircleRow(*place, label, item, x, y, round(float(heights[label]), 3))


MOST_POINTS = 120
"""Prompts of a claim that are kept as points."""


def point_rows(
    claim: Claim, weights: Weights, states: States, labels: Labels, texts: Sequence[str], location: Location
) -> list[PointRow]:
    """Discovery prompts at one location, held out, as the class means of `circle_rows` are: as many of each label."""
    read, units = states.discovery[:, states.cells.index(location)], labels.groups("unit")
    assert units is not None, "a claim has at least two operand pairs or items"
    targets = circles(labels.label, claim.tested_frequencies, claim.period).to(read.device)
    r2, _, predicted = heldout_predictions(RidgeSmoother.of(read), targets, units)
    best = int(r2.argmax())
    frequency, plane = claim.tested_frequencies[best], predicted[:, 2 * best : 2 * best + 2].cpu()
    centred = template_centred(read, labels.template)
    _, directions, origins = third_directions(class_means(centred, labels.label, claim.period), frequency)
    heights = ((centred - origins[labels.label]) * directions[labels.label]).sum(dim=1)
    points = torch.cat([plane, heights[:, None]], dim=1).tolist()
    # The first prompt of every label, then the second, …, as many as are kept.
    turn = torch.nn.functional.one_hot(labels.label, claim.period).cumsum(dim=0).gather(1, labels.label[:, None])[:, 0]
    kept: list[int] = sorted(turn.sort(stable=True).indices[:MOST_POINTS].tolist())
    layer, site, position = location
    place = (weights, claim.domain.name, claim.quantity, site, position, layer, frequency)
    return [
        PointRow(*place, int(labels.label[row]), texts[row], *(round(value, 3) for value in points[row]))
        for row in kept
    ]


def scan_rows(searches: Searches) -> Iterator[ScanRow]:
    """Variance share at every scanned period of every cell."""
    if searches.scan is None:
        return
    for cell, (layer, site, position) in enumerate(searches.states.cells):
        for frequency, share in zip(
            searches.scan.frequencies.tolist(), searches.scan.share[cell].tolist(), strict=True
        ):
            yield ScanRow(searches.weights, searches.claim.domain.name, layer, site, position, 1 / frequency, share)
