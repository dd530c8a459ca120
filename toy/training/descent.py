"""How the toys of `checkpoint.py` descend: torch's AdamW, with a rate that rises, stays, and falls.

The grokking toys have their own AdamW (optimiser.py), because there every seed of a batch has its own rate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def adamw(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """Matrices decay; gains and biases do not. The rate is given with every step."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=weight_decay)


def rate(config: Any, step: int, warmup: int) -> float:
    """Up over `warmup` updates, constant at `learning_rate`, and from the middle of `steps` linearly down to 2 %."""
    late = max(0.0, 2 * step / config.steps - 1)
    return config.learning_rate * min(1.0, (step + 1) / warmup) * (1 - 0.98 * late)


def descend(
    model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float, clip: float | None = None
) -> float:
    """One step at this rate, the gradient's norm at most `clip`; the loss it started from."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()
    return float(loss.detach())
