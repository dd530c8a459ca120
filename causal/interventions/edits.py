"""Interventions as pure functions on states (n, d), and the one registry in which each is defined.

Q (d, m) is orthonormal, μ (d,) the mean of the states the basis was fitted on, R (m, m) a rotation. Coordinates are
read by a filter W (d, m) and moved along a pattern A (d, m) with WᵀA = I; W = A = Q is the orthonormal case.

    zero           h - Q Qᵀ h                       the coordinates become 0 (a dimension: its basis is one unit vector)
    mean           h - Q Qᵀ (h - μ)                 … those of the mean
    swap           h + Q Qᵀ (g - h)                 … those of another prompt's state g
    rotate         h + A (R - I) Wᵀ (h - μ)         every plane turned by its own angle
    displace       h + A C Wᵀ (h - μ)               any change C of the coordinates

Rotation by j steps of a circle of period p turns the plane of frequency k by 2πkj/p; at the Nyquist frequency of an
even period the circle is a line and the turn is (-1)^j. `displace` with C = -I is mean ablation along the pattern;
with a pattern of the same lengths and angles that points elsewhere it changes each state by exactly as much
(`random_controls`). After Kantamneni & Tegmark 2025 (2502.00873) and Geiger et al. 2021 (2106.02997).

To add an intervention, write its function here and give it a line in `INTERVENTIONS`: the run makes it, the plan counts
it, and the description of the results explains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causal.interventions.directions import Directions, moments
from causal.interventions.engine import Edit
from llm_probe.statistics.patterns import displace, rotate, rotation

MISSED = 0.01
"""Share of the discovery prompts that a gate may leave out."""


def zero(states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"]) -> Float[Tensor, "n d"]:
    """Project the basis out."""
    basis = basis.to(states)
    return states - (states @ basis) @ basis.T


def mean(
    states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"], centre: Float[Tensor, " d"]
) -> Float[Tensor, "n d"]:
    """Give every state the mean's coordinates on the basis."""
    basis = basis.to(states)
    return states - ((states - centre.to(states)) @ basis) @ basis.T


def swap(
    states: Float[Tensor, "n d"], basis: Float[Tensor, "d m"], donors: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    """Give every state its donor's coordinates on the basis."""
    basis = basis.to(states)
    return states + ((donors.to(states) - states) @ basis) @ basis.T


Needs = Literal["basis", "donor", "any prompt", "circle"]


@dataclass(frozen=True)
class Intervention:
    """One way to change states along directions."""

    function: Callable[..., Tensor]
    """(states (n, d), directions) to new states; a third argument is what `needs` says."""
    needs: Needs
    """`basis`: nothing but the directions; `donor`, `any prompt`: also states (n, d) of prompts with another answer, or
    of random prompts; `circle`: also the rotation R, and frequencies to turn, once for every step."""
    meaning: str
    """One sentence for the description of the results."""
    everywhere: bool = False
    """Whether it is also made at every position of the prompt at once."""

    def edit(self, d: Directions, given: Any = None) -> Edit:
        """The edit along some directions; `given`: the donors' states (n, d), or the number of steps."""
        if self.needs == "basis":
            return lambda states, _: self.function(states, d)
        if self.needs == "circle":
            turn = rotation(d.frequencies, d.period, given)
            return lambda states, _: self.function(states, d, turn)
        return lambda states, rows: self.function(states, d, given[rows])

    def count(self, period: int) -> int:
        """How many edits it makes of a circle."""
        return period - 1 if self.needs == "circle" else 1


INTERVENTIONS: dict[str, Intervention] = {
    "mean": Intervention(
        lambda h, d: mean(h, d.basis, d.mean), "basis", "The coordinates are set to those of the mean.", everywhere=True
    ),
    "zero": Intervention(lambda h, d: zero(h, d.basis), "basis", "The coordinates are projected out.", everywhere=True),
    "unwrite": Intervention(
        lambda h, d: displace(h, d.reader, d.mean, -torch.eye(d.reader.shape[1]).double(), d.writer),
        "basis", "The coordinates are set to those of the mean along the pattern.",
    ),
    "resample": Intervention(
        lambda h, d, g: swap(h, d.basis, g), "any prompt", "The coordinates are those of a random prompt."
    ),
    "interchange": Intervention(
        lambda h, d, g: swap(h, d.basis, g), "donor", "The coordinates are those of a prompt with another answer."
    ),
    "full interchange": Intervention(
        lambda h, _, g: g.to(h), "donor", "The whole state is that of a prompt with another answer."
    ),
    "rotate": Intervention(
        lambda h, d, turn: rotate(h, d.reader, d.mean, turn, d.writer),
        "circle", "The circle is turned by j = 1 … p-1 steps along the pattern.",
    ),
    "rotate orthonormal": Intervention(
        lambda h, d, turn: rotate(h, d.basis, d.mean, turn, d.basis),
        "circle", "The circle is turned by j = 1 … p-1 steps in the orthonormal basis.",
    ),
}  # fmt: skip
"""Name, as in the column `intervention`, to what is done."""


def meanings() -> str:
    """Every intervention with its sentence."""
    return " ".join(f"`{name}`: {one.meaning}" for name, one in INTERVENTIONS.items())


@dataclass(frozen=True)
class Gate:
    """A half space of states: g(h) = 1 if wᵀh exceeds the threshold."""

    weights: Float[Tensor, " d"]
    threshold: float

    def opens(self, states: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Which states are edited."""
        return states.double() @ self.weights > self.threshold

    def edit(self, edit: Edit) -> Edit:
        """The edit where the gate opens."""
        return lambda states, rows: torch.where(self.opens(states)[:, None], edit(states, rows).to(states), states)


def fit_gate(prompts: Float[Tensor, "n d"], text: Float[Tensor, "m d"]) -> Gate:
    """The linear discriminant w = Σ⁻¹(μ_p - μ_t), Σ = (Σ_p + Σ_t) / 2, of discovery prompts p against a text t.

    Its threshold is the 1 % quantile of the prompts, so that an edit is made only at states that look like those it
    was fitted on (conditional steering, Lee et al. 2024, 2409.05907): in a stream of few dimensions a circle shares its
    plane with ordinary text, and a plane of random direction costs text as much.
    """
    (mean_p, cov_p), (mean_t, cov_t) = moments(prompts), moments(text)
    pooled = (cov_p + cov_t) / 2
    # A little of the mean variance on the diagonal: dead dimensions must not decide.
    pooled += 1e-6 * pooled.trace() / len(pooled) * torch.eye(len(pooled), dtype=torch.float64)
    weights = torch.linalg.solve(pooled, mean_p - mean_t)
    return Gate(weights, float((prompts.double() @ weights).quantile(MISSED)))
