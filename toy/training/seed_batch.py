"""Networks of one shape that train together, one seed each: their weights, their AdamW, and one training step.

    flat    (seeds, parameters)     every weight of a network in one row
    views   name -> (seeds, *shape) the same memory, by the names of the module's parameters

On a CPU the networks go one after another, each alone: the arithmetic of a seed is then the same whether it trains by
itself or among others, and its neurons stay in the cache. On a GPU they go together. AdamW has decoupled weight decay
(Loshchilov & Hutter 2019) and works on the rows of `flat`:

    m <- β1 m + (1-β1) g      v <- β2 v + (1-β2) g²
    w <- (1 - η λ) w - η (m / (1-β1^t)) / (√(v / (1-β2^t)) + ε)

torch's AdamW would need one group a seed; here the rate η is a column, so that networks which grok at different
steps also slow down at different steps. Nothing in `AdamW.update` depends on Python numbers that change from step to
step, so a CUDA graph can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy

from toy.config import ToyConfig
from toy.networks import factored
from toy.networks.factored import Weights
from toy.networks.model import Toy, build
from toy.run.errors import InputError

EPSILON = 1e-8


class SeedBatch:
    """The weights and gradients of as many networks as there are seeds."""

    def __init__(self, config: ToyConfig, seeds: Sequence[int], device: torch.device) -> None:
        networks = [build(replace(config, seed=seed)) for seed in seeds]
        self.template: Toy = networks[0].requires_grad_(False).to(device)
        """Gives the shapes and the plain forward; its own weights are not used."""
        self.shapes = {name: weight.shape for name, weight in networks[0].named_parameters()}
        flat = [torch.cat([weight.detach().flatten() for weight in network.parameters()]) for network in networks]
        self.flat = torch.stack(flat).to(device)
        self.gradient = torch.zeros_like(self.flat)

    def views(self, rows: slice = slice(None)) -> Weights:
        """Weights by name; writing into a view writes into `flat`."""
        parts = self.flat[rows].split([shape.numel() for shape in self.shapes.values()], dim=1)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def of(self, seed_index: int) -> dict[str, Tensor]:
        """One network's weights by name, without the seed axis: a state dict."""
        return {name: view[0] for name, view in self.views(slice(seed_index, seed_index + 1)).items()}


class Stepper:
    """Losses, gradients and logits of the networks: by the factored forward where it is exact, else by the plain."""

    def __init__(self, config: ToyConfig, networks: SeedBatch) -> None:
        """Raises InputError if the factored forward was asked for where it is not exact."""
        self.networks, self.activation = networks, config.activation
        self.dtype = getattr(torch, config.loss_dtype)
        exact = config.architecture == "transformer" and config.n_layers == 1
        if config.forward == "factored" and not exact:
            raise InputError(
                f"the factored forward is exact for a transformer of one layer, not for a {config.architecture} of "
                f"{config.n_layers}: leave --forward auto"
            )
        self.factored = exact and config.forward != "plain"

    def gradient(self, operands: Int[Tensor, "S N n"], answers: Int[Tensor, "S N"]) -> Float[Tensor, " S"]:
        """Put the gradient of every network's mean loss into `networks.gradient`; the losses, before the update."""
        every_loss = []
        for rows in self._groups():
            leaves = {name: view.detach().requires_grad_() for name, view in self.networks.views(rows).items()}
            losses = self._losses(leaves, operands[rows], answers[rows])
            gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
            torch.cat([part.flatten(1) for part in gradients], dim=1, out=self.networks.gradient[rows])
            every_loss.append(losses.detach())
        return torch.cat(every_loss)

    @torch.no_grad()
    def evaluate(
        self, operands: Int[Tensor, "S N n"], answers: Int[Tensor, "S N"]
    ) -> tuple[Float[Tensor, " S"], Float[Tensor, " S"]]:
        """Mean loss and accuracy of every network on these rows, in passes of bounded size."""
        loss, correct = [], []
        for rows in self._groups():
            answer = self._answering(self.networks.views(rows))
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

    def _answering(self, weights: Weights) -> Callable[[Tensor], Tensor]:
        if self.factored:
            parts = factored.tables(weights)
            return lambda operands: factored.logits(parts, operands, self.activation)
        return lambda operands: self._plain(weights, operands)

    def _plain(self, weights: Weights, operands: Tensor) -> Float[Tensor, "S N v"]:
        def one(own: dict[str, Tensor], questions: Tensor) -> Tensor:
            return functional_call(self.networks.template, own, (questions,))

        if len(operands) == 1:  # vmap costs more than a small network
            return one({name: weight[0] for name, weight in weights.items()}, operands[0])[None]
        return vmap(one)(weights, operands)

    def _groups(self) -> Iterator[slice]:
        together = len(self.networks.flat) if self.networks.flat.is_cuda else 1
        for start in range(0, len(self.networks.flat), together):
            yield slice(start, start + together)


class AdamW:
    """The moments of every weight, and the powers of β1 and β2 that count the updates."""

    def __init__(self, config: ToyConfig, weights: Float[Tensor, "seeds parameters"]) -> None:
        self.beta1, self.beta2, self.decay = config.beta1, config.beta2, config.weight_decay
        self.weights = weights
        self.mean, self.square = torch.zeros_like(weights), torch.zeros_like(weights)
        self.work = torch.empty_like(weights)
        # In float64 on the device: β2^t must not be rounded, and a captured graph must see it change.
        self.power1 = torch.ones((), dtype=torch.float64, device=weights.device)
        self.power2 = torch.ones((), dtype=torch.float64, device=weights.device)

    def update(self, gradient: Float[Tensor, "seeds parameters"], rate: Float[Tensor, "seeds 1"]) -> None:
        """One step, in place."""
        self.power1 *= self.beta1
        self.power2 *= self.beta2
        self.mean.lerp_(gradient, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        torch.sqrt(self.square, out=self.work)
        self.work.div_((1 - self.power2).sqrt().float()).add_(EPSILON)
        torch.div(self.mean, self.work, out=self.work)
        self.weights.mul_(1 - rate * self.decay).sub_(self.work.mul_(rate / (1 - self.power1).float()))

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs."""
        return {"mean": self.mean, "square": self.square, "power1": self.power1, "power2": self.power2}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        for name, value in self.state().items():
            value.copy_(state[name])


def rate(config: ToyConfig, step: int, decay_from: int | None) -> float:
    """The learning rate of the update after `step` updates.

    `decay_from` is where this network's decay began, None while it has not (`after_grokking`).
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return config.learning_rate * (1 + math.cos(math.pi * min(1.0, done))) / 2
    if config.schedule == "after_grokking" and decay_from is not None and step >= decay_from:
        done = min(1.0, (step - decay_from) / config.decay_steps)
        return config.learning_rate * (1 - (1 - config.decay_to) * done)
    return config.learning_rate
