"""A helix of the integer result does not repeat with the week, an answer that was looked up does."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from llm_probe.geometry.integer import HELIX_PERIODS, integer_code, level_sums, repeats
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.statistics.dimensions import adjusted_states
from tests.llm_probe.geometry.planted import directions, random_vectors
from toy.maths import fourier

LARGEST, WIDTH = 60, 32
COPRIME = {"days": (1, 2, 3), "months": (1, 5)}
WORDS = tuple(COPRIME)


@cache
def labels_of(name: str, size: int = 300) -> Labels:
    claim = Claim(DOMAINS[name], "sum")
    return Labels.of(claim, claim.prompts("discovery", size, 0))


def responses(table: torch.Tensor, index: torch.Tensor, labels: Labels, seed: int, cells: int = 1) -> torch.Tensor:
    """A row of the table for each prompt in the last of some places, with as much noise in all."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(index), cells, WIDTH, generator=generator).double()
    noise[:, -1] += table[index]
    return adjusted_states(noise, labels)


def helix(seed: int) -> torch.Tensor:
    n = torch.arange(LARGEST)
    return directions(torch.cat([fourier.circle(n, 1, period) for period in (2, 5, 10)], dim=1), WIDTH, seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", WORDS)
def test_a_helix_of_the_integer_is_named_and_does_not_repeat(name: str, seed: int) -> None:
    labels = labels_of(name)
    states = responses(helix(seed), labels.total, labels, seed)
    assert repeats(states, labels, COPRIME[name], seed) == 1.0
    code = integer_code(states, labels, seed)
    assert code.p == pytest.approx(1 / 100)  # of 99 shuffles within residues none does as well
    # Twelve is even, so that a period of 2 is a residue of months.
    assert set(code.periods) == {period for period in (2, 5, 10) if labels.period % period}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", WORDS)
def test_an_answer_that_is_looked_up_repeats_and_is_no_integer(name: str, seed: int) -> None:
    labels = labels_of(name)
    states = responses(random_vectors(labels.period, WIDTH, seed), labels.label, labels, seed)
    p = repeats(states, labels, COPRIME[name], seed)
    assert p is not None and p <= 0.01
    code = integer_code(states, labels, seed)
    assert code.p > 0.05 and code.periods == ()


def test_a_circle_of_the_week_repeats() -> None:
    labels = labels_of("days")
    circle = directions(fourier.circle(torch.arange(7), 2, 7), WIDTH, 0)
    p = repeats(responses(circle, labels.label, labels, 0), labels, (1, 2, 3), 0)
    assert p == pytest.approx(1 / 2000)


@pytest.mark.parametrize("beside", [0.0, 1.5])
def test_a_line_beside_a_decimal_period_does_not_hide_a_clear_one(beside: float) -> None:
    """Period 11 of 22 is cut by the decimal 10, which is taken out; period 22/3 is the larger and a peak."""
    claim = Claim(modular("add", 22, operands=range(22)), "sum")
    labels = replace(Labels.of(claim, claim.prompts("discovery", 300, 0)), has_digits=False)
    label = torch.arange(22)
    circles = torch.cat([beside * fourier.circle(label, 2, 22), 2 * fourier.circle(label, 3, 22)], dim=1)
    states = responses(directions(circles, WIDTH, 0), labels.label, labels, 0)
    assert repeats(states, labels, (2, 3), 0) == pytest.approx(1 / 2000)


def test_noise_repeats_with_nothing() -> None:
    """p <= 0.05 in a plausible share of forty networks that hold nothing."""
    labels, empty = labels_of("days"), torch.zeros(7, WIDTH).double()
    p = [repeats(responses(empty, labels.label, labels, seed), labels, (1, 2, 3), seed) for seed in range(40)]
    assert sum(one is not None and one <= 0.05 for one in p) <= 6  # P(more than 6 of 40) = 0.0034 at 0.05


def test_the_place_that_says_most_counts_and_places_are_paid_for() -> None:
    labels = labels_of("days")
    states = responses(helix(0), labels.total, labels, 0, cells=5)
    assert integer_code(states, labels, 0).p == pytest.approx(1 / 100)
    assert set(integer_code(states, labels, 0).periods) == {2, 5, 10}
    assert integer_code(states[:, :4], labels, 0).p > 0.05


def test_a_smooth_code_of_size_does_not_repeat() -> None:
    """A bump of its own for every few integers, as in a code of magnitude: no period anywhere."""
    labels, n = labels_of("months"), torch.arange(LARGEST)
    bumps = torch.exp(-((n[:, None] - torch.arange(-10, 70, 3)) ** 2) / 50).double()
    p = [repeats(responses(directions(bumps, WIDTH, seed), labels.total, labels, seed), labels, (1, 5), seed)
         for seed in range(6)]  # fmt: skip
    assert min(one for one in p if one is not None) > 0.05


def test_too_few_integers_cannot_be_asked() -> None:
    labels = labels_of("days")
    few = labels.total < 9
    fewer = Labels(
        "sum", 7, *(getattr(labels, name)[few] for name in ("label", "total", "first", "offset", "template"))
    )
    assert len(fewer.total.unique()) < 12
    assert repeats(torch.randn(int(few.sum()), 1, WIDTH), fewer, (1, 2, 3), 0) is None


def test_periods_that_residues_hold_are_never_named() -> None:
    """Mod 10, every decimal period but 100 is a residue or half of one."""
    assert [period for period in HELIX_PERIODS if 10 % period] == [100]


def test_level_sums_by_hand() -> None:
    labels = Labels(
        "sum", 3, *(torch.tensor(column) for column in ([0, 0, 1], [3, 3, 4], [1, 2, 2], [2, 1, 2], [0] * 3))
    )
    values, sums = level_sums(torch.tensor([[1.0, 0], [3, 2], [5, 5]]), labels)
    assert values.tolist() == [3, 4]
    # (1, 0) + (3, 2) over the root of two, and (5, 5) alone.
    torch.testing.assert_close(sums, torch.tensor([[4 / 2**0.5, 2 / 2**0.5], [5, 5]]).double())
