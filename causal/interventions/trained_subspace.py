"""The subspace that an answer is moved through, found by descent: distributed alignment search.

A circle is found by reading: where does a state tell which item it stands for? This asks the other way round: which few
directions, whatever they look like, carry the answer along when a state is changed in nothing else? With B (d, w)
orthonormal and μ_x (d,) the mean state of item x, a state of item x is moved j steps on by

    h + B Bᵀ (μ_{x+j} - μ_x)

and B descends on -log P(answer j steps on) of that move, averaged over prompts and j. After Geiger et al. (2303.02536),
with means of a class in the place of single donors. B is free to leave the span of the means: a direction in which
items do not differ but the answer does may take part (Makelov, Lange & Nanda, 2311.17030), so what it moves is an upper
bound for w directions and need not be how the model does it. It must be judged on prompts it was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.interventions.engine import Engine

STEPS = 60
"""Steps of descent; each reads every prompt once, with a j of its own."""
RATE = 0.1
"""Length of a step, as a share of 1/√d, the size of an entry of a unit vector; it falls to nothing in a line."""
Loss = Callable[[Float[Tensor, "nodes n d"], Int[Tensor, " n"]], Tensor]
"""(what is added to every state, the label that is to be answered then) -> the sum of -log P of those answers."""


def trained_subspace(
    engine: Engine,
    items: Int[Tensor, " n"],
    answers: Int[Tensor, "n p"],
    means: Float[Tensor, "p d"],
    width: int,
    seed: int,
) -> Float[Tensor, "d {width}"]:
    """B of a language model's prompts.

    Args:
        engine: The prompts to train on, at the position and layer that are edited.
        items: The item of each, from 0 on.
        answers: The right answer to each with every item in the place of its own.
        means: Mean state of each item there.
        width: w, at most p - 1.
        seed: Of the steps j.
    """

    def loss(change: Float[Tensor, "nodes n d"], target: Int[Tensor, " n"]) -> Tensor:
        moved = engine.log_p(lambda states, rows: states + change[0, rows].to(states))
        return missed(moved, target)

    return descended(loss, items, answers, means[None], width, seed)[0]


def missed(
    answers: Iterable[tuple[Int[Tensor, " some"], Float[Tensor, "some p"]]], target: Int[Tensor, " n"]
) -> Tensor:
    """The sum of -log P(target) over batches of (prompts, log P of their answers)."""
    return torch.stack([-log_p.gather(1, target[rows, None]).sum() for rows, log_p in answers]).sum()


def descended(
    loss: Loss,
    items: Int[Tensor, " n"],
    answers: Int[Tensor, "n p"],
    means: Float[Tensor, "nodes p d"],
    width: int,
    seed: int,
    starts: int = 1,
    steps: int = STEPS,
) -> Float[Tensor, "nodes d {width}"]:
    """B of every node, the best end of so many starts; `answers`: what is right with each item in the place of the own.

    The first start is the leading axes of the class means, the others are random directions of their span: where the
    answer does not depend on the leading axes at all, descent hardly leaves them. An answer of several tokens is moved
    at several nodes at once.
    """
    nodes, period, d = means.shape
    means = means.float()
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.svd(means - means.mean(dim=1, keepdim=True), full_matrices=False).Vh[:, : period - 1].mT
    ends: list[tuple[float, Tensor]] = []
    for start in range(starts):
        first = axes if start == 0 else axes @ torch.randn(nodes, axes.shape[2], width, generator=generator)
        weights = first[..., :width].clone().requires_grad_()
        optimiser = torch.optim.Adam([weights], lr=RATE / d**0.5)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0, total_iters=steps)
        value = 0.0
        for _ in range(steps):
            j = torch.randint(1, period, items.shape, generator=generator)
            apart = means[:, (items + j) % period] - means[:, items]
            basis = torch.linalg.qr(weights).Q
            target = answers.gather(1, ((items + j) % period)[:, None])[:, 0]
            total = loss(apart @ basis @ basis.mT, target) / len(items)
            (weights.grad,) = torch.autograd.grad(total, weights)
            value = float(total.detach())
            optimiser.step()
            schedule.step()
        ends.append((value, torch.linalg.qr(weights.detach().double()).Q))
    return min(ends, key=lambda end: end[0])[1]


def along(basis: Float[Tensor, "*nodes d w"], means: Float[Tensor, "*nodes p d"]) -> Float[Tensor, "*nodes p d"]:
    """Where each item stands along a subspace."""
    return (means - means.mean(dim=-2, keepdim=True)) @ basis @ basis.mT
