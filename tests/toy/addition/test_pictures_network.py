"""Attention that is worked out again, heads built by hand, and circles that are planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, rms_norm

from toy.addition.config import AdditionConfig
from toy.addition.network import LONGEST, Addition, Attention, digits_of, held_out
from toy.addition.pictures_network import (
    PAIRS,
    aligned,
    attention,
    characters,
    circle,
    digits,
    equal_pairs,
    heads,
    mean_attention,
    on_plane,
)
from toy.maths import fourier
from toy.pictures import style
from toy.pictures.style import percent

TINY = AdditionConfig(d_model=16, d_mlp=8, n_heads=2, n_blocks=2, max_digits=3, device="cpu")
SHAPES = [TINY, replace(TINY, shape="encoder-decoder", order="plain", positions="absolute")]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize("crosses", [False, True])
def test_weights_and_values_are_what_forward_puts_out(crosses: bool) -> None:
    module = Attention(TINY, torch.Generator().manual_seed(1)).requires_grad_(False)
    x, memory = random(3, 5, 16), random(3, 7, 16, seed=2) if crosses else None
    seen = torch.ones(5, 7, dtype=torch.bool).expand(3, 1, 5, 7) if crosses else torch.ones(5, 5).bool().tril()
    seen = seen.expand(3, 1, 5, -1)
    weights = module.weights(x, seen, memory)
    source = rms_norm(x, (16,), module.gain) if memory is None else memory
    values = linear(source, module.W_V).view(3, -1, 2, 8)
    mixed = torch.einsum("nhts,nshe->nthe", weights, values).flatten(2)
    torch.testing.assert_close(linear(mixed, module.W_O), module(x, seen, memory), atol=1e-6, rtol=0)
    torch.testing.assert_close(weights.sum(3), torch.ones(3, 2, 5))
    assert torch.equal(weights > 0, seen.expand(-1, 2, -1, -1))


@pytest.mark.parametrize("config", SHAPES)
def test_looks_are_means_of_rows_that_see_what_came_before(config: AdditionConfig) -> None:
    model, pairs = Addition(config).requires_grad_(False), equal_pairs(config)
    by_block, (prompt, answer) = mean_attention(model, pairs), characters(config)
    crosses = config.shape == "encoder-decoder"
    assert list(by_block) == (
        ["block 0 cross", "block 1 cross", "block 0 self", "block 1 self"] if crosses else ["block 0", "block 1"]
    )
    for name, weights in by_block.items():
        assert weights.shape[:2] == (2, len(answer)) and not module_hooks(model)
        torch.testing.assert_close(weights.sum(2), torch.ones(2, len(answer), dtype=torch.float64), atol=1e-6, rtol=0)
        before = 0 if crosses else len(prompt)
        if "cross" in name:
            assert weights.shape[2] == len(prompt) and weights.min() > 0
        else:
            future = torch.ones(weights.shape[1:]).triu(before + 1).bool()
            assert torch.equal(weights == 0, future.expand_as(weights)) and weights.shape[2] == before + len(answer)


def module_hooks(model: Addition) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.modules())


def test_pairs_are_held_out_and_line_up() -> None:
    pairs = equal_pairs(replace(TINY, max_digits=5))
    assert len(pairs) == PAIRS and held_out(pairs, TINY.held_out, TINY.split_seed).all()
    assert (digits_of(pairs.flatten()) == 5).all() and (digits_of(pairs.sum(1)) == 6).all()


def test_characters_and_the_aligned_share_by_hand() -> None:
    config = replace(TINY, max_digits=2)
    assert characters(config) == (["a1", "a2", "+", "b1", "b2"], ["=", "s1", "s2", "s3"])
    plain = replace(config, order="plain")
    assert characters(plain) == (["a2", "a1", "+", "b2", "b1"], ["=", "s3", "s2", "s1"])
    weights = torch.zeros(4, 5, dtype=torch.float64)
    weights[0, 0], weights[0, 4], weights[1, 1], weights[3] = (
        0.5,
        0.25,
        0.5,
        1.0,
    )  # before s1, before s2; the end counts for nothing
    assert aligned(weights, config) == pytest.approx((0.5 + 0.5) / 2)
    weights[2, 4] = 0.75
    assert aligned(weights, plain) == pytest.approx(0.75 / 2)  # before s2 a2, b2; before s1 a1, b1


@pytest.mark.parametrize("shape", ["decoder", "encoder-decoder"])
def test_heads_that_look_for_the_next_place_are_aligned(shape: str) -> None:
    config = replace(TINY, shape=shape, positions="abacus-marks", d_model=LONGEST, n_heads=1)
    model = Addition(config).requires_grad_(False)
    model.W_E.zero_()
    model.W_pos.copy_(torch.eye(LONGEST))
    for name, weight in model.named_parameters():
        if name.endswith(("W_O", "W_out")):
            weight.zero_()
        elif name.endswith("W_Q"):
            weight.copy_(4 * torch.eye(LONGEST).roll(1, 0))  # row p + 1 of what is at place p
        elif name.endswith("W_K"):
            weight.copy_(torch.eye(LONGEST))
    aligned_shares = [head.aligned for head in heads(model, equal_pairs(config)) if head.aligned is not None]
    assert len(aligned_shares) == 2 and min(aligned_shares) > 0.999
    fresh = [head.aligned for head in heads(Addition(config), equal_pairs(config)) if head.aligned is not None]
    assert max(fresh) < 0.6


@pytest.mark.parametrize("config", SHAPES)
def test_maps_are_those_of_the_heads(config: AdditionConfig) -> None:
    model, fresh = (Addition(replace(config, seed=seed)).requires_grad_(False) for seed in (0, 1))
    figure, every_head = attention(model, fresh), heads(model, equal_pairs(config))
    maps = [axes for axes in figure.axes if axes.images and axes.get_title(loc="left")]
    assert len(maps) == len(every_head) == (8 if config.shape == "encoder-decoder" else 4)
    for axes, head in zip(maps, every_head, strict=True):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), head.attention.numpy()) and axes.yaxis_inverted()
        assert axes.get_title(loc="left").split("\n")[0] == head.name
    low = [tick.get_text() for tick in maps[-1].get_xticklabels()]
    assert low == (list("=4321") if config.shape == "encoder-decoder" else list("123+123=1234"))


# ----------------------------------------------------------------------------------------------------------- digits


@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_planted_circle_is_found(k: int) -> None:
    plane = torch.linalg.qr(random(16, 2).double()).Q
    rows = 3 + fourier.circle(torch.arange(10), k, 10) @ plane.T + 0.02 * random(10, 16, seed=1).double()
    wave = circle(rows)
    assert wave.k == k and wave.shares[k - 1] > 0.95 > wave.bar and wave.p < 0.02
    torch.testing.assert_close(float(wave.shares.sum()), 1.0)
    points = on_plane(rows, k)
    if k < 5:
        assert (points.norm(dim=1) - 1).abs().max() < 0.1
        turned = fourier.angle_between(points, points.roll(-1, 0))
        torch.testing.assert_close(turned, torch.full((10,), 2 * torch.pi * k / 10).double(), atol=0.1, rtol=0)
    else:
        assert (points[:, 0].abs() - 1).abs().max() < 0.1 and torch.equal(points[::2, 0] > 0, points[1::2, 0] < 0)


def test_random_rows_are_no_circle_and_renaming_them_changes_no_bar() -> None:
    rows = random(10, 16, seed=3).double()
    wave, renamed = circle(rows), circle(rows[torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])])
    assert wave.p > 0.05 and wave.shares.max() < wave.bar
    assert renamed.bar == pytest.approx(wave.bar, abs=0.03)


def test_half_a_circle_has_the_order_and_a_straight_line_its_known_shares() -> None:
    half = circle(fourier.circle(torch.arange(10), 1, 20))
    assert half.k == 1 and half.p < 0.02
    line = circle(torch.arange(10).double()[:, None])
    known = [2 * 10 / (4 * torch.tensor(torch.pi * k / 10).sin().square()) for k in (1, 2, 3, 4)]  # |Σ d e^-2πikd/10|²
    assert line.k == 1 and line.p > 0.05
    torch.testing.assert_close(line.shares[:4], torch.stack(known).double() / 82.5)


def test_the_title_says_what_is_found_and_files_are_the_same_twice(tmp_path: Path) -> None:
    model, fresh = (Addition(replace(SHAPES[1], seed=seed)).requires_grad_(False) for seed in (0, 1))
    model.W_E[:10, :2] += 10 * fourier.circle(torch.arange(10), 3, 10).float()
    for name in ("one", "two"):
        figures = {"07_attention": attention(model, fresh), "08_digits": digits(model, fresh)}
        title = " ".join(str(figures["08_digits"].get_suptitle()).split())
        assert "k = 3" in title and "p = 0.00" in title
        best = max((head.aligned or 0.0, head.name) for head in heads(model, equal_pairs(model.config)))
        title = " ".join(str(figures["07_attention"].get_suptitle()).split())
        assert title.startswith(f"{best[1].capitalize()} gives {percent(best[0])} of its attention")
        style.write(tmp_path / name, figures)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert len(one) == 4 and [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
