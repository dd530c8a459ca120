"""Cross-modulus assignment: is period p stronger under modulus p than under the other moduli?

A general representation of n = a op b makes every period readable, whatever the prompt asks for. Arithmetic mod p is
more: the *same* operand pairs are asked under m moduli, and period p_i must gain under prompts with modulus p_i.

    gain[u, i, j]   what period p_i explains in unit u (a plane of a cell, or a dimension) under modulus p_j (`gains`)
    L               the gain without its row means (a period is easy to read) and column means (a prompt is)
    T_π[u]        = Σ_ij C[i, j] L[u, i, π(j)],   C = I - 11ᵀ/m - SSᵀ,   S = orth(log p, log² p);   T[u] = T_identity[u]
    p_fwer[u]     = #{π : max_v T_π[v] >= T[u]} / #π

over every assignment π of prompts to periods (m! up to seven moduli; above, a seeded sample of 5,040 with the true one
in it): exact if the columns of the gain are exchangeable (max-T; Westfall & Young 1993). Two things break that:

- *Size.* Where prompts with large moduli carry n more strongly, strength times ease makes a diagonal without any
  arithmetic, so products of parabolas in log p are taken out (SSᵀ). Of 40 networks that carry n in general, as strongly
  as p/23, 60 % have p <= 0.05 on planes without this term and none with it.
- *Divisors.* 24 is read wherever 12 is computed. Of two moduli where one divides the other only one stands in a table
  (`unrelated_subset`); moduli that only share a factor (9, 12) cost power.

The p is of the moduli together (one alone has m places to be, so that no p is below 1/m). What one modulus adds is

    effect_j = gain[j, j] - (r_j + c_j + s_jᵀ Λ s_j),   r, c, Λ by least squares on the cells i != j,

and its p that of a new cell of the same table: t = effect_j / (σ sqrt(1 + h_j)), σ² the mean square that the fit leaves
off the diagonal, h_j the variance of the prediction in units of σ², with as many degrees of freedom as that fit leaves;
and the same with the mean square of row j alone and its share of the degrees of freedom: a period that is read well is
read more noisily than one that is not. The larger p counts, corrected over places (Bonferroni). The operand pairs are
the same in every column, so that what they are drops out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toy.run.errors import InputError

ASSIGNMENTS = 5040
"""All of seven moduli; the size of the sample for more."""
ENUMERATED_MODULI = 7
FEWEST_MODULI = 5
"""5! = 120 assignments are the fewest that allow p <= 0.01; four give 1/24."""
TIE = 1e-9
"""Statistics that differ by less, relative to the gains, are equal: they differ by rounding."""
UNITS_AT_ONCE = 256
"""5,040 x 256 float64 stay in the cache while their maximum is taken."""


@dataclass(frozen=True)
class Assignment:
    """The test of one set of moduli on all units of a kind."""

    statistic: Float[Tensor, " units"]
    """T under the true assignment."""
    maxima: Float[Tensor, " assignments"]
    """max_u T_π; the first is the true assignment."""
    tie: float
    """Statistics closer than this are equal."""

    @property
    def p_fwer(self) -> Float[Tensor, " units"]:
        """Corrected over the units."""
        return self.share_above(self.statistic)

    @property
    def p_joint(self) -> float:
        """That any unit at all is assigned."""
        return float(self.p_fwer.min())

    def share_above(self, values: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """Share of the assignments whose maximum is at least as large as each value."""
        below = torch.searchsorted(self.maxima.sort().values, values - self.tie)
        return (len(self.maxima) - below).double() / len(self.maxima)


@dataclass(frozen=True)
class ModulusTest:
    """What the assignment test says about one modulus, among the moduli unrelated to it."""

    modulus: int
    moduli: tuple[int, ...]
    """The set that was permuted, in order."""
    left_out: tuple[int, ...]
    """Moduli that divide, or are divided by, one that was kept."""
    p_planes: float
    """Of the set, on planes, corrected over cells."""
    p_dimension: float | None
    """Of the set, on single dimensions, corrected over cells and dimensions; None where none were given."""
    p: float
    """Both together: the smaller of the two, corrected for having chosen it. The smallest possible is 1/#π."""
    effect: float
    """Diagonal minus what the rest of the table predicts for it, in the best plane, nats."""
    effects: tuple[float, ...]
    """The same of the frequencies k = 1, 2, 3 alone, each in its own best plane. What is read of any integer at k = 1
    hides a circle at another frequency where the largest of all gains is taken."""
    p_contrast: float
    """Of this modulus alone: its effect in the best plane, studentised by what off the diagonal is left unpredicted."""
    effect_dimension: float | None
    """The same effect in the best dimension, log R²."""
    rank: int
    """1: in the best plane its period exceeds that prediction most under its own prompts; 2: under one other more; …"""
    rank_dimension: int | None
    """The same in the best dimension."""
    cell: int
    """The best plane's."""
    dimension: int | None
    """The best dimension's index into the given units."""
    n_permutations: int

    def effect_at(self, frequency: int) -> float:
        """The effect at a claim's own frequency k; above 3, of which no gains are kept, in the best plane of all."""
        return self.effects[frequency - 1] if frequency <= len(self.effects) else self.effect


def divides(one: int, other: int) -> bool:
    """Whether either of two moduli divides the other."""
    return one % other == 0 or other % one == 0


def related(moduli: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of which one divides the other, smaller first: every period of the smaller is one of the larger."""
    pairs = itertools.combinations(sorted(set(moduli)), 2)
    return [pair for pair in pairs if divides(*pair)]


def unrelated_subset(moduli: Sequence[int], containing: int) -> tuple[int, ...]:
    """The largest set without related moduli that holds `containing`, in the order given; of equals the first.

    Raises:
        InputError: `containing` is not among the moduli, or fewer than five are left.
    """
    if containing not in moduli:
        raise InputError(f"modulus {containing} is not among {_listed(moduli)}: name it among the moduli too")
    free = [value for value in dict.fromkeys(moduli) if value == containing or not divides(value, containing)]
    tied = [value for value in free if any(divides(value, other) for other in free if other != value)]
    rest = [value for value in free if value not in tied]
    kept = next(
        chosen
        for size in range(len(tied), -1, -1)
        for chosen in itertools.combinations(tied, size)
        if not related(chosen)
    )
    subset = tuple(value for value in free if value in rest or value in kept)
    if len(subset) < FEWEST_MODULI:
        raise InputError(
            f"the assignment test of modulus {containing} has {len(subset)} moduli that do not divide one another "
            f"({_listed(subset)}) and needs {FEWEST_MODULI} or more: give more --moduli, such as 7 9 11 13 17 19 23"
        )
    return subset


def assignments(count: int, seed: int = 0) -> Int[Tensor, "assignments m"]:
    """π of `count` moduli, the true assignment first: all of them up to seven, else a sample of 5,040."""
    if count <= ENUMERATED_MODULI:
        return torch.tensor(list(itertools.permutations(range(count))))
    generator = torch.Generator().manual_seed(seed)
    sample = [torch.randperm(count, generator=generator) for _ in range(ASSIGNMENTS - 1)]
    return torch.stack([torch.arange(count), *sample])


def interaction(gain: Float[Tensor, "units m m"]) -> Float[Tensor, "units m m"]:
    """L: the gain without the means of its rows and columns; exactly zero where only rounding is left."""
    centred = gain.double() - gain.double().mean(dim=1, keepdim=True)
    centred = centred - centred.mean(dim=2, keepdim=True)
    rounding = centred.abs().amax(dim=(1, 2)) <= TIE * gain.double().abs().amax(dim=(1, 2))
    return torch.where(rounding[:, None, None], 0.0, centred)


def sizes(moduli: Sequence[int]) -> Float[Tensor, "m 2"]:
    """S: what a parabola in log p can say about a modulus, orthonormal and without the constant."""
    log = torch.tensor(moduli, dtype=torch.float64).log()
    columns = torch.stack([torch.ones_like(log), log, log.square()], dim=1)
    return torch.linalg.qr(columns).Q[:, 1:]


def contrast(moduli: Sequence[int]) -> Float[Tensor, "m m"]:
    """C: the diagonal, without what row means, column means and products of sizes account for."""
    size = sizes(moduli)
    return torch.eye(len(moduli), dtype=torch.float64) - 1 / len(moduli) - size @ size.T


def assignment_test(gain: Float[Tensor, "units m m"], moduli: Sequence[int], seed: int = 0) -> Assignment:
    """Every assignment of every unit: one matrix product of the permuted contrasts with the tables L.

    Raises:
        InputError: fewer than five moduli.
    """
    m = len(moduli)
    if m < FEWEST_MODULI:
        raise InputError(f"the assignment test needs {FEWEST_MODULI} moduli or more and was given {m}")
    tables = interaction(gain)
    chosen = torch.nn.functional.one_hot(assignments(m, seed), m).double()
    permuted = (contrast(moduli) @ chosen).flatten(1).to(tables.device)
    maxima = torch.full((len(permuted),), -torch.inf, dtype=torch.float64, device=tables.device)
    statistic = []
    for some in tables.flatten(1).split(UNITS_AT_ONCE):
        values = permuted @ some.T
        statistic.append(values[0])
        maxima = torch.maximum(maxima, values.amax(dim=1))
    tie = TIE * float(tables.abs().max())
    return Assignment(torch.cat(statistic).cpu(), maxima.cpu(), tie)


def excess(gain: Float[Tensor, "units m m"], moduli: Sequence[int]) -> Float[Tensor, "units m m"]:
    """Gain minus r_i + c_j + s_iᵀ Λ s_j, fitted off the diagonal: on the diagonal a prediction error, the effect."""
    predict, _, off = _prediction(moduli)
    flat = gain.double().cpu().flatten(1)
    return (flat - flat[:, off] @ predict.T).view(-1, len(moduli), len(moduli))


def contrast_p(gain: Float[Tensor, "units m m"], moduli: Sequence[int]) -> Float[Tensor, " m"]:
    """p of every modulus' own effect, one-sided, corrected over the units."""
    from scipy import stats

    predict, terms, off = _prediction(moduli)
    left = excess(gain, moduli).flatten(1)
    freedom = int(off.sum()) - int(torch.linalg.matrix_rank(terms[off]))
    m = len(moduli)
    if freedom < 1:
        return torch.ones(m, dtype=torch.float64)
    of_row = torch.where(off, left.square(), 0.0).view(-1, m, m).sum(dim=2) / (freedom / m)
    scaled = left[:, ~off] / (1 + predict[~off].square().sum(dim=1)).sqrt()
    by_table = scaled / of_row.mean(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
    by_row = scaled / of_row.sqrt().clamp_min(1e-12)
    p = torch.from_numpy(stats.t.sf(by_table, freedom)).maximum(torch.from_numpy(stats.t.sf(by_row, freedom / m)))
    return (p.amin(dim=0) * len(left)).clamp_max(1)


def _prediction(moduli: Sequence[int]) -> tuple[Float[Tensor, "mm off"], Float[Tensor, "mm c"], Bool[Tensor, " mm"]]:
    """(what predicts every cell from those off the diagonal, the terms of that fit, which cells are off it)."""
    m, size = len(moduli), sizes(moduli)
    one_hot = torch.eye(m, dtype=torch.float64)
    i, j = (index.flatten() for index in torch.meshgrid(torch.arange(m), torch.arange(m), indexing="ij"))
    products = (size[i][:, :, None] * size[j][:, None, :]).flatten(1)
    terms = torch.cat([one_hot[i], one_hot[j], products], dim=1)
    return terms @ torch.linalg.pinv(terms[i != j]), terms, i != j


def modulus_tests(
    moduli: Sequence[int],
    planes: Float[Tensor, "k cells m m"],
    dimensions: Float[Tensor, "units m m"] | None = None,
    seed: int = 0,
) -> dict[int, ModulusTest]:
    """The test of every modulus that has enough unrelated ones beside it (`why_not` says so of the others).

    `planes`, `dimensions`: gain[…, u, i, j] of period `moduli[i]` under modulus `moduli[j]`; of planes the tests take
    the largest over the frequencies k.
    """
    subsets = {modulus: unrelated_subset(moduli, modulus) for modulus in moduli if why_not(moduli, modulus) is None}
    tests: dict[int, ModulusTest] = {}
    for subset in dict.fromkeys(subsets.values()):
        index = torch.tensor([list(moduli).index(modulus) for modulus in subset])
        by_frequency = planes[..., index[:, None], index]
        gains = [by_frequency.amax(dim=0)]
        if dimensions is not None:
            gains.append(dimensions[..., index[:, None], index])
        left_out = tuple(modulus for modulus in moduli if modulus not in subset)
        for test in _of_subset(subset, left_out, gains, by_frequency, seed):
            if subsets[test.modulus] == subset:
                tests[test.modulus] = test
    return {modulus: tests[modulus] for modulus in subsets}


def _of_subset(
    subset: tuple[int, ...],
    left_out: tuple[int, ...],
    gains: Sequence[Float[Tensor, "_ m m"]],
    by_frequency: Float[Tensor, "k cells m m"],
    seed: int,
) -> Iterator[ModulusTest]:
    """The tests of a set's moduli: one p, and each one's own effect in the best unit of each kind."""
    tests = [assignment_test(gain, subset, seed) for gain in gains]
    p = joint_p(tests)
    best = [int(test.statistic.argmax()) for test in tests]
    above = [excess(gain[[unit]], subset)[0] for gain, unit in zip(gains, best, strict=True)]
    has_dimensions, own = len(tests) > 1, contrast_p(gains[0], subset)
    of_frequency = torch.stack([_best_excess(tables, subset) for tables in by_frequency])
    for at, modulus in enumerate(subset):
        ranks = [int((table[at] >= table[at, at]).sum()) for table in above]
        yield ModulusTest(
            modulus=modulus,
            moduli=subset,
            left_out=left_out,
            p_planes=tests[0].p_joint,
            p_dimension=tests[1].p_joint if has_dimensions else None,
            p=p,
            effect=float(above[0][at, at]),
            effects=tuple(of_frequency[:, at].tolist()),
            p_contrast=float(own[at]),
            effect_dimension=float(above[1][at, at]) if has_dimensions else None,
            rank=ranks[0],
            rank_dimension=ranks[1] if has_dimensions else None,
            cell=best[0],
            dimension=best[1] if has_dimensions else None,
            n_permutations=len(tests[0].maxima),
        )


def _best_excess(gain: Float[Tensor, "cells m m"], moduli: Sequence[int]) -> Float[Tensor, " m"]:
    """Every modulus' effect in the cell where all of them together stand out most."""
    statistic = (interaction(gain) * contrast(moduli)).sum(dim=(1, 2))
    return excess(gain[[int(statistic.argmax())]], moduli)[0].diagonal()


def why_not(moduli: Sequence[int], modulus: int) -> str | None:
    """Why a modulus cannot be tested among these, in a sentence; None if it can."""
    try:
        unrelated_subset(moduli, modulus)
    except InputError as error:
        return str(error)
    return None


def joint_p(kinds: Sequence[Assignment]) -> float:
    """p of the smallest p of several kinds of units under the same assignments, the smallest of each assignment.

    Each assignment's maximum is ranked among all, as the true one is, so that kinds on different scales can be
    joined and the result stays exact (Tippett's minimum, permuted).
    """
    smallest = torch.stack([kind.share_above(kind.maxima) for kind in kinds]).amin(dim=0)
    return float((smallest <= smallest[0]).double().mean())


def _listed(moduli: Sequence[int]) -> str:
    return ", ".join(str(modulus) for modulus in moduli) or "none"
