"""Every reason a claim can be judged by, and every p of its record, from evidence made by hand."""

from dataclasses import replace
from typing import Any

import pytest

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS
from llm_probe.run.table import R2Row
from llm_probe.verdicts.embedding import EmbeddingPlane
from llm_probe.verdicts.evidence import with_selectivity
from llm_probe.verdicts.judgement import WEIGHTS, Hypothesis, judge, ranges, selective, together, verdicts
from tests.llm_probe.verdicts.by_hand import DAYS, GOOD, MOD_7, TEST, WEEKDAY, changed, control, hypothesis

CLUSTERS = {"p_order": 0.4, "rival": "clusters", "rival_name": "weekend"}
"""Weekdays and weekend and no order in either; how much likelier than a circle is the question."""


@pytest.mark.parametrize(
    ("claim", "change", "verdict", "words"),
    [
        (MOD_7, {}, "supported", "holds on new prompts"),
        (MOD_7, {"frequency": 3}, "supported", "k = 3"),
        (MOD_7, {"p_renaming": 0.4}, "undetermined", "class-mean R² 0.990 (dim 5), random reaches 0.995"),
        (MOD_7, {"p_renaming": 0.03}, "undetermined", "renamed labels are read as well (p 0.03)"),
        (MOD_7, {"p_renaming": 0.4, "p_integer": 0.01, "periods": (10.0,)}, "undetermined", "renamed labels"),
        (MOD_7, {"p_order": 0.4, "p_shape": 0.4}, "undetermined", "other orders do as well (p 0.4)"),
        (MOD_7, {"p_axes": 0.2}, "undetermined", "one axis only"),
        (MOD_7, {"agreement_low": -0.01}, "undetermined", "confirmation"),
        (MOD_7, {"agreement_low": 0.3}, "undetermined", "random weights agree as well: 0.10"),
        (MOD_7, {"explained_by": "digit count (0.80 of the plane)"}, "undetermined", "digit count"),
        # What the prediction is worth as a prediction, its scale included, is reported and not judged by.
        (MOD_7, {"r2": -0.5, "low": -0.9, "high": -0.1}, "supported", "holds on new prompts"),
        (MOD_7, {"parabola_r2": 0.95, "closure": None}, "supported", ""),
        (WEEKDAY, {}, "supported", "holds on new prompts"),
        # Items are asked for their order: not for a null of renamings, not whether a parabola does as well.
        (WEEKDAY, {"p_renaming": 0.4}, "supported", ""),
        (WEEKDAY, {"parabola_r2": 0.95}, "supported", ""),
        (WEEKDAY, {"closure": -0.3}, "undetermined", "its ends do not meet as neighbours do: closure -0.30"),
        (WEEKDAY, {"closure": 1.7}, "undetermined", "closure 1.70 [0.80, 1.10], where a circle has 1"),
        (WEEKDAY, {"closure": None}, "undetermined", "neighbours are no nearer"),
        (WEEKDAY, {**CLUSTERS, "ratio": -50.0, "ring_ratio": 1.0}, "undetermined", "other orders"),
        (WEEKDAY, {"p_order": 0.03}, "undetermined", "other orders do as well (p 0.03)"),
        (WEEKDAY, {"agreement_low": 0.0}, "undetermined", "confirmation"),
        # Refuted: a rival is shown and a hundred times likelier, ln 100 = 4.605 nats.
        (WEEKDAY, {**CLUSTERS, "ratio": -4.61}, "refuted", "a code of clusters (weekend) instead: likelier"),
        (WEEKDAY, {**CLUSTERS, "ratio": -4.6}, "undetermined", "other orders do as well (p 0.4)"),
        # The best of four families is to be four hundred times likelier, ln 400 = 5.991.
        (WEEKDAY, {**CLUSTERS, "ratio": -5.98, "families": 4}, "undetermined", "other orders"),
        (WEEKDAY, {**CLUSTERS, "ratio": -6.0, "families": 4}, "refuted", "a code of clusters"),
        # A circle at a frequency that cannot be told from the digits would not be seen: a rival refutes nothing.
        (MOD_7, {"ratio": -50.0, "rival": "open arc", "p_decimal": 0.01}, "undetermined", "an open arc is likelier"),
        (MOD_7, {"ratio": -50.0, "rival": "open arc", "p_decimal": 0.02}, "refuted", "an open arc instead"),
        (WEEKDAY, {**CLUSTERS, "ratio": -50.0, "p_shape": 0.2}, "undetermined", "other orders"),  # not shown
        (WEEKDAY, {"ratio": -50.0, "rival": "line"}, "refuted", "a line instead: likelier than the circle by 50 nats"),
        (MOD_7, {"ratio": -50.0, "rival": "open arc"}, "refuted", "an open arc instead"),
        # A sum that is not read, or at every period, says nothing of the shape of its answers.
        (MOD_7, {"ratio": -50.0, "rival": "open arc", "p_renaming": 0.4}, "undetermined", "renamed labels"),
    ],
)  # fmt: skip
def test_each_reason(claim, change, verdict, words) -> None:
    given, reason = judge(hypothesis(changed(**change), claim))
    assert given == verdict
    assert words in reason


@pytest.mark.parametrize("claim", [MOD_7, DAYS, WEEKDAY], ids=lambda claim: claim.name)
@pytest.mark.parametrize("name", ["p_renaming", "p_order", "p_axes", "p_shape", "p_repeats", "p_integer", "p_period"])
def test_a_large_p_refutes_nothing(claim: Claim, name: str) -> None:
    """It is what a small circle gives as well."""
    everything = {"p_order": 1.0, "p_axes": 1.0, "p_shape": 1.0, "p_repeats": 1.0, "ratio": -3.0, "p_renaming": 1.0}
    for change in ({name: 1.0}, {**everything, name: 1.0}):
        assert judge(hypothesis(changed(**change), claim, test=replace(TEST, p=1.0, p_contrast=1.0)))[0] != "refuted"


NOT_SELECTIVE = {"test": replace(TEST, p=0.3, p_contrast=0.3), "evidence": changed(p_period=0.3)}


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (NOT_SELECTIVE, "undetermined", "other periods are as strong"),
        (
            {"test": None, "evidence": changed(p_period=0.3), "note": "give more moduli"},
            "undetermined",
            "give more moduli",
        ),
        ({"test": None, "evidence": changed(p_period=None)}, "undetermined", "no test can tell this period"),
        # Any of the three will do: all moduli together, this one among them, this period among its neighbours.
        ({"test": replace(TEST, p=0.9), "evidence": changed(p_period=0.9)}, "supported", "holds"),
        ({"test": replace(TEST, p_contrast=0.9), "evidence": changed(p_period=0.9)}, "supported", "holds"),
        ({"test": replace(TEST, p=0.9, p_contrast=0.9), "evidence": changed(p_period=0.002)}, "supported", "holds"),
        ({"test": replace(TEST, rank=3)}, "supported", "holds"),  # its effect says more than its place
        ({"claim": DAYS, "evidence": changed(p_period=None)}, "supported", "holds"),
        ({"claim": DAYS, "evidence": changed(p_repeats=0.2)}, "undetermined", "other periods are as strong (p 0.2)"),
        ({"claim": DAYS, "evidence": changed(p_repeats=None)}, "undetermined", "no test can tell this period"),
        ({"prompt_controls": (control("latin_square", 0.92),)}, "undetermined", "a task without a circle"),
        ({"prompt_controls": (control("latin_square", 0.90),)}, "supported", "holds"),  # the plane is read at 0.91
        ({"prompt_controls": (control("shuffled", 0.92),)}, "undetermined", "shuffled labels are read as well"),
        # What is read without a modulus, of the other operation or by random weights is reported and not judged by.
        ({"prompt_controls": (control("no_modulus", 0.95), control("difference", 0.95))}, "supported", "holds"),
        # An item in another order is another circle of the same vectors.
        ({"claim": WEEKDAY, "prompt_controls": (control("reordered", 0.95),)}, "supported", "holds"),
    ],
)
def test_each_reason_that_compares(change, verdict, words) -> None:
    given, reason = judge(hypothesis(**change))
    assert given == verdict
    assert words in reason


def test_a_period_without_an_effect_of_its_own_needs_to_stand_out_by_itself() -> None:
    """The assignment's p is of all moduli together."""
    other = replace(TEST, effects=(-0.1, 0.3, 0.3))
    given, reason = judge(hypothesis(changed(p_period=0.4), test=other))
    assert given == "undetermined"
    assert "no more under its own modulus" in reason
    assert judge(hypothesis(changed(p_period=None), test=other))[0] == "undetermined"
    assert judge(hypothesis(changed(p_period=0.01), test=other))[0] == "supported"
    assert judge(hypothesis(changed(p_period=0.4), test=replace(TEST, effects=(0.1, -0.3, -0.3))))[0] == "supported"


@pytest.mark.parametrize("level", ["decodable", "clusters", "ordered", "helix", "nothing"])
def test_only_a_circle_is_supported(level: str) -> None:
    change = {
        "nothing": {"p_renaming": 0.3},
        "decodable": {"p_order": 0.3, "p_shape": 0.3},
        "clusters": {"p_order": 0.3, "ratio": -1.0},
        "ordered": {"ratio": -1.0, "rival": "line"},
        "helix": {"p_renaming": 0.3, "p_integer": 0.01},
    }[level]
    one = hypothesis(changed(**change))
    assert one.shown.level == level
    assert judge(one)[0] == "undetermined"


def test_undecidable_claims_and_runs_without_control_are_undetermined() -> None:
    assert judge(hypothesis(undecidable="only 3 orders")) == ("undetermined", "only 3 orders")
    assert judge(hypothesis(random=None))[0] == "undetermined"


def test_random_words_decide_where_orders_cannot() -> None:
    """The p that counts is then theirs, and where the plane comes from is not known."""
    known: dict[str, Any] = {"claim": WEEKDAY, "undecidable": "only 3 orders"}
    words = changed(
        null="words", p_order=1.0, p_redrawn=0.005, p_redrawn_axes=0.01, embedding=EmbeddingPlane(0.0, 1.0, 1.5)
    )
    one = hypothesis(words, **known)
    assert judge(one) == ("supported", "holds on new prompts") and one.p_fwer == 0.005
    row = next(verdicts([one]))
    assert (row.order_null, row.p_redrawn, row.p_redrawn_axes, row.origin) == ("words", 0.005, 0.01, None)
    spelt = hypothesis(changed(words, p_redrawn=0.4), **known)
    assert judge(spelt) == ("undetermined", "random words that share tokens in the same way do as well (p 0.4)")
    # Not asked, because another shape is likelier: of six items that can be a finding.
    line = changed(words, p_redrawn=None, p_redrawn_axes=None, ratio=-9.0, rival="line")
    assert judge(hypothesis(line, **known))[0] == "refuted" and hypothesis(line, **known).p_fwer == 1.0


def test_the_weights_are_a_partition_and_tests_that_were_run_share_them() -> None:
    assert sum(WEIGHTS) == 1
    assert selective((0.06, 0.5, 0.5)) == pytest.approx(0.12)
    assert selective((0.5, 0.01, 0.5)) == selective((0.5, 0.5, 0.01)) == pytest.approx(0.04)
    assert selective((0.9, 0.9, 0.9)) == 1.0
    # Half and a quarter are two thirds and a third; a quarter and a quarter are halves.
    assert selective((0.02, None, 0.5)) == pytest.approx(0.03)
    assert selective((None, 0.02, 0.5)) == pytest.approx(0.04)
    alone = [selective(tuple(0.03 if at == i else None for at in range(3))) for i in range(3)]
    assert alone == [pytest.approx(0.03)] * 3
    assert selective((None, None, None)) is None


def test_the_level_holds_when_all_three_nulls_do() -> None:
    """Of triples of uniform p, also under the worst dependence (never small together), at most α is below α."""
    grid = [(index + 0.5) / 2000 for index in range(2000)]
    shifted, further = [*grid[1000:], *grid[:1000]], [*grid[1500:], *grid[:1500]]
    for second, third in ((grid, grid), (grid[::-1], shifted), (shifted, further)):
        small = sum((selective(p) or 1) <= 0.05 for p in zip(grid, second, third, strict=True))
        assert small / 2000 <= 0.05


def test_every_p_of_a_record_stands_in_a_field_of_its_own() -> None:
    """Worked by hand: 0.06 · 2 = 0.12 is less than 0.04 · 4 = 0.16 and 0.2 · 4; Holm doubles the smaller."""
    weak = hypothesis(changed(p_period=0.2), test=replace(TEST, p=0.06, p_contrast=0.04, effects=(0.5, 0.1, 0.1)))
    words = hypothesis(changed(p_period=None, p_renaming=0.001), DAYS)
    first, second = verdicts([weak, words])
    assert (first.p_renaming, first.p_assignment, first.p_contrast, first.p_period) == (0.002, 0.06, 0.04, 0.2)
    assert (first.p_selective, first.p_fwer, first.p_holm) == pytest.approx((0.12, 0.12, 0.12))
    assert (first.assignment_effect, first.layers_held) == (0.5, "")
    # Of words the integer's code has to repeat, 0.004, which is the largest of 0.001, 0.004 and the order's 0.003.
    assert (second.p_renaming, second.p_selective, second.p_order, second.p_fwer) == (0.001, 0.004, 0.003, 0.004)
    assert (second.p_assignment, second.p_contrast, second.assignment_effect) == (None, None, None)
    assert (second.p_holm, second.layers_held) == (pytest.approx(0.008), "2-3")
    assert list(verdicts([])) == []


def with_least(p_order: float, least: float, **more: object) -> Hypothesis:
    """A claim about weekdays, whose order alone is judged."""
    return hypothesis(changed(p_order=p_order, least_p_order=least), WEEKDAY, **more)


def test_claims_of_few_labels_get_the_part_of_the_level_that_they_need() -> None:
    """Parts of 0.05: 0.008 + 0.014, 0 + 0.014, 0 + 0.014; the claim that cannot reach 0.01 is no part of the family.

    p over part times the parts left, smallest first: 0.0007/0.014 · 0.05, then 0.008/0.022 · 0.036 = 0.0131, and
    0.01/0.014 · 0.014 raised to the one before.
    """
    claims = [with_least(0.008, 0.008), with_least(0.0007, 0.0), with_least(0.01, 0.0), with_least(0.02, 0.02)]
    assert together(claims) == pytest.approx([0.008 / 0.022 * 0.036, 0.0025, 0.008 / 0.022 * 0.036, 1.0])
    assert together([with_least(0.001, 0.0, undecidable="none")]) == [1.0]


def test_a_circle_that_does_not_survive_the_other_claims_is_undetermined() -> None:
    alone = with_least(0.004, 0.0)
    (row,) = verdicts([alone])
    assert (row.p_holm, row.verdict) == (pytest.approx(0.004), "supported")
    crowd = [alone, *(with_least(0.5, 0.0) for _ in range(19))]
    row = next(verdicts(crowd))
    assert (row.p_holm, row.level, row.verdict) == (pytest.approx(0.08), "circle", "undetermined")
    assert row.reason == "among so many claims chance reaches its p 0.004 as well (Holm 0.08)"


def test_the_largest_p_counts() -> None:
    assert hypothesis(changed(p_order=0.3)).p_fwer == 0.3
    assert hypothesis(changed(p_renaming=0.3)).p_fwer == 0.3
    assert hypothesis(changed(p_renaming=0.3), WEEKDAY).p_fwer == 0.003  # items: the order alone
    assert hypothesis(**NOT_SELECTIVE).p_fwer == pytest.approx(0.6)


def test_the_geometry_of_a_record() -> None:
    (row,) = verdicts([hypothesis(changed(p_order=0.4, ratio=-7.0, rival="clusters", rival_name="weekend"), DAYS)])
    assert (row.level, row.shape, row.verdict) == ("clusters", "weekend", "refuted")
    assert row.stopped_by == "other orders do as well (p 0.4)"
    assert (row.rival, row.rival_ratio, row.circle_share) == ("clusters: weekend", -7.0, 0.8)
    assert (row.p_order, row.p_axes, row.p_shape) == (0.4, 0.004, 0.005)
    assert (row.p_repeats, row.p_integer, row.helix_periods) == (0.004, 0.4, None)
    assert (row.agreement, row.agreement_low, row.agreement_high) == (0.95, 0.92, 0.97)
    (row,) = verdicts([hypothesis(changed(p_renaming=0.4, p_integer=0.01, periods=(10.0, 2.0)))])
    assert (row.level, row.shape, row.helix_periods) == ("helix", "T = 10, 2", "10, 2")
    (row,) = verdicts([hypothesis()])
    assert (row.level, row.shape, row.stopped_by, row.rival) == ("circle", None, None, "runs")


@pytest.mark.parametrize("name", ["days", "hours"])
def test_words_are_selective_where_the_integer_repeats_and_numbers_where_the_period_stands_out(name: str) -> None:
    one = hypothesis(changed(p_period=0.5), Claim(DOMAINS[name], "sum"), test=None)
    assert (one.p_selective, one.p_fwer) == ((0.5, 0.5) if name == "hours" else (0.004, 0.004))
    assert hypothesis(claim=WEEKDAY).p_selective is None


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
