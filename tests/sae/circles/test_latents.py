"""Which latents are kept, which belong together, what they span, and which recur in another dictionary."""

import pytest
import torch

from sae.circles.latents import (
    RARE,
    Group,
    coordinates,
    directions_of,
    encode,
    groups_of,
    kept_latents,
    matched_cosines,
    recurrence,
)
from tests.sae.planted_dictionary import D, basis, cross, saved


def test_a_latent_that_is_active_in_one_set_only_is_kept_and_a_rare_one_is_not() -> None:
    known = saved(torch.eye(4, D), torch.eye(4, D))
    one, other = torch.zeros(1000, D), torch.zeros(100, D)
    one[:9, 0] = 1  # 0.9 % of its set
    one[:10, 1] = 1  # 1 %
    other[:50, 2] = 1
    assert kept_latents(known, [one, other]).tolist() == [1, 2]
    assert RARE == 0.01


def test_encoding_in_parts_is_encoding_at_once() -> None:
    known, states = cross(), torch.randn(600, D)
    index = torch.tensor([1, 5, 19])
    torch.testing.assert_close(encode(known, states, index), known.encode(states)[:, index])


def test_the_latents_of_a_plane_are_a_group_by_coactivation_and_by_direction() -> None:
    """Three planes, present in turns: six tiles round each, so that neighbours are co-active and cosines connect."""
    rows, generator = basis(), torch.Generator().manual_seed(1)
    angle = torch.arange(6) * torch.pi / 3
    tiles = [torch.stack([angle.cos(), angle.sin()], 1) @ rows[2 * i : 2 * i + 2] for i in range(3)]
    known = saved(torch.cat(tiles), torch.cat(tiles), threshold=0.3)
    where, turn = torch.arange(900) % 3, torch.rand(900, generator=generator) * 2 * torch.pi
    points = torch.stack([turn.cos(), turn.sin()], 1)
    states = torch.stack([points[i] @ rows[2 * w : 2 * w + 2] for i, w in enumerate(where.tolist())])
    groups = groups_of(known.encode(states), known.decoder)
    planes = {tuple(range(6 * i, 6 * i + 6)) for i in range(3)}
    assert planes <= {group.columns for group in groups}
    only = groups_of(known.encode(states), torch.nn.functional.normalize(torch.randn(18, D, generator=generator)))
    assert planes <= {group.columns for group in only if group.by == "coactivation"}


def test_coordinates_have_the_distances_of_the_part_they_stand_for() -> None:
    latents, decoder = torch.rand(30, 12), torch.randn(12, D)
    group = Group("decoder", (0, 3, 4, 9))
    part = latents[:, [0, 3, 4, 9]].double() @ decoder[[0, 3, 4, 9]].double()
    own = coordinates(latents, decoder, group.columns)
    torch.testing.assert_close(own @ own.T, part @ part.T)


def test_directions_span_the_decoder_rows() -> None:
    known = saved(torch.randn(6, D), torch.randn(6, D))
    span = directions_of(known, (1, 4))
    torch.testing.assert_close(span.basis.T @ span.basis, torch.eye(2, dtype=torch.float64))
    rows = known.decoder[[1, 4]].double()
    torch.testing.assert_close(rows @ span.basis @ span.basis.T, rows)
    assert (span.name, span.layer, span.site) == ("latents 1, 4", 0, "resid_post")


def test_a_permuted_half_recurs() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(40, 64, generator=generator)
    other = torch.cat([3 * one[20:].flip(0), torch.randn(20, 64, generator=generator)])
    pair = recurrence(one, other, 0)
    assert pair.share == pytest.approx(0.5)
    assert pair.shuffled_share == 0
    assert pair.mean_cosine > 0.5


def test_an_opposite_is_no_match() -> None:
    one = torch.eye(5)
    assert float(matched_cosines(one, -one).max()) <= 0


def test_each_latent_has_one_partner() -> None:
    one = torch.eye(3)
    assert matched_cosines(one, one[[0, 0, 0]]).tolist() == pytest.approx([1, 0, 0])
