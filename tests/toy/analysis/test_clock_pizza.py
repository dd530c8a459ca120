"""Symmetricity, distance irrelevance, circularity: against finite differences and on planted logits."""

import math

import pytest
import torch

from tests.toy.planted import planted
from toy.analysis.clock_pizza import (
    circularity,
    distance_irrelevance,
    gradient_cosines,
    gradient_symmetricity,
    logits_from_embeddings,
    same_distance,
)
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import MLP, Transformer, build
from toy.networks.tasks import table

SMALL = {"modulus": 7, "d_model": 8, "n_heads": 2, "d_mlp": 12}


@pytest.mark.parametrize("architecture", ["transformer", "mlp"])
@pytest.mark.parametrize("task", ["add", "add3"])
def test_the_forward_from_embeddings_is_the_networks(task: str, architecture: str) -> None:
    model = build(ToyConfig(task=task, architecture=architecture, n_layers=2, **SMALL))
    operands = table(task, 7).operands[::5]
    torch.testing.assert_close(logits_from_embeddings(model, model.embedding[operands]), model(operands))


def test_cosines_are_those_of_numerical_gradients() -> None:
    model = build(ToyConfig(**SMALL)).double()
    operands, outputs = torch.tensor([[2, 5], [4, 4]]), torch.tensor([1, 6])
    cosines = gradient_cosines(model, operands, outputs)
    for row in range(2):
        gradients = []
        for place in range(2):
            moved = model.embedding[operands[row : row + 1]].detach().repeat(16, 1, 1)
            step = 1e-6 * torch.cat([torch.eye(8), -torch.eye(8)]).double()
            moved[:, place] += step
            logit = logits_from_embeddings(model, moved)[:, outputs[row]].detach()
            gradients.append(logit[:8] - logit[8:])
        expected = torch.cosine_similarity(gradients[0], gradients[1], dim=0)
        assert float(cosines[row]) == pytest.approx(float(expected), abs=1e-6)


def test_a_pizza_is_symmetric_and_a_vanishing_gradient_counts_as_zero() -> None:
    # A network that only sees E_a + E_b, and has no activation to speak of: equal gradients.
    config = ToyConfig(architecture="mlp", **SMALL)
    model = build(config)
    assert isinstance(model, MLP)
    model.W_in.data[1] = model.W_in.data[0]
    assert gradient_symmetricity(model, config, seed=0) == pytest.approx(1)
    model.W_out.data.zero_()
    assert gradient_symmetricity(model, config, seed=0) == 0


def test_an_untrained_transformer_is_symmetric() -> None:
    config = ToyConfig(modulus=23)
    model = build(config)
    assert isinstance(model, Transformer)
    assert gradient_symmetricity(model, config, seed=0) > 0.99
    assert gradient_symmetricity(model, config, seed=0) == gradient_symmetricity(model, config, seed=0)


@pytest.mark.parametrize(("task", "sign"), [("add", -1), ("subtract", 1)])
@pytest.mark.parametrize("n", [7, 8])
def test_distance_irrelevance_of_planted_logits(task: str, sign: int, n: int) -> None:
    a, b = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    distance = (a + sign * b) % n
    base = planted(task, n)

    def of(right: torch.Tensor) -> float | None:
        logits = torch.nn.functional.one_hot(base.answer, n) * right[..., None]
        return distance_irrelevance(planted(task, n, logits=logits))

    by_answer = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[base.answer]
    by_distance = torch.rand(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[distance]
    assert of(by_distance) == pytest.approx(0, abs=1e-12)
    # On an odd circle the answers at each distance are all n of them: nothing but the answer matters.
    if n % 2:
        assert of(by_answer) == pytest.approx(1)
        both = of(by_answer + by_distance)
        spread = math.sqrt(float(by_answer.var(correction=0) + by_distance.var(correction=0)))
        assert both == pytest.approx(float(by_answer.std(correction=0)) / spread)
    assert of(torch.full((n, n), 2.0)) is None


def test_distances_partition_the_grid() -> None:
    cells = same_distance(6, -1)
    assert sorted(cells.flatten().tolist()) == list(range(36))
    # i + j = 2: the cells (2, 0), (1, 1), (0, 2), (5, 3), (4, 4), (3, 5).
    assert sorted(cells[2].tolist()) == sorted([12, 7, 2, 33, 28, 23])


def test_a_task_that_adds_no_positions_has_no_distance() -> None:
    assert distance_irrelevance(planted("quadratic", 7)) is None


def test_circularity_of_circles_and_of_noise() -> None:
    tokens = torch.arange(31)
    circles = torch.cat([3 * fourier.circle(tokens, 4, 31), fourier.circle(tokens, 9, 31)], dim=1)
    assert circularity(circles + 5) == pytest.approx(1)
    # A third frequency is the fifth component, which is not looked at.
    assert circularity(torch.cat([circles, 0.1 * torch.randn(31, 1).double()], dim=1)) == pytest.approx(1, abs=0.01)
    noise = torch.randn(31, 40, generator=torch.Generator().manual_seed(0))
    value = circularity(noise)
    assert value is not None and value < 0.4
    # One wave of two equally strong frequencies has half of its power at each.
    mixed = (fourier.circle(tokens, 4, 31) + fourier.circle(tokens, 9, 31))[:, :1]
    assert circularity(mixed) == pytest.approx(0.5)
    assert circularity(torch.ones(31, 3)) is None
