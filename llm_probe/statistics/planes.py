"""The best plane of a residual stream, whatever its direction: held-out R² of activations to circle.

A ridge predicts [cos, sin](2πks/n) from all d dimensions at once, so the statistic does not depend on the basis
of the residual stream and no dimension is chosen. For every cell (layer x site x position), frequency and penalty
it is scored on prompts whose operand pair (or item) was left out. Standardised by its own renamings, so that what is
easy to read in any network does not hide the rest, the largest is compared with the largest of every renaming.

One smoother stands for a cell's N x d activations; R² and p are (cells, frequencies).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.renaming import Renamed, corrected_p
from llm_probe.statistics.scan import is_decimal, resolution_of
from toy.maths import fourier
from toy.maths.intervals import clustered_sums, percentiles, ratio_interval
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals, plane_energy, plane_r2, rival_columns

RENAMINGS_AT_ONCE = 64
PROMPTS_A_UNIT = 2
"""From so many prompts an operand pair on, residuals of one-hot pairs are fewer than those of many renamings."""
PENALTIES = (0.01, 1.0, 100.0)
"""Ridge penalties as multiples of the median squared singular value; the search is corrected over them."""


@dataclass(frozen=True)
class PlaneSearch:
    """Every cell and frequency of one claim on the discovery prompts."""

    frequencies: tuple[int, ...]
    r2: Float[Tensor, "cells k"]
    """Held out by operand pair or item, at the best penalty."""
    penalty: Int[Tensor, "cells k"]
    """Index into PENALTIES."""
    p_renaming: Float[Tensor, "cells k"]
    """Of the standardised R²: at frequencies that can show a circle corrected over those, at the others over all."""
    standard: Float[Tensor, "cells k"]
    """R² minus its mean over the renamings, in their standard deviations."""
    null_r2: float
    """95th percentile of the largest R² under the renaming null."""
    angle_error: Float[Tensor, "cells k"]
    """Median held-out |angle error|, radians."""
    r2_templates: Float[Tensor, "cells k"] | None
    r2_residues: Float[Tensor, "cells k"] | None
    rivals: dict[str, Float[Tensor, " cells"]]
    """Family to its held-out R² at its own best penalty."""
    points: Float[Tensor, "cells n 2"]
    """Means of the held-out predictions of each label, at each cell's best frequency."""
    able: Bool[Tensor, " k"]
    """Which frequencies can show a circle of the period (`shows_circle`)."""
    decimal: Bool[Tensor, " k"]
    """Which cannot, only because they cannot be told from the decimal digits."""

    def at(self, cell: int, column: int) -> ChosenPlane:
        """What the search says of the plane of one cell and frequency column."""
        return ChosenPlane(
            frequency=self.frequencies[column],
            discovery_r2=float(self.r2[cell, column]),
            null_r2=self.null_r2,
            p_renaming=float(self.p_renaming[cell, column]),
            parabola_r2=float(self.rivals["quadratic"][cell]),
            p_decimal=float(self.p_renaming[cell, self.decimal].min()) if bool(self.decimal.any()) else None,
        )


@dataclass(frozen=True)
class ChosenPlane:
    """The plane that is to be confirmed, as the search on the discovery prompts left it."""

    frequency: int
    """k, turns of the circle over one period."""
    discovery_r2: float
    """R² held out by operand pair or item."""
    null_r2: float
    """95th percentile of the largest R² of the whole search under the renaming null."""
    p_renaming: float
    """p of `discovery_r2` under the renaming null, corrected over everything that was searched."""
    parabola_r2: float
    """R² of the rival that has the order but no closure: a parabola in the label, read from the same cell."""
    p_decimal: float | None = None
    """The smallest p, as of `p_renaming`, at the same cell among frequencies that cannot be told from the decimal
    digits; None where every frequency can."""


def circles(labels: Int[Tensor, " n"], frequencies: Sequence[int], period: int | float) -> Float[Tensor, "n m"]:
    """Targets [cos, sin] of every frequency side by side: m = 2 |frequencies|."""
    return torch.cat([fourier.circle(labels, k, period) for k in frequencies], dim=1)


def heldout_scores(
    smoother: RidgeSmoother, targets: Float[Tensor, "n m"], groups: Groups
) -> Float[Tensor, "penalties k"]:
    """Held-out R² of every plane (a pair of columns) at each of PENALTIES."""
    baseline = baseline_residuals(targets, groups)
    return torch.stack([plane_r2(errors, baseline) for errors in smoother.heldout_path(targets, groups, PENALTIES)])


def heldout_predictions(
    smoother: RidgeSmoother, targets: Float[Tensor, "n m"], groups: Groups
) -> tuple[Float[Tensor, " k"], Int[Tensor, " k"], Float[Tensor, "n m"]]:
    """(R², index into PENALTIES, held-out points) of every plane at its best penalty."""
    residuals = torch.stack(list(smoother.heldout_path(targets, groups, PENALTIES)))
    scores = torch.stack([plane_r2(left, baseline_residuals(targets, groups)) for left in residuals])
    r2, penalty = scores.max(dim=0)
    return r2, penalty, targets - residuals.gather(0, penalty.repeat_interleave(2).expand(1, *targets.shape))[0]


def search(
    smoothers: Sequence[RidgeSmoother], labels: Labels, renamed: Renamed, frequencies: tuple[int, ...]
) -> PlaneSearch:
    """Score every cell (one smoother each), frequency and penalty, and the renaming null of their maximum."""
    device = smoothers[0].left.device
    targets = circles(labels.label, frequencies, labels.period).to(device)
    units = labels.groups("unit")
    assert units is not None, "a claim has at least two operand pairs or items"
    folds = {by: labels.groups(by) for by in ("template", "residue")}
    rivals = {family: columns.to(device) for family, columns in rival_targets(labels).items()}
    of_cell = [_cell(smoother, labels, targets, units, folds, rivals) for smoother in smoothers]
    stacked = {key: torch.stack([entry[key] for entry in of_cell]).cpu() for key in of_cell[0]}
    able = shows_circle(frequencies, labels)

    standard, p = stacked["r2"], torch.ones_like(stacked["r2"])
    null, null_of = standard[:, None][:, :0], null_r2(smoothers, labels, units, frequencies)
    for some, promising in renamed.stages():
        null = torch.cat([null, null_of(some)], dim=1)
        standard, p = _standardised(stacked["r2"], null, able)
        if float(p.min()) > promising:
            break
    return PlaneSearch(
        frequencies,
        stacked["r2"],
        stacked["penalty"],
        p,
        standard,
        float(null.amax(dim=(0, 2)).quantile(0.95)),
        stacked["angle_error"],
        stacked.get("template"),
        stacked.get("residue"),
        {family: stacked[family] for family in rivals},
        stacked["points"],
        able,
        are_apart(frequencies, labels.period) & ~able,
    )


def are_apart(frequencies: Sequence[int], period: int) -> Bool[Tensor, " k"]:
    """Which frequencies put every label on a point of its own: those that share no factor with the period."""
    return torch.tensor([math.gcd(k, period) == 1 for k in frequencies])


def shows_circle(frequencies: Sequence[int], labels: Labels) -> Bool[Tensor, " k"]:
    """Which frequencies can show a circle of the period.

    One that shares a factor with the period puts several labels on one point: a partition, such as even and odd. One at
    a multiple of 1/10 is a period of the decimal digits; where numbers are written in digits, so is all that their sums
    cannot tell from it (k = 2 of nineteen, period 9.5). Where no other is left (periods 5 and 10) those stay.
    """
    apart = are_apart(frequencies, labels.period)
    turns = torch.tensor(frequencies, dtype=torch.float64) / labels.period
    other = apart & ~is_decimal(turns, resolution_of(labels) if labels.has_digits else 0.0)
    return other if bool(other.any()) else apart


def _standardised(
    r2: Float[Tensor, "cells k"], null: Float[Tensor, "cells renamings k"], able: Bool[Tensor, " k"]
) -> tuple[Float[Tensor, "cells k"], Float[Tensor, "cells k"]]:
    """(standardised R², its p): each place and frequency in units of its own renamings before the largest is taken.

    At even periods the parity is read in any network that sees digits; as one scale for all, it would hide the rest.
    """
    # The true labels are one of the renamings, so that all are equal before the null.
    every = torch.cat([r2[:, None], null], dim=1)
    spread = every.std(dim=1, keepdim=True, correction=0)
    every = (every - every.mean(dim=1, keepdim=True)) / torch.where(spread > 1e-9, spread, 1.0)
    standard, renamed = every[:, :1], every[:, 1:]
    among = able if bool(able.any()) else torch.ones_like(able)
    p = torch.where(
        able,
        corrected_p(standard[:, 0], renamed[:, :, among].amax(dim=(0, 2))),
        corrected_p(standard[:, 0], renamed.amax(dim=(0, 2))),
    )
    return standard[:, 0], p


def _cell(
    smoother: RidgeSmoother,
    labels: Labels,
    targets: Float[Tensor, "n m"],
    units: Groups,
    folds: dict[str, Groups | None],
    rivals: dict[str, Float[Tensor, "n 2"]],
) -> dict[str, Tensor]:
    """Held-out R² of one cell in every way of leaving out, each frequency at its best penalty by unit."""
    r2, penalty, predicted = heldout_predictions(smoother, targets, units)
    planes = list(zip(predicted.split(2, dim=1), targets.split(2, dim=1), strict=True))
    angle_error = torch.stack([fourier.angle_between(*plane).median() for plane in planes])
    sums = torch.zeros(labels.period, 2, dtype=torch.float64)
    sums.index_add_(0, labels.label, planes[int(r2.argmax())][0].cpu())
    points = sums / labels.label.bincount(minlength=labels.period)[:, None]
    result = {"r2": r2, "penalty": penalty, "angle_error": angle_error, "points": points}
    for by, groups in folds.items():
        if groups is not None:
            result[by] = heldout_scores(smoother, targets, groups).gather(0, penalty[None])[0]
    for family, columns in rivals.items():
        result[family] = heldout_scores(smoother, columns, units).max()
    return result


def renamed_circles(
    renamed: Int[Tensor, "renamings n"], frequencies: Sequence[int], period: int
) -> Float[Tensor, "n m"]:
    """Targets of every renaming and frequency side by side, float32 (they only rank maxima): renaming-major."""
    angle = renamed.float()[:, None, :] * (2 * torch.pi / period) * torch.tensor(frequencies).float()[None, :, None]
    return torch.stack([angle.cos(), angle.sin()], dim=2).flatten(0, 2).T.contiguous()


def asked_often(labels: Labels) -> bool:
    """Whether each operand pair, or item, is in several prompts, `PROMPTS_A_UNIT` on average."""
    return PROMPTS_A_UNIT * len(labels.unit.unique()) <= len(labels.unit)


def null_r2(
    smoothers: Sequence[RidgeSmoother], labels: Labels, units: Groups, frequencies: Sequence[int]
) -> Callable[[Renamed], Float[Tensor, "cells renamings k"]]:
    """What gives R² of each renaming and frequency at its best penalty.

    A renaming gives all prompts of one operand pair (or item) one label. Held-out residuals are linear in the targets:
    where pairs are asked often, their Gram matrix for one-hot pairs holds every renaming.
    """
    if asked_often(labels):
        return _null_of_units(smoothers, labels, units, frequencies)
    return _null_of_prompts(smoothers, labels, units, frequencies)


def _null_of_units(
    smoothers: Sequence[RidgeSmoother],
    labels: Labels,
    units: Groups,
    frequencies: Sequence[int],
) -> Callable[[Renamed], Float[Tensor, "cells renamings k"]]:
    _, which = labels.unit.unique(return_inverse=True)
    one_hot = torch.nn.functional.one_hot(which).double().to(smoothers[0].left.device)
    base = _gram(baseline_residuals(one_hot, units))
    paths = [smoother.heldout_path(one_hot, units, PENALTIES) for smoother in smoothers]
    grams = torch.stack([torch.stack([_gram(left) for left in path]) for path in paths])
    prompt = torch.empty(one_hot.shape[1], dtype=torch.long).scatter_(0, which, torch.arange(len(which)))

    def r2(renamed: Renamed) -> Float[Tensor, "cells renamings k"]:
        chunks = []
        for some in (renamed.total[:, prompt] % labels.period).split(RENAMINGS_AT_ONCE):
            targets = renamed_circles(some, frequencies, labels.period).to(grams)
            left = _energy(grams, targets).amin(dim=1)
            chunks.append((1 - left / _energy(base, targets)).view(len(smoothers), len(some), -1).cpu())
        return torch.cat(chunks, dim=1)

    return r2


def _gram(columns: Float[Tensor, "n u"]) -> Float[Tensor, "u u"]:
    return columns.T @ columns


def _energy(grams: Float[Tensor, "*b u u"], targets: Float[Tensor, "u m"]) -> Float[Tensor, "*b half"]:
    """Sum of squares of each pair of neighbouring columns of residuals, from the Gram matrix for one-hot targets."""
    squares = (targets * (grams @ targets)).sum(dim=-2)
    return squares.unflatten(-1, (-1, 2)).sum(dim=-1)


def _null_of_prompts(
    smoothers: Sequence[RidgeSmoother], labels: Labels, units: Groups, frequencies: Sequence[int]
) -> Callable[[Renamed], Float[Tensor, "cells renamings k"]]:
    # In float32: they only rank maxima. Some renamings at a time stay in the cache.
    singles = [RidgeSmoother(*(part.float() for part in vars(smoother).values())) for smoother in smoothers]

    def r2(renamed: Renamed) -> Float[Tensor, "cells renamings k"]:
        chunks = []
        for some in (renamed.total % labels.period).split(RENAMINGS_AT_ONCE):
            targets = renamed_circles(some, frequencies, labels.period).to(singles[0].left.device)
            base = plane_energy(baseline_residuals(targets, units))
            left = [
                torch.stack([plane_energy(errors) for errors in single.heldout_path(targets, units, PENALTIES)])
                for single in singles
            ]
            chunks.append((1 - torch.stack(left).amin(dim=1) / base).view(len(singles), len(some), -1).double().cpu())
        return torch.cat(chunks, dim=1)

    return r2


def rival_targets(labels: Labels) -> dict[str, Float[Tensor, "n 2"]]:
    """Families of two columns, as a plane has, read from the same activations.

    `quadratic`: a parabola in the label; for sums also `polynomial_total`, one in the integer result.
    """
    families = {"quadratic": _parabola(labels.label)}
    return families | ({"polynomial_total": _parabola(labels.total)} if labels.quantity == "sum" else {})


def _parabola(values: Int[Tensor, " n"]) -> Float[Tensor, "n 2"]:
    """Orthogonal columns of equal length that span x and x², as cosine and sine are: neither dominates the R²."""
    shifted = values - values.min()
    columns = rival_columns(shifted, int(shifted.max()) + 1, "quadratic")
    return torch.linalg.qr(columns - columns.mean(dim=0)).Q * len(values) ** 0.5


@dataclass(frozen=True)
class Confirmation:
    """A plane that was chosen and fitted on discovery prompts, tested once on others."""

    r2: float
    low: float
    """Lower end of the 95 % bootstrap interval, clustered on operand pairs or items."""
    high: float
    """Upper end of that interval."""
    angle_error: float
    """Median |predicted - true angle|, radians."""
    agreement: float
    """Correlation of predicted with true points, whatever the scale of the prediction: a fit to small circles predicts
    too much, so that its R² is negative where it is right."""
    agreement_low: float
    """Lower end of its 95 % interval, clustered as that of the R²."""
    agreement_high: float


def confirm(
    discovery: Float[Tensor, "n d"],
    confirmation: Float[Tensor, "m d"],
    labels: Labels,
    new_labels: Labels,
    frequency: int,
    relative_penalty: float,
    seed: int,
) -> tuple[Confirmation, Float[Tensor, "m 2"], Float[Tensor, "m 2"]]:
    """(what the plane is worth, predicted points, squared errors) of the confirmation prompts.

    An item is predicted from a fit that never saw it. The squared errors are of the activations and of the mean alone:
    R² is 1 minus the ratio of their sums.

    New templates shift the states as a whole. So of sums the R² allows every template an intercept of its own, with and
    without the activations; an item is left out alone, and what its template says of it would be known from the others.
    """
    target = fourier.circle(labels.label, frequency, labels.period).to(discovery.device)
    true = fourier.circle(new_labels.label, frequency, labels.period).to(discovery.device)
    predicted, expected = torch.empty_like(true), torch.empty_like(true)
    held_items = new_labels.label.unique().tolist() if labels.quantity == "item" else [None]
    for item in held_items:
        fit = torch.ones(len(labels.label), dtype=torch.bool) if item is None else labels.label != item
        rows = torch.ones(len(new_labels.label), dtype=torch.bool) if item is None else new_labels.label == item
        seen = discovery[fit]
        weights, intercept = RidgeSmoother.of(seen).coefficients(seen, target[fit], relative_penalty)
        predicted[rows] = confirmation[rows].double() @ weights + intercept
        expected[rows] = target[fit].mean(dim=0)
    errors = [(true - other).cpu() for other in (predicted, expected)]
    if labels.quantity == "sum":
        errors = [_without_template_means(error, new_labels.template) for error in errors]
    left, base = (error.square().sum(dim=1) for error in errors)
    low, high = ratio_interval(left, base, new_labels.unit, seed)
    error = fourier.angle_between(predicted, true).median()
    # What the activations add to the mean, and how it goes with what the mean leaves.
    added = errors[1] - errors[0]
    parts = torch.stack([(added * errors[1]).sum(dim=1), added.square().sum(dim=1), base], dim=1)
    draws = _correlation(clustered_sums(parts, new_labels.unit, seed))
    agreement = float(_correlation(parts.sum(dim=0)))
    r2 = float(1 - left.sum() / base.sum())
    whole = Confirmation(r2, low, high, float(error), agreement, *percentiles(draws))
    return whole, predicted.cpu(), torch.stack([left, base], dim=1)


def _correlation(sums: Float[Tensor, "*b three"]) -> Float[Tensor, "*b"]:
    both, added, base = sums.unbind(dim=-1)
    return both / (added * base).clamp_min(1e-300).sqrt()


def _without_template_means(errors: Float[Tensor, "m 2"], template: Int[Tensor, " m"]) -> Float[Tensor, "m 2"]:
    sums = torch.zeros(int(template.max()) + 1, 2, dtype=errors.dtype).index_add_(0, template, errors)
    return errors - (sums / template.bincount().clamp_min(1)[:, None])[template]
