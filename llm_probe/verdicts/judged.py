"""The plane that is judged, measured in every way that does not depend on the basis of the residual stream.

Everything here is about one cell and one frequency, chosen on discovery prompts; predictions are those of confirmation
prompts by a plane that never saw them (`planes.confirm`). Which numbers a circle has and a line or noise has not is
in `invariants`; which simple quantity could stand in for it, in `hypotheses`.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.states import States
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.table import InvariantRow, Weights
from llm_probe.statistics import hypotheses, invariants
from llm_probe.statistics.closure import class_means
from llm_probe.statistics.dimensions import fixed_nuisances
from llm_probe.statistics.invariants import Periodicity, phi
from llm_probe.statistics.planes import PENALTIES, Confirmation
from llm_probe.statistics.wraps import wrap_groups
from toy.maths import fourier
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals, plane_r2


def explained_by(confirmed: Confirmation, labels: Labels, frequency: int) -> str | None:
    """The named quantity that explains the plane's predictions away, and what is left of the circle; None if none."""
    found = hypotheses.explanation(hypotheses.explained(confirmed.points, labels, frequency, fixed_nuisances(labels)))
    if found is None:
        return None
    name, share = found
    shares = f"{share.hypothesis:.2f} of the plane, the circle {share.circle_beyond:.2f} beyond it"
    return f"{name.replace('_', ' ')} ({shares})"


def invariant_row(
    claim: Claim,
    weights: Weights,
    states: States,
    labels: Labels,
    new_labels: Labels,
    cell: int,
    frequency: int,
    confirmed: Confirmation,
) -> InvariantRow:
    """One row of `invariants.csv`."""
    layer, site, position = states.cells[cell]
    period = claim.period
    true = fourier.circle(new_labels.label, frequency, period)
    decoded = invariants.decoded(confirmed.points, period, frequency)
    expected = invariants.decoded(true, period, frequency)
    halves = (
        class_means(states.discovery[:, cell], labels.label, period),
        class_means(states.confirmation[:, cell], new_labels.label, period),
    )
    reference = invariants.circulant_reference(period) if period > 3 else None
    periodicity = _periodicity(states.confirmation[:, cell], new_labels)
    return InvariantRow(
        weights=weights,
        domain=claim.domain.name,
        period=period,
        quantity=claim.quantity,
        layer=layer,
        site=site,
        position=position,
        frequency=frequency,
        resultant=invariants.resultant(confirmed.points, true),
        decode_accuracy=invariants.decode_accuracy(confirmed.points, new_labels.label, period, frequency),
        decode_chance=invariants.decode_chance(period, frequency),
        kappa=_finite(invariants.cohen_kappa(decoded, expected)),
        circulant=_finite(invariants.circulant_fraction(*halves)),
        circulant_beyond_simplex=_finite(invariants.circulant_beyond_simplex(*halves)),
        circulant_noise=reference and _finite(reference.noise_beyond_simplex),
        circulant_line=reference and _finite(reference.line_beyond_simplex),
        phi_share=periodicity and _finite(periodicity.between / (periodicity.between + periodicity.within)),
        f_ratio=periodicity and _finite(periodicity.f_ratio),
        r2_wraps=_heldout(states.discovery[:, cell], labels, frequency, wrap_groups(labels)),
        r2_without_massive=_heldout(
            invariants.without_massive(states.discovery[:, cell]), labels, frequency, labels.groups("unit")
        ),
    )


def _heldout(states: Float[Tensor, "n d"], labels: Labels, frequency: int, groups: Groups | None) -> float | None:
    """R² of the circle, the best penalty; None where there is nothing to leave out."""
    if groups is None:
        return None
    target = fourier.circle(labels.label, frequency, labels.period).to(states.device)
    baseline = baseline_residuals(target, groups)
    path = RidgeSmoother.of(states).heldout_path(target, groups, PENALTIES)
    return max(float(plane_r2(errors, baseline)[0]) for errors in path)


def _periodicity(states: Float[Tensor, "n d"], labels: Labels) -> Periodicity | None:
    """None where a residue has no prompt, or no prompt has a companion."""
    counts = labels.label.bincount(minlength=labels.period)
    if int(counts.min()) == 0 or len(labels.label) <= labels.period:
        return None
    return phi(states, labels.label, labels.period)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
