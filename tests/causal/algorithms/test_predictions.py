"""What each algorithm predicts, worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causal.algorithms.predictions import (
    ALGORITHMS,
    HYPOTHESES,
    Hypothesis,
    Rotation,
    components,
    digit_frequencies,
    mixture,
    moved,
    rotations,
    shift,
)
from toy.run.errors import InputError

DIGIT, CARRY = Hypothesis("base-10 then reduce", "digit"), Hypothesis("base-10 then reduce", "carry")


def base_ten(step: int, *frequencies: int) -> Rotation:
    return Rotation("base 10", 10, frequencies or (1, 2, 5), step)


def test_a_clock_moves_every_answer_by_the_step() -> None:
    turn = Rotation("modulus", 23, (1, 4), 7)
    assert shift(Hypothesis("clock", "digit"), turn, torch.tensor([0, 19, 40])).tolist() == [7, 7, 7]


def test_a_digit_turns_by_itself() -> None:
    # 17 -> 10 (7 + 3 = 0 without a carry), 23 -> 26, 9 -> 2
    assert shift(DIGIT, base_ten(3), torch.tensor([17, 23, 9])).tolist() == [-7, 3, -7]
    assert shift(CARRY, base_ten(3), torch.tensor([17, 23, 9])).tolist() == [3, 3, 3]


def test_answers_are_reduced_after_the_digit() -> None:
    # n = 17 modulo 12 answers 5; with its digit turned by 3 it is 10, and 10 mod 12 = 10.
    before = torch.nn.functional.one_hot(torch.tensor([5]), 12).double()
    answers = moved(before, shift(DIGIT, base_ten(3), torch.tensor([17])))
    assert answers.argmax() == 10


@pytest.mark.parametrize(
    ("frequencies", "step", "expected"),
    [
        ((1, 2, 5), 4, 4),
        ((1,), 4, 4),  # T = 10 alone holds both remainders
        ((2, 5), 4, 4),  # 6 + 5 = 11 = 1 modulo 10
        ((2,), 1, 6),  # one more modulo 5, the same parity
        ((2,), 3, 8),
        ((5,), 1, 5),  # the other parity, the same modulo 5
        ((5,), 2, 0),
        ((4,), 1, 6),  # T = 5/2 sees the digit modulo 5 too
        ((3,), 1, 1),
    ],
)
def test_part_of_the_digit(frequencies: tuple[int, ...], step: int, expected: int) -> None:
    assert base_ten(step, *frequencies).digit_step == expected


@given(st.integers(0, 9), st.integers(1, 9))
def test_the_digit_agrees_with_what_was_turned_and_what_was_not(digit: int, step: int) -> None:
    for frequencies, by_two, by_five in (((1,), step, step), ((2,), 0, step), ((5,), step, 0)):
        new = (digit + base_ten(step, *frequencies).digit_step) % 10
        assert new % 2 == (digit + by_two) % 2 and new % 5 == (digit + by_five) % 5


def test_moved_is_a_roll_of_each_row() -> None:
    before = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]).double()
    expected = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]).double()
    torch.testing.assert_close(moved(before, torch.tensor([1, -1])), expected)
    assert torch.equal(moved(before, torch.tensor([3, -3])), before)


def test_the_mixture_is_a_distribution() -> None:
    before = torch.softmax(torch.randn(6, 11).double(), dim=1)
    for hypothesis in HYPOTHESES:
        parts = components(hypothesis, base_ten(3), torch.arange(6) * 7, before)
        predicted = mixture(torch.tensor([0.5, 0.3, 0.2]).double(), parts)
        torch.testing.assert_close(predicted.sum(dim=1), torch.ones(6).double())
    assert {hypothesis.algorithm for hypothesis in HYPOTHESES} == set(ALGORITHMS)


def test_the_default_rotations() -> None:
    turns = rotations(23, (1, 5))
    modulus = [turn.step for turn in turns if turn.kind == "modulus"]
    assert modulus == [1, 3, 5, 7, 9, 11, 12, 14, 16, 18, 20, 22]
    assert [turn.step for turn in turns if turn.kind == "base 10"] == list(range(1, 10))
    assert [turn.step for turn in rotations(7, (1,)) if turn.kind == "modulus"] == [1, 2, 3, 4, 5, 6]
    assert all(turn.frequencies == (1, 5) for turn in turns if turn.kind == "modulus")


def test_circles_of_both_kinds_are_left_out() -> None:
    assert digit_frequencies(23) == (1, 2, 5)
    assert digit_frequencies(12) == (1, 2)  # T = 2 is 12/6
    assert digit_frequencies(15) == (1, 5)  # T = 5 is 15/3


@pytest.mark.parametrize("modulus", [2, 5, 10, 20, 100])
def test_a_modulus_that_is_base_ten_is_refused(modulus: int) -> None:
    with pytest.raises(InputError, match="lie on one circle"):
        rotations(modulus, (1,))


def test_no_frequency_is_refused() -> None:
    with pytest.raises(InputError, match="no frequency"):
        rotations(7, ())
