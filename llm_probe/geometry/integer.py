"""Do the states hold the integer result itself? Is its residue more than what is read because the integer is there?

A model may compute August + 6 = 14 and reduce it afterwards, or never (Feucht et al. 2026): as long as the integer n is
held, on a helix of periods 2, 5, 10, 100 or by tuning curves, *every* period can be read from it. With V (L, d) the
sums of the states (beyond template and operands) over the prompts of each of the L integers, divided by the root of
their number, so that noise is equal in all, two questions are put to V alone:

    repeats   the largest share of tr V Vᵀ at one of the period's own lines k/p, beyond a cubic in n and the decimal
              periods 2, 5, 10. A null of integers without period: the vectors of the L integers change places. A smooth
              code has *less* at its lines than under other orders, and a code of one other period has a higher peak
              beside the line, so p is 1 unless the line is the peak of its neighbourhood
    integer   the variance between integers of *one* residue. A null of residues: prompts of one residue change places,
              a + b and b + a together: a symmetric network has one state for both, and knows no integer by that

The first is the test of selectivity where a word is added to; sums of numbers are compared with other moduli
(`assignment`) and with other periods (`scan`). The second names the helix: the periods whose share of the variance
between integers of one residue exceeds that of the same null. Of sums of numbers it says nothing by itself: prompts of
one integer then share a pair of tens more often than prompts of one residue do, which makes them alike in a network
that was never trained. There the period has to be read as well, against renamed digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.geometry.order import corrected, power_under, standardised
from llm_probe.questions.claims import Labels
from llm_probe.statistics.dimensions import basis_beyond, fixed_nuisances
from toy.maths import fourier
from toy.maths.regression import residual

DECIMAL_PERIODS = (2, 5, 10)
HELIX_PERIODS = (2, 5, 10, 100)
"""Periods in which pretrained models hold numbers (Zhou et al. 2024; Kantamneni & Tegmark 2025)."""
ORDERS = 1999
SHUFFLES = 99
NEAR = 0.9
"""A line is the peak of its neighbourhood if it has this share of the largest there: noise moves a peak a little."""
FEWEST_INTEGERS = 12
LEVEL = 0.05
"""Of the periods that are named, together."""


@dataclass(frozen=True)
class IntegerCode:
    """What the states say of the integer result, at the place that says most."""

    p: float
    """That the integers of one residue differ at some place, corrected over places."""
    periods: tuple[float, ...]
    """Periods at which they do there, largest share first; empty where no single period stands out."""


def level_sums(responses: Float[Tensor, "n d"], labels: Labels) -> tuple[Int[Tensor, " l"], Float[Tensor, "l d"]]:
    """(integers, V): every integer result and the sum of its prompts over the root of their number."""
    values, which, counts = labels.total.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(values), responses.shape[1], dtype=torch.float64)
    return values, sums.index_add_(0, which, responses.double().cpu()) / counts.double().sqrt()[:, None]


def repeats(
    responses: Float[Tensor, "n cells d"], labels: Labels, frequencies: Sequence[int], seed: int
) -> float | None:
    """p that a line of the period stands out of the integers, corrected over places and frequencies; None where too few
    integers occur, or the decimal periods leave nothing of any line."""
    values, counts = labels.total.unique(return_counts=True)
    if len(values) < FEWEST_INTEGERS:
        return None
    weight = counts.double().sqrt()[:, None]
    known = basis_beyond(weight * _smooth(values), torch.zeros(len(values), 0, dtype=torch.float64))
    every = {k: basis_beyond(weight * fourier.circle(values, k, labels.period), known) for k in frequencies}
    # What the decimal periods absorb cannot be told from them.
    lines = {k: line for k, line in every.items() if line.shape[1] == 2}
    if not lines:
        return None
    generator = torch.Generator().manual_seed(seed)
    others = [torch.randperm(len(values), generator=generator) for _ in range(ORDERS)]
    orders = torch.stack([torch.arange(len(values)), *others])
    sums = [level_sums(cell, labels)[1] for cell in responses.unbind(dim=1)]
    scores = []
    for each in sums:
        gram = each @ each.T
        gram = gram / gram.diagonal().sum().clamp_min(1e-300)
        scores.append(torch.stack([power_under(gram, line, orders).sum(dim=1) for line in lines.values()]))
    of_order = torch.stack(scores)
    p, share = corrected(standardised(of_order)), of_order[:, :, 0]
    # Of the strongest lines one may be cut by a decimal period beside it: the largest is looked at.
    cell, line = divmod(int(share.masked_fill(p > p.min(), -1.0).argmax()), p.shape[1])
    peak = _is_peak(sums[cell], values, weight, known, list(lines)[line] / labels.period)
    return float(p.min()) if peak else 1.0


def _smooth(values: Int[Tensor, " l"]) -> Float[Tensor, "l c"]:
    """Powers of n up to the third and the decimal circles."""
    x = 2 * (values - values.min()).double() / max(int(values.max() - values.min()), 1) - 1
    powers = torch.stack([x**degree for degree in range(4)], dim=1)
    return torch.cat([powers, *(fourier.design(values, 1, period) for period in DECIMAL_PERIODS)], dim=1)


def _is_peak(
    sums: Float[Tensor, "l d"],
    values: Int[Tensor, " l"],
    weight: Float[Tensor, "l 1"],
    known: Float[Tensor, "l q"],
    line: float,
) -> bool:
    """Whether no frequency nearer than the resolution has a clearly larger share."""
    resolution = 1 / float(values.max() - values.min())
    shares = []
    for frequency in [line, *torch.linspace(line - resolution, line + resolution, 17).tolist()]:
        angle = 2 * torch.pi * frequency * values.double()
        basis = basis_beyond(weight * torch.stack([angle.cos(), angle.sin()], dim=1), known)
        shares.append(float((basis.T @ sums).square().sum()))
    return shares[0] >= NEAR * max(shares)


def integer_code(responses: Float[Tensor, "n cells d"], labels: Labels, seed: int) -> IntegerCode:
    """Are integers of one residue told apart, and by which periods?

    `responses` as for `repeats`. What residues say is taken out here prompt by prompt, because few prompts leave
    operands and residues entangled: a residue's vector beyond the operands differs from integer to integer.
    """
    one_hot = torch.nn.functional.one_hot(labels.label, labels.period).double()
    operands = fixed_nuisances(labels)
    known = torch.cat([operands, basis_beyond(one_hot, operands)], dim=1)
    left = [residual(cell.double().cpu(), known).float() for cell in responses.unbind(dim=1)]
    question = _mirror_images(labels)
    times = question.bincount()
    left = [torch.zeros(len(times), cell.shape[1]).index_add_(0, question, cell) / times[:, None] for cell in left]
    total, label = (torch.empty_like(times).scatter_(0, question, key) for key in (labels.total, labels.label))
    values, which, counts = total.unique(return_inverse=True, return_counts=True)
    weight = counts.double().sqrt()[:, None]
    reach = int(values.max() - values.min())
    periods = [period for period in HELIX_PERIODS if labels.period % period and period < reach]
    circles = [basis_beyond(weight * fourier.design(values, 1, period), weight[:, :0]).float() for period in periods]
    table = []
    # Twice asked is measured better: such questions change places among themselves.
    for rows in _within(label * (int(times.max()) + 1) + times, torch.Generator().manual_seed(seed)):
        of_order = []
        for cell in left:
            sums = torch.zeros(len(values), cell.shape[1]).index_add_(0, which, cell[rows]) / weight.float()
            of_order.append(
                [*(float((basis.T @ sums).square().sum()) for basis in circles), float(sums.square().sum())]
            )
        table.append(of_order)
    power = torch.tensor(table, dtype=torch.float64).permute(1, 2, 0)
    p = corrected(standardised(power[:, -1:]))[:, 0]
    best = int(p.argmin())
    own = (power[best] >= power[best, :, :1]).double().mean(dim=1)
    level = LEVEL / max(len(periods), 1)
    named = [index for index in range(len(periods)) if own[index] <= level]
    named.sort(key=lambda index: -float(power[best, index, 0]))
    return IntegerCode(float(p[best]), tuple(float(periods[index]) for index in named))


def _mirror_images(labels: Labels) -> Int[Tensor, " n"]:
    """Which question every prompt asks, 0, 1, …: one and its mirror image are the same, whatever the template."""
    if not labels.operands_alike:
        return torch.arange(len(labels.label))
    pair = torch.stack([labels.first, labels.offset])
    key = torch.stack([labels.total, pair.amin(dim=0), pair.amax(dim=0)])
    return key.unique(dim=1, return_inverse=True)[1]


def _within(label: Int[Tensor, " n"], generator: torch.Generator) -> Iterator[Int[Tensor, " n"]]:
    """Questions in their own order, then with those of one label shuffled among themselves."""
    n = len(label)
    yield torch.arange(n)
    order = torch.argsort(label, stable=True)
    sizes = label[order].unique_consecutive(return_counts=True)[1].tolist()
    for _ in range(SHUFFLES):
        shuffled = [part[torch.randperm(len(part), generator=generator)] for part in order.split(sizes)]
        rows = torch.empty(n, dtype=torch.long)
        rows[order] = torch.cat(shuffled)
        yield rows
