"""Random words as the null of items: p from statistics given by hand, planted circles, and vectors without one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.geometry.redrawn import best_order, p_redrawn, redraw_scores, redraw_test
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS
from tests.llm_probe.geometry.planted import circle, directions, gram_of, random_vectors

SIZES = Claim(DOMAINS["sizes"], "item")
LABELS = Labels.of(SIZES, SIZES.prompts("discovery", 0, 0))


def test_p_of_statistics_given_by_hand() -> None:
    """One place: the first of five is reached by two others and itself, 3 of 5."""
    scores = torch.tensor([[0.5], [0.7], [0.5], [0.1], [0.2]])
    assert p_redrawn(scores).tolist() == pytest.approx([3 / 5])


def test_the_largest_over_places_counts() -> None:
    """Place 0 has mean 1/2 and spread 1/2, place 1 mean 1/4 and spread √3/4. Standardised, the largest of the four are
    1, 1, √3 (in place 1) and -1/√3: the own 1 of place 0 is reached by three of them, the own -1/√3 of place 1 by all.
    """
    scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert p_redrawn(scores).tolist() == pytest.approx([3 / 4, 1.0])


def test_rounding_is_no_difference_and_no_evidence() -> None:
    """Three points have all their variance at one turn, whatever the words."""
    noise = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 1e-7
    assert p_redrawn(1 + noise).tolist() == [1.0, 1.0, 1.0]


def states(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "prompts one d"]:
    """Every prompt of an item holds its vector and its template's."""
    template = random_vectors(int(LABELS.template.max()) + 1, vectors.shape[1], 99)
    return (vectors[LABELS.label] + template[LABELS.template])[:, None]


def redraws(first: Float[Tensor, "n d"], count: int, seed: int) -> Iterator[Float[Tensor, "prompts one d"]]:
    yield states(first)
    for index in range(count):
        yield states(random_vectors(6, first.shape[1], 1000 * (seed + 1) + index))


def test_a_circle_of_six_is_shown_and_a_line_has_one_axis() -> None:
    ring = directions(circle(6), 32, 0) + 0.3 * random_vectors(6, 32, 0)
    test = redraw_test(redraw_scores(redraws(ring, 199, 0), LABELS))
    assert (test.p_share.item(), test.p_axes.item()) == (1 / 200, 1 / 200)
    line = directions(torch.arange(6).double()[:, None], 32, 0) + 0.1 * random_vectors(6, 32, 0)
    assert redraw_test(redraw_scores(redraws(line, 199, 0), LABELS)).p_axes.item() > 0.05


def test_random_words_are_like_others() -> None:
    p = [
        redraw_test(redraw_scores(redraws(random_vectors(6, 16, seed), 39, seed), LABELS)).p_share.item()
        for seed in range(40)
    ]
    assert 0.35 < sum(p) / len(p) < 0.65
    assert sum(value <= 0.05 for value in p) <= 5  # 2 are expected


def test_the_best_of_the_orders_that_there_are() -> None:
    """Of six on a circle the own order is best; of a circle in another order it is not, unless no name is free."""
    assert best_order(gram_of(circle(6)), [0] * 6)
    other = gram_of(circle(6)[torch.tensor([0, 2, 1, 3, 4, 5])])
    assert not best_order(other, [0] * 6) and not best_order(other, [])
    assert best_order(other, list(range(6)))
    assert best_order(other, [0, 1, 2, 3, 3, 4])  # the two that may change places stand well
    assert math.isclose(float(other.trace()), 6.0)
