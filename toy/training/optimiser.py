"""AdamW over the rows of a matrix, each row with its own rate, and the schedules of that rate.

Decoupled weight decay (Loshchilov & Hutter 2019), one network a row:

    m <- β1 m + (1-β1) g      v <- β2 v + (1-β2) g²
    w <- (1 - η λ) w - η (m / (1-β1^t)) / (√(v / (1-β2^t)) + ε)

torch's AdamW would need one group a seed; here the rate η is a column, so that networks which grok at different
steps also slow down at different steps. Nothing in `update` depends on Python numbers that change from step to step,
so a CUDA graph can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from toy.config import ToyConfig

EPSILON = 1e-8


class AdamW:
    """The moments of every weight and the number of updates."""

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
    if config.schedule == "after_grokking" and decay_from is not None:
        done = min(1.0, (step - decay_from) / config.decay_steps)
        return config.learning_rate * (1 - (1 - config.decay_to) * done)
    return config.learning_rate
