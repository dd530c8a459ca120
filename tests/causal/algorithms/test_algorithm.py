"""What each algorithm predicts, worked out by hand, and which of them is decided for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causal.algorithms import algorithm
from causal.algorithms.algorithm import (
    Decision,
    Observations,
    around,
    cases,
    decide,
    estimate,
    histogram_rows,
    likeliest,
    log_likelihood,
    observe,
    split,
    table_rows,
)
from causal.algorithms.order_tests import ANSWER_CODE, CIRCLE, UNDETERMINED, OrderEvidence
from causal.algorithms.predictions import (
    ALGORITHMS,
    CARRIES,
    HYPOTHESES,
    KINDS,
    Hypothesis,
    Kind,
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


def which(seen: Observations) -> Decision:
    """Where the answers go; that they stand on a circle is taken for granted."""
    return algorithm.which(seen, lambda: OrderEvidence(CIRCLE, "a circle"))


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


P, N = 23, 400


def made_up(
    carried: dict[Kind, float], rule: str = "digit", stays: float = 1.0, seed: int = 0, n: int = N
) -> Observations:
    """Answers of which the share `carried` moves as predicted; of the others `stays` stay, the rest is noise."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(80 * 80, generator=generator)[:n]
    sums = pairs // 80 + pairs % 80
    before = torch.nn.functional.one_hot(sums % P, P).double()
    turns = rotations(P, (1, 4))
    hypothesis = Hypothesis("mixed", rule)  # type: ignore[arg-type]

    def answers_after(rotations: Sequence[Rotation]) -> torch.Tensor:
        answers = []
        for turn in rotations:
            noise = torch.nn.functional.one_hot(torch.randint(P, (n,), generator=generator), P).double()
            chance = torch.rand(n, generator=generator)
            rest = torch.where((torch.rand(n, generator=generator) < stays)[:, None], before, noise)
            follows = moved(before, shift(hypothesis, turn, sums))
            answers.append(torch.where((chance < carried.get(turn.kind, 0.0))[:, None], follows, rest))
        return torch.stack(answers)

    return observe(answers_after, before, sums, pairs, turns, follows=1.0)


@pytest.mark.parametrize("stays", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        ({"modulus": 0.9}, "clock"),
        ({"base 10": 0.9}, "base-10 then reduce"),
        ({}, "look-up"),
        ({"modulus": 0.6, "base 10": 0.6}, "mixed"),
        ({"modulus": 0.9, "base 10": 0.1}, "clock"),
    ],
)
def test_the_algorithm_is_found(carried: dict[Kind, float], expected: str, stays: float) -> None:
    decision = which(made_up(carried, stays=stays))
    assert (decision.algorithm, decision.ratio > 10) == (expected, True)
    for kind in KINDS:
        weight = float(decision.explained[expected].weights[kind][0])
        assert weight == pytest.approx(carried.get(kind, 0.0), abs=0.06)


def test_with_a_carry() -> None:
    decision = which(made_up({"base 10": 0.9}, rule="carry"))
    assert decision.algorithm == "base-10 then reduce"
    assert decision.explained[decision.algorithm].hypothesis.rule == "carry"


def test_at_the_border_nothing_is_decided() -> None:
    decision = which(made_up({"modulus": CARRIES}, n=200))
    assert decision.algorithm == UNDETERMINED and decision.ratio < 10


def test_few_prompts_decide_nothing() -> None:
    assert which(made_up({}, n=20)).algorithm == UNDETERMINED


@pytest.mark.parametrize(
    ("clock", "base", "look_up", "mixed", "expected"),
    [
        (-10.0, -40.0, -20.1, -30.0, "clock"),
        (-10.0, -40.0, -19.9, -30.0, UNDETERMINED),
        (-30.0, -10.0, -40.0, -5.0, "base-10 then reduce"),
        (-30.0, -20.0, -40.0, -9.9, "mixed"),
        (-30.0, -30.0, -2.0, -30.0, "look-up"),
    ],
)
def test_the_rule(clock: float, base: float, look_up: float, mixed: float, expected: str) -> None:
    likelihood = {"clock": clock, "base-10 then reduce": base, "look-up": look_up, "mixed": mixed}
    assert likeliest(likelihood, follows=1.0, accuracy=1.0)[0] == expected
    assert likeliest(likelihood, follows=0.4, accuracy=1.0)[::2] == (
        UNDETERMINED,
        "only 40% of the answers follow a swap of the whole state: another place decides them",
    )
    assert likeliest(likelihood, follows=1.0, accuracy=0.1)[0] == UNDETERMINED


@pytest.mark.parametrize(
    ("likeliest", "order", "expected"),
    [
        ("clock", CIRCLE, "clock"),
        ("clock", ANSWER_CODE, "look-up"),
        ("clock", UNDETERMINED, UNDETERMINED),
        ("mixed", CIRCLE, "mixed"),
        ("mixed", ANSWER_CODE, UNDETERMINED),
    ],
)
def test_a_clock_needs_an_order(likeliest: str, order: str, expected: str) -> None:
    word, reason = decide(likeliest, "by much", OrderEvidence(order, "the numbers"))
    assert word == expected
    assert "by much" in reason and "the numbers" in reason


def test_order_is_tested_where_the_modulus_moves_the_answer_and_nowhere_else() -> None:
    def untested() -> OrderEvidence:
        raise AssertionError("the tests of order were run")

    assert algorithm.which(made_up({"base 10": 0.9}), untested).order is None
    assert which(made_up({"modulus": 0.9})).order is not None


def test_the_likelihood_by_hand() -> None:
    # Two prompts of one pair, one rotation: one answer moved, one is neither. Each has half of the pair's mass.
    before = torch.eye(3)[[0, 0]].double()
    turn = Rotation("modulus", 3, (1,), 1)
    other = Rotation("base 10", 10, (1, 2, 5), 1)
    after = torch.eye(3)[[1, 2]].double().expand(2, 2, 3)
    seen = Observations(torch.tensor([3, 3]), torch.tensor([5, 5]), before, (turn, other), after, 1.0)
    clock = Hypothesis("clock", "digit")
    parts, mass = cases(clock, seen, "modulus", torch.ones(2, dtype=torch.bool))
    assert mass.tolist() == [0.5, 0.5]
    assert parts.T.tolist() == [[1, 0, pytest.approx(1 / 3)], [0, 0, pytest.approx(1 / 3)]]
    weights = torch.tensor([0.6, 0.1, 0.3]).double()
    assert log_likelihood(weights, parts, mass) == pytest.approx(0.5 * math.log(0.7) + 0.5 * math.log(0.1))


def test_weights_stay_on_the_side_of_the_hypothesis() -> None:
    seen = made_up({"modulus": 0.8})
    every = torch.ones(N, dtype=torch.bool)
    for name, least, most in (("clock", 0.75, 0.85), ("look-up", CARRIES, CARRIES)):
        hypothesis = Hypothesis(name, "digit")
        weights = estimate(hypothesis, "modulus", *cases(hypothesis, seen, "modulus", every))
        assert float(weights.sum()) == pytest.approx(1)
        assert least <= float(weights[0]) <= most


def test_weights_are_the_likeliest() -> None:
    seen = made_up({"modulus": 0.5}, stays=0.6)
    hypothesis = Hypothesis("clock", "digit")
    told = cases(hypothesis, seen, "modulus", torch.ones(N, dtype=torch.bool))
    best = estimate(hypothesis, "modulus", *told)
    for change in ([0.05, -0.05, 0.0], [0.0, 0.05, -0.05], [-0.05, 0.0, 0.05]):
        assert log_likelihood(best + torch.tensor(change).double(), *told) < log_likelihood(best, *told)


def test_prompts_of_a_pair_stay_together_and_count_once() -> None:
    pairs = torch.arange(10).repeat(3)
    chosen = split(pairs, seed=0)
    assert chosen.sum() == 15 and torch.equal(chosen[:10], chosen[10:20])
    once = made_up({"modulus": 0.9}, n=60)
    twice = Observations(
        once.sums.repeat(2), once.pairs.repeat(2), once.before.repeat(2, 1), once.rotations,
        once.after.repeat(1, 2, 1), 1.0,
    )  # fmt: skip
    assert which(twice).ratio == pytest.approx(which(once).ratio)
    with pytest.raises(InputError, match="cannot be split"):
        split(torch.zeros(4, dtype=torch.long), seed=0)


def test_histograms_and_table() -> None:
    seen = made_up({"modulus": 0.9})
    decision = which(seen)
    rows = histogram_rows(seen, decision)
    assert len(rows) == len(seen.rotations) * P
    first = [row for row in rows if row["kind"] == "modulus" and row["step"] == 3]
    assert sum(row["observed"] for row in first) == pytest.approx(1)
    assert first[3]["observed"] == pytest.approx(0.9, abs=0.06)
    assert first[3]["clock"] == pytest.approx(first[3]["observed"], abs=0.06)
    assert first[3]["look-up"] == pytest.approx(CARRIES, abs=0.05)
    table = table_rows(decision)
    assert {row["verdict"] for row in table} == {"clock"}
    assert min(row["below_best"] for row in table) == 0


def test_around_counts_from_the_right_answer() -> None:
    table = torch.eye(5)[[3, 0]].double()
    assert around(table, torch.tensor([1, 4])).tolist() == [0, 0.5, 0.5, 0, 0]


def test_tables_that_are_no_distributions_are_refused() -> None:
    seen = made_up({})
    given = (seen.before, seen.sums, seen.pairs)
    with pytest.raises(InputError, match="no distributions"):
        observe(lambda _: 2 * seen.after, *given, seen.rotations, 1.0)
    with pytest.raises(InputError, match="give \\(21, 400, 23\\)"):
        observe(lambda _: seen.after[:1], *given, seen.rotations, 1.0)
    with pytest.raises(InputError, match="no rotation of base 10"):
        observe(lambda _: seen.after[:12], *given, seen.rotations[:12], 1.0)
