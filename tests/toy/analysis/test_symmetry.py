"""A network that knows its training table and its mirror image, and nothing else."""

from __future__ import annotations

import pytest
import torch

from toy.networks.scores import Scores, TableScores
from toy.networks.tasks import split, table


def _scores(task: str, right: torch.Tensor | None = None) -> TableScores:
    rows = table(task, 13)
    train, test = split(len(rows.answers), 0.3, 0)
    known = torch.ones(len(rows.answers), dtype=torch.bool) if right is None else right
    return TableScores(rows, Scores(torch.zeros(len(known)), known), train, test)


def test_memory_and_symmetry_alone() -> None:
    known = torch.zeros(13, 13, dtype=torch.bool)
    a, b = table("add", 13).operands[split(169, 0.3, 0)[0]].T
    known[a, b] = known[b, a] = True
    found = _scores("add", known.flatten()).mirror_accuracy()
    assert found is not None and (found["mirrored"], found["unmirrored"]) == (1, 0)
    whole = _scores("add", known.flatten())
    assert found["share_mirrored"] == pytest.approx(float(whole.scores.right[whole.test].double().mean()))


def test_the_diagonal_is_its_own_mirror() -> None:
    diagonal = torch.eye(13, dtype=torch.bool).flatten()
    found = _scores("multiply", diagonal).mirror_accuracy()
    assert found is not None and found["mirrored"] == 0 and found["unmirrored"] > 0


@pytest.mark.parametrize("task", ["subtract", "divide", "add3"])
def test_no_symmetry_to_gain_from(task: str) -> None:
    assert _scores(task).mirror_accuracy() is None
