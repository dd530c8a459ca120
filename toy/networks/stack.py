"""Several networks of one shape as the rows of one matrix: seeds train together, and one optimiser serves all.

flat    (seeds, parameters)     every weight of a network in one row
views   name -> (seeds, *shape) the same memory, by the names of the module's parameters
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toy.config import ToyConfig
from toy.networks.model import Toy, build

Weights = dict[str, Float[Tensor, "seeds ..."]]


class Stack:
    """The weights of as many networks as there are seeds."""

    def __init__(self, config: ToyConfig, seeds: Sequence[int], device: torch.device) -> None:
        networks = [build(replace(config, seed=seed)) for seed in seeds]
        self.template: Toy = networks[0].requires_grad_(False).to(device)
        """Gives the shapes and the plain forward; its own weights are not used."""
        self.shapes = {name: weight.shape for name, weight in networks[0].named_parameters()}
        self.flat = torch.stack([_flatten(network) for network in networks]).to(device)
        self.gradient = torch.zeros_like(self.flat)

    def views(self, rows: slice = slice(None)) -> Weights:
        """Weights by name; writing into a view writes into `flat`."""
        return _named(self.flat[rows], self.shapes)

    def gradient_views(self, rows: slice = slice(None)) -> Weights:
        """The gradient's memory by name."""
        return _named(self.gradient[rows], self.shapes)

    def of(self, seed_index: int) -> dict[str, Tensor]:
        """One network's weights by name, without the seed axis: a state dict."""
        return {name: view[0] for name, view in self.views(slice(seed_index, seed_index + 1)).items()}


def _flatten(network: nn.Module) -> Float[Tensor, " parameters"]:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def _named(matrix: Float[Tensor, "seeds parameters"], shapes: dict[str, torch.Size]) -> Weights:
    parts = matrix.split([shape.numel() for shape in shapes.values()], dim=1)
    return {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
