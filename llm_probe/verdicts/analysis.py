"""One claim under one set of weights: from residual states to rows and to the plane that is judged.

    discovery states     ->  planes.search, dimensions.search, scan    `Choice`: everything is chosen here
    confirmation states  ->  planes.confirm                            tested once
    published grid       ->  class means                               the published statistic, for comparison

The choice is handed to `keep` before a confirmation prompt is looked at: the job writes it to disk. `Findings` is what
is written for the claim; the verdict is made from two of them, trained and random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from llm_probe.activations.states import States
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import ALPHA, CircleRow, ControlRow, InvariantRow, Position, R2Row, ScanRow, Site, Weights
from llm_probe.statistics import dimensions, planes
from llm_probe.statistics import scan as period_scan
from llm_probe.statistics.closure import class_means, closure
from llm_probe.statistics.gain_tables import Gains, gains_of
from llm_probe.statistics.nulls import Renamed
from llm_probe.statistics.planes import PENALTIES, Confirmation, PlaneSearch
from llm_probe.statistics.scan import Scan
from llm_probe.statistics.selectivity import label_control_rows
from llm_probe.verdicts.judged import explained_by, invariant_row
from llm_probe.verdicts.rows import Evidence, circle_rows, dimension_rows, plane_rows, scan_rows
from toy.maths.regression import RidgeSmoother, class_mean_r2


@dataclass(frozen=True)
class Published:
    """The published statistic at its largest over cells, dimensions and frequencies."""

    r2: float
    dim: int
    layer: int
    frequency: int


@dataclass(frozen=True)
class Best:
    """The plane that is judged, and what was found beside it."""

    layer: int
    site: Site
    position: Position
    frequency: int
    r2: float
    """Confirmation prompts."""
    r2_low: float
    r2_high: float
    discovery_r2: float
    null_r2: float
    angle_error: float
    p_fwer: float
    p_period: float | None
    parabola_r2: float
    """The rival with the order but no closure: a parabola in the label, same cell, discovery prompts."""
    closure: float | None
    """Items only; discovery against confirmation prompts of the same cell (`closure`)."""
    layers_held: tuple[int, ...]
    explained_by: str | None
    """A simpler quantity that takes most of the plane's circle away (`hypotheses`)."""
    published: Published | None
    n_discovery: int
    n_confirmation: int


@dataclass(frozen=True)
class Choice:
    """What is decided on discovery prompts alone."""

    cell: int
    column: int
    """Index of the frequency."""
    penalty: float


@dataclass(frozen=True)
class Findings:
    """Everything one claim yields under one set of weights."""

    best: Best
    rows: tuple[R2Row, ...]
    circles: tuple[CircleRow, ...]
    scan: tuple[ScanRow, ...]
    controls: tuple[ControlRow, ...] = ()
    invariants: tuple[InvariantRow, ...] = ()
    gains: Gains | None = None
    """Of arithmetic claims: what every period of the family gains under this modulus."""


def analyse(
    claim: Claim,
    weights: Weights,
    states: States,
    labels: Labels,
    new_labels: Labels,
    renamed: Renamed,
    seed: int,
    periods: tuple[int, ...] = (),
    keep: Callable[[Choice], Choice] = lambda choice: choice,
) -> Findings:
    """Choose on the discovery prompts, confirm once, and lay out the rows; `periods`: of the claim's family."""
    frequencies = claim.tested_frequencies
    smoothers = [RidgeSmoother.of(states.discovery[:, cell]) for cell in range(len(states.cells))]
    adjusted = dimensions.adjusted_states(states.discovery, labels)
    evidence = Evidence(
        claim,
        weights,
        states,
        labels,
        planes.search(smoothers, labels, renamed, frequencies),
        dimensions.search(adjusted, labels, renamed, frequencies),
        period_scan.scan(adjusted, labels, frequencies) if claim.adds_numbers else None,
        None if states.class_means is None else torch.stack([class_mean_r2(means) for means in states.class_means]),
    )
    cell, column = choose(evidence.planes, evidence.scan)
    choice = keep(Choice(cell, column, PENALTIES[int(evidence.planes.penalty[cell, column])]))
    cell, frequency = choice.cell, frequencies[choice.column]
    confirmed = planes.confirm(
        states.discovery[:, cell],
        states.confirmation[:, cell],
        labels,
        new_labels,
        frequency,
        choice.penalty,
        seed,
    )
    name = claim.domain.name
    trained = weights == "trained"
    return Findings(
        _best(evidence, choice, confirmed, new_labels),
        (*plane_rows(evidence), *dimension_rows(evidence)),
        tuple(circle_rows(evidence)),
        tuple(scan_rows(evidence)),
        tuple(label_control_rows(smoothers, states.cells, labels, name, frequencies, seed)) if trained else (),
        (invariant_row(claim, weights, states, labels, new_labels, cell, frequency, confirmed),),
        gains_of(smoothers, adjusted, labels, periods) if periods else None,
    )


def choose(found: PlaneSearch, scanned: Scan | None) -> tuple[int, int]:
    """(cell, frequency column) to confirm: the best R², or the most prominent line where periods can be compared.

    Only places that beat the null compete, if there are any.
    """
    score = found.r2
    if scanned is not None and bool(scanned.prominence.isfinite().any()):
        score = scanned.prominence
    passed = (found.p_fwer <= ALPHA) & score.isfinite()
    if bool(passed.any()):
        score = score.masked_fill(~passed, -torch.inf)
    index = int(score.argmax())
    return index // score.shape[1], index % score.shape[1]


def _best(evidence: Evidence, choice: Choice, confirmed: Confirmation, new_labels: Labels) -> Best:
    cell, column = choice.cell, choice.column
    found, cells = evidence.planes, evidence.states.cells
    held = {cells[index][0] for index in torch.nonzero((found.p_fwer <= ALPHA).any(dim=1))[:, 0].tolist()}
    layer, site, position = cells[cell]
    return Best(
        layer=layer,
        site=site,
        position=position,
        frequency=found.frequencies[column],
        r2=confirmed.r2,
        r2_low=confirmed.low,
        r2_high=confirmed.high,
        discovery_r2=float(found.r2[cell, column]),
        null_r2=found.null_r2,
        angle_error=confirmed.angle_error,
        p_fwer=float(found.p_fwer[cell, column]),
        p_period=evidence.scan.p_period if evidence.scan else None,
        parabola_r2=float(found.rivals["quadratic"][cell]),
        closure=_closure(evidence, new_labels, cell),
        layers_held=tuple(sorted(held)),
        explained_by=_explained(evidence, confirmed, new_labels, found.frequencies[column]),
        published=_published(evidence),
        n_discovery=len(evidence.labels.label),
        n_confirmation=len(new_labels.label),
    )


def _explained(evidence: Evidence, confirmed: Confirmation, new_labels: Labels, frequency: int) -> str | None:
    # Of a handful of items three columns explain half whatever they are; `closure` and the parabola ask about order.
    return None if evidence.claim.quantity == "item" else explained_by(confirmed, new_labels, frequency)


def _closure(evidence: Evidence, new_labels: Labels, cell: int) -> float | None:
    if evidence.claim.quantity == "sum":
        return None
    halves = (
        class_means(states[:, cell], labels.label, labels.period)
        for states, labels in (
            (evidence.states.discovery, evidence.labels),
            (evidence.states.confirmation, new_labels),
        )
    )
    value = closure(*halves)
    return None if math.isnan(value) else value


def _published(evidence: Evidence) -> Published | None:
    if evidence.class_mean_r2 is None:
        return None
    cell, frequency, dim = torch.unravel_index(evidence.class_mean_r2.argmax(), evidence.class_mean_r2.shape)
    return Published(
        float(evidence.class_mean_r2.max()), int(dim), evidence.states.cells[int(cell)][0], int(frequency) + 1
    )
