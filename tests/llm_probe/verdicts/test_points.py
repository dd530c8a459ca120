"""Single prompts as points: the class means of the circle are their means."""

from __future__ import annotations

import pytest
import torch

from llm_probe.verdicts import rows
from llm_probe.verdicts.rows import point_rows
from tests.llm_probe.verdicts.test_embedding import CLAIM, gathered, labels_of, made_up

STATES = made_up((0, 1))
LABELS = labels_of("discovery")
TEXTS = [f"prompt {number}" for number in range(len(LABELS.label))]
LOCATION = STATES.cells[-1]


def test_the_mean_of_a_labels_points_is_its_point_on_the_circle() -> None:
    points = point_rows(CLAIM, "trained", STATES, LABELS, TEXTS, LOCATION)
    assert [point.prompt for point in points] == TEXTS
    for mean in gathered(STATES).rows["circles"]:
        if mean.layer == LOCATION[0]:
            own = [(point.x, point.y, point.z) for point in points if point.label == mean.label]
            assert torch.tensor(own).mean(dim=0).tolist() == pytest.approx([mean.x, mean.y, mean.z], abs=2e-3)


def test_of_many_prompts_as_many_of_each_label_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_POINTS", 2 * CLAIM.period + 5)
    points = point_rows(CLAIM, "random", STATES, LABELS, TEXTS, LOCATION)
    counts = [sum(point.label == label for point in points) for label in range(CLAIM.period)]
    assert sum(counts) == 2 * CLAIM.period + 5 and set(counts) == {2, 3}
