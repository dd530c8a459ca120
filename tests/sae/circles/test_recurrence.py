"""Dictionaries that share a known part."""

import pytest
import torch

from sae.circles.recurrence import matched, recurrence


def test_a_permuted_half_recurs() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(40, 64, generator=generator)
    other = torch.cat([3 * one[20:].flip(0), torch.randn(20, 64, generator=generator)])
    found = recurrence(one, other, 0)
    assert found.share == pytest.approx(0.5)
    assert found.shuffled_share == 0
    assert found.mean_cosine > 0.5


def test_an_opposite_is_no_match() -> None:
    one = torch.eye(5)
    assert float(matched(one, -one).max()) <= 0


def test_each_latent_has_one_partner() -> None:
    one = torch.eye(3)
    assert matched(one, one[[0, 0, 0]]).tolist() == pytest.approx([1, 0, 0])
