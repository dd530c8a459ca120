"""Planted circles are where they are said to be, and an SAE's latents lie in their planes."""

import torch

from sae.circles.validate import plant, trained_on
from sae.config import SaeConfig


def test_states_are_made_of_their_circles() -> None:
    circles = plant(6, 8, period=5, presence=0.3, noise=0.0)
    planted = circles.draw(200, seed=3)
    assert torch.equal(planted.states, circles.draw(200, seed=3).states)
    assert not torch.equal(planted.states, circles.draw(200, seed=4).states)
    eye = torch.eye(2).expand(6, 2, 2)
    torch.testing.assert_close(circles.planes @ circles.planes.transpose(1, 2), eye, rtol=0, atol=1e-5)
    row = 0
    expected = torch.zeros(8)
    for circle in range(6):
        if planted.present[row, circle]:
            angle = 2 * torch.pi * planted.steps[row, circle] / 5
            expected += torch.cos(angle) * circles.planes[circle, 0] + torch.sin(angle) * circles.planes[circle, 1]
    torch.testing.assert_close(planted.states[row], expected, rtol=1e-4, atol=1e-5)
    assert abs(float(planted.present.float().mean()) - 0.3) < 0.05


def test_an_sae_finds_directions_in_every_planted_plane() -> None:
    circles = plant(8, 12, presence=0.08, noise=0.01)
    config = SaeConfig(width=64, k=4, tokens=60_000, batch=256, learning_rate=3e-3)
    saved = trained_on(circles, config)
    unit = saved.decoder / saved.decoder.norm(dim=1, keepdim=True)
    inside = torch.einsum("ld,ctd->lct", unit, circles.planes).norm(dim=2)  # cosine of a latent with a plane
    assert (inside.max(dim=0).values > 0.9).all()
    planted = circles.draw(4000, seed=1)
    error = (saved.decode(saved.encode(planted.states)) - planted.states).square().sum()
    assert float(error / planted.states.square().sum()) < 0.3
