"""Gain tables of the assignment test: what every period explains in the responses to prompts with one modulus.

    dimensions   gain = log max_k R²_k, partial R² of [cos, sin](2πkn/p_i) beyond the nuisances, k = 1 … floor(p_i/2)
    planes       gain = -½ log(1 - R²_k), R² held out by operand pair, lightest penalty, k = 1, 2, 3; nats

Strength multiplies: a prompt that carries n twice as strongly raises every small partial R² by the same *factor*, so
that in log R² it is a column effect and is centred away. It also has more power than nats here: a circle of 0.1 sd in
two of 128 dimensions, seven moduli, 800 prompts, is found at p <= 0.05 in 7 of 15 networks against 3 of 15 (both with
a contrast of log p alone, whose power is a little higher). A held-out R² can be negative, so planes stay in nats.
Of their three frequencies the tests take the largest gain; what a claim's own frequency gains is said beside it.

The circle of period p at frequency k, X_k = [cos, sin](2πkn/p), can be tested only if M_Z X_k keeps the rank of X_k:
otherwise some nuisances span it, no response can tell the two apart, and the message names them.

Symbols: N prompts, p_i the periods, n the integer result, Z nuisances (`dimensions`). One call makes one column j.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.assignment import ModulusTest, modulus_tests, why_not
from llm_probe.statistics.dimensions import Magnitude, nuisance_basis, whitened, without
from llm_probe.statistics.planes import PENALTIES, circles
from llm_probe.statistics.renaming import units_carry
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother, baseline_residuals, drop_zero, orthonormal, plane_r2, residual
from toy.run.errors import InputError

PLANE_FREQUENCIES = 3
SMALLEST_R2 = 1e-12
FREE_PROMPTS = 12
"""Prompts beyond the nuisances' rank and the circle's: below it an F statistic has next to no power."""


def circle_bases(
    total: Num[Tensor, " n"], period: int, frequencies: Sequence[int], nuisances: Float[Tensor, "n q"]
) -> Float[Tensor, "k n 2"]:
    """Q_k = orth(M_Z X_k) of every frequency; where the rank is short (a Nyquist sine), a column of zeros."""
    waves = torch.stack([fourier.circle(total, k, period) for k in frequencies])
    # Twice: what the first projection leaves to rounding would be scaled up to a direction of its own.
    return whitened(without(without(waves, nuisances), nuisances))


def nuisance_blocks(labels: Labels) -> dict[str, Float[Tensor, "n _"]]:
    """The columns of each nuisance of a sum by its name."""
    named = {"template": labels.template, "first operand": labels.first, "second operand": labels.offset}
    blocks = {
        name: torch.nn.functional.one_hot(values.unique(return_inverse=True)[1])[:, 1:].double()
        for name, values in named.items()
    }
    carry = units_carry(labels.first, labels.offset)
    columns = Magnitude(labels).columns(labels.total, carry)
    return (
        blocks | {"spline of the result": columns[:, :-1]} | ({"carry": columns[:, -1:]} if labels.has_digits else {})
    )


def check_identifiable(labels: Labels, period: int, frequencies: Sequence[int]) -> None:
    """Raises InputError with the names of the nuisances that span a direction of a circle, if any do."""
    blocks = nuisance_blocks(labels)
    for k in frequencies:
        if spanned := spanning_blocks(fourier.design(labels.total, k, period), blocks):
            enough = 2 * (sum(block.shape[1] for block in blocks.values()) + 2 + FREE_PROMPTS)
            raise InputError(
                f"period {period}, k = {k} cannot be told from {' and '.join(spanned)} among these "
                f"{len(labels.total)} prompts, of which the nuisances take up {nuisance_basis(labels).shape[1]}: give "
                f"{enough} prompts or more, or another period"
            )


def spanning_blocks(columns: Float[Tensor, "n c"], blocks: Mapping[str, Float[Tensor, "n _"]]) -> tuple[str, ...]:
    """Names of blocks that, with the constant, span a direction of the columns; none where all of it is left.

    No name can be left out; with several such sets, the one that keeps the blocks that come last.
    """

    def spans(names: Sequence[str]) -> bool:
        parts = [torch.ones(len(columns), 1, dtype=torch.float64), *(blocks[name].double() for name in names)]
        left = residual(columns, orthonormal(torch.cat(parts, dim=1)))
        return orthonormal(drop_zero(left)).shape[1] < orthonormal(columns).shape[1]

    kept = list(blocks)
    if not spans(kept):
        return ()
    for name in blocks:
        if spans(rest := [other for other in kept if other != name]):
            kept = rest
    return tuple(kept) or ("the constant",)


def dimension_gain(
    responses: Float[Tensor, "n cells d"], labels: Labels, periods: Sequence[int], highest: int | None = None
) -> Float[Tensor, "periods cells d"]:
    """Gain of every period in every dimension under one modulus: log of the largest partial R² over its frequencies.

    `responses` from `dimensions.adjusted_states`; the spline of the result and the carry are taken out here. The
    nuisances' columns and all circles form one basis, so that one matrix product with the responses holds every term,
    R²_k = ||Q_kᵀ y||² / (||y||² - ||Q_Eᵀ y||²). `highest`: the largest frequency (None: floor(p/2)).

    Raises:
        InputError: nuisances span a circle (it names them).
    """
    n, cells, d = responses.shape
    nuisances = nuisance_basis(labels)
    bases, counts = [], []
    for period in periods:
        frequencies = list(fourier.frequencies(period))[:highest]
        circles_of = circle_bases(labels.total, period, frequencies, nuisances)
        if bool((circles_of.square().sum(dim=(1, 2)) == 0).any()):
            check_identifiable(labels, period, frequencies)
        bases.append(circles_of.transpose(1, 2).flatten(0, 1))
        counts.append(len(frequencies))
    basis = torch.cat([nuisances.T, *bases]).to(responses)
    y = responses.reshape(n, -1)
    squared = (basis @ y).square()
    total = y.square().sum(dim=0)
    left = total - squared[: nuisances.shape[1]].sum(dim=0)
    explained = squared[nuisances.shape[1] :].unflatten(0, (-1, 2)).sum(dim=1)
    best = torch.stack([block.amax(dim=0) for block in explained.split(counts)])
    # A dimension that the nuisances explain to rounding has nothing left to gain.
    r2 = torch.where(left > 1e-9 * total, best / left.clamp_min(1e-30), 0.0)
    return r2.clamp_min(SMALLEST_R2).log().view(len(periods), cells, d)


def plane_gain(
    smoothers: Sequence[RidgeSmoother], labels: Labels, periods: Sequence[int]
) -> Float[Tensor, "periods cells k"]:
    """Gain of every period's planes k = 1, 2, 3 in every cell under one modulus: -½ log(1 - R²), nats.

    R² is held out by operand pair; it may be negative. A period below six has fewer frequencies: its last stands in the
    place of those it lacks. Every entry has the same, lightest penalty of `planes`: a penalty chosen entry by entry
    adds noise to a comparison of entries.
    """
    device = smoothers[0].left.device
    targets = torch.cat(
        [circles(labels.total, list(fourier.frequencies(period))[:PLANE_FREQUENCIES], period) for period in periods],
        dim=1,
    ).to(device)
    first, columns_of = 0, []
    for period in periods:
        count = min(PLANE_FREQUENCIES, period // 2)
        columns_of.append([first + min(k, count - 1) for k in range(PLANE_FREQUENCIES)])
        first += count
    units = labels.groups("unit")
    assert units is not None, "a claim has at least two operand pairs"
    baseline, columns = baseline_residuals(targets, units), []
    for smoother in smoothers:
        r2 = plane_r2(smoother.heldout_residuals(targets, units, PENALTIES[0]), baseline)[torch.tensor(columns_of)]
        columns.append(-0.5 * torch.log1p(-r2.clamp(max=1 - 1e-12)))
    return torch.stack(columns, dim=1).cpu()


@dataclass(frozen=True)
class Gains:
    """One column of the gain tables: every period of a family under one modulus, or under none."""

    periods: tuple[int, ...]
    planes: Float[Tensor, "periods cells k"]
    dimensions: Float[Tensor, "periods units"]
    """Units are cells x d."""

    def content(self) -> dict[str, Any]:
        """As JSON: planes in full, the many dimensions as half-precision bytes."""
        packed = base64.b64encode(self.dimensions.half().numpy().tobytes()).decode()
        return {"periods": list(self.periods), "planes": self.planes.tolist(), "dimensions": packed}

    @staticmethod
    def of_content(content: Mapping[str, Any]) -> Gains:
        """The inverse of `content`."""
        flat = torch.frombuffer(bytearray(base64.b64decode(content["dimensions"])), dtype=torch.float16).float()
        periods = tuple(content["periods"])
        planes = torch.tensor(content["planes"], dtype=torch.float64)
        return Gains(periods, planes, flat.view(len(periods), -1))


def gains_of(
    smoothers: Sequence[RidgeSmoother], adjusted: Float[Tensor, "n cells d"], labels: Labels, periods: tuple[int, ...]
) -> Gains:
    """A column from one modulus' discovery prompts; `adjusted` from `dimensions.adjusted_states`."""
    planes = plane_gain(smoothers, labels, periods).double()
    # Half precision, as it is kept on disk: a resumed run sees the same numbers.
    dimensions = dimension_gain(adjusted, labels, periods).flatten(1).cpu().half().float()
    return Gains(periods, planes, dimensions)


def tests_of(moduli: Sequence[int], columns: Sequence[Gains], seed: int) -> dict[int, ModulusTest]:
    """The assignment test of every modulus that has enough others beside it; column j is under `moduli[j]`."""
    planes = torch.stack([column.planes for column in columns], dim=1).permute(3, 2, 0, 1)
    dimensions = torch.stack([column.dimensions for column in columns], dim=2).permute(1, 0, 2)
    return modulus_tests(list(moduli), planes, dimensions, seed)


def note_of(moduli: Sequence[int], modulus: int, test: ModulusTest | None) -> str:
    """In words: what the test of a modulus left out, or why there was none."""
    if test is None:
        return why_not(moduli, modulus) or ""
    left = ", ".join(str(other) for other in test.left_out if other % modulus == 0 or modulus % other == 0)
    return f"compared without {left}, which shares its periods" if left else ""
