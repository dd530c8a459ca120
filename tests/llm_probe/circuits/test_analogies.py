"""Planted lines and circles: each way of making an analogy solves its own, and noise solves neither."""

import torch

from llm_probe.circuits.analogies import (
    PUBLISHED_QUADRUPLES,
    ItemStates,
    beaten,
    item_quadruples,
    jackknife,
    score,
    trade_pairs,
)
from llm_probe.questions.claims import Labels

N, SENTENCES = 12, 6
TRUE = torch.arange(N)[None]


def planted(points: torch.Tensor, noise: float, seed: int = 0) -> ItemStates:
    generator = torch.Generator().manual_seed(seed)
    item = torch.arange(N).repeat(SENTENCES)
    template = torch.arange(SENTENCES).repeat_interleave(N)
    place = torch.randn(points.shape[1], 30, generator=generator, dtype=torch.float64)
    states = (points @ place)[item] + noise * torch.randn(len(item), 30, generator=generator, dtype=torch.float64)
    return ItemStates.of(states, Labels("item", N, item, item, item, torch.zeros_like(item), template))


def line() -> torch.Tensor:
    return torch.linspace(-1, 1, N, dtype=torch.float64)[:, None]


def circle() -> torch.Tensor:
    angle = torch.arange(N).double() * (2 * torch.pi / N)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_quadruples_keep_the_step() -> None:
    for cyclic in (True, False):
        a, b, c, d = item_quadruples(N, cyclic, 0).T
        assert torch.equal((b - a) % N, (d - c) % N) and (cyclic or torch.equal(b - a, d - c))
        assert len(a) > 100


def test_beaten_by_hand() -> None:
    distance = torch.tensor([[0.0, 0.0, 0.0, 2.0, 1.0, 3.0, 2.0]])  # d is item 3; of 4, 5, 6 one is farther, one ties
    assert beaten(distance, torch.tensor([[0, 1, 2, 3]])).tolist() == [0.5]


def test_a_line_is_a_parallelogram_and_the_published_sign_is_wrong() -> None:
    states, quadruples = planted(line(), 0.01), item_quadruples(N, False, 0)
    assert score(states, "parallelogram", TRUE, quadruples).mean() > 0.98
    assert score(states, "published sign", TRUE, quadruples).mean() < 0.6


def test_a_circle_is_solved_by_rotation_and_not_by_the_parallelogram() -> None:
    states, quadruples = planted(circle(), 0.05), item_quadruples(N, True, 0)
    assert score(states, "rotation", TRUE, quadruples).mean() > 0.98
    assert score(states, "parallelogram", TRUE, quadruples).mean() < 0.7


def test_noise_solves_nothing_and_stands_where_renamed_noise_stands() -> None:
    """Without the baseline subtracted, the held-out angle of noise is the opposite one and rotation solves it all."""
    generator = torch.Generator().manual_seed(1)
    orders = torch.stack([torch.arange(N), *(torch.randperm(N, generator=generator) for _ in range(50))])
    quadruples = item_quadruples(N, True, 0)
    means = torch.stack([score(planted(circle(), 1e6, seed), "rotation", orders, quadruples) for seed in range(6)])
    means = means.mean(dim=-1)
    assert abs(float(means.mean()) - 0.5) < 0.05
    assert (means[:, 0] > means[:, 1:].quantile(0.95, dim=1)).sum() <= 2


def test_the_interval_is_wider_with_items_that_disagree() -> None:
    quadruples = item_quadruples(N, True, 0)
    low, high = jackknife(torch.full((len(quadruples),), 0.5), quadruples, N)
    assert (low, high) == (0.5, 0.5)
    low, high = jackknife((quadruples[:, 0] < 6).double(), quadruples, N)
    assert high - low > 0.3


def test_traded_words_keep_their_second_pair() -> None:
    quadruples = torch.arange(4 * len(PUBLISHED_QUADRUPLES)).view(-1, 4)
    traded = trade_pairs(quadruples, 20, 0)
    assert torch.equal(traded[0], quadruples) and len(traded) == 21
    assert bool((traded[1:, :, :2] != quadruples[:, :2]).all()) and torch.equal(
        traded[1:, :, 2:], quadruples[:, 2:].expand(20, -1, -1)
    )
