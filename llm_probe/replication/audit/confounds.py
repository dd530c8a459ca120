"""Simple functions of the operands that reach a published R² without any modular structure.

Each is evaluated on every prompt of the claim's own grid, averaged over the residue classes, and scored at the claim's
own frequency (where none was published: at its best). Functions f(a) + g(b) vanish on a full grid; products, the carry
and the number of digits do not. A fitted polynomial is a confound where its R² was published beside the claim.

`least_polynomial_r2` is a bound between two numbers published about the same n class means y. If the plane F of
frequency k explains R_F of y, the angle between y and F is acos √R_F; the angle between F's worst direction and the
polynomials P is acos σ_min(Fᵀ P); angles add at most, so that

    R_P ≥ cos²(acos √R_F + acos σ_min),   0 if the sum reaches 90°.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.replication.audit.claims import PublishedClaim, beside
from llm_probe.replication.audit.magnitude_networks import Grid, fit_r2, operands
from llm_probe.replication.audit.searches import domain_of, grid_of
from toy.maths.fourier import design, power
from toy.maths.regression import class_mean_r2, orthonormal, residual, rival_columns

MARGIN = 0.02
"""How near to the published value a function must come to be named."""
DEGREES = ("linear", "quadratic", "cubic")


@dataclass(frozen=True)
class Confound:
    """Something simpler, and the R² it has."""

    name: str
    r2: float


Operand = Int[Tensor, " pairs"]
_SMOOTH: dict[str, Callable[[Operand, Operand, int], Tensor]] = {
    "(a+b)²": lambda a, b, n: (a + b) ** 2,
    "(a+b)³": lambda a, b, n: (a + b) ** 3,
    "a·b": lambda a, b, n: a * b,
    "|a−b|": lambda a, b, n: (a - b).abs(),
    "max(a, b)": lambda a, b, n: torch.maximum(a, b),
    "max(a+b−n, 0)": lambda a, b, n: (a + b - n).clamp_min(0),
    "carry [a+b ≥ n] (the quotient)": lambda a, b, n: a + b >= n,
}
"""Of two operands counted from 0 and the period n; on these grids the quotient is the carry."""
_DIGITS: dict[str, Callable[[Operand, Operand, int], Tensor]] = {
    "two-digit operands [a ≥ 10][b ≥ 10]": lambda a, b, n: (a >= 10) & (b >= 10),
    "two-digit sum [a+b ≥ 10]": lambda a, b, n: a + b >= 10,
    "decimal carry": lambda a, b, n: a % 10 + b % 10 >= 10,
}
"""Only where both operands are written in digits."""
_OFFSET: dict[str, Callable[[Operand, Operand, int], Tensor]] = {
    "two-digit offset [b ≥ 10]": lambda a, b, n: b >= 10,
    "the offset b": lambda a, b, n: b,
}
"""On a full grid a function of the offset alone vanishes; the alphabet's grid has 13 of 26 starts."""
_POSITION: dict[str, Callable[[Operand, Operand, int], Tensor]] = {
    "two-digit position [a ≥ 10]": lambda a, b, n: a + 1 >= 10,
    "log(1+a)": lambda a, b, n: torch.log1p(a.double() + 1),
}
"""One operand, numbered from 1."""


def functions_of(domain: str) -> dict[str, Callable[[Operand, Operand, int], Tensor]]:
    """The functions that prompts of a domain can carry."""
    if domain == "alphabet position":
        return _POSITION
    if domain == "alphabet":
        return _SMOOTH | _OFFSET
    if domain == "hours":  # written 1 … 12, so that the first operand is one more than its index
        return _SMOOTH | {"two-digit operands [hour ≥ 10][b ≥ 10]": lambda a, b, n: (a + 1 >= 10) & (b >= 10)}
    return _SMOOTH | _DIGITS if domain.startswith("mod-add") else _SMOOTH


def class_means(values: Tensor, a: Operand, b: Operand, n: int) -> Float[Tensor, "n 1"]:
    """Means of one value a prompt over the classes (a + b) mod n."""
    label = (a + b) % n
    total = torch.zeros(n, dtype=torch.float64).index_add_(0, label, values.double())
    return (total / torch.bincount(label, minlength=n))[:, None]


@cache
def spectrum(name: str, domain: str, n: int, grid: Grid) -> Float[Tensor, " k"]:
    """Class-mean R² of a function at every frequency; zero where it vanishes on the grid."""
    a, b = operands(n, grid)
    return class_mean_r2(class_means(functions_of(domain)[name](a, b, n), a, b, n))[:, 0]


@cache
def input_spectrum(name: str, n: int) -> Float[Tensor, " k"]:
    """Share of a function's variance over all n² inputs at every frequency of a + b."""
    a, b = operands(n, "square")
    values = functions_of("mod-add")[name](a, b, n).double()
    return power(class_means(values, a, b, n))[:, 0] * n / (values - values.mean()).square().sum()


def _at(shares: Float[Tensor, " k"], frequency: int | None) -> float:
    """The share at a frequency, counted from 1; the largest where none was published."""
    return float(shares[frequency - 1] if frequency else shares.max())


def straight_line(name: str, n: int) -> float:
    """R² of a line through a function of the position."""
    a, b = operands(n, "positions")
    return float(fit_r2(class_means(_POSITION[name](a, b, n), a, b, n), "linear"))


def confounds_of(claim: PublishedClaim, claims: Sequence[PublishedClaim]) -> list[Confound]:
    """Everything simpler that comes within `MARGIN` of an R² of a circle or a line, best first."""
    if claim.modulus is None or claim.kind not in ("class_mean_r2", "line_r2", "input_r2"):
        return []
    n, domain = claim.modulus, domain_of(claim)
    if claim.kind == "line_r2":
        simple = [Confound(name, straight_line(name, n)) for name in _POSITION]
    elif claim.kind == "input_r2":
        simple = [Confound(name, _at(input_spectrum(name, n), claim.frequency)) for name in functions_of("mod-add")]
    else:
        names = functions_of(domain)
        simple = [Confound(name, _at(spectrum(name, domain, n, grid_of(claim)), claim.frequency)) for name in names]
        # Polynomials in the residue that were published about the same dimension.
        fitted = {f"{degree}_r2_residue_means": f"a fitted {degree} polynomial" for degree in DEGREES}
        simple += [Confound(fitted[metric], r2) for metric, r2 in beside(claim, claims, *fitted).items()]
    return sorted((one for one in simple if one.r2 >= claim.value - MARGIN), key=lambda one: -one.r2)


def least_polynomial_r2(n: int, frequency: int, fourier_r2: float, degree: str) -> float:
    """The smallest polynomial R² that n class means can have whose R² at a frequency is `fourier_r2`."""
    labels = torch.arange(n)
    mean = torch.full((n, 1), n**-0.5, dtype=torch.float64)
    plane = orthonormal(residual(design(labels, frequency, n), mean))
    curve = orthonormal(residual(rival_columns(labels, n, degree), mean))
    if curve.shape[1] < plane.shape[1]:
        return 0.0  # a direction of the plane is orthogonal to so few columns
    worst = float(torch.linalg.svdvals(plane.T @ curve).min())
    angle = math.acos(min(1.0, math.sqrt(fourier_r2))) + math.acos(min(1.0, worst))
    return math.cos(angle) ** 2 if angle < math.pi / 2 else 0.0
