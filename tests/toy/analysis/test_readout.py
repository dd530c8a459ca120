"""The read-out: circle order, the slice of three-operand tasks, agreement with the network's own forward."""

import pytest
import torch

from toy.analysis.readout import answer_positions, grid, read_out
from toy.config import ToyConfig
from toy.networks.model import build
from toy.networks.tasks import TASKS
from toy.run.errors import InputError

SMALL = {"d_model": 8, "n_heads": 2, "d_mlp": 12}


@pytest.mark.parametrize("architecture", ["transformer", "mlp"])
@pytest.mark.parametrize("task", list(TASKS))
def test_every_cell_is_the_networks_own_answer(task: str, architecture: str) -> None:
    config = ToyConfig(task=task, modulus=11, architecture=architecture, **SMALL)
    model = build(config)
    readout = read_out(model, config)
    i, j = 3, 7
    third = [TASKS[task].slice_at] * (TASKS[task].n_operands - 2)
    question = torch.tensor([[int(readout.tokens[i]), int(readout.tokens[j]), *third]])
    torch.testing.assert_close(readout.logits[i, j], model(question)[0, readout.tokens])
    torch.testing.assert_close(readout.neurons[i, j], model.neurons(question)[0])
    assert readout.tokens[readout.answer[i, j]] == TASKS[task].answer(question, 11)[0]
    assert (readout.attention is None) == (architecture == "mlp")
    if readout.attention is not None:
        assert readout.attention.shape == (readout.size, readout.size, 2, 3 + len(third))
        torch.testing.assert_close(readout.attention.sum(-1), torch.ones(readout.size, readout.size, 2))
    torch.testing.assert_close(readout.W_L[:, 2], model.W_L[:, readout.tokens[2]])
    torch.testing.assert_close(readout.embedding[2], model.embedding[readout.tokens[2]])


@pytest.mark.parametrize(
    ("task", "modulus", "cyclic"),
    [
        ("add", 12, True),
        ("subtract", 9, True),
        ("multiply", 13, True),
        ("divide", 13, True),
        ("multiply", 9, True),  # the units of an odd prime power are a cycle
        ("multiply", 8, False),
        ("addpow", 11, True),  # at c = 1 it is addition
        ("add3", 11, True),
        ("quadratic", 11, False),
    ],
)
def test_positions_add_along_the_circle(task: str, modulus: int, cyclic: bool) -> None:
    config = ToyConfig(task=task, modulus=modulus, **SMALL)
    assert read_out(build(config), config).is_cyclic == cyclic


def test_an_answer_off_the_circle_is_marked() -> None:
    assert answer_positions("multiply", 7, torch.tensor([[0, 3], [3, 5]])).tolist() == [-1, 0]


def test_the_grid_runs_through_the_circle_first_operand_slowest() -> None:
    assert grid("multiply", 5).tolist()[:5] == [[1, 1], [1, 2], [1, 4], [1, 3], [2, 1]]
    assert grid("addpow", 3)[4].tolist() == [1, 1, 1]


def test_the_logit_of_equals_is_left_out() -> None:
    config = ToyConfig(modulus=7, equals_logit=True, **SMALL)
    readout = read_out(build(config), config)
    assert readout.logits.shape == (7, 7, 7) and readout.unembedding.shape == (8, 7)


def test_a_network_of_another_modulus_is_refused() -> None:
    with pytest.raises(InputError, match="counts modulo 7, the configuration modulo 11"):
        read_out(build(ToyConfig(modulus=7, **SMALL)), ToyConfig(modulus=11, **SMALL))


def test_a_diverged_network_is_refused() -> None:
    config = ToyConfig(modulus=7, **SMALL)
    model = build(config)
    model.W_E.data[0] = float("nan")
    with pytest.raises(InputError, match="its training diverged, give an earlier checkpoint"):
        read_out(model, config)
