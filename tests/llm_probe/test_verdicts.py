"""Every reason a claim can be judged by, from findings made by hand."""

from dataclasses import replace

import pytest

from llm_probe.analysis import Best, Published
from llm_probe.verdicts import judge, ranges

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
    published=Published(0.99, 5, 3, 1),
    n_discovery=800,
    n_confirmation=400,
)
RANDOM = replace(GOOD, r2=0.02, r2_low=-0.02, r2_high=0.06, p_fwer=0.4, published=Published(0.995, 7, 1, 1))


@pytest.mark.parametrize(
    ("quantity", "change", "verdict", "words"),
    [
        ("sum", {}, "supported", "holds on new prompts"),
        ("sum", {"frequency": 3}, "supported", "k = 3"),
        ("sum", {"p_fwer": 0.4}, "refuted", "class-mean R² 0.990 (dim 5), random reaches 0.995"),
        ("sum", {"p_fwer": 0.03}, "undetermined", "between"),
        ("sum", {"r2_low": -0.01}, "undetermined", "confirmation"),
        ("sum", {"r2_low": 0.05}, "undetermined", "random weights reach 0.02"),
        ("sum", {"p_period": 0.3}, "undetermined", "other periods"),
        ("sum", {"parabola_r2": 0.95, "closure": None}, "supported", ""),
        ("item", {}, "supported", "holds on new prompts"),
        ("item", {"parabola_r2": 0.95}, "refuted", "order"),
        ("item", {"closure": -0.3}, "refuted", "does not close"),
        ("item", {"closure": None}, "refuted", "does not close"),
        ("item", {"closure": 0.3}, "undetermined", "half closed"),
    ],
)
def test_each_reason(quantity, change, verdict, words) -> None:
    found, reason = judge(quantity, replace(GOOD, **change), RANDOM, None)
    assert found == verdict
    assert words in reason


def test_undecidable_claims_and_runs_without_control_are_undetermined() -> None:
    assert judge("item", GOOD, RANDOM, "only 3 orders") == ("undetermined", "only 3 orders")
    assert judge("sum", GOOD, None, None)[0] == "undetermined"


def test_ranges() -> None:
    assert ranges((1, 2, 3, 7, 9, 10)) == "1-3, 7, 9-10"
    assert ranges(()) == ""
