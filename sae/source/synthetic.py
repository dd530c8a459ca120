"""States whose circles are known: more of them than fit side by side, and few at a time.

    x = sum_i on_i (cos(2π s_i / p) u_i + sin(2π s_i / p) v_i) + noise            x (n, d)

on_i is 1 with probability `presence`, s_i a random point of p on circle i, u_i and v_i (rows of `planes[i]`, (2, d))
orthonormal for one circle and random between circles. With 2 circles > d the planes must overlap: superposition, which
sparse coding is there to undo. What finds circles among the latents of an SAE trained on these states must find them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae.training.config import SaeConfig
from sae.training.saved import Saved
from sae.training.train import fit
from sae.training.trainers import new_run

PLACE = (0, "resid_post")


@dataclass(frozen=True)
class Drawn:
    """Some states and what is in them."""

    states: Float[Tensor, "n d"]
    steps: Int[Tensor, "n circles"]
    """s: where on each circle a state would be."""
    present: Bool[Tensor, "n circles"]
    """Which circles are in it."""


@dataclass(frozen=True)
class Circles:
    """The planted circles."""

    planes: Float[Tensor, "circles 2 d"]
    period: int
    presence: float
    noise: float

    def draw(self, n: int, seed: int) -> Drawn:
        """`n` states, a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        circles, _, d = self.planes.shape
        steps = torch.randint(self.period, (n, circles), generator=generator)
        present = torch.rand(n, circles, generator=generator) < self.presence
        angle = steps * (2 * torch.pi / self.period)
        at = torch.stack([angle.cos(), angle.sin()], dim=-1) * present[..., None]
        noise = self.noise * torch.randn(n, d, generator=generator)
        return Drawn(torch.einsum("nct,ctd->nd", at, self.planes) + noise, steps, present)


def plant(
    circles: int = 48, d: int = 64, *, period: int = 12, presence: float = 0.05, noise: float = 0.02, seed: int = 0
) -> Circles:
    """Random planes in d dimensions, on average circles · presence of them in a state."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.linalg.qr(torch.randn(circles, d, 2, generator=generator)).Q.transpose(1, 2)
    return Circles(planes.contiguous(), period, presence, noise)


def trained_on(circles: Circles, config: SaeConfig, seed: int = 0) -> Saved:
    """An SAE of the configuration's settings, in memory, trained on states that are drawn as it goes.

    Raises:
        InputError: the settings cannot be.
    """
    config = replace(config, buffer_tokens=16 * config.batch, out=Path("none"))
    run = new_run(config, PLACE, seed, circles.planes.shape[2], torch.device("cpu"))
    first = (seed + 1) * 2**32
    fit(
        config,
        [run],
        lambda step: {PLACE: circles.draw(config.batch, first + step).states},
        every=float("inf"),
    )
    return Saved(run.trainer.sae.requires_grad_(False), "synthetic", 0, "resid_post", None)
