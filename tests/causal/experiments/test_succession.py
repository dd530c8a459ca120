"""The next item, in states whose use is known: one network answers from the circle, one from everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from causal.experiments import moves as moving
from causal.experiments import succession
from causal.experiments.moves import DRAWS, Held, Mover, fourier_parts, moves_of, share_of
from causal.experiments.succession import FORMS, LISTED, MOVABLE, SAMPLES, STEPS, prompts_of
from causal.experiments.tables import SuccessionRow
from causal.interventions.engine import Engine
from causal.interventions.questions import Questions
from causal.page.succession import figure, section, sentences
from causal.run.causal_run import run
from causal.run.config import CausalConfig
from llm_probe.activations.answers import Answers
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import DOMAINS
from toy.run.errors import InputError

DAYS, MONTHS = DOMAINS["days"], DOMAINS["months"]
WIDTH = 16


def means_of(n: int, seed: int = 0) -> Tensor:
    """A circle of radius 2 in two random directions, and a vector of its own for every item."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.arange(n).double() / n
    plane = torch.linalg.qr(torch.randn(WIDTH, 2, generator=generator).double()).Q
    own = torch.randn(n, WIDTH, generator=generator).double() / 2
    return 2 * torch.stack([angle.cos(), angle.sin()], dim=1) @ plane.T + own


@pytest.mark.parametrize("n", [7, 12])
def test_the_parts_of_all_frequencies_are_the_means(n: int) -> None:
    means = means_of(n)
    torch.testing.assert_close(fourier_parts(means).sum(dim=0) + means.mean(dim=0), means)
    shares = [share_of(part, means) for part in fourier_parts(means)]
    assert sum(shares) == pytest.approx(1) and shares[0] > 0.4


def test_a_circle_is_its_own_first_part() -> None:
    angle = 2 * torch.pi * torch.arange(7).double() / 7
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    torch.testing.assert_close(fourier_parts(circle)[0], circle)
    torch.testing.assert_close(fourier_parts(circle)[1:], torch.zeros(2, 7, 2).double(), atol=1e-12, rtol=0)


def test_lists_and_examples_by_hand() -> None:
    after = [prompt.text for prompt in prompts_of(MONTHS, "list", 1, "causal") if prompt.first == 1]
    assert after == ["January, February,", "November, December, January, February,"]
    back = prompts_of(DAYS, "list", -1, "discovery")[0]
    assert (back.text, back.answer, back.label) == ("Wednesday, Tuesday, Monday,", "Sunday", 6)
    two = prompts_of(DAYS, "list", 2, "discovery")[0]
    assert (two.text, two.answer) == ("Thursday, Saturday, Monday,", "Wednesday")
    assert two.text[slice(*two.spans["item"])] == "Monday"


def test_examples_are_right_and_never_of_the_item_that_is_asked() -> None:
    for part in ("discovery", "causal"):
        prompts = prompts_of(DAYS, "examples", 2, part)
        assert len(prompts) == 7 * SAMPLES[part]
        for prompt in prompts:
            *lines, question = prompt.text.split("\n")
            pairs = [line.split(" -> ") for line in lines]
            assert all((DAYS.items.index(a) + 2) % 7 == DAYS.items.index(b) for a, b in pairs)
            assert question == f"{DAYS.items[prompt.first]} ->" and DAYS.items[prompt.first] not in dict(pairs)
    assert not set(LISTED["discovery"]) & set(LISTED["causal"])


def test_controls_are_as_long_as_what_they_stand_for() -> None:
    means = means_of(12)
    moves = {(direction, k, times): draws for direction, k, times, draws in moves_of(means, 0)}
    circle = moves["circle", 1, 1.0][0]
    for v in moves["random", 1, 1.0]:
        torch.testing.assert_close(v @ v.T, circle @ circle.T)
        assert float((v * circle).sum().abs()) < 0.9 * float(circle.square().sum())
    assert {len(draws) for (direction, *_), draws in moves.items() if direction in ("random", "other order")} == {DRAWS}
    # As many axes hold as much of the variance as any others, those of the circle among them.
    assert share_of(moves["principal axes", 1, 1.0][0], means) >= share_of(circle, means)
    assert share_of(moves["class means", 0, 1.0][0], means) == pytest.approx(1)
    torch.testing.assert_close(moves["circle", 3, 1.0][0], fourier_parts(means)[:3].sum(dim=0))


def test_a_run_writes_tables_a_figure_and_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference model cannot go on with days; where moves are forced, every block has every direction."""
    config = CausalConfig(succession=True, claims=("days",), out=tmp_path / "causal-succession")
    answers = run(config).frames["succession"]
    assert answers["form"].tolist() == [form for form in FORMS for _ in STEPS]
    assert answers["steps"].tolist() == [*STEPS] * len(FORMS)
    row = replace(SuccessionRow(**answers.iloc[0].to_dict()), accuracy=0.9, accuracy_low=0.8)
    monkeypatch.setattr(succession, "answer_row", lambda *_: row)
    result = run(replace(config, seed=1))
    moves = result.frames["succession_moves"]
    assert set(moves["layer"]) == {0, 1, 2}
    assert moves.groupby("layer").size().tolist() == [1 + 2 * 3 + 2 * 2 + 1] * 3
    result.write(config.folder)
    assert (config.folder / "figures" / "succession.svg").is_file()
    made = section(tmp_path)
    assert made is not None and "moves the answer with it in" in made.html and "<svg" in made.html
    assert str(result).startswith("days: the next item is named in 90% of the prompts.")
    assert "right answers are left: without the whole difference" in str(result).replace("\n    ", " ")
    # A table of before ablations were added says the same but for them.
    earlier = moves.drop(columns=[name for name in moves if name.startswith("accuracy")])
    assert "Ablated" not in " ".join(sentences(answers, earlier)) and len(figure(earlier).axes) == 2
    assert section(tmp_path / "elsewhere") is None


def test_numbers_are_no_items_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mod-add 7 has no items to go on with"):
        run(CausalConfig(succession=True, claims=("mod-add 7",), out=tmp_path))


class KnownEngine(Engine):
    """Answers the item after the one whose mean is nearest to a state, as far as `seen` looks at either."""

    def __init__(self, questions: Questions, means: Tensor, seen: Callable[[Tensor], Tensor]) -> None:
        self.questions = questions
        self.first = torch.tensor([prompt.first for prompt in questions.prompts])
        self.means, self.seen = means, seen

    def states(self) -> Tensor:
        return self.means[self.first]

    def clean(self) -> Answers:
        return self.answers([lambda states, rows: states])[0]

    def log_p(self, edit: Any) -> list[tuple[Tensor, Tensor]]:
        rows = torch.arange(len(self.first))
        apart = torch.cdist(self.seen(edit(self.states(), rows)), self.seen(self.means))
        return [(rows, (-apart).roll(1, dims=1).log_softmax(dim=1))]

    def answers(self, edits: Any, tick: Any = None) -> list[Answers]:
        return [Answers(self.log_p(edit)[0][1], torch.full((len(self.first),), -1)) for edit in edits]


@pytest.fixture
def next_days() -> Held:
    """Lists of days that go on, without tokens."""
    questions = Questions(tuple(prompts_of(DAYS, "list", 1, "causal")), (), 7)
    items = torch.tensor([prompt.first for prompt in questions.prompts])
    return Held(questions, items, ((torch.arange(7) + 1) % 7).expand(len(items), -1))


def test_where_nothing_moves_the_answer_no_subspace_is_trained(
    loaded: LoadedModel, next_days: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = next_days.questions
    monkeypatch.setattr(moving, "Engine", lambda *_, **__: KnownEngine(questions, means_of(7), torch.zeros_like))
    rows = list(Mover(loaded, "days", "list", 3, "item", next_days, next_days, MOVABLE, 0).rows())
    assert "trained subspace" not in {row.direction for row in rows}


@pytest.mark.parametrize("used", [True, False])
def test_a_circle_moves_the_answer_where_it_is_used(
    used: bool, loaded: LoadedModel, next_days: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = means_of(7)
    circle = torch.linalg.svd(fourier_parts(means)[0], full_matrices=False)[2][:2]

    def seen(states: Tensor) -> Tensor:
        on = states @ circle.T @ circle
        return on if used else states - on

    questions = next_days.questions
    monkeypatch.setattr(moving, "Engine", lambda *_, **__: KnownEngine(questions, means, seen))
    mover = Mover(loaded, "days", "list", 3, "item", next_days, next_days, MOVABLE, 0)
    rows = {(row.direction, row.k, row.times): row for row in mover.rows()}
    whole, along = rows["class means", 0, 1.0], rows["circle", 1, 1.0]
    assert (whole.moved, whole.n, whole.layer) == (1.0, 14 * 6, 3) and whole.log_odds > 0
    assert along.moved == (1.0 if used else 0.0)
    # What the items differ in beside the circle lies in its plane too, a little.
    assert along.log_odds > 0.8 * whole.log_odds if used else abs(along.log_odds) < 1e-9
    assert rows["random", 1, 1.0].moved < 0.7 and rows["random", 1, 1.0].draws == DRAWS
    assert whole.moved_low <= whole.moved <= whole.moved_high
    # Without the whole difference the network has one answer for all seven days; without a circle that it does not
    # use it has all of them, and without one that it uses what the days' own parts say in its plane: chance.
    assert along.accuracy_before == 1.0 and rows["circle", 1, 2.0].accuracy is None
    assert whole.accuracy == pytest.approx(1 / 7)
    assert along.accuracy is not None and (along.accuracy <= 2 / 7 if used else along.accuracy == 1)
    # Two directions are enough for a circle; of what is left without one they move a part, and more than their start.
    trained = rows["trained subspace", 1, 1.0]
    assert trained.log_odds > rows["principal axes", 1, 1.0].log_odds
    assert trained.angle is not None and trained.angle_by_chance is not None
    assert (trained.angle < trained.angle_by_chance) == used
    if used:
        assert trained.moved > 0.95
    else:
        assert trained.log_odds < rows["trained subspace", 2, 1.0].log_odds < whole.log_odds
