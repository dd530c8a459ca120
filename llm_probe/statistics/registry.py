"""The statistics of the chosen plane: a function, a sentence and one entry of `PLANE_STATISTICS` each.

Every claim's plane, chosen on discovery prompts and fitted there, is measured by all of them under trained and under
random weights. From an entry follow the column of `invariants.csv`, its explanation in results/README.md and on the
page, the page's line with trained beside random, and the cost in a sweep's plan (which times the very analysis).

To add one: a function `(ChosenStates) -> float | None` (None: it does not apply to this claim) in a file of its own,
and an entry here whose `since` is one above `schema.VERSION`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics import invariants
from llm_probe.statistics.planes import heldout_scores
from toy.maths import fourier
from toy.maths.regression import Groups, RidgeSmoother


@dataclass
class ChosenStates:
    """The states at the place of the chosen plane, and what its fit predicts of the confirmation prompts."""

    frequency: int
    labels: Labels
    """Of the discovery prompts."""
    new_labels: Labels
    """Of the confirmation prompts."""
    discovery: Float[Tensor, "n d"]
    confirmation: Float[Tensor, "m d"]
    points: Float[Tensor, "m 2"]
    """Predicted cosine and sine of the confirmation prompts."""
    seed: int = 0
    """Of what is resampled."""

    @property
    def period(self) -> int:
        return self.labels.period

    @cached_property
    def true(self) -> Float[Tensor, "m 2"]:
        """Cosine and sine of the confirmation prompts' own labels."""
        return fourier.circle(self.new_labels.label, self.frequency, self.period)

    @cached_property
    def halves(self) -> tuple[Float[Tensor, "labels d"], Float[Tensor, "labels d"]]:
        """The class means of the discovery and of the confirmation prompts: two independent estimates."""
        old = invariants.class_means(self.discovery, self.labels.label, self.period)
        return old, invariants.class_means(self.confirmation, self.new_labels.label, self.period)

    @cached_property
    def closure_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the closure over templates; None where the prompts have no templates to resample."""
        old = invariants.template_means(self.discovery, self.labels)
        new = invariants.template_means(self.confirmation, self.new_labels)
        return None if old is None or new is None else invariants.closure_interval(old, new, self.seed)

    @cached_property
    def circulant_reference(self) -> invariants.CirculantReference | None:
        return invariants.circulant_reference(self.period) if self.period > 3 else None

    @cached_property
    def periodicity(self) -> invariants.Periodicity | None:
        """Φ_T; it needs a prompt of every residue, and a second one of some."""
        counts = self.new_labels.label.bincount(minlength=self.period)
        if counts.min() == 0 or len(self.confirmation) <= self.period:
            return None
        return invariants.phi(self.confirmation, self.new_labels.label, self.period)

    def heldout_r2(self, states: Float[Tensor, "n d"], groups: Groups | None) -> float | None:
        """R² of the circle from discovery states, groups left out, best penalty; None without groups."""
        if groups is None:
            return None
        target = fourier.circle(self.labels.label, self.frequency, self.period).to(states.device)
        return float(heldout_scores(RidgeSmoother.of(states), target, groups).max())


@dataclass(frozen=True)
class PlaneStatistic:
    """A number that describes the chosen plane and no rotation of the residual stream changes."""

    measure: Callable[[ChosenStates], float | None]
    meaning: str
    """What the column means, in a sentence."""
    label: str | None = ""
    """Name of its line on the page; empty: the column's own name. None: no line, because it stands in another's."""
    without: str | Callable[[Mapping[str, Any]], str] = ""
    """What there is without a circle, for the page: a text, or what makes one of the row of `invariants.csv`."""
    bounded: bool = True
    """At most 1, as an R² is, so that two decimals show it; of others three significant digits are shown."""
    since: int = 2
    """Version of the tables (`schema.VERSION`) that brought the column."""


def _kappa(at: ChosenStates) -> float:
    decoded, expected = (invariants.decoded(points, at.period, at.frequency) for points in (at.points, at.true))
    return invariants.cohen_kappa(decoded, expected)


def _phi_share(at: ChosenStates) -> float | None:
    phi = at.periodicity
    return phi and phi.between / (phi.between + phi.within)


def _without_massive(at: ChosenStates) -> float | None:
    return at.heldout_r2(invariants.without_massive(at.discovery), at.labels.groups("unit"))


def _noise_and_line(row: Mapping[str, Any]) -> str:
    """References of `circulant_beyond_simplex` in words; a table read back has NaN where they do not apply."""
    noise, line = row["circulant_noise"], row["circulant_line"]
    return "" if noise is None or math.isnan(noise) else f"noise {noise:.2f}, line {line:.2f}"


PLANE_STATISTICS: dict[str, PlaneStatistic] = {
    "resultant": PlaneStatistic(
        lambda at: invariants.resultant(at.points, at.true),
        "|mean exp(i(predicted - true angle))| of the confirmation prompts: 1 at best, near 0 by chance.",
        "resultant of angle errors",
        # An item that is left out is pushed to the far side where there is no signal: every angle is off by pi alike.
        lambda row: "0" if row["quantity"] == "sum" else "0 or 1",
    ),
    "decode_accuracy": PlaneStatistic(
        lambda at: invariants.decode_accuracy(at.points, at.new_labels.label, at.period, at.frequency),
        "Share of confirmation prompts whose prediction is nearest to their own residue's place on the circle.",
        "decoded to its residue",
        lambda row: f"{row['decode_chance']:.2f}",
    ),
    "decode_chance": PlaneStatistic(
        lambda at: invariants.decode_chance(at.period, at.frequency),
        "Share that guessing gives of `decode_accuracy`.",
        label=None,
    ),
    "kappa": PlaneStatistic(_kappa, "Cohen's kappa of that decoding.", "Cohen's κ of that", "0"),
    "circulant": PlaneStatistic(
        lambda at: invariants.circulant_fraction(*at.halves),
        "Share of the class means' Gram matrix that is circulant, from two halves of the prompts; 1 on a circle.",
        label=None,
    ),
    "circulant_beyond_simplex": PlaneStatistic(
        lambda at: invariants.circulant_beyond_simplex(*at.halves),
        "Circulant share of what is left of the Gram matrix beyond equal distances, which have no order.",
        "circulant beyond a simplex",
        _noise_and_line,
    ),
    "circulant_noise": PlaneStatistic(
        lambda at: at.circulant_reference and at.circulant_reference.noise_beyond_simplex,
        "What class means without order reach of `circulant_beyond_simplex`.",
        label=None,
    ),
    "circulant_line": PlaneStatistic(
        lambda at: at.circulant_reference and at.circulant_reference.line_beyond_simplex,
        "What equally spaced points on a line reach of `circulant_beyond_simplex`.",
        label=None,
    ),
    "phi_share": PlaneStatistic(
        _phi_share,
        "Fourier power at the period and its harmonics (Φ_T) as a share of all variance: between / (between + within).",
        "share of variance, Φ",
    ),
    "f_ratio": PlaneStatistic(
        lambda at: at.periodicity and at.periodicity.f_ratio,
        "Mean square between residues over the mean square within them; 1 for noise.",
        "F between residues",
        "1",
        bounded=False,
    ),
    "r2_wraps": PlaneStatistic(
        lambda at: at.heldout_r2(at.discovery, invariants.wrap_groups(at.labels)),
        "R² of the plane, each parity of the quotient predicted from the other; empty where sums span fewer than four "
        "periods.",
        "R² across wraps",
        "0",
    ),
    "r2_without_massive": PlaneStatistic(
        _without_massive,
        "R² of the plane held out by pair or item, without the four dimensions of largest root mean square.",
        "R² without massive dimensions",
        "0",
    ),
}


def measure_all(at: ChosenStates) -> dict[str, float | None]:
    """Every registered statistic of one plane; None where one does not apply or is no number."""
    values = {name: statistic.measure(at) for name, statistic in PLANE_STATISTICS.items()}
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
