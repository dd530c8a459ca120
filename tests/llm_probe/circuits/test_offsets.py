"""Right answers by offset: a model that knows the next day only, and questions counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from llm_probe.circuits import offsets
from llm_probe.circuits.offsets import QUESTIONS, offset_rows, questions_of, small
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import Prompt

DAYS = DOMAINS["days"]


def test_questions_have_every_offset_and_leave_pairs_for_examples() -> None:
    days = small(DAYS)
    questions = questions_of(days, 0)
    assert {prompt.offset for prompt in questions} == set(range(1, 7))
    pairs = {(prompt.first, prompt.offset) for prompt in questions}
    assert 7 * 6 * 0.5 < len(pairs) < 7 * 6  # some quarter of 42 pairs is kept
    assert max(sum(prompt.offset == step for prompt in questions) for step in range(1, 7)) <= QUESTIONS
    assert questions == questions_of(days, 0)


@pytest.mark.parametrize("domain", [modular("add", 23), DOMAINS["add"]], ids=lambda domain: domain.name)
def test_numbers_are_below_ten(domain: Any) -> None:
    questions = questions_of(small(domain), 0)
    assert {prompt.offset for prompt in questions} == set(range(1, 10))
    assert all(1 <= prompt.first < 10 for prompt in questions)


def test_a_model_that_knows_the_next_day_is_above_guessing_there_alone(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def knows_one(loaded: Any, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[Any]:
        """Always the next day."""
        return [SimpleNamespace(exact=p.offset == 1, chosen=(p.first + 1) % 7) for p in prompts]

    monkeypatch.setattr(offsets, "score", knows_one)
    rows = offset_rows(loaded, DAYS, (0, 3), 0)
    assert [(row.shots, row.offset) for row in rows] == [(shots, step) for shots in (0, 3) for step in range(1, 7)]
    for row in rows:
        assert row.constrained == row.exact == float(row.offset == 1)
        assert (row.p_holm < 1e-6) == (row.offset == 1)
        assert 1 / 7 <= row.chance < 0.5 and row.low - 1e-9 <= row.constrained <= row.high
