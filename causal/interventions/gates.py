"""Where an edit applies: at every position, or only where the stream looks like the place it was fitted on.

In a stream of few dimensions a circle shares its plane with ordinary text, and a plane of random direction costs text
as much. What is asked of specificity is then two things: the edit at every position, and the edit only at states that
look like an answer's place (conditional steering, Lee et al. 2024, 2409.05907). The gate is a linear discriminant

    g(h) = 1  if  (h - (μ_p + μ_t) / 2)ᵀ Σ⁻¹ (μ_p - μ_t) > threshold,     Σ = (Σ_p + Σ_t) / 2

of discovery prompts (μ_p, Σ_p) against one half of a text (μ_t, Σ_t), its threshold the 1 % quantile of the discovery
prompts. It is tested on other prompts and the other half of the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from causal.interventions.directions import moments
from causal.interventions.engine import Edit

MISSED = 0.01
"""Share of the discovery prompts that the gate may leave out."""


@dataclass(frozen=True)
class Gate:
    """A half space of states."""

    weights: Float[Tensor, " d"]
    threshold: float

    def opens(self, states: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Which states are edited."""
        return states.double() @ self.weights > self.threshold


def fit_gate(prompts: Float[Tensor, "n d"], text: Float[Tensor, "m d"]) -> Gate:
    """The discriminant of prompts against text."""
    (mean_p, cov_p), (mean_t, cov_t) = moments(prompts), moments(text)
    pooled = (cov_p + cov_t) / 2
    # A little of the mean variance on the diagonal: dead dimensions must not decide.
    pooled += 1e-6 * pooled.trace() / len(pooled) * torch.eye(len(pooled), dtype=torch.float64)
    weights = torch.linalg.solve(pooled, mean_p - mean_t)
    return Gate(weights, float((prompts.double() @ weights).quantile(MISSED)))


def gated(edit: Edit, gate: Gate) -> Edit:
    """The edit where the gate opens."""

    def where(states: Tensor, rows: Tensor) -> Tensor:
        return torch.where(gate.opens(states)[:, None], edit(states, rows).to(states), states)

    return where
