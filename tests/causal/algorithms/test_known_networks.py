"""Four networks whose algorithm was written down, and the name that each must get."""

import pytest
import torch

from causal.algorithms.known_networks import (
    Adder,
    AnswerCode,
    Clock,
    DigitAdder,
    LookUp,
    Turner,
    arc_codes,
    decide_algorithm,
    random_codes,
)
from causal.algorithms.predictions import Rotation

BELOW = 60


def adders(modulus: int) -> dict[str, Adder]:
    return {
        # Seven answers have three frequencies: a clock of all three is one-hot answers in another basis.
        "clock": Clock(modulus, BELOW, (1, 2) if modulus == 7 else (1, 2, 3)),
        "base-10 then reduce": DigitAdder(modulus, BELOW),
        "look-up": LookUp(modulus, BELOW),
    }


def every_pair() -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(BELOW), torch.arange(BELOW))


@pytest.mark.parametrize("modulus", [7, 11, 23])
@pytest.mark.parametrize("name", ["clock", "base-10 then reduce", "look-up"])
def test_the_right_algorithm_wins(name: str, modulus: int) -> None:
    adder, pairs = adders(modulus)[name], every_pair()
    answers = adder.read(adder.hidden(pairs)).argmax(dim=1)
    assert torch.equal(answers, pairs.sum(dim=1) % modulus)
    seen, decision = decide_algorithm(adder, questions=800)
    assert seen.follows == 1
    assert decision.algorithm == name
    assert decision.ratio > 10


@pytest.mark.parametrize(("modulus", "count"), [(7, 3), (13, 3), (13, 6), (23, 11)])
def test_a_code_for_each_answer_is_a_look_up(modulus: int, count: int) -> None:
    for seed in range(3):
        seen, decision = decide_algorithm(
            AnswerCode(random_codes(modulus, seed=seed), BELOW), questions=800, count=count, seed=seed
        )
        assert seen.follows == 1
        # All planes together move it as they move a clock …
        clock, look_up = (decision.explained[name].log_likelihood for name in ("clock", "look-up"))
        assert clock - look_up > 10
        # … and so do those of any other order.
        assert decision.algorithm == "look-up"
        assert "planes of other orders move" in decision.reason


def test_with_few_of_its_planes_a_code_is_never_a_clock() -> None:
    words = {
        decide_algorithm(AnswerCode(random_codes(23, seed=seed), BELOW), questions=400)[1].algorithm
        for seed in range(5)
    }
    assert words <= {"look-up", "undetermined"}


def test_an_open_curve_is_no_clock() -> None:
    # It has an order, but its ends do not lead to each other.
    for seed in range(3):
        decision = decide_algorithm(AnswerCode(arc_codes(13, seed=seed), BELOW), questions=800, count=2, seed=seed)[1]
        assert decision.algorithm != "clock"


def test_a_clock_of_every_frequency_is_one_hot_answers() -> None:
    decision = decide_algorithm(Clock(7, BELOW, (1, 2, 3)), questions=800)[1]
    assert decision.algorithm == "look-up"
    assert decision.reason.startswith("one code for each answer")


def test_a_turned_digit_is_another_digit() -> None:
    # In the network that adds digits the turn is exact: 17 becomes 10, 23 becomes 26.
    adder, pairs = DigitAdder(23, BELOW), every_pair()
    turner = Turner(adder, pairs, torch.tensor([[8, 9], [20, 3]]))
    (after,) = turner([Rotation("base 10", 10, (1, 2, 5), 3)])
    assert after.argmax(dim=1).tolist() == [10, 26 % 23]


def test_a_turned_clock_is_another_hour() -> None:
    adder, pairs = Clock(23, BELOW, (1, 2, 3)), every_pair()
    turner = Turner(adder, pairs, torch.tensor([[8, 9], [20, 3]]))
    assert set(turner.frequencies) == {1, 2, 3}
    (after,) = turner([Rotation("modulus", 23, turner.frequencies, 7)])
    assert after.argmax(dim=1).tolist() == [(17 + 7) % 23, (23 + 7) % 23]


def test_the_state_of_the_digit_adder() -> None:
    adder = DigitAdder(23, BELOW)
    held = adder.hidden(torch.tensor([[17, 25]])) @ adder.basis
    # 42: the circles of the digit 2, ten 4 of 0 … 11, a carry because 7 + 5 = 12.
    circles, tens, carry = held.split(adder.parts, dim=1)
    torch.testing.assert_close(circles[0], adder.circles[2])
    assert tens.argmax() == 4 and tens.shape[1] == 12
    torch.testing.assert_close(carry, torch.tensor([[0.0, 1.0]]).double())
