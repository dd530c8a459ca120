"""The ladder: the best of every kind of unit, chosen on discovery prompts, measured on others, side by side.

    latent          one latent                           latents        all kept latents together
    dimension       one dimension of the stream          group          one group's part of the states (`latents`)
    pca_direction   one principal component              pca_plane      as many principal components as that group spans
                                                         plane          all dimensions: the plane of the main probe

Published comparisons pit single latents against single neurons by how well a cosine explains *them*. That is `purity`,
the share of the unit's variance that the label's circle explains. It says nothing of how much of the circle the unit
holds: `r2`, the circle [cos, sin] predicted by a ridge from the unit, which no single coordinate can have above about
a half. Both are held out: fit on discovery, measured once on confirmation prompts; for items by fits that never saw
the item.

    R² = 1 - Σ |y - ŷ|² / Σ |y - ȳ|²        beyond_plane = R²(unit) - R²(plane)

with intervals of a bootstrap over operand pairs or items, the same resamples for both terms of a difference.

**Verdict.** Do features carry a circle better than planes, and better than in a random network? One answer for each
claim and layer, from the ladders of all its SAEs, with D = R²(best group) - R²(best plane):

    features beat planes   every trained SAE: the group beats its renaming null (p <= 0.01), the interval of D is above
                           0, and its R² lies above that of every random-weights group
    no better              every trained SAE: the interval of D is below `MARGIN`, and the plane or a group beats its
                           null, so that there is a circle to carry
    undetermined           anything else, with the reason

The margin is the smallest difference of R² that matters; it was set before any SAE was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.run.vocabulary import ALPHA, Quantity, Site
from llm_probe.statistics import dimensions, planes
from llm_probe.statistics.dimensions import DimensionSearch
from llm_probe.statistics.planes import PENALTIES
from llm_probe.statistics.renaming import Renamed, corrected_p
from sae.circles.latents import Encoded
from sae.circles.subspaces import SubspaceSearch
from sae.circles.table import FeatureAnswer, FeatureVerdict, LadderRow
from toy.maths import fourier
from toy.maths.intervals import clustered_sums, percentiles

Rung = Literal["latent", "dimension", "pca_direction", "group", "pca_plane", "plane", "latents"]
RUNGS: tuple[Rung, ...] = ("latent", "dimension", "pca_direction", "group", "pca_plane", "plane", "latents")
MARGIN = 0.01


@dataclass(frozen=True)
class Choice:
    """What is decided about one unit on discovery prompts."""

    frequency: int
    statistic: float
    """Single columns: partial R², labels to unit. Otherwise held-out R², unit to circle."""
    p_renaming: float | None
    """Corrected over all units of its kind, frequencies and penalties; None where nothing was renamed."""
    penalty: float
    index: int | None = None
    """Place of the column, or of the group, among those that were searched."""


@dataclass(frozen=True)
class Measured:
    """One unit on the confirmation prompts."""

    r2: float
    low: float
    high: float
    points: Float[Tensor, "m 2"]
    """Predicted [cos, sin]."""
    errors: Float[Tensor, "m 2"]
    """Squared distance of each prompt to its prediction, and to the mean."""


def column_search(
    columns: Float[Tensor, "n d"], labels: Labels, renamed: Renamed, frequencies: tuple[int, ...]
) -> DimensionSearch:
    """Single columns by the main probe's regressions."""
    adjusted = dimensions.adjusted_states(columns[:, None].float(), labels)
    search = dimensions.search(adjusted, labels, renamed, frequencies)
    # A latent that no prompt of this claim activates has nothing to explain: zero over zero.
    return replace(search, r2=search.r2.nan_to_num(0.0))


def best_column(
    columns: Float[Tensor, "n d"], labels: Labels, renamed: Renamed, frequencies: tuple[int, ...]
) -> Choice:
    """The best of columns that are compared with and not tested: no renaming, no p."""
    search = column_search(columns, labels, Renamed(renamed.total[:1], renamed.carry[:1]), frequencies)
    choice = column_choice(search, int(search.r2.amax(dim=(0, 1)).argmax()), frequencies)
    return replace(choice, p_renaming=None)


def column_choice(search: DimensionSearch, column: int, frequencies: tuple[int, ...]) -> Choice:
    """One column's best frequency."""
    r2 = search.r2[:, 0, column]
    at = int(r2.argmax())
    return Choice(frequencies[at], float(r2[at]), float(search.p_renaming(r2[at])), PENALTIES[0], column)


def plane_choice(
    search: SubspaceSearch, at: int, null: Float[Tensor, " renamings"], frequencies: tuple[int, ...], index: int | None
) -> Choice:
    """One subspace's best frequency, its p against the largest R² of every renaming."""
    k = int(search.r2[at].argmax())
    r2, penalty = search.r2[at, k], PENALTIES[int(search.penalty[at, k])]
    return Choice(frequencies[k], float(r2), float(corrected_p(r2, null)), penalty, index)


def principal(states: Float[Tensor, "n d"], new_states: Float[Tensor, "m d"]) -> tuple[Tensor, Tensor]:
    """Principal components of the discovery states, largest first, and the confirmation states' places on them."""
    mean = states.double().mean(dim=0)
    axes = torch.linalg.svd(states.double() - mean, full_matrices=False).Vh.T
    return (states.double() - mean) @ axes, (new_states.double() - mean) @ axes


def measure(unit: Tensor, new_unit: Tensor, choice: Choice, at: Encoded, seed: int) -> Measured:
    """Read the circle from a unit (n, m) on the confirmation prompts (m', m)."""
    labels, new_labels = at.labels, at.new_labels
    chosen = (choice.frequency, choice.penalty, seed)
    confirmed, points, errors = planes.confirm(unit, new_unit, labels, new_labels, *chosen)
    return Measured(confirmed.r2, confirmed.low, confirmed.high, points, errors)


def purity(unit: Float[Tensor, "n 1"], new_unit: Float[Tensor, "m 1"], choice: Choice, at: Encoded) -> float:
    """Share of one column's variance that [1, cos, sin] of the label explains on the confirmation prompts."""
    labels, new_labels = at.labels, at.new_labels
    design, new_design = (
        torch.nn.functional.pad(fourier.design(some.label, choice.frequency, some.period), (1, 0), value=1.0)
        for some in (labels, new_labels)
    )
    left = torch.zeros(len(new_unit), dtype=torch.float64)
    base = left.clone()
    # -1 is no label: every prompt is fitted, and every prompt predicted.
    for item in new_labels.label.unique().tolist() if labels.quantity == "item" else [-1]:
        fit, rows = labels.label != item, (new_labels.label == item) | (item < 0)
        seen = unit[fit].double()
        weights = torch.linalg.pinv(design[fit]) @ seen
        left[rows] = (new_unit[rows].double() - new_design[rows] @ weights).square()[:, 0]
        base[rows] = (new_unit[rows].double() - seen.mean()).square()[:, 0]
    return float(1 - left.sum() / base.sum()) if float(base.sum()) > 0 else 0.0


def difference(one: Measured, other: Measured, unit: Int[Tensor, " m"], seed: int) -> tuple[float, float, float]:
    """R²(one) - R²(other) with its 95 % interval; `unit` says which prompts are resampled together."""
    total = clustered_sums(torch.cat([one.errors, other.errors], dim=1), unit, seed)
    gain = total[:, 2] / total[:, 3].clamp_min(1e-300) - total[:, 0] / total[:, 1].clamp_min(1e-300)
    return one.r2 - other.r2, *percentiles(gain)


def verdicts(ladder: Sequence[LadderRow]) -> Iterator[FeatureVerdict]:
    """The verdict of every claim and layer of a ladder that has a group and a plane, in the ladder's order."""
    by_place: dict[tuple[str, Quantity, int, Site], list[LadderRow]] = {}
    for row in ladder:
        by_place.setdefault((row.domain, row.quantity, row.layer, row.site), []).append(row)
    for place, rows in by_place.items():
        group, plane, random = (
            [row for row in rows if (row.weights, row.rung) == kind]
            for kind in (("trained", "group"), ("trained", "plane"), ("random", "group"))
        )
        if not group or not plane:
            continue
        low, high = min(row.beyond_plane_low for row in group), max(row.beyond_plane_high for row in group)
        passed = [row.p_renaming is not None and row.p_renaming <= ALPHA for row in (*group, *plane)]
        carried = all(passed[: len(group)])
        # An interval as narrow as the group's R² is small can lie above a random one: that alone is nothing.
        beyond = min(row.r2_low for row in group) > max(row.r2_high for row in random) if random else None
        better = beyond and carried
        answer, reason = _answer(carried=carried, any_circle=any(passed), low=low, high=high, better=better)
        yield FeatureVerdict(
            *place, verdict=answer, better_than_random=better, group_r2=fmean(row.r2 for row in group),
            plane_r2=fmean(row.r2 for row in plane), beyond_plane_low=low, beyond_plane_high=high,
            random_group_r2=fmean(row.r2 for row in random) if random else None, n_saes=len(group), reason=reason,
        )  # fmt: skip


def _answer(
    *, carried: bool, any_circle: bool, low: float, high: float, better: bool | None
) -> tuple[FeatureAnswer, str]:
    between = f"difference to the plane {low:.2f} to {high:.2f}"
    if not any_circle:
        return "undetermined", "neither a plane nor a group beats renamed labels: there is no circle to carry here"
    if high < MARGIN:
        return "no better", between
    if low <= 0:
        return "undetermined", between
    if not carried:
        return "undetermined", "the groups do not all beat renamed labels"
    if better is None:
        return "undetermined", f"{between}, but no random-weights SAE was given to compare with"
    return ("features beat planes", between) if better else ("undetermined", "random-weights groups reach as far")
