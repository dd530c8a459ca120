"""The rule that names an algorithm, on answers that were made up to follow one."""

import math
from collections.abc import Sequence

import pytest
import torch

from causal.algorithms.algorithm import (
    UNDETERMINED,
    Observations,
    around,
    cases,
    decide,
    estimate,
    histogram_rows,
    log_likelihood,
    observe,
    split,
    table_rows,
    which,
)
from causal.algorithms.predictions import CARRIES, KINDS, Hypothesis, Kind, Rotation, moved, rotations, shift
from toy.run.errors import InputError

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
    assert decide(likelihood, follows=1.0, accuracy=1.0)[0] == expected
    assert decide(likelihood, follows=0.4, accuracy=1.0)[::2] == (
        UNDETERMINED,
        "only 40% of the answers follow a swap of the whole state: another place decides them",
    )
    assert decide(likelihood, follows=1.0, accuracy=0.1)[0] == UNDETERMINED


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
