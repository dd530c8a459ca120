"""Circles, lines, simplices and noise whose invariants are known in closed form."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_probe.questions.claims import Labels
from llm_probe.statistics import invariants
from toy.maths import fourier
from toy.run.errors import InputError


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def averaged_along_wrapped_diagonals(gram: torch.Tensor) -> torch.Tensor:
    """The projection on circulant matrices, entry by entry."""
    n = len(gram)
    offset = (torch.arange(n)[:, None] - torch.arange(n)) % n
    means = torch.stack([gram[offset == step].mean() for step in range(n)])
    return means[offset]


@settings(max_examples=25)
@given(st.integers(3, 12), st.integers(0, 10_000), st.booleans())
def test_fraction_is_the_average_along_wrapped_diagonals(n: int, seed: int, halves: bool) -> None:
    first, second = normal(n, 4, seed=seed), normal(n, 4, seed=seed + 1) if halves else None
    other = first if second is None else second
    gram = (first - first.mean(0)) @ (other - other.mean(0)).T
    gram = (gram + gram.T) / 2
    expected = averaged_along_wrapped_diagonals(gram).square().sum() / gram.square().sum()
    assert invariants.circulant_fraction(first, second) == pytest.approx(float(expected))
    assert float(invariants.circulant_spectrum(first, second).sum()) == pytest.approx(float(gram.trace()))


@pytest.mark.parametrize("n", [5, 7, 12])
def test_a_circle_whatever_its_plane(n: int) -> None:
    plane = torch.linalg.qr(normal(9, 9)).Q[:2]
    means = 3 * fourier.circle(torch.arange(n), 2, n) @ plane + 5
    assert invariants.circulant_fraction(means) == pytest.approx(1)
    assert invariants.circulant_beyond_simplex(means) == pytest.approx(1)
    spectrum = invariants.circulant_spectrum(means, means + normal(9))
    expected = torch.zeros(n // 2, dtype=torch.float64)
    expected[1] = 9 * n
    torch.testing.assert_close(spectrum, expected, atol=1e-9, rtol=0)


def test_a_line_by_hand() -> None:
    """Rank one: λ_k is the line's power at k, 1/sin²(πk/n) up to a factor; the fraction tends to 18 ζ(4)/π⁴ = 1/5."""
    n = 7
    power = torch.tensor([1 / math.sin(math.pi * k / n) ** 2 for k in range(1, n)])
    expected = float((power / power.sum()).square().sum())
    reference = invariants.circulant_reference(n)
    assert reference.line == pytest.approx(expected)
    assert reference.line_beyond_simplex == pytest.approx((expected - 1 / 6) / (5 / 6))
    assert invariants.circulant_reference(1001).line == pytest.approx(0.2, abs=1e-3)


def test_a_simplex_is_circulant_in_every_order_and_says_nothing_of_it() -> None:
    means = torch.eye(7, dtype=torch.float64)
    assert invariants.circulant_fraction(means) == pytest.approx(1)
    assert invariants.circulant_beyond_simplex(means) == 0
    torch.testing.assert_close(invariants.circulant_spectrum(means), torch.full((3,), 2.0, dtype=torch.float64))
    # Random embeddings are nearly one: the fraction alone would call them a circle.
    assert invariants.circulant_fraction(normal(7, 1000)) > 0.9


@pytest.mark.parametrize(("n", "dims"), [(7, 3), (12, 40)])
def test_noise_has_the_reference_fractions(n: int, dims: int) -> None:
    reference = invariants.circulant_reference(n)
    assert reference.noise == pytest.approx(1 / 7 if n == 7 else 1 / 11)
    pairs = [(normal(n, dims, seed=seed), normal(n, dims, seed=9999 + seed)) for seed in range(300)]
    fractions = torch.tensor([invariants.circulant_fraction(first, second) for first, second in pairs])
    assert float(fractions.mean()) == pytest.approx(reference.noise, abs=4 * float(fractions.std()) / 300**0.5 + 0.004)
    for halves in (pairs, [(first, None) for first, _ in pairs]):
        left = torch.tensor([invariants.circulant_beyond_simplex(*pair) for pair in halves])
        assert float(left.mean()) == pytest.approx(reference.noise_beyond_simplex, abs=4 * float(left.std()) / 300**0.5)


def test_means_that_do_not_vary_or_are_too_few() -> None:
    constant = torch.full((7, 3), 16.8, dtype=torch.float64)
    assert invariants.circulant_fraction(constant) == 0
    assert invariants.circulant_beyond_simplex(constant) == 0
    with pytest.raises(InputError, match="three or more"):
        invariants.circulant_fraction(normal(2, 3))
    with pytest.raises(InputError, match="four or more"):
        invariants.circulant_beyond_simplex(normal(3, 3))


def test_resultant_by_hand() -> None:
    true = fourier.circle(torch.arange(8), 1, 8)
    quarter = 7 * true.roll(1, dims=1) * torch.tensor([-1.0, 1.0])
    assert invariants.resultant(quarter, true) == pytest.approx(1)
    assert invariants.resultant(torch.ones_like(true), true) == pytest.approx(0, abs=1e-12)
    # Half of the angles off by a right angle: |1 + i| / 2.
    mixed = torch.where(torch.arange(8)[:, None] % 2 == 0, true, quarter)
    assert invariants.resultant(mixed, true) == pytest.approx(math.sqrt(0.5))


def test_resultant_of_noise_is_the_chance_level() -> None:
    true = fourier.circle(torch.arange(50), 1, 50)
    lengths = [invariants.resultant(normal(50, 2, seed=seed), true) for seed in range(400)]
    assert sum(lengths) / 400 == pytest.approx(invariants.resultant_chance(50), rel=0.08)


@settings(max_examples=40)
@given(st.integers(3, 30), st.integers(1, 15), st.floats(0.1, 10))
def test_every_label_is_decoded_from_its_own_point(period: int, frequency: int, radius: float) -> None:
    frequency = 1 + (frequency - 1) % (period // 2)
    labels = torch.arange(3 * period) % period
    points = radius * fourier.circle(labels, frequency, period)
    shared = math.gcd(frequency, period)
    assert invariants.decoded(points, period, frequency).tolist() == (labels % (period // shared)).tolist()
    assert invariants.decode_accuracy(points, labels, period, frequency) == 1
    assert invariants.decode_chance(period, frequency) == pytest.approx(shared / period)


def test_decoding_noise_is_at_chance_and_one_point_is_refused() -> None:
    labels = torch.arange(6000) % 12
    for frequency in (1, 3, 6):
        accuracy = invariants.decode_accuracy(normal(6000, 2), labels, 12, frequency)
        assert accuracy == pytest.approx(invariants.decode_chance(12, frequency), abs=0.03)
    with pytest.raises(InputError, match="single point"):
        invariants.decoded(normal(4, 2), 12, 12)


def test_kappa_by_hand() -> None:
    """Cohen's layout: 20 yes-yes, 15 no-no, 5 and 10 off the diagonal: p_o = 0.7, p_e = 0.5, κ = 0.4."""
    predicted = torch.tensor([1] * 25 + [0] * 25)
    true = torch.tensor([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    assert invariants.cohen_kappa(predicted, true) == pytest.approx(0.4)
    assert invariants.cohen_kappa(true, true) == pytest.approx(1)
    constant = torch.zeros(5, dtype=torch.long)
    assert invariants.cohen_kappa(constant, constant) == 0


@settings(max_examples=20)
@given(st.integers(2, 9), st.integers(2, 5), st.integers(0, 1000))
def test_phi_is_the_fourier_power_of_the_harmonics_and_the_trace_of_the_scatter(
    period: int, turns: int, seed: int
) -> None:
    n = period * turns
    vectors = normal(n, 3, seed=seed) + 16.8
    power = invariants.phi(vectors, torch.arange(n), period)
    waves = torch.polar(
        torch.ones(period - 1, n, dtype=torch.float64),
        -2 * math.pi * torch.outer(torch.arange(1, period), torch.arange(n)).double() / period,
    )
    expected = float((waves @ vectors.to(waves.dtype)).abs().square().sum()) / n
    assert power.phi == pytest.approx(expected)
    assert power.between == pytest.approx(power.phi / n)
    assert power.between + power.within == pytest.approx(float(vectors.var(dim=0, correction=0).sum()))


def test_phi_does_not_tell_residues_from_turns() -> None:
    """e(n) = A r + B m: Φ_T does not change with B, the scatter within does (the theorem's counterexample)."""
    n = torch.arange(100)
    residue, turn = n % 10, n // 10
    scaled = [
        invariants.phi(torch.stack([residue + scale * turn], dim=1).double(), n, 10) for scale in (0.0, 1.0, 100.0)
    ]
    assert [one.phi for one in scaled] == pytest.approx([scaled[0].phi] * 3)
    assert scaled[0].f_ratio == math.inf
    assert scaled[1].f_ratio == pytest.approx((10 * 82.5 / 9) / (10 * 82.5 / 90))
    assert scaled[2].f_ratio == pytest.approx(scaled[1].f_ratio / 100**2)


def test_noise_has_an_f_ratio_of_one_and_missing_residues_are_refused() -> None:
    noise = invariants.phi(normal(210, 500) + 3, torch.arange(210), 7)
    assert noise.f_ratio == pytest.approx(1, abs=0.1)
    with pytest.raises(InputError, match="on 3 residues"):
        invariants.phi(normal(30, 2), torch.arange(30) % 3, 7)
    with pytest.raises(InputError, match="more than 7"):
        invariants.phi(normal(7, 2), torch.arange(7), 7)


def test_massive_is_by_root_mean_square_not_by_variance() -> None:
    states = normal(50, 6)
    states[:, 2] = 100 + 1e-3 * states[:, 2]
    states[:, 4] *= 10
    torch.testing.assert_close(invariants.without_massive(states, 1), states[:, [0, 1, 3, 4, 5]])
    torch.testing.assert_close(invariants.without_massive(states, 2), states[:, [0, 1, 3, 5]])
    with pytest.raises(InputError, match="one at least must remain"):
        invariants.without_massive(states, 6)


def templates(means: torch.Tensor, count: int, noise: float, seed: int) -> torch.Tensor:
    """The means in so many templates, each with noise of its own in thirty dimensions more."""
    wide = torch.cat([means.double(), torch.zeros(len(means), 30, dtype=torch.float64)], dim=1)
    return wide + noise * normal(count, *wide.shape, seed=seed)


CIRCLE = fourier.circle(torch.arange(12), 1, 12)
ANGLE = torch.arange(12) * math.pi / 11
HALF_CIRCLE = torch.stack([ANGLE.cos(), ANGLE.sin()], dim=1)
"""An arc of a half turn: its ends are as far apart as they can be."""


def test_templates_that_agree_leave_the_closure_no_width() -> None:
    for means in (CIRCLE, HALF_CIRCLE):
        same = means.double().expand(4, -1, -1)
        ends = invariants.closure_interval(same, same[:3], 0)
        assert ends == pytest.approx((invariants.closure(means, means),) * 2)
    # Half a turn: neighbours 2 - 2 cos(π/11), opposite 2 - 2 cos(6π/11), ends 4.
    near, far = (2 - 2 * math.cos(step * math.pi / 11) for step in (1, 6))
    assert ends == pytest.approx(((far - 4) / (far - near),) * 2)


def test_the_interval_of_a_circle_covers_one_and_that_of_an_open_arc_lies_below() -> None:
    for means, closed in ((CIRCLE, True), (HALF_CIRCLE, False)):
        first, second = (templates(means, count, 0.2, seed) for count, seed in ((8, 1), (6, 2)))
        ends = invariants.closure_interval(first, second, 0)
        assert ends is not None
        low, high = ends
        assert low < invariants.closure(first.mean(dim=0), second.mean(dim=0)) < high
        assert (low < 1 < high) if closed else high < 0.5
        # The draws are a function of the seed.
        assert invariants.closure_interval(first, second, 0) == ends != invariants.closure_interval(first, second, 1)


def test_a_draw_by_hand_from_the_means_that_it_averages() -> None:
    """The three numbers for each pair of templates give what the class means of the drawn templates give."""
    first, second = (templates(CIRCLE, 2, 0.3, seed) for seed in (3, 4))
    every = [
        invariants.closure(first[list(left)].mean(dim=0), second[list(right)].mean(dim=0))
        for left in ((0, 0), (0, 1), (1, 0), (1, 1))
        for right in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    # One draw in sixteen gives the least value and one the largest: both are beyond the 2.5 % tails.
    assert invariants.closure_interval(first, second, 0) == pytest.approx((min(every), max(every)))


def test_no_interval_of_the_closure() -> None:
    whole = CIRCLE.double().expand(3, -1, -1)
    assert invariants.closure_interval(whole[:1], whole, 0) is None
    # Even items at one point, odd ones at another: opposite items, six steps apart, are nearer than neighbours.
    parity = fourier.circle(torch.arange(12), 6, 12).expand(3, -1, -1)
    assert math.isnan(invariants.closure(parity[0], parity[0]))
    assert invariants.closure_interval(parity, parity, 0) is None


def test_template_means_by_hand() -> None:
    template, label = torch.tensor([3, 3, 3, 5, 5]), torch.tensor([0, 1, 1, 1, 0])
    states = torch.tensor([[1.0], [2.0], [4.0], [5.0], [6.0]])
    labels = Labels("item", 2, label, label, label, torch.zeros(5, dtype=torch.long), template)
    means = invariants.template_means(states, labels)
    assert means is not None and means.tolist() == [[[1.0], [3.0]], [[6.0], [5.0]]]
    # The second template lacks label 1.
    assert invariants.template_means(states, replace(labels, label=torch.tensor([0, 1, 1, 0, 0]))) is None
