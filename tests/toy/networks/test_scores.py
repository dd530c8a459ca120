"""Losses and accuracies of whole tables."""

import math
from dataclasses import replace

import pytest
import torch

from toy.config import ToyConfig
from toy.networks.model import build
from toy.networks.scores import Scores, TableScores, cross_entropy, scores, trained_on
from toy.networks.tasks import split, table

SMALL = ToyConfig(modulus=7, d_model=8, n_heads=2, d_mlp=12)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, equals_logit=True),
        replace(SMALL, n_layers=2),
        replace(SMALL, architecture="mlp", activation="square"),
        replace(SMALL, task="add3"),
    ],
)
def test_scores_are_those_of_the_plain_forward(config: ToyConfig) -> None:
    model, rows = build(config), table(config.task, config.modulus)
    result = scores(model, rows.operands, rows.answers)
    logits = model(rows.operands)
    expected = torch.nn.functional.cross_entropy(logits.double(), rows.answers, reduction="none")
    torch.testing.assert_close(result.loss, expected.detach(), atol=1e-5, rtol=0)
    assert float((result.right == (logits.argmax(1) == rows.answers)).double().mean()) == 1


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, n_layers=2)])
def test_replaced_weights_are_used_and_the_model_is_left_alone(config: ToyConfig) -> None:
    model, rows = build(config), table("add", 7)
    before = scores(model, rows.operands, rows.answers)
    flat = scores(model, rows.operands, rows.answers, {"W_U": torch.zeros(8, 7)})
    assert flat.mean()[0] == pytest.approx(math.log(7))
    torch.testing.assert_close(scores(model, rows.operands, rows.answers).loss, before.loss)


@pytest.mark.parametrize(
    ("gap", "expected"), [(50.0, 2 * math.exp(-50)), (0.0, math.log(3)), (-800.0, 800 + math.log(2))]
)
def test_losses_far_below_rounding_are_right(gap: float, expected: float) -> None:
    loss = cross_entropy(torch.tensor([[gap, 0.0, 0.0]]), torch.tensor([0]))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_the_summary_follows_the_split() -> None:
    model, rows = build(SMALL), table("add", 7)
    whole = TableScores.of(model, SMALL)
    train, test = split(49, SMALL.train_fraction, SMALL.seed)
    loss = torch.nn.functional.cross_entropy(model(rows.operands).double(), rows.answers, reduction="none").detach()
    summary = whole.summary()
    assert summary["train_loss"] == pytest.approx(float(loss[train].mean()), abs=1e-6)
    assert summary["test_loss"] == pytest.approx(float(loss[test].mean()), abs=1e-6)
    parts = len(train) * summary["train_accuracy"] + len(test) * summary["test_accuracy"]
    assert summary["full_accuracy"] == pytest.approx(parts / 49)
    assert whole.accuracy_by_c() is None


def test_accuracy_by_the_third_operand() -> None:
    config = replace(SMALL, task="addpow", modulus=5)
    model = build(config)
    # Whatever is asked, answer 1: right for c = 0 always, for c = 1 on a fifth, for c = 4 unless a + b = 0.
    model.W_U.data.zero_()
    table_scores = TableScores.of(model, config)
    object.__setattr__(table_scores.scores, "right", table_scores.rows.answers == 1)
    by_c = table_scores.accuracy_by_c()
    assert by_c == pytest.approx({"0": 1.0, "1": 0.2, "2": 0.4, "3": 0.2, "4": 0.8})


@pytest.mark.parametrize("task", ["add", "divide", "addpow"])
def test_training_rows_are_found_again(task: str) -> None:
    config = replace(SMALL, task=task, split="nanda", seed=3)
    rows = table(task, 7).operands
    train, test = split(len(rows), config.train_fraction, 3, "nanda")
    assert bool(trained_on(config, rows[train]).all())
    assert not bool(trained_on(config, rows[test]).any())


def _table_scores(task: str, right: torch.Tensor | None = None) -> TableScores:
    rows = table(task, 13)
    train, test = split(len(rows.answers), 0.3, 0)
    known = torch.ones(len(rows.answers), dtype=torch.bool) if right is None else right
    return TableScores(rows, Scores(torch.zeros(len(known)), known), train, test)


def test_memory_and_symmetry_alone() -> None:
    known = torch.zeros(13, 13, dtype=torch.bool)
    a, b = table("add", 13).operands[split(169, 0.3, 0)[0]].T
    known[a, b] = known[b, a] = True
    accuracy = _table_scores("add", known.flatten()).mirror_accuracy()
    assert accuracy is not None and (accuracy["mirrored"], accuracy["unmirrored"]) == (1, 0)
    whole = _table_scores("add", known.flatten())
    assert accuracy["share_mirrored"] == pytest.approx(float(whole.scores.right[whole.test].double().mean()))


def test_the_diagonal_is_its_own_mirror() -> None:
    diagonal = torch.eye(13, dtype=torch.bool).flatten()
    accuracy = _table_scores("multiply", diagonal).mirror_accuracy()
    assert accuracy is not None and accuracy["mirrored"] == 0 and accuracy["unmirrored"] > 0


@pytest.mark.parametrize("task", ["subtract", "divide", "add3"])
def test_no_symmetry_to_gain_from(task: str) -> None:
    assert _table_scores(task).mirror_accuracy() is None
