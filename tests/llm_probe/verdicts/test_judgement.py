"""Every reason a claim can be judged by, and every p of its record, from evidence made by hand."""

from dataclasses import replace

import pytest

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS
from llm_probe.run.table import R2Row
from llm_probe.verdicts.evidence import with_selectivity
from llm_probe.verdicts.judgement import ASSIGNMENT_WEIGHT, judge, ranges, selective, verdicts
from tests.llm_probe.verdicts.by_hand import DAYS, GOOD, MOD_7, TEST, WEEKDAY, changed, control, hypothesis


@pytest.mark.parametrize(
    ("claim", "change", "verdict", "words"),
    [
        (MOD_7, {}, "supported", "holds on new prompts"),
        (MOD_7, {"frequency": 3}, "supported", "k = 3"),
        (MOD_7, {"p_renaming": 0.4}, "refuted", "class-mean R² 0.990 (dim 5), random reaches 0.995"),
        (MOD_7, {"p_renaming": 0.03}, "undetermined", "between"),
        (MOD_7, {"low": -0.01}, "undetermined", "confirmation"),
        (MOD_7, {"low": 0.05}, "undetermined", "random weights reach 0.02"),
        (MOD_7, {"explained_by": "digit count (0.80 of the plane)"}, "undetermined", "digit count"),
        (MOD_7, {"parabola_r2": 0.95, "closure": None}, "supported", ""),
        (WEEKDAY, {}, "supported", "holds on new prompts"),
        (WEEKDAY, {"parabola_r2": 0.95}, "refuted", "order"),
        (WEEKDAY, {"closure": -0.3}, "refuted", "does not close"),
        (WEEKDAY, {"closure": None}, "refuted", "does not close"),
        (WEEKDAY, {"closure": 0.3}, "undetermined", "half closed"),
    ],
)
def test_each_reason(claim, change, verdict, words) -> None:
    given, reason = judge(hypothesis(changed(**change), claim))
    assert given == verdict
    assert words in reason


NOT_SELECTIVE = {"test": replace(TEST, p=0.3), "evidence": changed(p_period=0.3)}


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (NOT_SELECTIVE, "undetermined", "other periods are as strong"),
        (
            {"test": None, "evidence": changed(p_period=0.3), "note": "give more moduli"},
            "undetermined",
            "give more moduli",
        ),
        ({"test": None, "evidence": changed(p_period=None)}, "undetermined", "too few periods"),
        ({"test": replace(TEST, rank=3)}, "supported", "holds"),  # the period stands out by itself
        ({"claim": DAYS, "evidence": changed(p_period=None)}, "supported", "holds"),
        ({"prompt_controls": (control("latin_square", 0.9),)}, "undetermined", "a task without a circle"),
        ({"prompt_controls": (control("difference", 0.84), control("shuffled", 0.01))}, "supported", "holds"),
        # What is read without a modulus, or by random weights on discovery prompts, is reported and not judged by.
        ({"prompt_controls": (control("no_modulus", 0.95),)}, "supported", "holds"),
    ],
)
def test_each_reason_that_compares(change, verdict, words) -> None:
    given, reason = judge(hypothesis(**change))
    assert given == verdict
    assert words in reason


def test_a_period_that_other_moduli_carry_as_well_needs_to_stand_out_by_itself() -> None:
    evidence = changed(p_period=0.4)
    assert judge(hypothesis(evidence))[0] == "supported"
    given, reason = judge(hypothesis(evidence, test=replace(TEST, rank=3)))
    assert given == "undetermined"
    assert "under 2 other moduli" in reason


def test_undecidable_claims_and_runs_without_control_are_undetermined() -> None:
    assert judge(hypothesis(undecidable="only 3 orders")) == ("undetermined", "only 3 orders")
    assert judge(hypothesis(random=None))[0] == "undetermined"


def test_the_weights_are_a_partition_and_one_test_alone_has_all_of_it() -> None:
    assert selective(0.06, 0.5) == pytest.approx(0.06 / ASSIGNMENT_WEIGHT)
    assert selective(0.5, 0.01) == pytest.approx(0.01 / (1 - ASSIGNMENT_WEIGHT))
    assert selective(0.9, 0.9) == 1.0
    assert (selective(None, 0.03), selective(0.03, None), selective(None, None)) == (0.03, 0.03, None)


def test_the_level_holds_when_both_nulls_do() -> None:
    """Of all pairs of uniform p, also the worst dependence (never small together), a share of at most α is below α."""
    grid = [(index + 0.5) / 2000 for index in range(2000)]
    shifted = [*grid[1000:], *grid[:1000]]
    for second in (grid, grid[::-1], shifted):
        small = sum((selective(one, other) or 1) <= 0.05 for one, other in zip(grid, second, strict=True))
        assert small / 2000 <= 0.05


def test_every_p_of_a_record_stands_in_a_field_of_its_own() -> None:
    """Worked by hand: assignment 0.06 / 0.75 = 0.08 is less than period 0.2 / 0.25 = 0.8; Holm doubles the smaller."""
    weak = hypothesis(changed(p_period=0.2), test=replace(TEST, p=0.06, effect=0.5))
    words = hypothesis(changed(p_period=None), DAYS)
    first, second = verdicts([weak, words])
    assert (first.p_renaming, first.p_assignment, first.p_period) == (0.002, 0.06, 0.2)
    assert (first.p_selective, first.p_fwer, first.p_holm) == pytest.approx((0.08, 0.08, 0.08))
    assert (first.assignment_effect, first.layers_held) == (0.5, "")
    assert (second.p_renaming, second.p_selective, second.p_fwer) == (0.002, None, 0.002)
    assert (second.p_holm, second.layers_held) == (pytest.approx(0.004), "2-3")
    assert list(verdicts([])) == []


@pytest.mark.parametrize("name", ["days", "hours"])
def test_words_have_no_selective_p_and_numbers_do(name: str) -> None:
    one = hypothesis(changed(p_period=0.5), Claim(DOMAINS[name], "sum"), test=None)
    assert (one.p_selective, one.p_fwer) == ((0.5, 0.5) if name == "hours" else (None, 0.002))


def test_controls_that_change_labels_come_before_those_that_change_prompts() -> None:
    evidence = changed(rows={**GOOD.rows, "controls": [control("shuffled", 0.1)]})
    one = hypothesis(evidence, prompt_controls=(control("no_modulus", 0.3),))
    assert [row.control for row in one.controls] == ["shuffled", "no_modulus"]
    assert one.strongest_control is not None and one.strongest_control.control == "shuffled"


def test_every_p_of_the_r2_table_is_raised_and_none_is_invented() -> None:
    def row(p: float | None) -> R2Row:
        return R2Row("trained", "mod-add 7", 7, "sum", "last", "resid_post", 3, "plane", None, "fourier", 1,
                     None, None, None, 0.9, None, None, None, 0.1, p, None, 800, 400)  # fmt: skip

    rows = [row(0.002), row(0.2), row(None)]
    assert [one.p_fwer for one in with_selectivity(rows, 0.03)] == [0.03, 0.2, None]
    assert [one.p_fwer for one in with_selectivity(rows, None)] == [0.002, 0.2, None]
    assert [one.p_renaming for one in with_selectivity(rows, 0.03)] == [0.002, 0.2, None]


def test_ranges() -> None:
    assert ranges((1, 2, 3, 7, 9, 10)) == "1-3, 7, 9-10"
    assert ranges(()) == ""
