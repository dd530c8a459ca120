"""The assignment test on tables worked out by hand, on random tables, and on networks whose arithmetic is known."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.statistics import assignment, dimensions, gains, planes
from llm_probe.statistics.assignment import assignment_test, modulus_tests, unrelated_subset
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother, partial_r2, residual
from toy.run.errors import InputError

FIVE = (7, 9, 11, 13, 17)
SEVEN = (7, 9, 11, 13, 17, 19, 23)
DEFAULT = (7, 11, 12, 13, 17, 19, 23, 24)
D_MODEL = 24


def random_tables(units: int, m: int, seed: int) -> torch.Tensor:
    return torch.randn(units, m, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_diagonal_is_one_of_all_assignments() -> None:
    test = assignment_test(torch.eye(5)[None], FIVE)
    assert test.maxima.shape == (120,)
    assert test.p_joint == pytest.approx(1 / 120)
    # T is the trace of C: five, less a mean and a parabola.
    assert test.statistic.item() == pytest.approx(2)
    assert assignment_test(torch.eye(7)[None], SEVEN).p_joint == pytest.approx(1 / 5040)


def test_the_wrong_diagonal_and_a_table_without_one() -> None:
    shifted = torch.roll(torch.eye(5), 1, dims=1)[None]
    assert assignment_test(shifted, FIVE).p_joint > 0.5
    for flat in (torch.full((1, 5, 5), 0.7), torch.arange(5.0)[None, :, None].expand(1, 5, 5).contiguous()):
        test = assignment_test(flat, FIVE)
        assert test.p_joint == 1


def test_strength_times_ease_is_no_diagonal() -> None:
    """Long periods are easy to read, large moduli's prompts are strong: a diagonal, and no arithmetic."""
    size = torch.tensor(SEVEN, dtype=torch.float64).log()
    general = torch.outer(size, size.square())[None]
    assert float(assignment.interaction(general).diagonal(dim1=1, dim2=2).sum()) > 0
    assert assignment_test(general, SEVEN).p_joint == 1
    assert assignment_test(general + 0.1 * torch.eye(7), SEVEN).p_joint == pytest.approx(1 / 5040)


def test_the_effect_is_what_rows_columns_and_sizes_do_not_predict() -> None:
    rows, columns = random_tables(2, 7, 3)[:, :, :1], random_tables(2, 7, 4)[:, :1]
    size = torch.tensor(SEVEN, dtype=torch.float64).log()
    own = torch.diag(torch.tensor([0.3, 0, 0.1, 0, 0.7, 0, -0.2], dtype=torch.float64))
    above = assignment.excess(rows + columns + 0.4 * torch.outer(size, size) + own, SEVEN)
    torch.testing.assert_close(above, own.expand(2, 7, 7), atol=1e-9, rtol=0)


def test_maxima_equal_the_sums_of_every_assignment() -> None:
    tables = random_tables(3, 5, 0)
    weights = assignment.contrast(FIVE)
    expected = [
        max(float((weights * table[:, list(order)]).sum()) for table in tables)
        for order in itertools.permutations(range(5))
    ]
    test = assignment_test(tables, FIVE)
    torch.testing.assert_close(test.maxima, torch.tensor(expected, dtype=torch.float64))
    by_hand = [sum(value >= own - 1e-12 for value in expected) / 120 for own in test.statistic.tolist()]
    assert test.p_fwer.tolist() == pytest.approx(by_hand)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_rows_columns_and_scale_change_nothing(seed: int, scale: float) -> None:
    tables = random_tables(2, 5, seed)
    rows, columns = random_tables(2, 5, seed + 1)[:, :, :1], random_tables(2, 5, seed + 2)[:, :1]
    one, other = (assignment_test(gain, FIVE) for gain in (tables, scale * (tables + rows + columns)))
    torch.testing.assert_close(one.p_fwer, other.p_fwer)
    above = [assignment.excess(gain, FIVE) for gain in (scale * tables, scale * (tables + rows + columns))]
    torch.testing.assert_close(*above, rtol=1e-6, atol=1e-8 * scale)


@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_moduli_changes_nothing(seed: int) -> None:
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    tables = random_tables(4, 5, seed)
    one = assignment_test(tables, FIVE)
    other = assignment_test(tables[:, order][:, :, order], [FIVE[index] for index in order])
    torch.testing.assert_close(one.p_fwer, other.p_fwer)


def test_uniform_where_columns_are_exchangeable() -> None:
    """Correlated units, unequal rows and columns: each p, and the p of both kinds together, stays uniform."""
    p = []
    for seed in range(150):
        units = random_tables(20, 5, seed) + 2 * random_tables(1, 5, seed + 1000)
        kinds = [assignment_test(units, FIVE), assignment_test(units[:3].exp(), FIVE)]
        p.append([kinds[0].p_joint, assignment.joint_p(kinds)])
    for values in torch.tensor(p).T:
        # Binomial(150, .05): 14 or more has probability 0.02 at seeds that are fixed; a uniform mean has sd 0.024.
        assert int((values <= 0.05).sum()) < 14
        assert 0.43 < values.mean().item() < 0.58


def test_eight_moduli_are_sampled_with_the_true_one_among_them() -> None:
    orders = assignment.assignments(8)
    assert orders.shape == (5040, 8)
    assert orders[0].tolist() == list(range(8))
    assert torch.equal(orders, assignment.assignments(8))
    eight = (7, 9, 11, 13, 16, 17, 19, 23)
    assert assignment_test(torch.eye(8)[None], eight).p_joint == pytest.approx(1 / 5040)


def test_unrelated_moduli_by_hand() -> None:
    assert assignment.related(DEFAULT) == [(12, 24)]
    assert unrelated_subset(DEFAULT, 7) == (7, 11, 12, 13, 17, 19, 23)
    assert unrelated_subset(DEFAULT, 24) == (7, 11, 13, 17, 19, 23, 24)
    assert unrelated_subset(SEVEN, 9) == SEVEN
    # 5 goes with 7, 11, 13, 17, but 10 and 20 do not; 20 divides nothing else, and of 10 and 20 the first is kept.
    assert unrelated_subset((5, 7, 10, 11, 13, 17, 20), 5) == (5, 7, 11, 13, 17)
    assert unrelated_subset((5, 7, 10, 11, 13, 17, 20), 7) == (5, 7, 11, 13, 17)
    # A modulus that stands against two others gives way to both.
    assert unrelated_subset((24, 8, 12, 7, 11, 13), 7) == (8, 12, 7, 11, 13)


def test_too_few_moduli_say_how_many_are_needed() -> None:
    with pytest.raises(InputError, match=r"modulus 24 has 4 moduli .* \(7, 11, 13, 24\) and needs 5 or more"):
        unrelated_subset((7, 8, 11, 12, 13, 24), 24)
    with pytest.raises(InputError, match="modulus 5 is not among 7, 9"):
        unrelated_subset(SEVEN, 5)
    with pytest.raises(InputError, match="needs 5 moduli or more and was given 4"):
        assignment_test(torch.eye(4)[None], FIVE[:4])
    few = (7, 8, 11, 12, 13, 24)
    assert "needs 5" in (assignment.why_not(few, 24) or "")
    assert assignment.why_not(few, 7) is None
    assert set(modulus_tests(few, random_tables(2, 6, 0)[None])) == {7, 8, 11, 12, 13}


def test_what_is_said_of_one_modulus() -> None:
    """A diagonal of 0.5 in the second of two cells under every modulus but 11; 24 is read under 12 and 12 under 24."""
    cells = 0.01 * random_tables(2, 8, 0)
    cells[1] += 0.5 * torch.eye(8)
    cells[1, 1, 1] -= 0.5
    cells[1, 2, 7] += 0.5
    cells[1, 7, 2] += 0.5
    tests = modulus_tests(DEFAULT, cells[None], random_tables(40, 8, 1))
    assert list(tests) == list(DEFAULT)
    assert tests[7].moduli == (7, 11, 12, 13, 17, 19, 23)
    assert tests[7].left_out == (24,)
    assert tests[24].left_out == (12,)
    assert tests[7].p_planes == pytest.approx(1 / 5040)
    assert tests[7].p <= 2 * tests[7].p_planes
    assert tests[7].p_dimension is not None
    assert tests[7].p_dimension > 0.05
    assert tests[7].cell == 1
    assert tests[7].n_permutations == 5040
    # Noise of 0.01, several times as much in the prediction of the diagonal.
    assert tests[7].effect == pytest.approx(0.5, abs=0.05)
    assert tests[7].rank == 1
    assert tests[11].effect == pytest.approx(0, abs=0.05)
    assert tests[11].rank > 1


def test_a_frequency_has_the_effect_that_it_has_alone() -> None:
    """k = 1 is read of any integer, far better than the circle that is planted at k = 2 under every modulus."""
    tables = 0.01 * torch.stack([random_tables(2, 7, seed) for seed in range(3)])
    tables[0] += 3 + 0.3 * random_tables(2, 7, 3)
    tables[1, 0] += 0.5 * torch.eye(7)
    test = modulus_tests(SEVEN, tables)[13]
    assert test.effects[1] == pytest.approx(0.5, abs=0.05) and test.effect_at(2) == test.effects[1]
    assert abs(test.effects[2]) < 0.05
    # All together are the largest gain, which is that of k = 1 everywhere.
    assert test.effect == test.effects[0] == test.effect_at(4)


@pytest.fixture(scope="module")
def labels() -> Labels:
    claim = Claim(modular("add", 7, operands=range(10, 50)), "sum")
    return Labels.of(claim, claim.prompts("discovery", 360, 0))


def network(labels: Labels, seed: int) -> dict[int, torch.Tensor]:
    """States of one random two-layer ReLU network of the digits and sizes of a, b, n and the modulus, per modulus."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    numbers = (labels.first, labels.offset, labels.total)
    digits = [torch.nn.functional.one_hot(number // place % 10, 10) for number in numbers for place in (1, 10, 100)]
    sizes = torch.stack([number / number.max() for number in numbers], dim=1)
    seen, first, modulus = torch.cat([*digits, sizes], dim=1).float(), draw(93, 64), draw(21, 64)
    second, last = draw(64, 64) / 8, draw(64, D_MODEL) / 8
    states = {}
    for p in SEVEN:
        modulus_signal = (
            torch.cat([modulus[p % 10], modulus[10 + p // 10], modulus[20] * p / 23]).view(3, 64).sum(dim=0)
        )
        states[p] = torch.relu(torch.relu(seen @ first + modulus_signal) @ second) @ last
    return states


def tables(states: dict[int, torch.Tensor], labels: Labels) -> tuple[torch.Tensor, torch.Tensor]:
    """gain[k, u, i, j] of one cell's planes, and gain[u, i, j] of its dimensions."""
    cell = [gains.plane_gain([RidgeSmoother.of(states[p])], labels, SEVEN) for p in SEVEN]
    adjusted = [dimensions.adjusted_states(states[p][:, None], labels) for p in SEVEN]
    single = [gains.dimension_gain(value, labels, SEVEN)[:, 0] for value in adjusted]
    return torch.stack(cell, dim=1).permute(3, 2, 0, 1), torch.stack(single, dim=-1).transpose(0, 1)


def with_arithmetic(states: dict[int, torch.Tensor], labels: Labels, amplitude: float) -> dict[int, torch.Tensor]:
    """A circle of each prompt's own modulus in dimensions 3 and 8, in units of their standard deviation."""
    planted = {}
    for p, value in states.items():
        angle = 2 * math.pi * labels.total / p
        planted[p] = value.clone()
        for dim, wave in ((3, angle.cos()), (8, angle.sin())):
            planted[p][:, dim] += amplitude * value[:, dim].std() * wave
    return planted


def test_silent_on_networks_of_the_digits_and_loud_on_arithmetic(labels: Labels) -> None:
    quiet, loud = [], []
    for seed in range(6):
        states = network(labels, seed)
        quiet.append(modulus_tests(SEVEN, *tables(states, labels))[7])
        if seed < 2:
            loud.append(modulus_tests(SEVEN, *tables(with_arithmetic(states, labels, 0.5), labels))[7])
    # Three of six at 0.05 or less has probability 0.002.
    for p in ([test.p_planes for test in quiet], [test.p_dimension or 0 for test in quiet], [test.p for test in quiet]):
        assert sum(value <= 0.05 for value in p) <= 2
    assert all(test.p <= 2 / 5040 for test in loud)
    assert {test.dimension for test in loud} <= {3, 8}
    assert all(test.rank == 1 and test.rank_dimension == 1 for test in loud)


def test_a_general_number_is_not_arithmetic(labels: Labels) -> None:
    """Every period of n can be read, and well; the prompts differ in nothing."""
    angles = 2 * math.pi * torch.linspace(0.01, 0.5, 40) * labels.total[:, None]
    noise = torch.randn(len(labels.total), 12, generator=torch.Generator().manual_seed(0))
    same = torch.cat([angles.cos(), angles.sin(), noise], dim=1)
    cell, single = tables(dict.fromkeys(SEVEN, same), labels)
    assert cell.min().item() > 0.1
    assert modulus_tests(SEVEN, cell, single)[7].p == 1


def test_gains_equal_regression_by_regression(labels: Labels) -> None:
    states = network(labels, 0)[11]
    nuisances = dimensions.nuisance_basis(labels)
    responses = residual(states.double(), nuisances)
    gain = gains.dimension_gain(dimensions.adjusted_states(states[:, None], labels), labels, (12, 7))
    for row, period in zip(gain[:, 0], (12, 7), strict=True):
        each = [
            partial_r2(responses, fourier.design(labels.total, k, period), nuisances)
            for k in fourier.frequencies(period)
        ]
        torch.testing.assert_close(row.double(), torch.stack(each).amax(dim=0).log(), atol=1e-3, rtol=0)
    smoother = RidgeSmoother.of(states)
    targets = planes.circles(labels.total, (1, 2, 3), 12)
    units = labels.groups("unit")
    assert units is not None
    base = planes.baseline_residuals(targets, units)
    r2 = planes.plane_r2(smoother.heldout_residuals(targets, units, planes.PENALTIES[0]), base)
    gain = gains.plane_gain([smoother], labels, (12,))
    assert gain.shape == (1, 1, 3)
    torch.testing.assert_close(gain[0, 0].double(), -0.5 * (1 - r2.double()).log())


def test_dead_dimensions_gain_nothing_anywhere(labels: Labels) -> None:
    states = network(labels, 1)[7][:, None].clone()
    states[:, 0, 2] = 5.0
    gain = gains.dimension_gain(dimensions.adjusted_states(states, labels), labels, SEVEN)
    assert bool(gain.isfinite().all())
    assert gain[:, 0, 2].tolist() == pytest.approx([math.log(1e-12)] * 7)
