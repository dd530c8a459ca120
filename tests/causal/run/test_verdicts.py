"""One sentence a direction: every way a verdict can come out."""

from dataclasses import replace

import pytest

from causal.run.verdicts import Evidence, decide

CLEAR = Evidence(
    period=7,
    accuracy=0.99,
    accuracy_low=0.98,
    moved=0.9,
    moved_low=0.88,
    stayed=0.02,
    moved_rank=1 / 201,
    moved_control=0.01,
    ablated=0.15,
    ablated_p=1e-90,
    ablated_rank=1 / 201,
    ablated_control=0.99,
    nats_everywhere=0.002,
    nats_like=0.0,
    equivalent=True,
    nats_random=0.05,
    like_share=0.001,
    draws=200,
    others=(("days", 1.0, 0.9), ("hours", 1.0, 0.4)),
    power="2000 prompts show a drop of 5 points with power 1.00",
)


def test_a_circle_that_is_followed_is_causal() -> None:
    verdict, sentence = decide(CLEAR)
    assert verdict == "causal"
    assert "moves by j in 90%" in sentence
    assert "hours loses most, 100% to 40%" in sentence
    assert "+0.002 nat at every position (random bases +0.050)" in sentence


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"accuracy": 0.15, "accuracy_low": 0.13}, "cannot be tested", "no better than guessing"),
        ({"moved": 0.12, "moved_low": 0.1}, "not causal at this power", "power 1.00"),
        ({"stayed": 0.93}, "not causal at this power", "power 1.00"),
        ({"moved_rank": 0.05}, "not specific", "controls of equal size"),
        ({"equivalent": False}, "not specific", "nat at every position"),
        ({"draws": 20, "moved_rank": 1 / 21}, "not causal at this power", "20 draws"),
        ({"equivalent": None}, "causal", "no text was read"),
    ],
)
def test_what_each_condition_changes(change: dict, verdict: str, words: str) -> None:
    word, sentence = decide(replace(CLEAR, **change))
    assert word == verdict
    assert words in sentence


def test_a_direction_that_cannot_be_turned_is_judged_by_its_ablation() -> None:
    still = replace(CLEAR, stayed=None, moved=None, moved_low=None, moved_rank=None, moved_control=None)
    assert decide(still)[0] == "causal"
    assert decide(replace(still, ablated_p=0.2))[0] == "not causal at this power"
    assert decide(replace(still, ablated_rank=0.3))[0] == "not specific"
