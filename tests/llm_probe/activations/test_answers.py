"""The tree of answers: its nodes, and probabilities worked out by hand."""

import math

import pytest
import torch

from llm_probe.activations.answers import AnswerTree

# "1", "12", "3" as tokens 1, (1, 2), 3 in a vocabulary of five.
TREE = AnswerTree(((1,), (1, 2), (3,)))
ROOT, BEHIND = [0.1, 0.4, 0.1, 0.3, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1]


def logits(*nodes: list[float]) -> torch.Tensor:
    return torch.tensor([nodes]).log() + 7  # softmax does not see a constant


def test_nodes_are_the_proper_beginnings() -> None:
    assert TREE.nodes == ((), (1,))
    assert TREE.parents == (0,)
    assert TREE.tokens == (1, 2, 3)
    assert AnswerTree(((4, 5, 6), (4, 7))).nodes == ((), (4,), (4, 5))
    assert AnswerTree(((4, 5, 6), (4, 7))).parents == (0, 1)


def test_a_short_answer_does_not_own_the_longer_ones() -> None:
    p = TREE.score(TREE.read(logits(ROOT, BEHIND))).log_p.exp()[0]
    assert p.tolist() == pytest.approx([0.4 * (1 - 0.6), 0.4 * 0.6, 0.3], abs=1e-6)


def test_what_greedy_decoding_writes() -> None:
    assert TREE.score(TREE.read(logits(ROOT, BEHIND))).written.tolist() == [1]  # 1, then 2
    assert TREE.score(TREE.read(logits(ROOT, [0.6, 0.1, 0.1, 0.1, 0.1]))).written.tolist() == [0]  # 1, then the end
    assert TREE.score(TREE.read(logits([0.1, 0.1, 0.1, 0.6, 0.1], BEHIND))).written.tolist() == [2]
    assert TREE.score(TREE.read(logits([0.9, 0.1, 0.0, 0.0, 0.0], BEHIND))).written.tolist() == [-1]


def test_the_spellings_of_an_answer_are_added() -> None:
    tree = AnswerTree(((1,), (3,), (4, 1)), (0, 1, 0))
    answers = tree.score(tree.read(logits([0.1, 0.2, 0.1, 0.4, 0.2], [0.1, 0.9, 0.0, 0.0, 0.0])))
    assert answers.log_p.exp()[0].tolist() == pytest.approx([0.2 + 0.2 * 0.9, 0.4], abs=1e-6)
    assert (answers.chosen.tolist(), answers.written.tolist()) == ([1], [1])


def test_certainty_keeps_its_digits() -> None:
    sure = [1e-12, 1e-12, 1.0, 1e-12, 1e-12]
    log_p = TREE.score(TREE.read(logits(ROOT, sure))).log_p[0, 0]
    assert float(log_p) == pytest.approx(math.log(0.4) + math.log(4e-12), abs=1e-3)


def test_another_prediction_after_the_prompt() -> None:
    both = TREE.read(torch.cat([logits(ROOT, BEHIND)] * 2))
    root = TREE.read(logits(ROOT, BEHIND)[:, :1].repeat(4, 1, 1))
    assert torch.equal(both.with_root(root).log_p, both.log_p.repeat(2, 1, 1))


@pytest.mark.parametrize("answers", [((1,), (1,)), ((),)])
def test_answers_must_differ_and_have_tokens(answers: tuple) -> None:
    with pytest.raises(ValueError, match="different and not empty"):
        AnswerTree(answers)
