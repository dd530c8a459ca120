"""Everything that measurements and figures read off a network, in the order of the task's circle.

Position i of the circle is the token t_i: i itself for addition, g^i mod p for multiplication (`tasks.circle_order`).
Along the circle the group's operation is addition of positions mod n, so that one Fourier analysis serves every task:

    embedding[i]        = W_E[t_i]                        (n, d)
    unembedding[:, i]   = W_U[:, t_i]                     (e, n); e = d for the transformer, the neurons for the MLP
    W_L[:, i]           what a neuron adds to logit t_i   (m, n)
    logits[i, j, k]     the logit of t_k after (t_i, t_j) (n, n, n)
    neurons[i, j]       the last block's neurons          (n, n, m)
    attention[i, j]     "=" of the first block            (n, n, heads, positions); None for the MLP
    answer[i, j]        the right answer's position on the circle, -1 where it is not on it

A task of three operands is read on the slice where the third one is the task's `slice_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.config import ToyConfig
from toy.networks.model import MLP, Toy
from toy.networks.tasks import circle_order, named
from toy.run.errors import InputError

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Readout:
    """One network on the full grid of two operands."""

    task: str
    modulus: int
    tokens: Int[Tensor, " n"]
    """The tokens along the circle."""
    embedding: Float[Tensor, "n d"]
    unembedding: Float[Tensor, "e n"]
    W_L: Float[Tensor, "m n"]
    logits: Float[Tensor, "n n n"]
    """[a, b, c]; a logit of "=" is left out."""
    neurons: Float[Tensor, "n n m"]
    attention: Float[Tensor, "n n h pos"] | None
    answer: Int[Tensor, "n n"]

    @property
    def size(self) -> int:
        """n, the number of tokens on the circle."""
        return len(self.tokens)

    @property
    def is_cyclic(self) -> bool:
        """Whether the operation adds (or subtracts) positions modulo n: not so for a task that is no group, nor for
        units that are no cycle."""
        first, second = named(self.task).signs[:2]
        position = torch.arange(self.size)
        return bool((self.answer == (first * position[:, None] + second * position) % self.size).all())


@torch.no_grad()
def read_out(model: Toy, config: ToyConfig) -> Readout:
    """Run the network on every pair of tokens of the circle; all tensors come back on the CPU.

    Raises InputError if the network has another modulus than the configuration, or puts out NaN.
    """
    check_same_modulus(model, config)
    tokens = circle_order(config.task, config.modulus)
    operands, n = grid(config.task, config.modulus), len(tokens)
    logits = in_chunks(model, operands)[:, tokens]
    if not logits.isfinite().all():
        raise InputError("the network answers NaN or infinity: its training diverged, give an earlier checkpoint")
    neurons = in_chunks(model.neurons, operands)
    attention = None if isinstance(model, MLP) else in_chunks(model.attention, operands)
    return Readout(
        task=config.task,
        modulus=config.modulus,
        tokens=tokens,
        embedding=model.embedding.detach().cpu()[tokens],
        unembedding=model.unembedding.detach().cpu()[:, tokens],
        W_L=model.W_L.detach().cpu()[:, tokens],
        logits=logits.view(n, n, n),
        neurons=neurons.view(n, n, -1),
        attention=None if attention is None else attention.view(n, n, *attention.shape[1:]),
        answer=answer_positions(config.task, config.modulus, operands).view(n, n),
    )


def grid(task: str, modulus: int) -> Int[Tensor, "rows operands"]:
    """Every pair of tokens of the circle, the first operand slowest, the third (if any) at the task's slice."""
    tokens, operation = circle_order(task, modulus), named(task)
    pairs = torch.cartesian_prod(tokens, tokens)
    third = torch.full((len(pairs), operation.n_operands - 2), operation.slice_at)
    return torch.cat([pairs, third], dim=1)


def answer_positions(task: str, modulus: int, operands: Int[Tensor, "rows operands"]) -> Int[Tensor, " rows"]:
    """Where on the circle the right answers lie; -1 for an answer that is not on it."""
    tokens = circle_order(task, modulus)
    position = torch.full((modulus,), -1)
    position[tokens] = torch.arange(len(tokens))
    return position[named(task).answer(operands, modulus)]


def in_chunks(
    function: Callable[[Int[Tensor, "rows operands"]], Tensor], operands: Int[Tensor, "all operands"]
) -> Tensor:
    """`function` on some thousand rows at a time, joined on the CPU: a deep network's stream is never held whole."""
    model = getattr(function, "__self__", function)
    assert isinstance(model, torch.nn.Module)
    device = next(model.parameters()).device
    return torch.cat([function(rows.to(device)).detach().cpu() for rows in operands.split(ROWS_AT_ONCE)])


def check_same_modulus(model: Toy, config: ToyConfig) -> None:
    """Raises InputError if the network was built for another modulus than the configuration says."""
    if model.modulus != config.modulus:
        raise InputError(
            f"the network counts modulo {model.modulus}, the configuration modulo {config.modulus}: "
            "give the configuration that the network was trained with"
        )
