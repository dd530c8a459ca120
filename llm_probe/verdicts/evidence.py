"""The evidence for one claim under one set of weights: search, choice, confirmation, and the rows of every table.

    discovery states     ->  planes.search, dimensions.search, scan    `Choice`: everything is chosen here
    their embedding      ->  embedding.search                          no part of the choice: where it comes from
    confirmation states  ->  planes.confirm                            tested once
    published grid       ->  class means                               the published statistic, for comparison

The choice is handed to `keep` before a confirmation prompt is looked at: the job writes it to disk. `Evidence` is what
is kept of a claim; `judgement` makes the verdict from two of them, of trained and of random weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.redrawn import Redraws
from llm_probe.activations.streaming import Location, States
from llm_probe.geometry.order import OrderTest
from llm_probe.geometry.redrawn import FIRST, PROMISING, REDRAWS, best_order, redraw_scores, redraw_test
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import TABLES, InvariantRow, R2Row
from llm_probe.run.vocabulary import ALPHA, Weights
from llm_probe.statistics import dimensions, hypotheses, invariants, planes
from llm_probe.statistics import scan as period_scan
from llm_probe.statistics.controls import label_control_rows
from llm_probe.statistics.directions import CirclePlane, circle_plane
from llm_probe.statistics.gains import Gains, gains_of
from llm_probe.statistics.planes import PENALTIES, ChosenPlane, Confirmation, PlaneSearch
from llm_probe.statistics.registry import ChosenStates, measure_all
from llm_probe.statistics.renaming import Renamed
from llm_probe.verdicts import embedding
from llm_probe.verdicts.embedding import EmbeddingPlane
from llm_probe.verdicts.geometry import Code, Geometry, both, geometry_of
from llm_probe.verdicts.levels import stopped_before_redraws
from llm_probe.verdicts.rows import Searches, circle_rows, dimension_rows, plane_rows, scan_rows
from toy.maths.regression import RidgeSmoother, class_mean_r2


@dataclass(frozen=True)
class ClassMeanMaximum:
    """The published statistic at its largest over cells, dimensions and frequencies."""

    r2: float
    dim: int
    layer: int
    frequency: int


@dataclass(frozen=True)
class Choice:
    """What is decided on discovery prompts alone."""

    cell: int
    """Index of the place: layer, site and position."""
    column: int
    """Index of the frequency."""
    penalty: float


@dataclass(frozen=True)
class Evidence:
    """Everything that one claim yields under one set of weights."""

    location: Location
    """Layer, site and position of the plane that was chosen."""
    chosen: ChosenPlane
    confirmation: Confirmation
    p_period: float | None
    """Of the period scan; None where both operands are not numbers, or the sums span too few periods."""
    closure: float | None
    """Items only: of the class means at the chosen place, discovery against confirmation prompts."""
    closure_low: float | None
    """Lower end of its 95 % bootstrap interval over templates; None where there are no templates to resample."""
    closure_high: float | None
    geometry: Geometry
    """The shape of the labels' code at the chosen place."""
    layers_beating_null: tuple[int, ...]
    """Layers with a plane whose p under the renaming null is at most ALPHA, or `p_redrawn` where that is the null."""
    explained_by: str | None
    """A simpler quantity that takes most of the plane's circle away (`hypotheses`), with both shares."""
    class_mean: ClassMeanMaximum | None
    """None without a published grid."""
    n_discovery: int
    n_confirmation: int
    rows: Mapping[str, Sequence[Any]]
    """Table name to this claim's rows. `p_fwer` of the R² table is left empty: it also asks about other claims."""
    embedding: EmbeddingPlane | None = None
    """Of items: the best plane of the token embedding, which takes no part in the choice."""
    gains: Gains | None = None
    """Of arithmetic claims: what every period of the family gains under this modulus."""
    plane: CirclePlane | None = None
    """The chosen plane as directions of the stream; None under random weights."""

    def content(self) -> dict[str, Any]:
        """As JSON."""
        rows = {name: [vars(row) for row in rows] for name, rows in self.rows.items()}
        packed = {"gains": self.gains and self.gains.content(), "plane": self.plane and self.plane.content()}
        return asdict(replace(self, gains=None, plane=None, rows={})) | {"rows": rows, **packed}

    @staticmethod
    def of_content(content: Mapping[str, Any]) -> Evidence:
        """The inverse of `content`."""
        layer, site, position = content["location"]
        maximum, gains, embedded, plane = (content[name] for name in ("class_mean", "gains", "embedding", "plane"))
        parts = {
            "location": (layer, site, position),
            "chosen": ChosenPlane(**content["chosen"]),
            "confirmation": Confirmation(**content["confirmation"]),
            "geometry": Geometry(**{**content["geometry"], "periods": tuple(content["geometry"]["periods"])}),
            "layers_beating_null": tuple(content["layers_beating_null"]),
            "class_mean": maximum and ClassMeanMaximum(**maximum),
            "rows": {name: [TABLES[name](**row) for row in rows] for name, rows in content["rows"].items()},
            "gains": gains and Gains.of_content(gains),
            "embedding": embedded and EmbeddingPlane(**embedded),
            "plane": plane and CirclePlane.of_content(plane),
        }
        return Evidence(**{**content, **parts})


def gather(
    claim: Claim,
    weights: Weights,
    states: States,
    labels: Labels,
    new_labels: Labels,
    renamed: Renamed,
    kinds: Sequence[int],
    seed: int,
    periods: tuple[int, ...] = (),
    keep: Callable[[Choice], Choice] = lambda choice: choice,
    redraws: Redraws | None = None,
) -> Evidence:
    """Choose on the discovery prompts, confirm once, and lay out the rows.

    `kinds`: which items can change places; `periods`: of the claim's family; `redraws`: of items with too few orders.
    """
    frequencies = claim.tested_frequencies
    states, embedded = embedding.apart(states)
    embedding_plane, embedding_rows = embedding.search(claim, weights, embedded, labels, renamed)
    smoothers = [RidgeSmoother.of(states.discovery[:, cell]) for cell in range(len(states.cells))]
    adjusted = dimensions.adjusted_states(states.discovery, labels)
    searches = Searches(
        claim,
        weights,
        states,
        labels,
        planes.search(smoothers, labels, renamed, frequencies),
        dimensions.search(adjusted, labels, renamed, frequencies),
        period_scan.scan(adjusted, labels, frequencies) if claim.adds_numbers else None,
        None if states.class_means is None else torch.stack([class_mean_r2(means) for means in states.class_means]),
    )
    cell, column = choose(searches.planes, Code.of(claim, states.discovery, labels, kinds, seed).order())
    choice = keep(Choice(cell, column, PENALTIES[int(searches.planes.penalty[cell, column])]))
    cell, chosen = choice.cell, searches.planes.at(choice.cell, choice.column)
    old, new = states.discovery[:, cell], states.confirmation[:, cell]
    confirmation, points, _ = planes.confirm(old, new, labels, new_labels, chosen.frequency, choice.penalty, seed)
    everything, every_label = torch.cat([states.discovery, states.confirmation]), both(labels, new_labels)
    code = Code.of(claim, everything, every_label, kinds, seed)
    geometry = geometry_of(claim, everything, every_label, code, cell, chosen.frequency)
    at_plane = ChosenStates(chosen.frequency, labels, new_labels, old, new, points, seed)
    closure = _finite(invariants.closure(*at_plane.halves)) if claim.quantity == "item" else None
    ends = None if closure is None else at_plane.closure_interval
    beating = torch.nonzero((searches.planes.p_renaming <= ALPHA).any(dim=1))[:, 0].tolist()
    if redraws is not None:
        # So few orders are beaten nowhere.
        geometry, beating = _against_words(geometry, closure, code, cell, redraws)
    controls, plane = [], None
    if weights == "trained":
        name = claim.domain.name
        controls = label_control_rows(smoothers, states.cells, labels, name, frequencies, seed)
        held = searches.planes.p_renaming[cell] <= ALPHA
        beside = tuple(itertools.compress(frequencies, held.tolist()))
        fitted = (old, labels, smoothers[cell], choice.penalty, chosen.frequency, beside)
        plane = circle_plane(*fitted, name, states.cells[cell])
    return Evidence(
        location=states.cells[cell],
        chosen=chosen,
        confirmation=confirmation,
        p_period=searches.scan.p_period if searches.scan else None,
        geometry=geometry,
        closure=closure,
        closure_low=ends and ends[0],
        closure_high=ends and ends[1],
        layers_beating_null=tuple(sorted({states.cells[index][0] for index in beating})),
        # Of a handful of items three columns explain half whatever they are; closure and the parabola ask about order.
        explained_by=None if claim.quantity == "item" else explained_by(points, new_labels, chosen.frequency),
        class_mean=_class_mean_maximum(searches),
        n_discovery=len(labels.label),
        n_confirmation=len(new_labels.label),
        rows={
            "r2_table": [*embedding_rows["r2_table"], *plane_rows(searches), *dimension_rows(searches)],
            "circles": [*embedding_rows["circles"], *circle_rows(searches)],
            "scan": list(scan_rows(searches)),
            "controls": controls,
            "invariants": [
                InvariantRow(
                    weights,
                    claim.domain.name,
                    claim.period,
                    claim.quantity,
                    *states.cells[cell],
                    chosen.frequency,
                    measure_all(at_plane),
                )
            ],
        },
        embedding=embedding_plane,
        gains=gains_of(smoothers, adjusted, labels, periods) if periods else None,
        plane=plane,
    )


def _against_words(
    geometry: Geometry, closure: float | None, code: Code, cell: int, redraws: Redraws
) -> tuple[Geometry, list[int]]:
    """The geometry of items whose null is random words, and the cells that beat them.

    Words are read only where all else that a circle needs is there: that can only make the test stricter.
    """
    geometry = replace(geometry, null="words")
    if stopped_before_redraws(geometry, closure) or not best_order(code.grams[cell], code.kinds):
        return geometry, []
    states = iter(redraws.states(REDRAWS))
    scores = redraw_scores(itertools.islice(states, 1 + FIRST), redraws.labels)
    test = redraw_test(scores)
    if float(test.p_share[cell]) <= PROMISING:
        # The states come as they are asked for: the second stage goes on where the first stopped.
        test = redraw_test(torch.cat([scores, redraw_scores(states, redraws.labels)]))
    geometry = replace(geometry, p_redrawn=float(test.p_share[cell]), p_redrawn_axes=float(test.p_axes[cell]))
    return geometry, torch.nonzero(test.p_share <= ALPHA)[:, 0].tolist()


def choose(search: PlaneSearch, order: OrderTest) -> tuple[int, int]:
    """(cell, frequency column) to confirm: the best read plane of those whose order is shown, else the clearest order.

    Of sums only places compete whose plane beats its null, if there are any; the most clearly read of them where no
    frequency that was read can show a circle. Nor does a place stand for the claim that is read less than half as well
    as another: an order that shows only where the answer is hardly read would not be found on new prompts.
    """
    clear, shown = torch.full_like(search.standard, -torch.inf), torch.zeros_like(search.standard, dtype=torch.bool)
    for column, frequency in enumerate(search.frequencies):
        if frequency in order.frequencies:
            at = order.frequencies.index(frequency)
            clear[:, column], shown[:, column] = order.beyond[:, at], order.p_order[:, at] <= ALPHA
    able = search.able.expand_as(clear)
    passed = search.p_renaming <= ALPHA
    if len(search.frequencies) == 1 or not bool(passed.any()):
        passed = torch.ones_like(passed)
    best = float(search.r2[able & passed].max()) if bool((able & passed).any()) else 0.0
    if best > 0:
        passed &= search.r2 >= best / 2
    choices = ((shown & able & passed, search.r2), (able & passed, clear), (passed, search.standard))
    among, score = next((mask, values) for mask, values in choices if bool(mask.any()))
    index = int(score.masked_fill(~among, -torch.inf).argmax())
    return index // score.shape[1], index % score.shape[1]


def explained_by(points: Float[Tensor, "m 2"], labels: Labels, frequency: int) -> str | None:
    """The named quantity that explains the plane's predictions away, and what is left of the circle; None if none."""
    shares = hypotheses.explained(points, labels, frequency, dimensions.fixed_nuisances(labels))
    explanation = hypotheses.explanation(shares)
    if explanation is None:
        return None
    name, share = explanation
    said = f"{share.hypothesis:.2f} of the plane, the circle {share.circle_beyond:.2f} beyond it"
    return f"{name.replace('_', ' ')} ({said})"


def _class_mean_maximum(searches: Searches) -> ClassMeanMaximum | None:
    table = searches.class_mean_r2
    if table is None:
        return None
    rest, dim = divmod(int(table.argmax()), table.shape[2])  # torch.unravel_index imports sympy first
    cell, frequency = divmod(rest, table.shape[1])
    return ClassMeanMaximum(float(table.max()), dim, searches.states.cells[cell][0], frequency + 1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def with_selectivity(rows: Sequence[R2Row], p_selective: float | None) -> list[R2Row]:
    """The rows of an R² table with `p_fwer` filled in: both nulls must fall, so the larger p counts."""
    least = p_selective or 0.0
    return [row if row.p_renaming is None else replace(row, p_fwer=max(row.p_renaming, least)) for row in rows]
