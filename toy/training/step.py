"""One training step of a stack of networks, and what they answer: by the factored forward or by the plain one.

On a CPU the networks of a stack go one after another, each alone: the arithmetic of a seed is then the same whether it
trains by itself or among others, and its neurons stay in the cache. On a GPU they go together.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from toy.config import ToyConfig
from toy.networks import factored
from toy.networks.stack import Stack, Weights
from toy.run.errors import InputError


class Stepper:
    """Losses, gradients and logits of the networks of a stack."""

    def __init__(self, config: ToyConfig, stack: Stack) -> None:
        """Raises InputError if the factored forward was asked for where it is not exact."""
        self.stack, self.activation = stack, config.activation
        self.dtype = getattr(torch, config.loss_dtype)
        exact = config.architecture == "transformer" and config.n_layers == 1
        if config.forward == "factored" and not exact:
            raise InputError(
                f"the factored forward is exact for a transformer of one layer, not for a {config.architecture} of "
                f"{config.n_layers}: leave --forward auto"
            )
        self.factored = exact and config.forward != "plain"

    def gradient(self, operands: Int[Tensor, "S N n"], answers: Int[Tensor, "S N"]) -> Float[Tensor, " S"]:
        """Put the gradient of every network's mean loss into `stack.gradient`; the losses, before the update."""
        found = []
        for rows in self._groups():
            leaves = {name: view.detach().requires_grad_() for name, view in self.stack.views(rows).items()}
            losses = self._losses(leaves, operands[rows], answers[rows])
            gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
            torch.cat([part.flatten(1) for part in gradients], dim=1, out=self.stack.gradient[rows])
            found.append(losses.detach())
        return torch.cat(found)

    @torch.no_grad()
    def look(
        self, operands: Int[Tensor, "S N n"], answers: Int[Tensor, "S N"]
    ) -> tuple[Float[Tensor, " S"], Float[Tensor, " S"]]:
        """Mean loss and accuracy of every network on these rows, in passes of bounded size."""
        loss, correct = [], []
        for rows in self._groups():
            answer = self._answering(self.stack.views(rows))
            total, right = torch.zeros(len(operands[rows]), dtype=torch.float64, device=operands.device), 0
            for start in range(0, operands.shape[1], factored.ROWS_AT_ONCE):
                some = slice(start, start + factored.ROWS_AT_ONCE)
                out, wanted = answer(operands[rows, some]), answers[rows, some]
                each = cross_entropy(out.to(self.dtype).flatten(0, 1), wanted.flatten(), reduction="none")
                total += each.view(wanted.shape).double().sum(1)
                right = right + (out.argmax(2) == wanted).sum(1)
            loss.append(total / operands.shape[1])
            correct.append(right / operands.shape[1])
        return torch.cat(loss), torch.cat(correct)

    def _losses(self, leaves: Weights, operands: Tensor, answers: Tensor) -> Float[Tensor, " S"]:
        if self.factored:
            return factored.losses(factored.tables(leaves), operands, answers, self.activation, self.dtype)

        out = self._plain(leaves, operands).to(self.dtype)
        each = cross_entropy(out.flatten(0, 1), answers.flatten(), reduction="none")
        return each.view(answers.shape).mean(1)

    def _answering(self, weights: Weights):
        if self.factored:
            parts = factored.tables(weights)
            return lambda operands: factored.logits(parts, operands, self.activation)
        return lambda operands: self._plain(weights, operands)

    def _plain(self, weights: Weights, operands: Tensor) -> Float[Tensor, "S N v"]:
        def one(own: dict[str, Tensor], questions: Tensor) -> Tensor:
            return functional_call(self.stack.template, own, (questions,))

        if len(operands) == 1:  # vmap costs more than a small network
            return one({name: weight[0] for name, weight in weights.items()}, operands[0])[None]
        return vmap(one)(weights, operands)

    def _groups(self) -> Iterator[slice]:
        together = len(self.stack.flat) if self.stack.flat.is_cuda else 1
        for start in range(0, len(self.stack.flat), together):
            yield slice(start, start + together)
