"""Which checkpoints a configuration names, and in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_probe.emergence.checkpoints import checkpoints_of, step_of
from llm_probe.emergence.config import SeriesConfig
from toy.run.errors import InputError


def folders(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).mkdir(parents=True)
        (base / name / "config.json").write_text("{}")
    return base


@pytest.mark.parametrize(
    ("name", "step"),
    [("step1000", 1000), ("checkpoint-500", 500), ("stage1-step140000-tokens294B", 140_000), ("global_step_20", 20),
     ("v2-final-7", 7)],
)  # fmt: skip
def test_a_name_holds_its_step(name: str, step: int) -> None:
    assert step_of(name) == step


def test_revisions_stand_in_the_order_of_their_steps_and_say_their_tokens() -> None:
    names = ("stage1-step2000-tokens9B", "stage1-step150-tokens1B")
    first, second = checkpoints_of(SeriesConfig(model="owner/name", checkpoints=names))
    assert (first.step, first.tokens, first.revision) == (150, 1e9, names[1])
    assert (second.step, second.tokens, second.model) == (2000, 9e9, "owner/name")
    given = checkpoints_of(SeriesConfig(model="owner/name", checkpoints=("step10", "step2"), tokens_a_step=2048))
    assert [one.tokens for one in given] == [4096, 20_480]


def test_folders_are_taken_by_pattern_and_sorted_by_number(tmp_path: Path) -> None:
    base = folders(tmp_path, "checkpoint-1000", "checkpoint-500", "checkpoint-90")
    (tmp_path / "checkpoint-2000").mkdir()  # begun, without a configuration
    state = {"global_step": 90, "num_input_tokens_seen": 1234}
    (tmp_path / "checkpoint-90" / "trainer_state.json").write_text(json.dumps(state))
    listed = checkpoints_of(SeriesConfig(model=str(base), checkpoints=("checkpoint-*",)))
    assert [one.step for one in listed] == [90, 500, 1000]
    assert [one.tokens for one in listed] == [1234, None, None]
    assert listed[0].model == str(tmp_path / "checkpoint-90") and listed[0].revision is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("final",), "has no checkpoint 'final': it has checkpoint-1, checkpoint-2"),
        (("checkpoint-1",), "1 checkpoint is no series: give two or more"),
        (("checkpoint-*", "again/checkpoint-1"), "are of the same step"),
    ],
)
def test_what_is_no_series_is_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    base = folders(tmp_path, "checkpoint-1", "checkpoint-2")
    folders(tmp_path / "again", "checkpoint-1")
    with pytest.raises(InputError, match=message):
        checkpoints_of(SeriesConfig(model=str(base), checkpoints=names))


def test_a_name_without_a_number_is_refused() -> None:
    with pytest.raises(InputError, match="'main' has no step in its name"):
        checkpoints_of(SeriesConfig(model="owner/name", checkpoints=("main", "step1")))
