"""What an intervention did to the answers: paired tests, intervals, and where the answers went.

Paired, on the same n prompts before and after: exact McNemar and Newcombe's interval (`toy.maths.intervals`).

Where the answers went, for labels s of period p:

    histogram             share of (answer - s) mod p = 0 … p-1, and of everything else (`other`)
    P(answer = s + j)     the share at j
    circular regression   the slope β that maximises |mean exp(2πi(shift - βj)/p)|, and that maximum; a circle that is
                          turned and followed has slope 1 and maximum 1

Against N controls, the empirical rank p = (1 + #{control >= value}) / (1 + N) (Phipson & Smyth 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.maths.intervals import mcnemar, paired_newcombe

SLOPE_STEP = 0.005


@dataclass(frozen=True)
class Change:
    """Accuracy before and after, on the same prompts."""

    n: int
    before: float
    after: float
    low: float
    """95 % Newcombe interval of after - before: …"""
    high: float
    p: float
    """Exact McNemar."""


def change(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> Change:
    """The change of a paired share."""
    n = len(before)
    return Change(
        n,
        float(before.double().mean()),
        float(after.double().mean()),
        *paired_newcombe(before, after),
        mcnemar(before, after),
    )


def shifts(answers: Int[Tensor, " n"], labels: Int[Tensor, " n"], period: int) -> Int[Tensor, " n"]:
    """(answer - s) mod p, and p where there is no answer (-1)."""
    return torch.where(answers < 0, period, (answers - labels) % period)


def histogram(moved: Int[Tensor, " n"], period: int) -> Float[Tensor, " bins"]:
    """Shares of the shifts 0 … p-1, and of no answer (last bin)."""
    return torch.bincount(moved, minlength=period + 1).double() / len(moved)


def circular_regression(moved: Sequence[Int[Tensor, " n"]], steps: Sequence[int], period: int) -> tuple[float, float]:
    """(slope, resultant) of the shifts on the steps; prompts without an answer are left out, (0, 0) if none has one.

    `moved` holds the shifts of every step. The slope is searched in [-p/2, p/2].
    """
    pairs = [(row[row < period].double(), step) for row, step in zip(moved, steps, strict=True)]
    shift = torch.cat([row for row, _ in pairs])
    if not len(shift):
        return 0.0, 0.0
    # The resultant depends on the mean unit vector of each step only.
    means = torch.stack([torch.polar(torch.ones_like(row), 2 * math.pi * row / period).sum() for row, _ in pairs])
    slopes = torch.arange(-period / 2, period / 2 + SLOPE_STEP / 2, SLOPE_STEP, dtype=torch.float64)
    turned = torch.tensor([float(step) for _, step in pairs], dtype=torch.float64)
    angles = -2 * math.pi / period * slopes[:, None] * turned
    found = (means * torch.polar(torch.ones_like(angles), angles)).sum(dim=1).abs() / len(shift)
    best = int(found.argmax())
    return float(slopes[best]), float(found[best])


def rank(value: float, controls: Sequence[float]) -> float:
    """Empirical p of a value that should be larger than its controls."""
    return (1 + sum(control >= value for control in controls)) / (1 + len(controls))
