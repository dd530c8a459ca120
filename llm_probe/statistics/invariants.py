"""Rotation-invariant statistics of n class means, and of the points that a fit predicts for them.

**Circulant fraction.** Items on a circle have a Gram matrix that depends on i - j mod n only. With G (n, n) the Gram
matrix of the centred means and P the average along wrapped diagonals,

    fraction = ||P G||² / ||G||² = Σ_k m_k λ_k² / ||G||²,   λ_k = u_kᴴ G u_k,

u_k the unit Fourier vectors and m_k = 2 (1 at the Nyquist frequency). A circle has 1, a line of equally spaced items
1/5 as n grows. G = A Bᵀ, symmetrised, of two disjoint sets of prompts has no prompt noise on its diagonal. But *any* n
vectors at equal distances give G ∝ I - 11ᵀ/n, circulant in every order of the items: `circulant_beyond_simplex` asks
about what is left of G.

**Φ_T** (Fu et al. 2026, arXiv 2604.20817). For N vectors e(n) of integers n, F_ν = N^(-1/2) Σ_n e(n) e^(-2πiνn),

    Φ_T = Σ_{l=1}^{T-1} ||F_{l/T}||²,   tr S_B = Φ_T / N where the residue classes are equally large,

S_B the mean over classes of (μ_r - μ)(μ_r - μ)ᵀ, S_W the mean over vectors of (e - μ_r)(e - μ_r)ᵀ. Φ_T > 0 is
necessary for a linear probe of n mod T, never sufficient: S_W and Cohen's κ say whether it is. e is centred first, so
that unequal classes do not turn the mean into power.

Shapes: means (n, d), one row per item in order; states (m, d) and labels (m,), one row per prompt; points (m, 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.questions.claims import Labels
from toy.maths import fourier
from toy.maths.intervals import RESAMPLES, percentiles
from toy.maths.regression import Groups
from toy.run.errors import InputError

TAIL = 0.025
"""Share of the draws beyond each end of a 95 % interval."""


def circulant_spectrum(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"] | None = None) -> Float[Tensor, " k"]:
    """Power tr(P_k G) at the frequencies k = 1 … floor(n/2), in squared units of the means; they sum to tr G.

    `second`: the same means from other prompts; the power is then unbiased and may be negative. A circle has one
    line, a simplex a flat spectrum (two equal eigenvalues a frequency, one at the Nyquist frequency).

    Raises:
        InputError: fewer than three means.
    """
    if len(first) < 3:
        raise InputError(f"a circle through {len(first)} class means is not defined: give three or more")
    if second is None:
        return fourier.power(first).sum(dim=1)
    # ab = ((a + b)/2)² - ((a - b)/2)²: the power of the product needs no code of its own.
    first, second = first.double(), second.double()
    return (fourier.power((first + second) / 2) - fourier.power((first - second) / 2)).sum(dim=1)


def circulant_fraction(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"] | None = None) -> float:
    """Share in [0, 1] of the centred Gram matrix's squared norm that is circulant; 0 where nothing varies.

    Raises:
        InputError: fewer than three means.
    """
    circulant, _, total = _squared_norms(first, second)
    return circulant / total if total > 0 else 0.0


def circulant_beyond_simplex(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"] | None = None) -> float:
    """The circulant share in [0, 1] of what G has beyond its multiple of I - 11ᵀ/n, which every order has; else 0.

    Raises:
        InputError: fewer than four means: three at equal distances *are* a circle.
    """
    if len(first) < 4:
        raise InputError(f"the order of {len(first)} class means says nothing about a circle: give four or more")
    circulant, simplex, total = _squared_norms(first, second)
    left = total - simplex
    return (circulant - simplex) / left if left > 1e-12 * total else 0.0


def _squared_norms(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"] | None) -> tuple[float, float, float]:
    """||P G||², its part in multiples of I - 11ᵀ/n, and ||G||²."""
    spectrum = circulant_spectrum(first, second)
    n = len(first)
    multiplicity = torch.full_like(spectrum, 2)
    if n % 2 == 0:
        multiplicity[-1] = 1
    circulant = float((spectrum.square() / multiplicity).sum())
    left, right = (half.double() - half.double().mean(dim=0) for half in (first, first if second is None else second))
    gram = left @ right.T
    total = float(((gram + gram.T) / 2).square().sum())
    # A constant matrix varies by rounding only.
    if total <= 1e-24 * float(first.double().square().sum()) ** 2:
        return 0.0, 0.0, 0.0
    return circulant, float(spectrum.sum()) ** 2 / (n - 1), total


@dataclass(frozen=True)
class CirculantReference:
    """What n means without a circle reach."""

    line: float
    """Fraction of n equally spaced points on a line; 1/5 for large n."""
    noise: float
    """E||P G||² / E||G||² of two halves that share nothing: 1/n for odd n, 1/(n-1) for even."""
    line_beyond_simplex: float
    noise_beyond_simplex: float
    """Mean for Gaussian means of any dimension, whether the halves share them (random embeddings) or not."""


def circulant_reference(n: int) -> CirculantReference:
    """References for n items.

    Symmetric matrices on the n - 1 centred directions have n(n-1)/2 dimensions, floor(n/2) of them circulant. The
    symmetrised product of independent Gaussian halves is isotropic among them; and as the law of Gaussian means is
    invariant under rotations of those directions, which act irreducibly on the traceless part, so is the direction
    of every Gaussian G beyond its trace.

    Raises:
        InputError: fewer than four items.
    """
    line = torch.arange(n, dtype=torch.float64)[:, None]
    every, circulant = n * (n - 1) // 2, n // 2
    return CirculantReference(
        line_beyond_simplex=circulant_beyond_simplex(line),
        line=circulant_fraction(line),
        noise=circulant / every,
        noise_beyond_simplex=(circulant - 1) / (every - 1),
    )


def resultant(predicted: Float[Tensor, "m 2"], true: Float[Tensor, "m 2"]) -> float:
    """|mean exp(i(θ̂ - θ))| in [0, 1] of planar points: 1 when every angle is off by the same amount.

    Chance for independent uniform angles is `resultant_chance`.
    """
    difference = torch.atan2(predicted[:, 1], predicted[:, 0]) - torch.atan2(true[:, 1], true[:, 0])
    return float(torch.polar(torch.ones_like(difference), difference).mean().abs())


def resultant_chance(m: int) -> float:
    """Expected resultant of m independent uniform angles, √(π/4m) (Rayleigh; from about ten points on)."""
    return math.sqrt(math.pi / (4 * m))


def decoded(points: Float[Tensor, "m 2"], period: int, frequency: int) -> Int[Tensor, " m"]:
    """Residue mod period/gcd(frequency, period) whose point on the frequency's circle is nearest.

    Where the frequency shares a divisor g with the period, g residues share each point: they cannot be told apart.

    Raises:
        InputError: a frequency that is a multiple of the period, whose circle is one point.
    """
    shared = math.gcd(frequency, period)
    places = period // shared
    if places == 1:
        raise InputError(f"frequency {frequency} of period {period} is a single point: choose 1 to {period // 2}")
    turn = torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi)
    place = (turn * places).round().long() % places
    return place * pow(frequency // shared, -1, places) % places


def decode_accuracy(points: Float[Tensor, "m 2"], labels: Int[Tensor, " m"], period: int, frequency: int) -> float:
    """Share of points that are nearest to their own label's place on the circle; chance is `decode_chance`."""
    right = decoded(points, period, frequency) == labels % (period // math.gcd(frequency, period))
    return float(right.double().mean())


def decode_chance(period: int, frequency: int) -> float:
    """Accuracy of a uniform guess: one over the number of different places."""
    return math.gcd(frequency, period) / period


def cohen_kappa(predicted: Int[Tensor, " m"], true: Int[Tensor, " m"]) -> float:
    """Agreement beyond the chance of the two marginals, (p_o - p_e)/(1 - p_e); 1 at best, 0 at chance.

    0 also where both are constant, so that chance alone agrees always.
    """
    classes = int(torch.maximum(predicted.max(), true.max())) + 1
    shares = [column.bincount(minlength=classes).double() / len(true) for column in (predicted, true)]
    chance = float((shares[0] * shares[1]).sum())
    observed = float((predicted == true).double().mean())
    return (observed - chance) / (1 - chance) if chance < 1 else 0.0


@dataclass(frozen=True)
class Periodicity:
    """How much of N vectors repeats with one period, and how much does not (squared units of the vectors)."""

    phi: float
    """Φ_T: summed Fourier power of the harmonics of the period."""
    between: float
    """tr S_B; equals Φ_T / N where the classes are equally large."""
    within: float
    """tr S_W."""
    f_ratio: float
    """One-way ANOVA pooled over dimensions: mean square between over mean square within classes; 1 for noise and
    infinite where no class varies."""


def phi(states: Float[Tensor, "m d"], integers: Int[Tensor, " m"], period: int) -> Periodicity:
    """Φ_T with its scatters, from one vector per integer, or per prompt with that integer result.

    Only class sums enter Φ_T, because e^(-2πi l n/T) depends on n mod T; by Parseval over the harmonics it is
    (T Σ_r ||s_r||² - ||Σ_r s_r||²) / N, and the centred sums s_r add up to zero.

    Raises:
        InputError: a residue without vectors, or no more vectors than residues (nothing is left within classes).
    """
    labels, n = integers.cpu() % period, len(states)
    counts = labels.bincount(minlength=period).double()
    if int(counts.min()) == 0 or n <= period:
        raise InputError(
            f"period {period} needs more than {period} vectors that reach every residue, got {n} vectors on "
            f"{int((counts > 0).sum())} residues"
        )
    centred = states.double().cpu() - states.double().cpu().mean(dim=0)
    means = class_means(centred, labels, period)
    squares = means.square().sum(dim=1)
    weighted = float((counts * squares).sum())
    within = float((centred - means[labels]).square().sum())
    return Periodicity(
        phi=float((counts.square() * squares).sum()) * period / n,
        between=float((means - means.mean(dim=0)).square().sum()) / period,
        within=within / n,
        f_ratio=(weighted / (period - 1)) / (within / (n - period)) if within > 0 else math.inf,
    )


def without_massive(states: Float[Tensor, "m d"], count: int = 4) -> Float[Tensor, "m rest"]:
    """The states without their `count` dimensions of largest root mean square, in their order.

    Massive activations are nearly constant: a published one (unixsysdev/grokking-fourier, layer 9, dimension 35) is
    16.8 with an oscillation of 0.05. Their root mean square tells them, their variance need not;
    `scan.without_massive` asks for the variance instead, because the nuisances have already taken the means from its
    responses, and sets the dimensions to zero instead of dropping them.

    Raises:
        InputError: no dimension would be left.
    """
    if not 0 <= count < states.shape[1]:
        raise InputError(f"cannot leave out {count} of {states.shape[1]} dimensions: one at least must remain")
    kept = torch.ones(states.shape[1], dtype=torch.bool, device=states.device)
    kept[states.double().square().mean(dim=0).topk(count).indices] = False
    return states[:, kept]


def class_means(states: Float[Tensor, "n d"], labels: Int[Tensor, " n"], period: int) -> Float[Tensor, "labels d"]:
    """Mean of every label's prompts, float64."""
    sums = torch.zeros(period, states.shape[1], dtype=torch.float64).index_add_(0, labels, states.double().cpu())
    return sums / labels.bincount(minlength=period).clamp_min(1)[:, None]


def closure(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> float:
    """The closure of n items from two independent estimates of their means."""
    neighbours, opposite, ends = _ring_distances((first - first.mean(dim=0)) @ (second - second.mean(dim=0)).T)
    if neighbours >= opposite:
        return math.nan
    return float((opposite - ends) / (opposite - neighbours))


def closure_interval(
    first: Float[Tensor, "t n d"], second: Float[Tensor, "u n d"], seed: int
) -> tuple[float, float] | None:
    """95 % percentile interval of the closure, over templates that are drawn with replacement in each half by itself.

    A mean over templates enters each squared distance linearly, so that three numbers for each pair of templates are
    all that a draw needs. None where a half has one template only, or where in more than 2.5 % of the draws neighbours
    are no nearer than opposite items, so that an end of the interval would not be a number. Of circles of 7 and 12
    items in 8 and 6 templates, with noise of 0.1 to 0.6 radii in 32 dimensions, it covers 1 in 92 to 99.5 % (400 each):
    too wide where the noise is large.

    Args:
        first: the means of the n items in each template of one half (`template_means`); `second`: of the other.
        seed: of the draws.
    """
    if min(len(first), len(second)) < 2:
        return None
    left, right = (half - half.mean(dim=1, keepdim=True) for half in (first, second))
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for half in (left, right):
        choice = torch.randint(len(half), (RESAMPLES, len(half)), generator=generator)
        weights.append(torch.nn.functional.one_hot(choice, len(half)).double().mean(dim=1))
    pairs = _ring_distances(torch.einsum("tid,ujd->tuij", left, right))
    neighbours, opposite, ends = (((weights[0] @ part) * weights[1]).sum(dim=1) for part in pairs)
    defined = neighbours < opposite
    if float(defined.double().mean()) < 1 - TAIL:
        return None
    draws = ((opposite - ends) / (opposite - neighbours))[defined]
    return percentiles(draws)


def template_means(states: Float[Tensor, "n d"], labels: Labels) -> Float[Tensor, "t labels d"] | None:
    """Mean of every label in every template, float64; None where a template lacks a label."""
    of_template = [labels.template == template for template in labels.template.unique()]
    if any(int(labels.label[rows].bincount(minlength=labels.period).min()) == 0 for rows in of_template):
        return None
    return torch.stack([class_means(states[rows], labels.label[rows], labels.period) for rows in of_template])


def _ring_distances(
    gram: Float[Tensor, "*batch n n"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Mean squared distance of neighbours and of opposite items, and that of the two ends, from a cross Gram matrix."""
    n = gram.shape[-1]
    gram = (gram + gram.mT) / 2
    norm = gram.diagonal(dim1=-2, dim2=-1)
    distance = norm[..., :, None] + norm[..., None, :] - 2 * gram

    def apart(steps: int) -> Tensor:
        return distance.diagonal(steps, dim1=-2, dim2=-1)

    opposite = torch.cat([apart(n // 2), apart(n - n // 2)], dim=-1)
    return apart(1).mean(dim=-1), opposite.mean(dim=-1), distance[..., 0, -1]


def wrap_groups(labels: Labels) -> Groups | None:
    """Two groups, the prompts of even and of odd quotients floor(total / period), each predicted from the other.

    None where either parity has fewer than two different quotients (published grids have q = 0 and 1 only, items
    q = 0): one turn a side cannot tell a residue from a range of sizes.
    """
    quotient = torch.div(labels.total, labels.period, rounding_mode="floor")
    if any(len(quotient[quotient % 2 == parity].unique()) < 2 for parity in (0, 1)):
        return None
    return Groups.of(quotient % 2)
