"""FLOPs of an edit, worked out by hand, and the questions of other skills."""

import pytest

from causal.controls import skills
from causal.run.plan import Shape
from causal.run.tables import ControlDraw
from causal.run.verdicts import false_calls
from llm_probe.questions.claims import Claim


def test_flops_of_an_edit() -> None:
    shape = Shape(layers=3, width=10, vocabulary=100, block=500)
    # The head only behind the last block; two blocks more behind the first. Two nodes, two operations a weight.
    assert shape.edit(2, 1) == 2 * 1000
    assert shape.edit(0, 2) == 2 * 2 * (2 * 500 + 1000)


@pytest.mark.parametrize("name", list(skills.PLAIN))
def test_plain_results_are_not_reduced(name: str) -> None:
    prompts = Claim(skills.plain(name), "sum").prompts("causal", 200, 0)
    whole = [prompt for prompt in prompts if prompt.total == prompt.label]
    assert len(whole) > len(prompts) / 4
    operation = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}[skills.PLAIN[name][0]]
    for prompt in whole:
        assert prompt.answer == str(operation(prompt.first, prompt.offset))
        assert "mod" not in prompt.text


def test_facts_name_their_country() -> None:
    prompts = skills.facts()
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        country = list(skills.CAPITALS)[prompt.label]
        assert country in prompt.text
        assert prompt.answer == skills.CAPITALS[country]


def draws(control: str, effects: list[float]) -> list[ControlDraw]:
    return [
        ControlDraw("mod-add 7", 2, "resid_post", "last", control, "rotate", number, 6, effect, 0.0)
        for number, effect in enumerate(effects)
    ]


def test_shuffled_labels_are_judged_like_a_circle() -> None:
    quiet = draws("random", [0.0] * 200)
    assert false_calls(quiet + draws("shuffled", [0.1] * 200), 500, 7) == (0, 200)
    # One draw that moves every answer stands out even among the shuffled: the rule cannot tell it from a circle.
    assert false_calls(quiet + draws("shuffled", [1.0] + [0.0] * 199), 500, 7) == (1, 200)
