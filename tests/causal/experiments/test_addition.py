"""Sums of two digits: questions and right answers by hand, moves in a network that adds, and the tables of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from causal.experiments import addition
from causal.experiments import moves as moving
from causal.experiments.addition import ANSWERS, SAMPLES, answers_of, pairs_of, prompts_of
from causal.experiments.moves import Held, Mover
from causal.experiments.tables import AdditionRow
from causal.interventions.engine import Engine
from causal.interventions.questions import Questions
from causal.page.addition import section
from causal.run.causal_run import run
from causal.run.config import CausalConfig
from llm_probe.activations.answers import Answers
from llm_probe.models.loading import LoadedModel
from toy.run.errors import InputError


def test_the_parts_share_no_pair_and_the_first_has_every_digit_and_sum() -> None:
    discovery, causal = pairs_of("discovery"), pairs_of("causal")
    assert len(discovery) + len(causal) == 55 and not set(discovery) & set(causal)
    assert {a for a, _ in discovery} == {a + b for a, b in discovery} == set(range(10))
    assert {a for a, _ in causal} == set(range(9)) and {a + b for a, b in causal} == set(range(1, 10))


@pytest.mark.parametrize("part", ["discovery", "causal"])
def test_examples_are_right_and_of_other_pairs_of_the_same_part(part: Any) -> None:
    prompts = prompts_of(part, 8)
    assert len(prompts) == SAMPLES[part] * len(pairs_of(part))
    for prompt in prompts:
        *lines, question = prompt.text.split("\n")
        shown = [tuple(int(word) for word in line.replace("=", "+").split(" + ")) for line in lines]
        assert len(shown) == 8 and all(a + b == total for a, b, total in shown)
        assert {(a, b) for a, b, _ in shown} <= set(pairs_of(part)) - {(prompt.first, prompt.offset)}
        assert question == f"{prompt.first} + {prompt.offset} = " and prompt.answer == str(prompt.label)
        assert prompt.text[slice(*prompt.spans["item"])] == str(prompt.first)
        assert prompt.text[slice(*prompt.spans["offset"])] == str(prompt.offset)
    assert prompts_of(part, 0)[0].text == {"discovery": "0 + 0 = ", "causal": "0 + 1 = "}[part]


def test_right_answers_by_hand() -> None:
    second = torch.tensor([0, 5])
    assert answers_of(second, "item").tolist() == [[*range(10)], [*range(5, 15)]]
    assert answers_of(second, "sum").tolist() == [[*range(10)]] * 2
    held = Held(Questions((), (), 19), torch.tensor([2, 4]), answers_of(second, "item"))
    # 2 + 0 and 4 + 5; eight steps on 2 is 0 and 4 is 2, of a circle of ten digits.
    assert (held.right().tolist(), held.right(8).tolist()) == ([2, 9], [0, 7])


class Adder(Engine):
    """Adds the second operand to the digit that stands nearest on a circle in two of its dimensions."""

    def __init__(self, questions: Questions) -> None:
        self.questions = questions
        self.first, self.second = torch.tensor([(prompt.first, prompt.offset) for prompt in questions.prompts]).T
        angle = 2 * torch.pi * torch.arange(10).double() / 10
        beside = torch.randn(10, 6, generator=torch.Generator().manual_seed(0)).double()
        self.means = torch.cat([torch.stack([angle.cos(), angle.sin()], dim=1), beside], dim=1)

    def states(self) -> Tensor:
        return self.means[self.first]

    def clean(self) -> Answers:
        return self.answers([lambda states, rows: states])[0]

    def log_p(self, edit: Any) -> list[tuple[Tensor, Tensor]]:
        rows = torch.arange(len(self.first))
        digits = -torch.cdist(edit(self.states(), rows)[:, :2], self.means[:, :2])
        scores = torch.full((len(rows), len(ANSWERS)), -9.0).double()
        return [(rows, scores.scatter(1, answers_of(self.second, "item"), digits).log_softmax(dim=1))]

    def answers(self, edits: Any, tick: Any = None) -> list[Answers]:
        return [Answers(self.log_p(edit)[0][1], torch.full((len(self.first),), -1)) for edit in edits]


def test_an_operand_on_a_circle_moves_the_sum_beyond_nine(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = Questions(tuple(prompts_of("causal", 0)), (), len(ANSWERS))
    monkeypatch.setattr(moving, "Engine", lambda *_, **__: Adder(questions))
    first, second = torch.tensor([(prompt.first, prompt.offset) for prompt in questions.prompts]).T
    held = Held(questions, first, answers_of(second, "item"))
    # Nine is no first operand of the causal part: its mean is asked of states that have it.
    monkeypatch.setattr(moving, "class_means", lambda *_: Adder(questions).means)
    rows = {(row.direction, row.k, row.times): row for row in Mover(
        loaded, "add", "examples", 1, "item", held, held, 0.5, 0
    ).rows()}  # fmt: skip
    assert rows["class means", 0, 1.0].moved == 1.0 and rows["circle", 1, 1.0].moved > 0.6
    assert rows["circle", 1, 1.0].moved > rows["random", 1, 1.0].moved + 0.4
    # Its circle is mixed with what else differs at that frequency; two trained directions find it alone.
    assert rows["trained subspace", 1, 1.0].moved > 0.95
    assert rows["class means", 0, 1.0].n == len(first) * 9


def test_a_run_writes_tables_a_figure_and_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference model cannot add without a modulus; where moves are forced, one block has every direction."""
    config = CausalConfig(addition=True, layers=("1",), out=tmp_path / "causal-addition")
    monkeypatch.setattr(addition, "SHOTS", (0, 2))
    answers = run(config).frames["addition"]
    assert answers["shots"].tolist() == [0, 2] and answers["n"].tolist() == [28, 84]
    row = replace(AdditionRow(**answers.to_dict("records")[1]), accuracy=0.9, accuracy_low=0.8)
    monkeypatch.setattr(addition, "answer_row", lambda *_: row)
    result = run(replace(config, seed=1))
    moves = result.frames["addition_moves"]
    assert moves["quantity"].value_counts().to_dict() == {"item": 12, "sum": 12} and set(moves["layer"]) == {1}
    result.write(config.folder)
    assert (config.folder / "figures" / "addition.svg").is_file()
    made = section(tmp_path)
    assert made is not None and "First operand: Moving it by the whole difference" in made.html and "<svg" in made.html
    assert section(tmp_path / "elsewhere") is None


def test_blocks_that_the_model_lacks(tmp_path: Path) -> None:
    for layers, said in (("9",), "9"), (("x",), "--layers 'x' is no layer"):
        with pytest.raises(InputError, match=said):
            run(CausalConfig(succession=True, layers=layers, claims=("days",), out=tmp_path))
