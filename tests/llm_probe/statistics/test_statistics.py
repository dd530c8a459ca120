"""Nulls, planes, dimensions and scan on states whose content is known: silent on digits, loud on a planted circle."""

import math

import pytest
import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.vocabulary import Quantity
from llm_probe.statistics import dimensions, planes, renaming, scan
from llm_probe.statistics.invariants import closure
from toy.maths.regression import RidgeSmoother, drop_zero, orthonormal, partial_r2, residual

D_MODEL = 48


def digit_network(labels: Labels, seed: int) -> torch.Tensor:
    """States of an untrained network of the digits: iid embeddings, two random ReLU layers."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) / shape[0] ** 0.5

    embedding, mixes = draw(10, 32), [draw(32, 96) for _ in range(4)]
    digits = (labels.first // 10, labels.first % 10, labels.offset // 10, labels.offset % 10)
    hidden = torch.stack([embedding[digit] @ mix for digit, mix in zip(digits, mixes, strict=True)]).sum(dim=0)
    return torch.relu(torch.relu(hidden * 30) @ draw(96, 96)) @ draw(96, D_MODEL)


def planted(states: torch.Tensor, labels: Labels, frequency: int, dims: tuple[int, int], share: float) -> torch.Tensor:
    """States with a circle of `share` standard deviations added in two dimensions."""
    angle = 2 * math.pi * frequency * labels.label / labels.period
    states = states.clone()
    states[:, dims[0]] += share * states.std() * angle.cos()
    states[:, dims[1]] += share * states.std() * angle.sin()
    return states


@pytest.fixture(scope="module")
def arithmetic() -> tuple[Claim, Labels, renaming.Renamed]:
    claim = Claim(modular("add", 7), "sum")
    labels = Labels.of(claim, claim.prompts("discovery", 400, 0))
    return claim, labels, renaming.rename(claim, labels, [], 99, 0)


def test_digit_renaming_keeps_digit_count_zero_and_the_modulus(arithmetic) -> None:
    claim, _, renamed = arithmetic
    assert renamed.total.shape == (99, 400)
    assert int(renamed.total.min()) >= 20
    assert int(renamed.total.max()) <= 198
    seventies = Labels("sum", 7, *(torch.tensor([value]) for value in (0, 70, 70, 0)), template=torch.tensor([0]))
    # 70 + 0 uses only digits that keep their names.
    again = renaming.rename(claim, seventies, [], 20, 1)
    assert set(again.total.ravel().tolist()) == {70}


def test_item_orders_are_enumerated_once() -> None:
    generator = torch.Generator().manual_seed(0)
    days = renaming.item_orders([1] * 7, (), 10, generator, mirrored=False)
    assert days.shape == (719, 7)
    assert len({tuple(order) for order in days.tolist()}) == 719
    assert renaming.item_orders([1] * 7, (), 10, generator, mirrored=True).shape == (359, 7)
    uneven = renaming.item_orders([1] * 8 + [2, 2], (), 50, generator, mirrored=False)
    assert all(set(order[:8]) == set(range(8)) for order in uneven.tolist())
    assert len(uneven) == 50


def test_claims_that_no_p_value_can_decide() -> None:
    assert "only 3 different orders" in (renaming.undecidable(Claim(DOMAINS["seasons"], "item"), [1] * 4, 499) or "")
    # Eight items, two of them of two tokens: 6! * 2! orders are kept, and 5! * 3! of five and three.
    assert renaming.undecidable(Claim(DOMAINS["compass"], "sum"), [1] * 6 + [2] * 2, 499) is None
    assert renaming.undecidable(Claim(DOMAINS["days"], "item"), [1] * 7, 499) is None
    assert "--renamings 99" in (renaming.undecidable(Claim(modular("add", 7), "sum"), [], 19) or "")


def test_corrected_p_by_hand() -> None:
    maxima = torch.tensor([0.1, 0.2, 0.3, 0.4])
    p = renaming.corrected_p(torch.tensor([0.05, 0.3, 0.35, 0.9]), maxima)
    torch.testing.assert_close(p, torch.tensor([5, 3, 2, 1]).double() / 5)


@pytest.mark.parametrize("quantity", ["item", "sum"])
def test_residuals_of_one_hot_pairs_hold_every_renaming(quantity: Quantity) -> None:
    """Days are asked many times each, in several templates: the Gram matrix of pairs gives what refits of every
    renaming give, up to the float32 of these."""
    claim = Claim(DOMAINS["days"], quantity)
    labels = Labels.of(claim, claim.prompts("discovery", 300, 0))
    which, units = labels.unit.unique(return_inverse=True)[1], labels.groups("unit")
    assert units is not None and planes.asked_often(labels)
    generator = torch.Generator().manual_seed(0)
    of_unit = torch.randn(units.count, 12, generator=generator)[which]
    smoothers = [RidgeSmoother.of(of_unit + torch.randn(of_unit.shape, generator=generator)) for _ in range(2)]
    renamed = renaming.rename(claim, labels, [0] * 7, 40, 0)
    exact = planes._null_of_units(smoothers, labels, units, claim.tested_frequencies)(renamed)
    refitted = planes._null_of_prompts(smoothers, labels, units, claim.tested_frequencies)(renamed)
    assert exact.shape == (2, len(renamed.total), len(claim.tested_frequencies))
    torch.testing.assert_close(exact, refitted, atol=2e-4, rtol=0)


def test_a_planted_plane_is_found_where_it_is(arithmetic) -> None:
    claim, labels, renamed = arithmetic
    quiet = digit_network(labels, 0)
    states = torch.stack([quiet, planted(quiet, labels, 2, (5, 9), 0.5)], dim=1)
    smoothers = [RidgeSmoother.of(states[:, cell]) for cell in range(2)]
    result = planes.search(smoothers, labels, renamed, claim.tested_frequencies)
    assert result.p_renaming[1, 1].item() == pytest.approx(0.01)
    assert result.p_renaming[0].min().item() > 0.05
    assert int(result.r2.argmax()) == 1 * 3 + 1
    adjusted = dimensions.adjusted_states(states, labels)
    by_dimension = dimensions.search(adjusted, labels, renamed, claim.tested_frequencies)
    assert set(by_dimension.r2[1, 1].topk(2).indices.tolist()) == {5, 9}
    assert by_dimension.p_renaming(by_dimension.r2[1, 1, 5]).item() == pytest.approx(0.01)
    scanned = scan.scan(adjusted, labels, claim.tested_frequencies)
    assert scanned.p_period <= 0.01
    assert int(scanned.prominence.argmax()) == 1 * 3 + 1


def test_what_the_digits_read_beside_the_chosen_plane_is_said() -> None:
    """k = 2 of nineteen is period 9.5; of seven every frequency can be told from the digits."""
    for period, decimal in ((19, [2]), (7, [])):
        claim = Claim(modular("add", period), "sum")
        labels = Labels.of(claim, claim.prompts("discovery", 200, 0))
        states = planted(digit_network(labels, 0), labels, 2, (5, 9), 0.5)
        renamed = renaming.rename(claim, labels, [], 19, 0)
        result = planes.search([RidgeSmoother.of(states)], labels, renamed, claim.tested_frequencies)
        assert [k for k, only in zip(result.frequencies, result.decimal, strict=True) if only] == decimal
        assert result.at(0, 0).p_decimal == (result.p_renaming[0, 1].item() if decimal else None)


def test_a_general_number_representation_is_not_modular(arithmetic) -> None:
    """Every period of n is present alike: the renaming null falls, the period scan must not."""
    claim, labels, renamed = arithmetic
    angles = 2 * math.pi * torch.linspace(0.01, 0.5, 90) * labels.total[:, None]
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    result = planes.search([RidgeSmoother.of(waves)], labels, renamed, claim.tested_frequencies)
    assert result.p_renaming.min().item() <= 0.01
    assert scan.scan(dimensions.adjusted_states(waves[:, None], labels), labels, (1, 2, 3)).p_period > 0.05


def test_variance_shares_by_hand(arithmetic) -> None:
    """Two lines of unequal strength and noise: each line's share is its share of the variance."""
    _, labels, _ = arithmetic
    angle = 2 * math.pi * labels.total / 7
    noise = torch.randn(400, 8, generator=torch.Generator().manual_seed(0)) * 0.01
    waves = torch.stack([2 * angle.cos(), 2 * angle.sin(), (3 * angle).cos(), (3 * angle).sin()], dim=1)
    states = torch.cat([waves, 50 + noise], dim=1)
    adjusted = dimensions.adjusted_states(states[:, None], labels)
    # The largest four dimensions are left out of a share, so four larger ones are added to be left out.
    adjusted = torch.cat([adjusted, 10 * adjusted[:, :, :4]], dim=2)
    shares = scan.shares(adjusted, labels, torch.tensor([1 / 7, 3 / 7], dtype=torch.float64))[0]
    assert shares.tolist() == pytest.approx([0.8, 0.2], abs=0.02)


def test_untrained_networks_give_uniform_p(arithmetic) -> None:
    """Thirty untrained networks: the corrected p of planes and of dimensions is 0.05 or less about as often."""
    claim, labels, renamed = arithmetic
    plane_p, dimension_p, period_p = [], [], []
    for seed in range(30):
        states = digit_network(labels, seed)[:, None]
        result = planes.search([RidgeSmoother.of(states[:, 0])], labels, renamed, claim.tested_frequencies)
        plane_p.append(result.p_renaming.min().item())
        adjusted = dimensions.adjusted_states(states, labels)
        by_dimension = dimensions.search(adjusted, labels, renamed, claim.tested_frequencies)
        dimension_p.append(by_dimension.p_renaming(by_dimension.r2.max()).item())
        period_p.append(scan.scan(adjusted, labels, claim.tested_frequencies).p_period)
    for values in (plane_p, dimension_p, period_p):
        # 5 of 30 or more at p <= 0.05 has probability 0.016 if the test is exact; the seeds are fixed.
        assert sum(value <= 0.05 for value in values) < 5
        assert 0.25 < sum(values) / len(values) < 0.75


def test_dimension_null_equals_regression_by_regression(arithmetic) -> None:
    """The Gram algebra against explicit partial regressions of each renaming."""
    claim, labels, renamed = arithmetic
    few = renaming.Renamed(renamed.total[:3], renamed.carry[:3])
    fixed = dimensions.fixed_nuisances(labels)
    responses = residual(digit_network(labels, 3).double(), fixed)
    renamed_maxima = dimensions.null_maxima(responses, labels, few, claim.tested_frequencies, fixed)
    magnitude = dimensions.Magnitude(labels)
    for index in range(3):
        extra = orthonormal(drop_zero(residual(magnitude.columns(few.total[index], few.carry[index]), fixed)))
        nuisances = torch.cat([fixed, extra], dim=1)
        adjusted = residual(responses, extra)
        best = max(
            partial_r2(adjusted, planes.fourier.design(few.total[index] % 7, k, 7), nuisances).max().item()
            for k in claim.tested_frequencies
        )
        assert renamed_maxima[index].item() == pytest.approx(best, rel=1e-4)


def test_items_on_a_circle_and_on_a_line() -> None:
    """Leave-one-item-out tells a circle from an order that does not close; seven iid items give neither."""
    claim = Claim(DOMAINS["months"], "item")
    labels = Labels.of(claim, claim.prompts("discovery", 0, 0))
    renamed = renaming.rename(claim, labels, [1] * 12, 199, 0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(labels.label), 30, generator=generator) * 0.3
    index = labels.label.double()
    circle = torch.cat([planes.circles(labels.label, (1,), 12).float() * 2, noise], dim=1)
    line = torch.cat([torch.stack([index, index**2 / 11], dim=1).float() / 2, noise], dim=1)
    both = [planes.search([RidgeSmoother.of(states)], labels, renamed, (1,)) for states in (circle, line)]
    assert both[0].p_renaming.item() <= 0.01
    assert both[0].r2.item() > both[0].rivals["quadratic"].item()
    assert both[1].rivals["quadratic"].item() > both[1].r2.item()


def test_confirmation_predicts_new_prompts_and_unseen_items() -> None:
    claim = Claim(DOMAINS["days"], "item")
    labels, new = (Labels.of(claim, claim.prompts(part, 0, 0)) for part in ("discovery", "confirmation"))
    generator = torch.Generator().manual_seed(1)

    def states(of: Labels) -> torch.Tensor:
        noise = torch.randn(len(of.label), 10, generator=generator) * 0.05
        return torch.cat([planes.circles(of.label, (1,), 7).float(), noise], dim=1)

    confirmed, points, errors = planes.confirm(states(labels), states(new), labels, new, 1, 0.01, seed=0)
    assert confirmed.r2 > 0.9
    assert confirmed.low <= confirmed.r2 <= confirmed.high
    assert confirmed.r2 == pytest.approx(1 - float(errors[:, 0].sum() / errors[:, 1].sum()))
    assert confirmed.angle_error < 0.2
    assert points.shape == errors.shape == (len(new.label), 2)


def test_closure_of_a_circle_a_line_and_noise() -> None:
    labels = torch.arange(12)
    generator = torch.Generator().manual_seed(0)
    circle = planes.circles(labels, (1,), 12)
    line = torch.stack([labels.double(), torch.zeros(12, dtype=torch.float64)], dim=1)
    assert closure(circle, circle) == pytest.approx(1)
    # On a line D_adjacent = 1, D_opposite = 36, D_ends = 121.
    assert closure(line, line) == pytest.approx((36 - 121) / 35)

    def noisy(means: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(12, 200, generator=generator, dtype=torch.float64) * 0.2
        return torch.cat([means, noise], dim=1)

    # Noise of the two halves is independent, so it does not push the ends apart or together.
    assert closure(noisy(circle), noisy(circle)) == pytest.approx(1, abs=0.4)
