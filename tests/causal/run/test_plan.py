"""FLOPs of an edit, worked out by hand, and how often shuffled labels would be called a circle."""

from causal.run.plan import Shape
from causal.run.tables import ControlDraw
from causal.run.verdicts import false_calls


def test_flops_of_an_edit() -> None:
    shape = Shape(layers=3, width=10, vocabulary=100, block=500)
    # The head only behind the last block; two blocks more behind the first. Two nodes, two operations a weight.
    assert shape.edit(2, 1) == 2 * 1000
    assert shape.edit(0, 2) == 2 * 2 * (2 * 500 + 1000)


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
