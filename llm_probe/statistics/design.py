"""The nuisances of a claim by name, and whether they leave anything of the circle to test.

Z is made of named blocks: template, first operand, second operand (indicators), a cubic spline of the integer result,
the units' carry (`dimensions`). The circle of period p at frequency k, X_k = [cos, sin](2πkn/p), can be tested only
if M_Z X_k keeps the rank of X_k: otherwise some blocks span it, and no response can tell the two apart. Then the
sentence names them: blocks are left out one after the other as long as the rest still spans X_k, so that each of
those that remain is needed.

    share left of X_k = ||M_Z X_k||² / ||M_1 X_k||²       (1: orthogonal to every nuisance; 0: spanned)

Symbols: N prompts, q = rank Z, Z orthonormal (N, q), X_k (N, c) with c = 1 at the Nyquist frequency, else 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.statistics.dimensions import Magnitude, fixed_nuisances, whitened, without
from llm_probe.statistics.renaming import units_carry
from toy.maths import fourier
from toy.maths.regression import drop_zero, orthonormal, residual
from toy.run.errors import InputError

FEWEST_RESIDUES = 5
"""A circle through fewer points cannot be told from a square wave and a ramp."""
FEWEST_FREE = 12
"""Prompts beyond the nuisances' rank and the circle's: below it an F statistic has next to no power."""


def nuisance_blocks(labels: Labels) -> dict[str, Float[Tensor, "n _"]]:
    """The columns of each nuisance by its name; of an item's prompts only the template."""
    blocks = {"template": _indicators(labels.template)}
    if labels.quantity == "item":
        return blocks
    spline = Magnitude(labels).columns(labels.total, torch.zeros_like(labels.total, dtype=torch.bool))[:, :-1]
    blocks["first operand"] = _indicators(labels.first)
    blocks["second operand"] = _indicators(labels.offset)
    blocks["spline of the result"] = spline
    if labels.has_digits:
        blocks["carry"] = units_carry(labels.first, labels.offset).double()[:, None]
    return blocks


def nuisance_basis(labels: Labels) -> Float[Tensor, "n q"]:
    """Z: an orthonormal basis of every nuisance and the constant, the one that `dimensions.search` uses."""
    fixed = fixed_nuisances(labels)
    carry = units_carry(labels.first, labels.offset) & labels.has_digits
    extra = residual(Magnitude(labels).columns(labels.total, carry), fixed)
    return torch.cat([fixed, orthonormal(drop_zero(extra))], dim=1)


def circle_bases(
    total: Num[Tensor, " n"], period: int, frequencies: Sequence[int], nuisances: Float[Tensor, "n q"]
) -> Float[Tensor, "k n 2"]:
    """Q_k = orth(M_Z X_k) of every frequency; where the rank is short (a Nyquist sine), a column of zeros."""
    waves = torch.stack([fourier.circle(total, k, period) for k in frequencies])
    # Twice: what the first projection leaves to rounding would be scaled up to a direction of its own.
    return whitened(without(without(waves, nuisances), nuisances))


def identifiable(
    labels: Labels,
    period: int,
    frequencies: Sequence[int] | None = None,
    more: Mapping[str, Float[Tensor, "n _"]] | None = None,
) -> Float[Tensor, " k"]:
    """Share of each frequency's circle that the nuisances leave, all above zero.

    `frequencies`: those to be tested (default: all of the period); `more`: further nuisance blocks by name, such as
    the quotient or the digit pattern.

    Raises:
        InputError: too few residues or prompts (the message says how many are needed), or a circle that nuisances
            span (it names them).
    """
    blocks = nuisance_blocks(labels) | dict(more or {})
    tested = tuple(fourier.frequencies(period) if frequencies is None else frequencies)
    _check_residues(labels, period)
    constant = torch.ones(len(labels.total), 1, dtype=torch.float64)
    basis = orthonormal(torch.cat([constant, *blocks.values()], dim=1))
    shares = []
    for k in tested:
        columns = fourier.design(labels.total, k, period)
        spanned = spanning_blocks(columns, blocks)
        if spanned:
            raise InputError(
                f"period {period}, k = {k} cannot be told from {' and '.join(spanned)} among these "
                f"{len(labels.total)} prompts, of which the nuisances take up {basis.shape[1]}: give "
                f"{_enough(blocks)} prompts or more, or another period"
            )
        left, all_of_it = residual(columns, basis), columns - columns.mean(dim=0)
        shares.append(left.square().sum() / all_of_it.square().sum())
    _check_prompts(len(labels.total), basis.shape[1], period, blocks)
    return torch.stack(shares)


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
    for name in list(blocks):
        rest = [other for other in kept if other != name]
        if spans(rest):
            kept = rest
    return tuple(kept) or ("the constant",)


def _indicators(values: Num[Tensor, " n"]) -> Float[Tensor, "n _"]:
    codes = values.unique(return_inverse=True)[1]
    return torch.nn.functional.one_hot(codes)[:, 1:].double()


def _check_residues(labels: Labels, period: int) -> None:
    found = len((labels.total % period).unique())
    if found < FEWEST_RESIDUES:
        raise InputError(
            f"period {period} shows {found} different residues among these {len(labels.total)} prompts, and "
            f"{FEWEST_RESIDUES} or more are needed to tell a circle from a line: give more operands or another period"
        )


def _check_prompts(n: int, rank: int, period: int, blocks: Mapping[str, Float[Tensor, "n _"]]) -> None:
    if n < rank + 2 + FEWEST_FREE:
        raise InputError(
            f"{n} prompts are too few to test period {period} beside nuisances of rank {rank}: give "
            f"{max(_enough(blocks), rank + 2 + FEWEST_FREE)} prompts or more"
        )


def _enough(blocks: Mapping[str, Float[Tensor, "n _"]]) -> int:
    """As many prompts again as the nuisances' columns: more prompts bring more operands with them."""
    return 2 * (sum(block.shape[1] for block in blocks.values()) + 2 + FEWEST_FREE)
