"""Every shape is told from the others when it is planted, a look-up is none of them, and a likelihood by hand."""

import math

import pytest
import torch

from llm_probe.geometry import shapes as room
from llm_probe.geometry.order import ENUMERATED
from llm_probe.geometry.shapes import Kernel, Shapes, shapes
from llm_probe.questions.domains import DOMAINS
from tests.llm_probe.geometry.planted import circle, gram_of, one_hot, planted, random_vectors

PARTITIONS = DOMAINS["months"].partitions
SEASONS = torch.tensor(PARTITIONS["seasons"])
MONTH = torch.arange(12)
X = 2 * MONTH / 11 - 1
FORMS = {
    "circle": circle(12),
    "clusters": one_hot(SEASONS),
    "runs": one_hot(MONTH // 6),
    "line": X[:, None],
    "open arc": torch.stack([X, 1.5 * X.square()], dim=1),
    "folded line": ((MONTH - 2) % 12 - 6).abs()[:, None],
}


def of(gram: torch.Tensor, frequency: int = 1) -> Shapes:
    return shapes(gram, frequency, (1, 5), PARTITIONS)


@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize("form", FORMS)
def test_each_planted_shape_gets_its_word(form: str, noise: float) -> None:
    result = of(planted(FORMS[form], noise, seed=1))
    assert result.p <= 0.02
    if form == "circle":
        assert result.ratio > math.log(100) and result.rival != "circle"
    else:
        assert result.rival == form
        assert result.ratio < -math.log(100)


def test_the_partition_of_clusters_is_named() -> None:
    assert of(planted(FORMS["clusters"], 0.3, 0)).name == "seasons"
    assert of(planted(one_hot(torch.tensor(PARTITIONS["quarters"])), 0.3, 0)).name == "quarters"
    assert of(planted(FORMS["runs"], 0.3, 0)).name == "2 runs of neighbours"


@pytest.mark.parametrize("start", [0, 4, 9])
def test_a_line_and_an_arc_may_be_cut_anywhere(start: int) -> None:
    for form in ("line", "open arc"):
        result = of(planted(FORMS[form].roll(start, dims=0), 0.3, 0))
        assert (result.rival, result.name) == (form, f"from {start}")


@pytest.mark.parametrize("centre", [0, 0.5, 2, 4.5])
def test_a_line_may_be_folded_at_an_item_or_between_two(centre: float) -> None:
    fold = ((MONTH - centre + 6) % 12 - 6).abs()[:, None]
    result = of(planted(fold, 0.3, 0))
    assert (result.rival, result.name) == ("folded line", f"at {centre:g}")


def test_a_circle_of_another_frequency_and_its_rivals() -> None:
    """Of k = 5 on twelve labels: every fifth is next, and a line may run in that order."""
    assert of(planted(circle(12, 5), 0.5, 0), frequency=5).ratio > math.log(100)
    line = of(planted(((5 * MONTH) % 12)[:, None], 0.3, 0), frequency=5)
    assert line.rival == "line" and line.ratio < -math.log(100)
    # In the order of the labels it is no shape at all, so that p does not know it.
    assert line.p > 0.05


def test_a_look_up_has_no_shape() -> None:
    """Of forty look-ups nine in ten have a p above 0.05, and the circle is never a hundred times likelier."""
    results = [of(gram_of(random_vectors(12, 64, seed))) for seed in range(40)]
    assert sum(result.p > 0.05 for result in results) >= 36
    assert max(abs(result.ratio) for result in results) < math.log(100)


def test_orders_are_enumerated_where_there_are_few() -> None:
    """Five items, none of another kind: p is a multiple of 1/120, and a circle shares its best with the dihedral 10."""
    assert math.factorial(5) <= ENUMERATED
    result = shapes(gram_of(circle(5)), 1, (1,), {})
    assert result.p == pytest.approx(10 / 120)
    assert shapes(gram_of(circle(5)), 1, (1, 2), {}).p == pytest.approx(20 / 120)


def test_a_weekend_is_one_of_21_partitions() -> None:
    """Of 5040 orders of the week, 2! · 5! = 240 keep it: they are all counted, not the first of a list."""
    weekend = DOMAINS["days"].partitions["weekend"]
    for noise in (0.0, 0.5):
        result = shapes(planted(one_hot(torch.tensor(weekend)), noise, 0), 1, (1,), {"weekend": weekend})
        assert (result.rival, result.name) == ("clusters", "weekend")
        assert result.p == pytest.approx(1 / 21)


def test_items_of_different_kinds_never_change_places() -> None:
    alone = shapes(planted(circle(5), 0.2, 0), 1, (1,), {}, kinds=(0, 1, 2, 3, 4))
    assert alone.p == 1.0
    assert alone.ratio > 0


# ----------------------------------------------------------------------------------------------- likelihoods by hand


def square() -> Kernel:
    """Four labels: the circle k = 1 in the three directions beyond the mean, and its eigenvalues 3/2, 3/2, 0."""
    kernels = room._kernels(4, 1, (1,), ())
    assert kernels[0].family == "circle"
    assert sorted(kernels[0].values.tolist()) == pytest.approx([0, 1.5, 1.5])
    return kernels[0]


def log_likelihood(gram: torch.Tensor) -> float:
    return float(room._log_likelihood(gram, torch.arange(4)[None], square()))


def test_without_the_shape_it_is_the_likelihood_of_independent_vectors() -> None:
    """An alternation has nothing on the circle, so that w = 0: -(3 log tr G)/2, tr G = 4 · 0.09."""
    alternation = 0.3 * torch.tensor([[1.0], [-1], [1], [-1]]).double()
    assert log_likelihood(gram_of(alternation)) == pytest.approx(-1.5 * math.log(0.36))
    # Labels that are all their own, G = I on three directions, gain nothing from any w.
    assert log_likelihood(gram_of(torch.eye(4).double())) == pytest.approx(-1.5 * math.log(3))


def test_with_the_shape_by_hand() -> None:
    """A square of radius 1 has trace 4 on the circle; beside it an alternation of 4 · 0.01."""
    vectors = torch.cat([circle(4), 0.1 * torch.tensor([[1.0], [-1], [1], [-1]])], dim=1)
    expected = max(-0.5 * (2 * math.log(1 + 1.5 * w) + 3 * math.log(4 / (1 + 1.5 * w) + 0.04)) for w in room.WEIGHTS)
    assert log_likelihood(gram_of(vectors)) == pytest.approx(expected)
    assert expected > -1.5 * math.log(4.04)


def test_all_shapes_are_of_equal_trace_and_none_is_listed_twice() -> None:
    kernels = room._kernels(12, 5, (1, 5), tuple(PARTITIONS.items()))
    matrices = [(kernel.vectors * kernel.values) @ kernel.vectors.T for kernel in kernels]
    for matrix in matrices:
        assert float(matrix.trace()) == pytest.approx(11)
        assert matrix.sum(dim=0).abs().max() < 1e-9
    distances = torch.stack([(one - other).abs().max() for i, one in enumerate(matrices) for other in matrices[:i]])
    assert distances.min() > 1e-9
    assert kernels[0].name == "k = 5"
    assert {kernel.family for kernel in kernels} == {*FORMS}


@pytest.mark.parametrize(("width", "low", "high"), [(8, 4, 16), (64, 32, 128)])
def test_degrees_of_freedom_of_independent_dimensions(width: int, low: float, high: float) -> None:
    """A look-up in d dimensions is a Wishart matrix of d degrees of freedom."""
    kernel = room._kernels(12, 1, (1, 5), ())[0]
    freedom = [room._degrees_of_freedom(gram_of(random_vectors(12, width, seed)), kernel) for seed in range(20)]
    middle = sorted(freedom)[10]
    assert low <= middle <= high
