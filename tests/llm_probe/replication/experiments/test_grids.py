"""The published prompts, letter by letter, and what an incomplete grid does to a function of one operand."""

from __future__ import annotations

import pytest
import torch

from llm_probe.replication.experiments.grids import GRIDS, Grid, arithmetic
from llm_probe.replication.experiments.range_scan import step_r2
from toy.maths.regression import class_mean_r2
from toy.run.errors import InputError


def means_of(grid: Grid, function) -> torch.Tensor:
    """Class means of a function of the operands."""
    sums, counts = torch.zeros(grid.period, dtype=torch.float64), torch.zeros(grid.period, dtype=torch.float64)
    for prompt in grid.prompts():
        sums[prompt.label] += function(prompt.first, prompt.offset)
        counts[prompt.label] += 1
    return (sums / counts)[:, None]


@pytest.mark.parametrize(
    ("grid", "count", "first", "last", "last_label"),
    [
        (arithmetic(7), 49, "0 + 0 mod 7 =", "6 + 6 mod 7 =", 5),
        (GRIDS["days"], 49, "Monday + 0 days = ", "Sunday + 6 days = ", 5),
        (GRIDS["months"], 144, "January + 0 months = ", "December + 11 months = ", 10),
        (GRIDS["hours"], 144, "1 o'clock + 0 hours = ", "12 o'clock + 11 hours = ", 10),
        (GRIDS["alphabet"], 338, "A + 0 letters = ", "M + 25 letters = ", 11),
        (GRIDS["alphabet_complete"], 676, "A + 0 letters = ", "Z + 25 letters = ", 24),
        (
            GRIDS["alphabet_position"], 26, "The 1st letter of the alphabet is ",
            "The 26th letter of the alphabet is ", 25,
        ),
    ],
)  # fmt: skip
def test_the_prompts_are_the_published_ones(grid: Grid, count: int, first: str, last: str, last_label: int) -> None:
    prompts = grid.prompts()
    assert (len(prompts), grid.n_prompts) == (count, count)
    assert (prompts[0].text, prompts[0].label) == (first, 0)
    assert (prompts[-1].text, prompts[-1].label) == (last, last_label)
    assert sorted({prompt.label for prompt in prompts}) == list(range(grid.period))


def test_two_digit_operands_cover_each_residue_equally() -> None:
    prompts = arithmetic(5, start=10).prompts()
    assert prompts[0].text == "10 + 10 mod 5 ="
    assert torch.bincount(torch.tensor([prompt.label for prompt in prompts])).tolist() == [5] * 5


def test_half_an_alphabet_turns_the_offset_into_a_circle() -> None:
    late = class_mean_r2(means_of(GRIDS["alphabet"], lambda _, offset: offset >= 10))
    assert float(late[0, 0]) == pytest.approx(0.9956, abs=5e-5)
    assert float(class_mean_r2(means_of(GRIDS["alphabet"], lambda _, offset: offset))[0, 0]) == pytest.approx(
        0.9835, abs=5e-5
    )
    assert class_mean_r2(means_of(GRIDS["alphabet_complete"], lambda _, offset: offset >= 10)).sum() == 0


@pytest.mark.parametrize(
    ("n", "r2"), [(13, 0.71), (17, 0.984), (19, 0.985), (23, 0.988), (29, 0.946), (31, 0.920)]
)  # fmt: skip
def test_digit_count_alone_makes_a_range_detector(n: int, r2: float) -> None:
    assert step_r2(arithmetic(n)) == pytest.approx(r2, abs=6e-3 if n == 13 else 6e-4)
    assert step_r2(arithmetic(n, start=10)) == 0


def test_a_modulus_without_a_circle_is_refused() -> None:
    with pytest.raises(InputError, match="give 3 or more"):
        arithmetic(2)
