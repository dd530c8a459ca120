"""The factored forward against the plain one: logits, losses and every gradient; and the optimiser against torch's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from toy.config import ToyConfig
from toy.networks import factored
from toy.networks.tasks import table
from toy.run.errors import InputError
from toy.training.seed_batch import AdamW, SeedBatch, Stepper, rate

SMALL = ToyConfig(modulus=11, d_model=24, n_heads=3, d_mlp=20)
CPU = torch.device("cpu")
KINDS = {
    "two operands": SMALL,
    "three operands": replace(SMALL, task="add3", modulus=5),
    "square": replace(SMALL, activation="square"),
    "a logit for =": replace(SMALL, equals_logit=True),
    "full size": ToyConfig(),
    "sharp attention": SMALL,
}


def _seed_batch(kind: str) -> tuple[SeedBatch, torch.Tensor, torch.Tensor, ToyConfig]:
    config = KINDS[kind]
    networks = SeedBatch(config, [3, 4], CPU)
    if kind == "sharp attention":
        networks.views()["blocks.0.attn.W_Q"].mul_(30)
    rows = table(config.task, config.modulus)
    chosen = torch.stack([torch.randperm(len(rows.answers))[:90] for _ in range(2)])
    return networks, rows.operands[chosen], rows.answers[chosen], config


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_the_plain_forward(kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factored, "ROWS_AT_ONCE", 40)  # three passes, the last one shorter
    networks, operands, answers, config = _seed_batch(kind)
    leaves = {name: view.detach().requires_grad_() for name, view in networks.views().items()}
    parts = factored.tables(leaves)
    losses = factored.losses(parts, operands, answers, config.activation, dtype)
    gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
    out = factored.logits(parts, operands, config.activation)
    for index in range(2):
        own = {name: leaf.detach()[index].requires_grad_() for name, leaf in leaves.items()}
        plain = functional_call(networks.template, own, (operands[index],))
        loss = cross_entropy(plain.to(dtype), answers[index])
        torch.testing.assert_close(out[index], plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(losses[index], loss, atol=1e-5, rtol=1e-5)
        for name, mine, theirs in zip(own, gradients, torch.autograd.grad(loss, list(own.values())), strict=True):
            torch.testing.assert_close(
                mine[index], theirs, atol=1e-5, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )


def test_both_ways_to_add_up_a_numbers_rows() -> None:
    tokens = torch.tensor([[0, 2, 2], [1, 1, 1]])
    rows = torch.arange(12.0).view(2, 3, 2)
    expected = torch.tensor([[[0.0, 1], [0, 0], [6, 8]], [[0, 0], [24, 27], [0, 0]]])
    for add_up in (factored.by_index, factored.by_product):
        assert torch.equal(add_up(tokens, rows, 3), expected)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, architecture="mlp"), replace(SMALL, n_layers=2)])
def test_a_seed_among_others_is_the_seed_alone(config: ToyConfig) -> None:
    rows = table(config.task, config.modulus)
    operands, answers = rows.operands.expand(3, -1, -1), rows.answers.expand(3, -1)
    together, alone = SeedBatch(config, [0, 1, 2], CPU), SeedBatch(config, [1], CPU)
    losses = Stepper(config, together).gradient(operands, answers)
    loss = Stepper(config, alone).gradient(operands[:1], answers[:1])
    assert torch.equal(losses[1:2], loss) and torch.equal(together.gradient[1:2], alone.gradient)
    seen, accuracy = Stepper(config, together).evaluate(operands, answers)
    assert torch.allclose(seen.float(), losses, atol=1e-5) and ((accuracy >= 0) & (accuracy <= 1)).all()


@pytest.mark.parametrize("config", [replace(SMALL, architecture="mlp"), replace(SMALL, n_layers=2), SMALL])
def test_networks_together_as_on_a_gpu(config: ToyConfig) -> None:
    """The path for all seeds in one call, which a CPU does not take."""
    networks = SeedBatch(config, [0, 1], CPU)
    stepper = Stepper(replace(config, forward="plain"), networks)
    rows = table(config.task, config.modulus)
    operands, answers = rows.operands.expand(2, -1, -1), rows.answers.expand(2, -1)
    together = stepper._losses(networks.views(), operands, answers)
    torch.testing.assert_close(together, stepper.gradient(operands, answers))


def test_the_factored_forward_is_refused_where_it_is_not_exact() -> None:
    config = replace(SMALL, n_layers=2, forward="factored")
    with pytest.raises(InputError, match="exact for a transformer of one layer"):
        Stepper(config, SeedBatch(config, [0], CPU))


def test_adamw_is_torchs() -> None:
    config = ToyConfig(weight_decay=0.7, beta2=0.95)
    weights = torch.randn(2, 50)
    theirs = [torch.nn.Parameter(row.clone()) for row in weights]
    groups = [{"params": [row], "lr": lr} for row, lr in zip(theirs, (1e-2, 3e-3), strict=True)]
    reference = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.7, eps=1e-8)
    mine = AdamW(config, weights)
    for _ in range(30):
        gradient = torch.randn(2, 50)
        for row, part in zip(theirs, gradient, strict=True):
            row.grad = part.clone()
        reference.step()
        mine.update(gradient, torch.tensor([[1e-2], [3e-3]]))
    torch.testing.assert_close(mine.weights, torch.stack([row.detach() for row in theirs]), atol=1e-6, rtol=1e-5)


def test_the_rate_rises_and_falls() -> None:
    config = ToyConfig(learning_rate=1.0, warmup_steps=10, decay_start=100, decay_steps=100, decay_to=0.1, steps=410)
    assert [rate(config, step, None) for step in (0, 4, 9, 10, 10_000)] == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0])
    assert [rate(config, step, 150) for step in (150, 200, 250, 400)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    cosine = replace(config, schedule="cosine")
    assert [rate(cosine, step, None) for step in (10, 210, 410)] == pytest.approx([1.0, 0.5, 0.0])
