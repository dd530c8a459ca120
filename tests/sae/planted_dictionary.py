"""A dictionary whose groups are known, and prompts whose states it encodes: what the tests of the probe share.

Circle: four latents, half cosines along ±u and ±v. Tiles: one latent a label on a second circle. Noise: latents along
random directions that fire at random.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import question_set
from llm_probe.statistics import renaming
from sae.circles.latents import Encoded
from sae.training.saved import Saved

D = 24


@dataclass(frozen=True)
class Relu:
    """f = relu(x W_encᵀ - b) in the place of SAELens' object."""

    encoder: Tensor
    W_dec: Tensor
    threshold: float
    device: str = "cpu"

    def encode(self, states: Tensor) -> Tensor:
        """Activations."""
        return (states.float() @ self.encoder.T - self.threshold).relu()


def saved(
    encoder: Tensor, decoder: Tensor, threshold: float = 0.0, name: str = "planted/seed3", layer: int = 0
) -> Saved:
    """A dictionary that is read like one from disk."""
    return Saved(Relu(encoder, decoder, threshold), name, layer, "resid_post", None)


def basis(seed: int = 0) -> Tensor:
    """Orthonormal rows (D, D)."""
    return torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(seed))).Q.T


def cross() -> Saved:
    """±u, ±v of one plane, then ± of 8 other directions."""
    rows = basis()[:10]
    both = torch.stack([rows, -rows], dim=1).flatten(0, 1)
    return saved(both, both)


def encoded_sums(
    period: int = 7, frequency: int = 1, size: float = 1.0, seed: int = 0, renamings: int = 199
) -> Encoded:
    """Sums mod 7 whose states lie on a circle of this size in the plane of the first two directions."""
    claim = Claim(modular("add", 7), "sum")
    parts = [question_set(claim.domain, "discovery", 400), question_set(claim.domain, "confirmation", 200)]
    labels = [Labels.of(claim, part) for part in parts]
    generator, turn = torch.Generator().manual_seed(0), basis()
    states = []
    for own in labels:
        angle = 2 * torch.pi * own.label / 7
        noise = torch.randn(len(angle), D, generator=generator)
        noise[:, :2] *= 0.2
        states.append(
            (noise + size * torch.nn.functional.pad(torch.stack([angle.cos(), angle.sin()], 1), (0, D - 2))) @ turn
        )
    renamed = renaming.rename(claim, labels[0], [], renamings, 0)
    latents = [cross().encode(some) for some in states]
    return Encoded(claim, labels[0], labels[1], renamed, states[0], states[1], latents[0], latents[1])
