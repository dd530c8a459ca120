"""Orders, ranks and words by hand, and turns onto an answer that no plane has seen."""

import math
from collections.abc import Sequence

import pytest
import torch

from causal.algorithms.answer_code import AnswerMeans, CodeTurn, most_planes, turned_pairs
from causal.algorithms.known_networks import AnswerCode, Clock, Turner, random_codes
from causal.algorithms.order_tests import (
    ANSWER_CODE,
    CIRCLE,
    UNDETERMINED,
    OrderEvidence,
    TurnTest,
    conclude,
    order_evidence,
    other_orders,
)
from toy.maths import fourier

BELOW = 40


def circle_means(period: int, frequencies: tuple[int, ...] = (1,), width: int = 16) -> torch.Tensor:
    """A circle of each frequency in a random basis, far from the origin."""
    planes = torch.cat([fourier.circle(torch.arange(period), k, period) for k in frequencies], dim=1)
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(width, planes.shape[1], generator=generator, dtype=torch.float64)).Q
    return planes @ basis.T + 3


def turner(adder: Clock | AnswerCode, count: int) -> Turner:
    pairs = torch.cartesian_prod(torch.arange(BELOW), torch.arange(BELOW))
    pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))]
    return Turner(adder, pairs[:600], pairs[600:1000], count)


@pytest.mark.parametrize(("period", "expected"), [(5, 1), (6, 1), (7, 2), (12, 4), (23, 10)])
def test_one_coefficient_is_left_to_spare(period: int, expected: int) -> None:
    assert most_planes(period) == expected
    assert 2 * expected + 1 <= period - 2 < 2 * (expected + 1) + 1


def test_a_class_of_orders_comes_once_and_the_own_never() -> None:
    # 7! / (7 · 6) = 120 classes; of 5 answers 5! / (5 · 4) = 6.
    generator = torch.Generator().manual_seed(0)
    assert len(other_orders(7, 500, generator)) == 119
    assert len(other_orders(5, 500, generator)) == 5
    orders = other_orders(12, 120, generator)
    assert len(orders) == 120
    assert all(sorted(order.tolist()) == list(range(12)) for order in orders)
    units = [a for a in range(1, 7) if math.gcd(a, 7) == 1]
    images = {tuple(((a * torch.arange(7) + b) % 7).tolist()) for a in units for b in range(7)}
    assert not images & {tuple(order.tolist()) for order in other_orders(7, 119, generator)}


def test_a_circle_leads_to_the_answer_that_was_left_out() -> None:
    means = circle_means(11, (1, 3))
    code = AnswerMeans.of(means, torch.arange(11), 11)
    start, unseen = torch.tensor([0, 4, 9]), torch.tensor([5, 5, 2])
    turn = CodeTurn(torch.arange(11), (unseen - start).double(), unseen, count=2)
    new = code.planes(turn).turned(means[start], torch.arange(3))
    torch.testing.assert_close(new, means[unseen])


def test_nothing_of_the_unseen_answer_is_used() -> None:
    means = circle_means(11, (1, 3))
    elsewhere = means.clone()
    elsewhere[5] = 100.0
    start, unseen = torch.tensor([0, 4]), torch.tensor([5, 5])
    turn = CodeTurn(torch.arange(11), (unseen - start).double(), unseen, count=2)
    new = [AnswerMeans.of(m, torch.arange(11), 11).planes(turn).turned(means[start], torch.arange(2))
           for m in (means, elsewhere)]  # fmt: skip
    torch.testing.assert_close(new[0], new[1])


def test_pairs_are_turned_by_their_own_angle() -> None:
    held = torch.tensor([[1.0, 0.0, 0.0, 2.0]]).double()
    turned = turned_pairs(held, torch.tensor([[math.pi / 2, math.pi]], dtype=torch.float64))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 0.0, -2.0]]).double())


def test_an_even_period_has_a_line_that_is_turned_over() -> None:
    # k = 6 of 12 answers: one step changes the sign.
    sign = torch.tensor([1.0, -1.0]).repeat(6).double()
    means = torch.stack([sign, torch.zeros(12).double()], dim=1)
    code = AnswerMeans.of(means, torch.arange(12), 12)
    turn = CodeTurn(torch.arange(12), torch.ones(12).double(), frequencies=(6,))
    torch.testing.assert_close(code.planes(turn).turned(means, torch.arange(12)), -means)


@pytest.mark.parametrize(
    ("moved", "low", "worst", "rank", "along", "expected"),
    [
        (0.9, 0.88, 0.7, 1 / 120, 0.9, CIRCLE),  # other orders may move it too
        (0.9, 0.88, 0.2, 1 / 120, 0.9, UNDETERMINED),  # an arc: one answer is missed
        (0.3, 0.24, 0.3, 1 / 120, 0.0, UNDETERMINED),
        (0.1, 0.05, 0.0, 1 / 120, 0.9, UNDETERMINED),  # some order was shown, so it is no mere code
        (0.1, 0.05, 0.0, 0.5, 0.9, ANSWER_CODE),
        (0.1, 0.05, 0.0, 0.5, 0.1, UNDETERMINED),  # nothing moves
    ],
)
def test_the_rule(moved: float, low: float, worst: float, rank: float, along: float, expected: str) -> None:
    unseen = TurnTest("unseen answer", moved, low, 1.0, worst, 0.02, 0.1, rank)
    together = TurnTest("together", 0.95, 0.9, 1.0, None, along, 1.0, 1.0)
    word, reason = conclude(unseen, together, 7)
    assert word == expected
    assert f"{moved:.2f} of the answers follow" in reason


def evidence(adder: Clock | AnswerCode, count: int) -> OrderEvidence:
    return turner(adder, count).order()


def test_a_clock_reaches_what_it_has_not_seen_and_a_code_does_not() -> None:
    clock, code = evidence(Clock(13, BELOW, (1, 3)), 2), evidence(AnswerCode(random_codes(13), BELOW), 6)
    assert (clock.word, clock.planes, clock.orders) == (CIRCLE, 2, 120)
    assert (code.word, code.planes) == (ANSWER_CODE, 5)
    of_clock, of_code = ({test.test: test for test in one.tests} for one in (clock, code))
    assert of_clock["unseen answer"].worst == 1 and of_clock["unseen answer"].rank == pytest.approx(1 / 121)
    assert of_code["unseen answer"].moved < 0.1
    assert of_code["together"].moved > 0.9 and (of_code["together"].control or 0) > 0.9


@pytest.mark.parametrize(
    ("means", "expected"), [(circle_means(7), CIRCLE), (random_codes(7), ANSWER_CODE)], ids=["circle", "codes"]
)
def test_the_circle_of_an_item_moves_the_answer_that_is_computed_from_it(means: torch.Tensor, expected: str) -> None:
    # The state holds the item i alone; behind it the offset is added, s = i + offset.
    first, offset = torch.cartesian_prod(torch.arange(7), torch.arange(20)).T
    code, rows = AnswerMeans.of(means, torch.arange(7), 7), torch.arange(len(first))

    def answers_after(turns: Sequence[CodeTurn]) -> torch.Tensor:
        states = [code.planes(turn).turned(means[first], rows) for turn in turns]
        items = [torch.cdist(one, means).argmin(dim=1) for one in states]
        return torch.stack([torch.nn.functional.one_hot((item + offset) % 7, 7) for item in items]).double()

    made = order_evidence(answers_after, first, (first + offset) % 7, rows, 7, (1, 2, 3))
    assert made.word == expected
    assert made.tests[0].moved == (1 if expected == CIRCLE else pytest.approx(0, abs=0.1))


def test_half_a_step() -> None:
    # cos(2π(x - 1/2) / 13) is largest at x = 0 and 1; the even k = 2 turns by a whole step of (13 + 1) / 2 = 7.
    labels = torch.arange(13)
    for frequency, expected in ((1, {0, 1}), (2, {7})):
        means = circle_means(13, (frequency,))
        turn = CodeTurn(labels, torch.full((13,), 0.5).double(), frequencies=(frequency,))
        new = AnswerMeans.of(means, labels, 13).planes(turn).turned(means, labels)
        distances = torch.cdist(new, means)
        near = distances <= distances.min(dim=1, keepdim=True).values + 1e-6
        shifts = [{(c - s) % 13 for c in near[s].nonzero()[:, 0].tolist()} for s in range(13)]
        assert all(shift == expected for shift in shifts)


def test_half_a_step_and_single_planes_are_reported() -> None:
    tests = {test.test: test for test in evidence(Clock(13, BELOW, (1,)), 1).tests}
    assert tests["half a step"].moved == 1
    assert 0.2 < (tests["half a step"].worst or 0) <= 0.5
    assert tests["k = 1 alone"].moved == 1


def test_five_answers_have_too_few_orders() -> None:
    labels = torch.arange(6).repeat(4)
    few = order_evidence(lambda turns: torch.zeros(len(turns), 24, 6), labels, labels, labels, 6, (1, 2))
    assert few.word == UNDETERMINED
    assert "too few for p <= 0.01" in few.reason
