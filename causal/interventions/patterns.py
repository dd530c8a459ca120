"""Patterns of circles in hidden states by least squares, several circles at once.

The states H (n, d) of prompts are regressed on [1, X, Z]: X (n, m) the cosines and sines of the circles that are
wanted, Z (n, q) those of others. The coefficients of X, transposed, are the pattern A (d, m): what a state gains when a
coordinate gains one, the others held fixed. A circle of period 23/2 is nearly one of period 10: fitted alone it would
find the ones digit's plane, and turning it would turn the digit. The sums must span several beats of the two periods,
1 / |1/10 - 2/23| = 77 units each, or nothing tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.algorithms.predictions import BASE, Kind, digit_frequencies
from causal.interventions.directions import targets_of


def pattern(
    states: Float[Tensor, "n d"], targets: Float[Tensor, "n m"], beside: Float[Tensor, "n q"] | None = None
) -> Float[Tensor, "d m"]:
    """A of the targets (`directions.targets_of`); what a constant and the columns `beside` explain is left to them."""
    others = [torch.ones(len(targets), 1, dtype=torch.float64), *([] if beside is None else [beside])]
    solution = torch.linalg.pinv(torch.cat([targets, *others], dim=1))
    return (solution[: targets.shape[1]] @ states.double()).T


def of_both_kinds(
    states: Float[Tensor, "n d"], sums: Int[Tensor, " n"], modulus: int, frequencies: Sequence[int]
) -> dict[Kind, Float[Tensor, "d m"]]:
    """A of the modulus' circles and of the ones digit's, fitted at once; sums are integer, not reduced."""
    circles = targets_of(sums, frequencies, modulus)
    digits = targets_of(sums, digit_frequencies(modulus), BASE)
    return {"modulus": pattern(states, circles, digits), "base 10": pattern(states, digits, circles)}
