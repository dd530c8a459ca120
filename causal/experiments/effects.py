"""What an intervention did to the answers: paired tests, intervals, where the answers went, and rows of these numbers.

Paired: the same n prompts before and after; b of them right before only, c right after only.

    exact McNemar         two-sided binomial test of b against c, given b + c
    Newcombe (1998)       95 % interval of the change of a paired proportion (Statistics in Medicine 17: 2635, method
                          10): the Wilson limits l, u of both shares, with the correlation φ of the pairs
                              d ± √((p₁-l₁)² - 2φ(p₁-l₁)(u₂-p₂) + (u₂-p₂)²)      (the other way round above)
    clustered bootstrap   percentile interval of a mean over whole operand pairs
    power                 of McNemar's test on n prompts of which a share ψ changes sides, for a drop δ of the accuracy
                          (normal approximation, Connor 1987, Biometrics 43: 207; two-sided level α)
                              power(n) = Φ((δ √n - z_{1-α/2} √ψ) / √(ψ - δ²))
                              n        = ((z_{1-α/2} √ψ + z_power √(ψ - δ²)) / δ)²

Where the answers went, for labels s of period p:

    histogram             share of (answer - s) mod p = 0 … p-1, and of everything else
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

from causal.interventions.directions import Directions
from causal.interventions.engine import Edit
from causal.interventions.questions import Questions
from causal.run.tables import RotationRow
from llm_probe.activations.answers import Answers
from llm_probe.run.vocabulary import Site
from toy.maths.intervals import mcnemar, mean_interval, paired_newcombe
from toy.run.errors import InputError

Where = tuple[str, int, int, Site, str, str, str]
"""Domain, period, layer, site, position, direction and intervention of a row."""
SLOPE_STEP = 0.005
DROP, DISCORDANCE, LEVEL, ENOUGH = 0.05, 0.15, 0.05, 0.8
"""A drop that matters, the discordance it is planned for (at least the drop), the level, and the power wanted."""


# ------------------------------------------------------------------------------------------------------ paired shares


def rank(value: float, controls: Sequence[float]) -> float:
    """Empirical p of a value that should be larger than its controls."""
    return (1 + sum(control >= value for control in controls)) / (1 + len(controls))


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's correlation; of fewer than three, or of equal values, there is none."""
    from scipy.stats import spearmanr

    if len(one) < 3 or min(len(set(one)), len(set(other))) < 2:
        return None
    return float(spearmanr(one, other).statistic)  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------- where the answers went


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
    answered = [row[row < period].double() for row in moved]
    if not (count := sum(map(len, answered))):
        return 0.0, 0.0
    # The resultant depends on the sum of the unit vectors of each step only.
    sums = torch.stack([torch.polar(torch.ones_like(row), 2 * math.pi * row / period).sum() for row in answered])
    slopes = torch.arange(-period / 2, period / 2 + SLOPE_STEP / 2, SLOPE_STEP, dtype=torch.float64)
    angles = -2 * math.pi / period * slopes[:, None] * torch.tensor(steps, dtype=torch.float64)
    resultants = (sums * torch.polar(torch.ones_like(angles), angles)).sum(dim=1).abs() / count
    best = int(resultants.argmax())
    return float(slopes[best]), float(resultants[best])


# --------------------------------------------------------------------------------------------------- rows of a table


@dataclass(frozen=True)
class Baseline:
    """One domain's prompts, their unedited answers, and the states that are edited."""

    questions: Questions
    clean: Answers
    states: Float[Tensor, "n d"]
    """At the prompt's last token."""
    seed: int

    @property
    def right(self) -> Bool[Tensor, " n"]:
        return self.clean.written == self.questions.labels


def accuracy(baseline: Baseline, after: Answers) -> dict[str, float]:
    """Exact match before and after, with its tests."""
    labels = baseline.questions.labels
    before, right, rows = baseline.right, after.written == labels, torch.arange(len(labels))
    low, high = paired_newcombe(before, right)
    return {
        "accuracy_before": float(before.double().mean()),
        "accuracy": float(right.double().mean()),
        "change_low": low,
        "change_high": high,
        "p": mcnemar(before, right),
        "constrained": float((after.chosen == labels).double().mean()),
        "log_p_change": float((after.log_p - baseline.clean.log_p)[rows, labels].double().mean()),
    }


def size(baseline: Baseline, directions: Directions, edit: Edit) -> dict[str, float]:
    """How far the edit moves the states, and how much of that stays where states are."""
    change = edit(baseline.states, torch.arange(len(baseline.states))) - baseline.states
    return {
        "delta_norm": float(change.double().norm(dim=1).mean()),
        "removed_variance": directions.removed_variance,
        "manifold_share": manifold_share(change, directions.covariance),
    }


def manifold_share(change: Float[Tensor, "n d"], covariance: Float[Tensor, "d d"], kept: float = 0.99) -> float:
    """Share of ||Δh||² within the components that hold `kept` of the stream's variance."""
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)
    needed = int((values.cumsum(0) < kept * values.sum()).sum()) + 1
    inside = (change.double() @ vectors[:, :needed]).square().sum()
    return float(inside / change.double().square().sum().clamp_min(1e-300))


def hits(baseline: Baseline, after: Answers, target: Int[Tensor, " n"]) -> dict[str, float]:
    """How often the answer is the target, with its clustered interval."""
    hit = (after.written == target).double()
    low, high = mean_interval(hit, baseline.questions.pairs, baseline.seed)
    return {"moved": float(hit.mean()), "moved_low": low, "moved_high": high}


def turned(baseline: Baseline, after: Sequence[Answers], steps: Sequence[int]) -> dict[str, float]:
    """P(answer = s + j) averaged over the steps, and the regression of the shift on them."""
    period, labels = baseline.questions.period, baseline.questions.labels
    moved = [shifts(one.written, labels, period) for one in after]
    share = torch.stack([(row == j % period).double() for row, j in zip(moved, steps, strict=True)]).mean(dim=0)
    low, high = mean_interval(share, baseline.questions.pairs, baseline.seed)
    slope, resultant = circular_regression(moved, steps, period)
    return {
        "moved": float(share.mean()),
        "moved_low": low,
        "moved_high": high,
        "stayed": float(torch.stack([(row == 0).double().mean() for row in moved]).mean()),
        "slope": slope,
        "resultant": resultant,
    }


def rotation_rows(where: Where, baseline: Baseline, after: Answers, j: int) -> list[RotationRow]:
    """The histogram of shifts after a turn by j."""
    period = baseline.questions.period
    shares = histogram(shifts(after.written, baseline.questions.labels, period), period)
    return [
        RotationRow(*where, j, shift if shift < period else -1, share, len(after.written))
        for shift, share in enumerate(shares.tolist())
    ]


# ------------------------------------------------------------------------------------------- power, before the run


def power(prompts: int, drop: float = DROP, discordance: float = DISCORDANCE, level: float = LEVEL) -> float:
    """Probability that exact McNemar's normal approximation shows the drop."""
    from scipy.stats import norm

    critical = float(norm.ppf(1 - level / 2))
    spread = math.sqrt(max(discordance - drop**2, 1e-12))
    return float(norm.cdf((drop * math.sqrt(prompts) - critical * math.sqrt(discordance)) / spread))


def prompts_needed(drop: float = DROP, discordance: float = DISCORDANCE, level: float = LEVEL) -> int:
    """The fewest prompts with a power of `ENOUGH`."""
    from scipy.stats import norm

    critical, wanted = float(norm.ppf(1 - level / 2)), float(norm.ppf(ENOUGH))
    return math.ceil(((critical * math.sqrt(discordance) + wanted * math.sqrt(discordance - drop**2)) / drop) ** 2)


def power_sentence(prompts: int) -> str:
    """The power of a run in words."""
    return f"{prompts} prompts show a drop of {100 * DROP:.0f} points with power {power(prompts):.2f}"


def check_power(prompts: int) -> str:
    """The power of a run in words.

    Raises:
        InputError: it is below 0.8; the message says how many prompts would do.
    """
    if power(prompts) < ENOUGH:
        raise InputError(
            f"{power_sentence(prompts)}, less than {ENOUGH}: give --prompts {prompts_needed()} or more, or "
            "--underpowered to run anyway"
        )
    return power_sentence(prompts)
