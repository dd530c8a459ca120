"""Later blocks only, needed positions only: equal to re-running the whole model under hooks."""

import pytest
import torch
from torch import Tensor

from causal.interventions.engine import Edits, Engine
from causal.interventions.questions import ANSWER, EVERYWHERE, Questions, ask
from llm_probe.activations.behaviour import score
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import Prompt
from toy.run.errors import InputError

ITEMS = modular("add", 12).items


@pytest.fixture(scope="module")
def questions(loaded: LoadedModel, prompts: list[Prompt]) -> Questions:
    return ask(loaded, prompts, ITEMS)


def edits(engine: Engine, count: int = 3) -> list[Edits]:
    """Random affine edits, different at each node and for each prompt."""
    generator = torch.Generator().manual_seed(3)

    def one() -> Edits:
        turn = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
        return lambda states, rows: states @ turn + 0.01 * rows[:, None]

    return [{node: one() for node in engine.nodes} if engine.position == ANSWER else one() for _ in range(count)]


@pytest.mark.parametrize("position", ["last", "item", ANSWER, EVERYWHERE])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_equal_to_whole_forwards_under_hooks(
    loaded: LoadedModel, questions: Questions, layer: int, position: str
) -> None:
    fast, whole = (Engine(loaded, questions, layer, position=position, whole=whole) for whole in (False, True))
    assert not fast.whole
    for one, other in zip(fast.answers(edits(fast)), whole.answers(edits(fast)), strict=True):
        assert torch.allclose(one.log_p, other.log_p, atol=1e-5)
        assert torch.equal(one.written, other.written)
    assert torch.allclose(fast.clean().log_p, whole.clean().log_p, atol=1e-5)


def test_the_edits_do_something(loaded: LoadedModel, questions: Questions) -> None:
    engine = Engine(loaded, questions, 1)
    assert all(not torch.allclose(one.log_p, engine.clean().log_p, atol=0.1) for one in engine.answers(edits(engine)))


def test_no_edit_changes_nothing(loaded: LoadedModel, questions: Questions) -> None:
    engine = Engine(loaded, questions, 1)
    assert torch.allclose(engine.answers([lambda states, _: states])[0].log_p, engine.clean().log_p, atol=1e-5)


def test_sites_inside_a_block_run_the_plain_way(loaded: LoadedModel, questions: Questions) -> None:
    engine = Engine(loaded, questions, 1, "mlp_out")
    assert engine.whole
    moved = engine.answers([lambda states, _: states + 3 * states.roll(1, dims=-1)])[0]
    assert not torch.allclose(moved.log_p, engine.clean().log_p, atol=1e-3)


def test_the_answers_are_those_of_the_behaviour(loaded: LoadedModel, questions: Questions) -> None:
    # There an answer may also come after a space; here the likelier of the two is taken.
    scored = score(loaded, questions.prompts, ITEMS)
    answers = Engine(loaded, questions, 0).clean()
    agree = sum(one.chosen == other for one, other in zip(scored, answers.chosen.tolist(), strict=True))
    assert agree >= 9


def test_states_are_in_the_order_of_the_prompts(loaded: LoadedModel, questions: Questions) -> None:
    engine = Engine(loaded, questions, 1)
    some = Engine(loaded, questions.take([4, 2]), 1)
    assert torch.allclose(engine.states()[[4, 2]], some.states(), atol=1e-5)


def test_prompts_of_every_length_are_answered(loaded: LoadedModel, prompts: list[Prompt]) -> None:
    assert len({len(item.ids) for item in ask(loaded, prompts, ITEMS).items}) > 1


def test_a_position_that_is_not_there(loaded: LoadedModel, questions: Questions) -> None:
    with pytest.raises(InputError, match="has no position 'month'"):
        Engine(loaded, questions, 0, position="month")
    with pytest.raises(InputError, match="every position is edited"):
        Engine(loaded, questions, 0, position=EVERYWHERE).states()


@pytest.mark.parametrize("whole", [False, True])
def test_gradients_of_answers_are_their_differences(loaded: LoadedModel, questions: Questions, whole: bool) -> None:
    engine, direction = Engine(loaded, questions, 0, whole=whole), torch.linspace(-1, 1, 16)

    def total(far: Tensor) -> Tensor:
        parts = engine.log_p(lambda states, rows: states + far * direction * (1 + rows[:, None]))
        return torch.stack([log_p[:, 0].sum() for _, log_p in parts]).sum()

    far, h = torch.zeros((), requires_grad=True), 1e-3
    (gradient,) = torch.autograd.grad(total(far), far)
    with torch.no_grad():
        difference = (total(torch.tensor(h)) - total(torch.tensor(-h))) / (2 * h)
    assert float(gradient) == pytest.approx(float(difference), rel=0.02)
    assert torch.allclose(engine.answers([lambda states, _: states])[0].log_p.sum(0)[0], total(torch.zeros(())))
