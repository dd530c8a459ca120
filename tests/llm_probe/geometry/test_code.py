"""The code of labels: what nuisances take out of it, what massive dimensions do not do to it, and G by hand."""

import pytest
import torch

from llm_probe.geometry.code import SHRINKAGE, code_gram, code_nuisances
from llm_probe.geometry.order import order_test
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from tests.llm_probe.geometry.planted import circle, directions
from toy.maths import fourier
from toy.maths.regression import residual

WIDTH = 40


def labels_of(claim: Claim) -> Labels:
    return Labels.of(claim, claim.prompts("discovery", 600, 0))


MOD_7, MOD_10 = Claim(modular("add", 7), "sum"), Claim(modular("add", 10), "sum")
DAYS, WEEKDAY = Claim(DOMAINS["days"], "sum"), Claim(DOMAINS["days"], "item")


def left_of(columns: torch.Tensor, labels: Labels) -> float:
    """Share of the columns' variance that the nuisances leave."""
    columns = columns.double() - columns.double().mean(dim=0)
    return float(residual(columns, code_nuisances(labels)).square().sum() / columns.square().sum())


def states_of(table: torch.Tensor, index: torch.Tensor, noise: float = 1.0) -> torch.Tensor:
    return table[index] + noise * torch.randn(len(index), WIDTH, generator=torch.Generator().manual_seed(0)).double()


def share(gram: torch.Tensor) -> float:
    """Of the circle k = 1."""
    return order_test([gram], (1,), {}).share.item()


@pytest.mark.parametrize("period", [2, 5, 10])
def test_decimal_circles_are_taken_out_of_sums_of_numbers(period: int) -> None:
    labels = labels_of(MOD_7)
    assert left_of(fourier.circle(labels.total, 1, period), labels) < 1e-9
    assert left_of(labels.total[:, None].double().pow(3), labels) < 1e-9
    # A circle of seven is not.
    assert left_of(fourier.circle(labels.total, 1, 7), labels) > 0.5


def test_the_ones_digit_stays_where_it_is_the_answer() -> None:
    labels = labels_of(MOD_10)
    assert left_of(fourier.circle(labels.label, 1, 10), labels) > 0.3  # the carry and both operands know a part of it


def test_words_lose_their_operands_only() -> None:
    labels = labels_of(DAYS)
    one_hot = torch.nn.functional.one_hot
    assert left_of(one_hot(labels.first).double(), labels) < 1e-9
    assert left_of(one_hot(labels.offset).double(), labels) < 1e-9
    assert left_of(fourier.circle(labels.total, 1, 10), labels) > 0.1
    assert code_nuisances(labels_of(WEEKDAY)).shape[1] == int(labels_of(WEEKDAY).template.max()) + 1


def test_a_decimal_helix_is_no_code_of_a_residue() -> None:
    """Without the helix in the states or with it ten times as large as the noise, G is the same."""
    labels = labels_of(MOD_7)
    table = torch.cat([fourier.circle(torch.arange(200), 1, period) for period in (2, 5, 10)], dim=1)
    noise = states_of(torch.zeros(200, WIDTH).double(), labels.total)
    states = noise + 10 * directions(table, WIDTH, 1)[labels.total]
    grams = [code_gram(one, labels, code_nuisances(labels)) for one in (noise, states)]
    torch.testing.assert_close(grams[0], grams[1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("claim", [MOD_7, DAYS, WEEKDAY], ids=lambda claim: claim.name)
def test_a_planted_circle_is_most_of_the_code_behind_massive_dimensions_too(claim: Claim) -> None:
    labels = labels_of(claim)
    states = states_of(directions(circle(7), WIDTH, 2), labels.label)
    own = share(code_gram(states, labels, code_nuisances(labels)))
    assert own > 0.8
    states[:, [3, 17]] *= 1000
    states[:, 5] += 1e4
    assert share(code_gram(states, labels, code_nuisances(labels))) == pytest.approx(own, abs=0.05)


def test_items_are_not_whitened() -> None:
    """G of items is the product of their centred means: noise within an item, however large, scales nothing."""
    labels = labels_of(WEEKDAY)
    table = directions(circle(7), WIDTH, 2)
    states = states_of(table, labels.label, noise=0.0)
    states = states / residual(states, code_nuisances(labels)).square().mean(dim=0).sqrt()  # no dimension is massive
    gram = code_gram(states, labels, code_nuisances(labels))
    clean = residual(states, code_nuisances(labels))
    means = torch.stack([clean[labels.label == s].mean(dim=0) for s in range(7)])
    torch.testing.assert_close(gram, means @ means.T)
    torch.testing.assert_close(code_gram(3 * states, labels, code_nuisances(labels)), 9 * gram)


def test_sums_are_whitened_by_hand() -> None:
    """Two dimensions: four prompts of two labels, means ±(1, 1); within, a spread of ±1 in the first only."""
    label = torch.tensor([0, 0, 1, 1])
    labels = Labels("sum", 2, label, label, torch.zeros(4).long(), torch.zeros(4).long(), torch.zeros(4).long())
    states = torch.tensor([[2.0, 1], [0, 1], [-2, -1], [0, -1]]).double()
    constant = torch.full((4, 1), 0.5).double()
    gram = code_gram(states, labels, constant)
    # Spreads √2 and 1: neither is more than twice the median. W = diag(1, 0) + λ/2 I.
    within = torch.tensor([1 + SHRINKAGE / 2, SHRINKAGE / 2]).double()
    expected = float((1 / within).sum())
    torch.testing.assert_close(gram, expected * torch.tensor([[1.0, -1], [-1, 1]]).double())
    # Whatever the scale of a dimension, as long as none is massive, whitening undoes it.
    rescaled = code_gram(states * 7, labels, constant)
    torch.testing.assert_close(rescaled, gram)


def test_states_that_do_not_tell_labels_apart_are_zero() -> None:
    labels = labels_of(WEEKDAY)
    same = labels.template[:, None].double().expand(-1, WIDTH) * torch.arange(1, WIDTH + 1)
    assert code_gram(same, labels, code_nuisances(labels)).abs().max() < 1e-12
