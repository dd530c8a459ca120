"""One sentence a direction: every way a verdict can come out."""

from dataclasses import replace
from typing import Any

import pytest

from causal.algorithms.tables import OrderRow
from causal.run.tables import CausalRow
from causal.run.verdicts import Evidence, decide

POWER = "2000 prompts show a drop of 5 points with power 1.00"


def row(direction: str, intervention: str, condition: str, position: str = "last", **numbers: Any) -> CausalRow:
    return CausalRow("days", 7, 2, "resid_post", position, direction, intervention, condition, 2000, **numbers)


ROTATED = row("planes", "rotate", "days", moved=0.9, moved_low=0.88, stayed=0.02, rank=1 / 201)
ABLATED = row("planes", "mean", "days", accuracy_before=0.99, accuracy=0.15, p=1e-90, rank=1 / 201)
EVERY = row("planes", "mean", "text", "all", nats_change=0.002, harm="spared")
LIKE = row("planes", "mean", "text", "like answer", nats_change=0.0, harm="not tested", edited_share=0.001)
ORDER = OrderRow(
    "days", 2, "resid_post", "last", "unseen answer", 0.9, word="circle", reason="0.90 of the answers follow"
)
CLEAR = Evidence(
    period=7,
    right=1980,
    n=2000,
    power=POWER,
    rotated=ROTATED,
    ablated=ABLATED,
    controls=[
        row("random", "rotate", "days", moved=0.01, draws=200),
        row("random", "mean", "days", accuracy=0.99, draws=200),
        row("shuffled", "mean", "days", accuracy=0.3, draws=200),
    ],
    everywhere=EVERY,
    like=LIKE,
    order=ORDER,
    basis=row("random basis", "zero", "text", "all", nats_change=0.05),
    others=[
        row("planes", "mean", "months", accuracy_before=1.0, accuracy=0.9),
        row("planes", "mean", "hours", accuracy_before=1.0, accuracy=0.4),
    ],
)


def test_a_circle_that_is_followed_is_causal() -> None:
    verdict, sentence = decide(CLEAR)
    assert verdict == "causal: circle"
    assert "circle: 0.90 of the answers follow" in sentence
    assert "at the 0.10% of it that look like an answer's place: not tested, less than 1%" in sentence
    assert "moves by j in 90%" in sentence
    assert "(controls 0.01 at most); without it accuracy falls from 99% to 15% (controls 99% at least)" in sentence
    assert "hours loses most, 100% to 40%" in sentence
    assert "+0.002 nat at every position (random bases +0.050)" in sentence


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"right": 280}, "cannot be tested", "no better than guessing"),
        ({"rotated": replace(ROTATED, moved=0.12, moved_low=0.1)}, "not causal at this power", "power 1.00"),
        ({"rotated": replace(ROTATED, stayed=0.93)}, "not causal at this power", "power 1.00"),
        ({"rotated": replace(ROTATED, rank=0.05)}, "not specific", "controls of equal size"),
        ({"order": replace(ORDER, word="answer code", reason="other orders move 0.9")}, "causal: answer code",
         "other orders move 0.9"),
        ({"order": replace(ORDER, word="undetermined")}, "causal", "undetermined: 0.90"),
        ({"order": None}, "causal", "order of the answers was not tested"),
        ({"everywhere": replace(EVERY, harm="not spared")}, "not specific", "nat at every position"),
        # One text that is spared does not speak for the other.
        ({"like": replace(LIKE, harm="not spared", edited_share=0.2)}, "not specific", "0.000 at the 20.00%"),
        ({"everywhere": None}, "not tested for harm", "less than 1%"),
        ({"controls": [replace(one, draws=20) for one in CLEAR.controls], "rotated": replace(ROTATED, rank=1 / 21)},
         "not causal at this power", "20 draws"),
        ({"everywhere": None, "like": None}, "not tested for harm", "no text was read"),
    ],
)  # fmt: skip
def test_what_each_condition_changes(change: dict, verdict: str, words: str) -> None:
    word, sentence = decide(replace(CLEAR, **change))
    assert word == verdict
    assert words in sentence


def test_a_direction_that_cannot_be_turned_is_judged_by_its_ablation() -> None:
    still = replace(CLEAR, rotated=None, order=None)
    assert decide(still)[0] == "causal"
    assert decide(replace(still, ablated=replace(ABLATED, p=0.2)))[0] == "not causal at this power"
    assert decide(replace(still, ablated=replace(ABLATED, rank=0.3)))[0] == "not specific"
