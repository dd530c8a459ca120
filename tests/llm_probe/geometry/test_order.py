"""The order test: circles whose p is counted by hand, orders that keep a partition, vectors without any order."""

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from llm_probe.geometry.order import (
    ENUMERATED,
    ORDERS,
    centred,
    corrected,
    divisor_partitions,
    order_test,
    orders_within,
    standardised,
)
from llm_probe.questions.domains import DOMAINS, SEASONS
from tests.llm_probe.geometry.planted import circle, directions, gram_of, one_hot, planted, random_vectors

WEEKEND = DOMAINS["days"].partitions["weekend"]
MONTH = torch.arange(12)
NETWORKS = 120


def orders(partition: tuple[int, ...], kinds: tuple[int, ...] = (), count: int = 50, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return orders_within(partition, kinds or (0,) * len(partition), count, generator)


# --------------------------------------------------------------------------------------------- an exact circle of 7


@pytest.mark.parametrize(("frequencies", "p"), [((1,), 1 / 360), ((1, 2, 3), 1 / 120)])
def test_an_exact_circle_is_counted(frequencies: tuple[int, ...], p: float) -> None:
    """Of 7! = 5040 orders, 14 are rotations and reflections of the circle; each of the three frequencies is another
    circle of 14 orders when all are searched."""
    test = order_test([gram_of(circle(7))], frequencies, {})
    assert test.p_order[0, 0] == pytest.approx(p)
    assert test.p_axes[0, 0] == pytest.approx(p)
    assert test.share[0].tolist() == pytest.approx([1.0, 0.0, 0.0][: len(frequencies)])
    assert test.hardest == ("",)


def test_the_circle_is_found_at_its_frequency_and_place() -> None:
    test = order_test([gram_of(random_vectors(7, 16, 0)), gram_of(circle(7, 2))], (1, 2, 3), {})
    assert int(test.beyond.argmax()) == 1 * 3 + 1
    assert test.p_order.argmin() == test.beyond.argmax()
    assert test.share[1].tolist() == pytest.approx([0.0, 1.0, 0.0])


def test_more_places_never_make_p_smaller() -> None:
    """The correction counts the largest of every place."""
    own = gram_of(circle(7) + 0.8 * random_vectors(7, 2, 3))
    alone = order_test([own], (1,), {}).p_order[0, 0]
    among = order_test([own, *(gram_of(random_vectors(7, 16, seed)) for seed in range(5))], (1,), {}).p_order[0, 0]
    assert 1 / 360 <= alone <= among


def test_a_share_by_hand() -> None:
    """Four labels, circle k = 1: a square of radius 1 beside an alternation of size 1/2 has 4 of 5 parts."""
    vectors = torch.cat([circle(4), 0.5 * torch.tensor([[1.0], [-1], [1], [-1]])], dim=1)
    assert order_test([gram_of(vectors)], (1,), {}).share.item() == pytest.approx(4 / 5)


def test_equal_vectors_have_no_order() -> None:
    """Nothing varies (or every order gives the same): p is 1, not a tie won."""
    for gram in (torch.zeros(7, 7).double(), gram_of(torch.eye(7).double())):
        test = order_test([gram], (1, 2, 3), {})
        assert test.p_order.tolist() == [[1.0, 1.0, 1.0]] and test.beyond.abs().max() < 1e-6


def test_a_line_has_one_axis_and_a_circle_two() -> None:
    line = order_test([planted(MONTH[:, None], 0.1, 0)], (1,), {})
    assert line.p_order < 0.05 and line.p_axes > 0.2
    ring = order_test([planted(circle(12), 0.1, 0)], (1,), {})
    assert ring.p_order < 0.001 and ring.p_axes < 0.001


# --------------------------------------------------------------------------------------------------- what is exact


@pytest.mark.parametrize("partition", [{}, {"weekend": WEEKEND}], ids=["any order", "weekend"])
def test_p_of_vectors_without_order_is_uniform(partition: dict[str, tuple[int, ...]]) -> None:
    """Look-ups of seven labels; where a weekend is known as well it is in the vectors too."""
    cluster = one_hot(torch.tensor(WEEKEND)) @ (3 * random_vectors(2, 16, 7)) if partition else 0
    p = [
        float(order_test([gram_of(random_vectors(7, 16, seed) + cluster)], (1, 2, 3), partition).p_order.min())
        for seed in range(NETWORKS)
    ]
    for level in (0.05, 0.2, 0.5):
        least = binomtest(sum(one <= level for one in p), NETWORKS, level)
        assert least.pvalue > 0.001, (level, least.statistic)


def test_seasons_are_more_than_chance_and_no_circle() -> None:
    """Four vectors of one length at right angles, one a season: no order of the seasons is better than another."""
    seasons = gram_of(one_hot(torch.tensor(SEASONS)))
    assert order_test([seasons], (1, 5), {}).p_order[0, 0] < 0.01
    beyond = order_test([seasons], (1, 5), {"seasons": SEASONS})
    assert beyond.p_order.tolist() == [[1.0, 1.0]] and beyond.hardest == ("seasons",)


def test_seasons_round_a_circle_are_one_of_three_orders() -> None:
    """Of the 24 orders of four seasons 8 are the same ring: p is 1/3, whatever the months do."""
    corners = circle(4)[torch.tensor(SEASONS)]
    test = order_test([gram_of(corners)], (1,), {"seasons": SEASONS})
    assert test.p_order.item() == pytest.approx(1 / 3, abs=0.03)  # 4999 of 31,104 orders are drawn
    assert order_test([gram_of(corners)], (1,), {}).p_order.item() < 0.001


def test_a_circle_passes_its_partitions_and_the_hardest_is_named() -> None:
    partitions = DOMAINS["months"].partitions
    test = order_test([gram_of(circle(12))], (1, 5), partitions)
    assert test.p_order[0, 0] < 0.01 and test.hardest[0] in partitions
    each = [order_test([gram_of(circle(12))], (1, 5), {name: one}).p_order for name, one in partitions.items()]
    assert test.p_order[0, 0] >= each[0][0, 0] - 0.005


def test_p_is_the_largest_over_partitions() -> None:
    gram = gram_of(circle(7) + 0.7 * random_vectors(7, 2, 5))
    partitions = {"weekend": WEEKEND, "none": (0,) * 7}
    alone = torch.stack([order_test([gram], (1, 2, 3), {name: one}).p_order for name, one in partitions.items()])
    together = order_test([gram], (1, 2, 3), partitions)
    torch.testing.assert_close(together.p_order, alone.amax(dim=0))
    assert together.hardest == (["weekend", "none"][int(alone[:, 0, int(alone.amax(dim=0).argmin())].argmax())],)


# ----------------------------------------------------------------------------------------------------- the orders


@pytest.mark.parametrize(
    ("partition", "kinds", "count"),
    [
        ((0,) * 4, (), 24),
        (WEEKEND, (), math.factorial(2) * math.factorial(5)),
        ((0, 0, 1, 1), (), 2 * 2 * 2),  # two classes of one size change places as wholes
        ((0, 1, 0, 1, 0, 1), (), 2 * 6 * 6),  # even and odd
        ((0, 0, 0, 1), (0, 0, 1, 0), 2),  # the third item is another kind of token
        ((0, 0, 1, 1), (0, 1, 0, 1), 2),  # one of each kind in both classes: only the classes change places
        ((0, 0, 1, 1), (0, 0, 0, 1), 2),  # classes of different kinds stay
        ((0, 1, 2), (0, 1, 2), 1),
    ],
)
def test_few_orders_are_all_there_once_each(partition: tuple[int, ...], kinds: tuple[int, ...], count: int) -> None:
    every = [tuple(row) for row in orders(partition, kinds).tolist()]
    assert len(every) == len(set(every)) == count
    assert every[0] == tuple(range(len(partition)))


def test_the_orders_of_a_partition_by_brute_force() -> None:
    """Of all 720 permutations of six labels, those that map classes onto classes are the ones that are listed."""
    partition = (0, 1, 1, 2, 2, 0)

    def keeps(order: tuple[int, ...]) -> bool:
        images = [{partition[order[s]] for s in range(6) if partition[s] == one} for one in range(3)]
        return all(len(image) == 1 for image in images)

    expected = {order for order in itertools.permutations(range(6)) if keeps(order)}
    assert {tuple(row) for row in orders(partition).tolist()} == expected and len(expected) == 48


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=3, max_size=12), st.integers(0, 1000))
def test_every_order_keeps_the_partition_and_the_kinds(labels: list[tuple[int, int]], seed: int) -> None:
    partition, kinds = (tuple(column) for column in zip(*labels, strict=True))
    sample = orders(partition, kinds, 20, seed).tolist()
    assert sample[0] == list(range(len(labels)))
    sizes = Counter(partition)
    for order in sample:
        assert sorted(order) == sample[0]
        assert [kinds[place] for place in order] == list(kinds)
        for one in sizes:
            (image,) = {partition[order[s]] for s in range(len(order)) if partition[s] == one}
            assert sizes[image] == sizes[one]


def test_many_orders_are_drawn_evenly() -> None:
    assert math.factorial(8) > ENUMERATED
    sample = orders((0,) * 8, count=ORDERS)
    assert sample.shape == (ORDERS + 1, 8)
    first = sample[1:, 0].bincount(minlength=8) / ORDERS
    assert (first - 1 / 8).abs().max() < 4 * math.sqrt(1 / 8 * 7 / 8 / ORDERS)


def test_partitions_by_divisors() -> None:
    assert divisor_partitions(7) == {}
    assert divisor_partitions(6) == {"mod 2": (0, 1, 0, 1, 0, 1), "mod 3": (0, 1, 2, 0, 1, 2)}


def test_a_place_of_noise_does_not_hide_a_circle_because_the_circle_spreads() -> None:
    """Months with a quarter of the identity's variance at one of six places: most are found, and alone no more are."""
    among_six, alone = 0, 0
    for seed in range(20):
        vectors = [random_vectors(12, 64, 10 * seed + place) for place in range(6)]
        vectors[0] += 0.5 * directions(circle(12), 64, seed)
        grams = [gram_of(each) for each in vectors]
        among_six += order_test(grams, (1,), {"seasons": SEASONS}).p_order[0].item() <= 0.01
        alone += order_test(grams[:1], (1,), {"seasons": SEASONS}).p_order.item() <= 0.01
    assert alone - 2 <= among_six and among_six >= 15


def test_corrected_by_hand() -> None:
    """Two places and four orders, of which only the true one is large at the first place."""
    scores = torch.tensor([[[4.0, 0, 0, 0]], [[1, 1, 0, 0]]]).double()
    assert standardised(scores)[:, 0].tolist() == [
        pytest.approx([3**0.5, *[-(3**-0.5)] * 3]),
        pytest.approx([1, 1, -1, -1]),
    ]
    assert centred(scores)[:, 0].tolist() == [[3, -1, -1, -1], [0.5, 0.5, -0.5, -0.5]]
    # The largest of every order: √3, 1, -1/√3, -1/√3. The first place is reached by one of four, the second by two.
    assert corrected(standardised(scores)).tolist() == [[0.25], [0.5]]
    # Seven times as large at the second place: 3.5, 3.5, -1, -1, so that the first is reached by two as well.
    assert corrected(centred(scores * torch.tensor([1.0, 7.0])[:, None, None])).tolist() == [[0.5], [0.5]]
    assert corrected(torch.ones(1, 1, 4).double()).tolist() == [[1.0]]


def test_the_smallest_p_that_a_circle_can_have_by_hand() -> None:
    """Rotations and reflections are the same circle, and where every frequency is searched so are all 7 · 6 maps
    a s + b; of the orders that keep the weekend together only the reflection that swaps its days."""
    grams = [gram_of(circle(7))]
    weekend = {"weekend": (0, 0, 0, 0, 0, 1, 1)}
    assert order_test(grams, (1,), {}).least == pytest.approx(14 / 5040)
    assert order_test(grams, (1, 2, 3), {}).least == pytest.approx(42 / 5040)
    assert order_test(grams, (1, 2, 3), weekend).least == pytest.approx(2 / 240)
    # A perfect circle has it, and no other code less.
    assert order_test(grams, (1,), {}).p_order.item() == pytest.approx(14 / 5040)
    assert order_test(grams, (1,), {}, kinds=tuple(range(7))).least == 1
