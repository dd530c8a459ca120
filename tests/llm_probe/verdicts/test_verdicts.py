"""Every reason a claim can be judged by, from findings made by hand."""

from dataclasses import replace
from typing import Any

import pytest

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.table import Control, ControlRow
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.verdicts.analysis import Best, Findings, Published
from llm_probe.verdicts.joined import Judged
from llm_probe.verdicts.judgement import judge, ranges

GOOD = Best(
    layer=3,
    site="resid_post",
    position="last",
    frequency=1,
    r2=0.9,
    r2_low=0.85,
    r2_high=0.93,
    discovery_r2=0.91,
    null_r2=0.05,
    angle_error=0.2,
    p_fwer=0.002,
    p_period=0.005,
    parabola_r2=0.5,
    closure=0.9,
    layers_held=(2, 3),
    explained_by=None,
    published=Published(0.99, 5, 3, 1),
    n_discovery=800,
    n_confirmation=400,
)
RANDOM_BEST = replace(GOOD, r2=0.02, r2_low=-0.02, r2_high=0.06, p_fwer=0.4, published=Published(0.995, 7, 1, 1))


def judged(best: Best, **change: Any) -> Judged:
    """Findings of which only the best plane matters."""
    known = {"adds_numbers": True, "p_renaming": best.p_fwer, "p_selective": 0.002, "p_assignment": 0.001}
    known |= {"effect": 0.8, "rank": 1}
    return Judged(Findings(best, (), (), ()), **{**known, **change})


def control(name: Control, r2: float) -> ControlRow:
    return ControlRow("mod-add 7", 7, "sum", name, r2, 3, "resid_post", "last", 1, 800)


RANDOM = judged(RANDOM_BEST)


@pytest.mark.parametrize(
    ("quantity", "change", "verdict", "words"),
    [
        ("sum", {}, "supported", "holds on new prompts"),
        ("sum", {"frequency": 3}, "supported", "k = 3"),
        ("sum", {"p_fwer": 0.4}, "refuted", "class-mean R² 0.990 (dim 5), random reaches 0.995"),
        ("sum", {"p_fwer": 0.03}, "undetermined", "between"),
        ("sum", {"r2_low": -0.01}, "undetermined", "confirmation"),
        ("sum", {"r2_low": 0.05}, "undetermined", "random weights reach 0.02"),
        (
            "sum",
            {"explained_by": "digit count (0.80 of the plane, the circle 0.02 beyond it)"},
            "undetermined",
            "digit count",
        ),
        ("sum", {"parabola_r2": 0.95, "closure": None}, "supported", ""),
        ("item", {}, "supported", "holds on new prompts"),
        ("item", {"parabola_r2": 0.95}, "refuted", "order"),
        ("item", {"closure": -0.3}, "refuted", "does not close"),
        ("item", {"closure": None}, "refuted", "does not close"),
        ("item", {"closure": 0.3}, "undetermined", "half closed"),
    ],
)
def test_each_reason(quantity, change, verdict, words) -> None:
    found, reason = judge(quantity, judged(replace(GOOD, **change)), RANDOM, None)
    assert found == verdict
    assert words in reason


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"p_selective": 0.3}, "undetermined", "other periods are as strong"),
        ({"p_selective": 0.3, "p_assignment": None, "note": "give more moduli"}, "undetermined", "give more moduli"),
        ({"p_selective": None}, "undetermined", "too few periods"),
        ({"rank": 3}, "supported", "holds"),  # the period stands out by itself
        ({"p_selective": None, "adds_numbers": False}, "supported", "holds"),
        ({"prompt_controls": (control("latin_square", 0.9),)}, "undetermined", "a task without a circle"),
        ({"prompt_controls": (control("difference", 0.84), control("shuffled", 0.01))}, "supported", "holds"),
        # What is read without a modulus, or by random weights on discovery prompts, is reported and not judged by.
        ({"prompt_controls": (control("no_modulus", 0.95),)}, "supported", "holds"),
    ],
)
def test_each_reason_that_compares(change, verdict, words) -> None:
    found, reason = judge("sum", judged(GOOD, **change), RANDOM, None)
    assert found == verdict
    assert words in reason


def test_a_period_that_other_moduli_carry_as_well_needs_to_stand_out_by_itself() -> None:
    best = replace(GOOD, p_period=0.4)
    assert judge("sum", judged(best, rank=1), RANDOM, None)[0] == "supported"
    found, reason = judge("sum", judged(best, rank=3), RANDOM, None)
    assert found == "undetermined"
    assert "under 2 other moduli" in reason


def test_selective_p_is_weighted_and_every_p_is_at_least_that() -> None:
    """Worked by hand: assignment 0.06 / 0.75 = 0.08 is less than period 0.2 / 0.25 = 0.8."""
    claim = Claim(modular("add", 7), "sum")
    best = replace(GOOD, p_period=0.2)
    test = ModulusTest(7, (7, 9, 11, 13, 17), (), 0.06, None, 0.06, 0.5, None, 1, None, 0, None, 120)
    found = Judged.of(claim, Findings(best, (), (), ()), test, "", ())
    assert (found.p_selective, found.p_renaming, found.best.p_fwer) == pytest.approx((0.08, 0.002, 0.08))
    assert found.best.layers_held == ()
    alone = Judged.alone(claim, Findings(GOOD, (), (), ()))
    assert (alone.p_selective, alone.best.p_fwer, alone.best.layers_held) == (0.005, 0.005, (2, 3))
    words = Judged.alone(Claim(DOMAINS["days"], "sum"), Findings(GOOD, (), (), ()))
    assert (words.p_selective, words.best.p_fwer) == (None, 0.002)


def test_undecidable_claims_and_runs_without_control_are_undetermined() -> None:
    assert judge("item", judged(GOOD), RANDOM, "only 3 orders") == ("undetermined", "only 3 orders")
    assert judge("sum", judged(GOOD), None, None)[0] == "undetermined"


def test_ranges() -> None:
    assert ranges((1, 2, 3, 7, 9, 10)) == "1-3, 7, 9-10"
    assert ranges(()) == ""
