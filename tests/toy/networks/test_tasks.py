"""Answers worked out by hand, circles that close, splits that are a function of the seed alone."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toy.networks.tasks import TASKS, checked_modulus, circle_order, split, table
from toy.run.errors import InputError

BY_HAND = {
    # task: {operands: answer} modulo 7
    "add": {(5, 4): 2, (0, 0): 0},
    "subtract": {(2, 5): 4, (6, 6): 0},
    "multiply": {(3, 5): 1, (0, 4): 0},
    "divide": {(1, 3): 5, (6, 2): 3},  # 3·5 = 15 = 1; 2·3 = 6
    "addpow": {(1, 2, 3): 6, (3, 4, 0): 1, (2, 2, 2): 2, (5, 1, 5): 6},  # 27 = 6, 0^0 = 1, 16 = 2, (-1)^5 = -1
    "add3": {(6, 6, 6): 4},
    "quadratic": {(2, 3): 5},  # 4 + 6 + 9 = 19
    "cubic": {(1, 2): 1},  # 1 + 2 + 4 + 8 = 15
    "sextic": {(2, 3): 2},  # 96 + 486 + 216 + 12 + 18 = 828 = 118·7 + 2
}


@pytest.mark.parametrize("task", TASKS)
def test_answers_by_hand(task: str) -> None:
    rows = table(task, 7)
    answers = {tuple(row): answer for row, answer in zip(rows.operands.tolist(), rows.answers.tolist(), strict=True)}
    for operands, answer in BY_HAND[task].items():
        assert answers[operands] == answer, operands


def test_every_question_once() -> None:
    assert len(table("add", 11).answers) == 121
    assert len(table("add3", 5).answers) == 125
    assert len(table("addpow", 97).answers) == 97 * 97 * 33
    assert len(table("addpow", 5).answers) == 125  # no more exponents than numbers
    assert len(table("divide", 8).answers) == 8 * 4  # by units only
    rows = table("multiply", 6)
    assert len(set(map(tuple, rows.operands.tolist()))) == 36


@given(st.integers(3, 40), st.data())
def test_division_undoes_multiplication(modulus: int, data: st.DataObject) -> None:
    units = [unit for unit in range(1, modulus) if math.gcd(unit, modulus) == 1]
    a, b = data.draw(st.integers(0, modulus - 1)), data.draw(st.sampled_from(units))
    rows = table("divide", modulus)
    where = ((rows.operands[:, 0] == a) & (rows.operands[:, 1] == b)).nonzero()[0, 0]
    assert int(rows.answers[where]) * b % modulus == a


@pytest.mark.parametrize("modulus", [97, 127])
def test_the_polynomials_do_not_overflow(modulus: int) -> None:
    for name, exact in (
        ("cubic", lambda a, b: a**3 + a * a * b + a * b * b + b**3),
        ("sextic", lambda a, b: a**5 * b + a * b**5 + a**3 * b**3 + a * a * b + a * b * b),
    ):
        rows = table(name, modulus)
        expected = [exact(a, b) % modulus for a, b in rows.operands.tolist()]
        assert rows.answers.tolist() == expected


@pytest.mark.parametrize("modulus", [7, 13, 9, 22, 97])
def test_multiplying_is_stepping_round_the_circle(modulus: int) -> None:
    order = circle_order("multiply", modulus).tolist()
    place = {token: index for index, token in enumerate(order)}
    rows = table("multiply", modulus)
    for (a, b), answer in zip(rows.operands.tolist(), rows.answers.tolist(), strict=True):
        if a in place and b in place:
            assert place[answer] == (place[a] + place[b]) % len(order)


def test_units_without_a_cycle_come_in_natural_order() -> None:
    assert circle_order("divide", 8).tolist() == [1, 3, 5, 7]
    assert circle_order("subtract", 5).tolist() == [0, 1, 2, 3, 4]


def test_splits_are_a_partition_and_a_function_of_the_seed() -> None:
    train, test = split(1000, 0.3, 7)
    assert len(train) == 300 and sorted([*train.tolist(), *test.tolist()]) == list(range(1000))
    torch.manual_seed(99)
    assert torch.equal(train, split(1000, 0.3, 7)[0])
    assert not torch.equal(train, split(1000, 0.3, 8)[0])


def test_a_cpu_permutation_is_the_one_of_published_code() -> None:
    torch.manual_seed(42)
    assert torch.equal(torch.cat(split(50, 0.5, 42)), torch.randperm(50))


def test_the_nanda_split_shuffles_pairs() -> None:
    pairs = [(a, b) for a in range(7) for b in range(7)]
    random.seed(3)
    random.shuffle(pairs)
    train, _ = split(49, 0.3, 3, "nanda")
    assert [tuple(row) for row in table("add", 7).operands[train].tolist()] == pairs[: int(0.3 * 49)]


@pytest.mark.parametrize("modulus", [2, 0, -5, 7.0, "7", True])
def test_a_modulus_that_is_none(modulus: object) -> None:
    with pytest.raises(InputError, match="integer of 3 or more"):
        checked_modulus(modulus)


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.005, 1.5, -1.0])
def test_a_fraction_that_leaves_nothing(fraction: float) -> None:
    with pytest.raises(InputError, match="both need at least one"):
        split(100, fraction, 0)


def test_an_unknown_task() -> None:
    with pytest.raises(InputError, match=r"unknown task 'addd': choose from add, subtract"):
        table("addd", 7)
