"""A circle holds on turns that the fit never saw; a picture of each turn does not."""

import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.questions.prompts import published_grid
from llm_probe.statistics.invariants import wrap_groups
from toy.maths import fourier
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals, plane_r2


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arithmetic(period: int) -> Labels:
    claim = Claim(modular("add", period), "sum")
    return Labels.of(claim, claim.prompts("discovery", 500, 0))


def heldout(states: torch.Tensor, labels: Labels, groups: Groups) -> float:
    target = fourier.circle(labels.label, 1, labels.period)
    errors = RidgeSmoother.of(states).heldout_residuals(target, groups, 0.01)
    return float(plane_r2(errors, baseline_residuals(target, groups)))


def test_groups_are_the_parities_of_the_quotient() -> None:
    labels = arithmetic(7)
    groups = wrap_groups(labels)
    assert groups is not None
    assert groups.count == 2
    members = [block[0] for block in groups.blocks] if len(groups.blocks) == 2 else list(groups.blocks[0])
    parities = [set((labels.total[member] // 7 % 2).tolist()) for member in members]
    assert sorted(parities, key=min) == [{0}, {1}]


def test_a_planted_circle_holds_on_unseen_turns() -> None:
    labels = arithmetic(11)
    groups = wrap_groups(labels)
    assert groups is not None
    circle = fourier.circle(labels.label, 1, 11) @ normal(2, 20)
    assert heldout(circle + 0.05 * normal(len(circle), 20, seed=1), labels, groups) > 0.98


def test_bumps_over_the_numbers_are_a_circle_by_pairs_and_none_by_wraps() -> None:
    """Gaussian bumps on n, narrower than a turn: any period can be read from them, on the turns that were fitted."""
    labels = arithmetic(11)
    groups, pairs = wrap_groups(labels), labels.groups("unit")
    assert groups is not None and pairs is not None
    centres = torch.arange(15, 200, 3).double()
    bumps = torch.exp(-0.5 * ((labels.total[:, None] - centres) / 3).square())
    assert heldout(bumps, labels, pairs) > 0.9
    assert heldout(bumps, labels, groups) < 0.1


def test_a_sawtooth_with_a_tooth_of_its_own_for_every_turn_does_not_come_round_again() -> None:
    """Cubic pieces, one for each turn, give the residue on fitted turns; an unseen turn has a tooth of its own."""
    labels = arithmetic(11)
    groups, pairs = wrap_groups(labels), labels.groups("unit")
    assert groups is not None and pairs is not None
    turn = torch.nn.functional.one_hot(labels.total // 11).double()
    height = labels.label.double()[:, None] / 11
    teeth = torch.cat([turn * height**power for power in range(4)], dim=1)
    assert heldout(teeth, labels, pairs) > 0.8
    assert heldout(teeth, labels, groups) < 0.1


def test_one_turn_a_side_is_not_enough() -> None:
    claim = Claim(modular("add", 23), "sum")
    assert wrap_groups(Labels.of(claim, published_grid(claim.domain))) is None
    days = Claim(DOMAINS["days"], "item")
    assert wrap_groups(Labels.of(days, days.prompts("discovery", 0, 0))) is None


def test_negative_results_have_quotients_too() -> None:
    claim = Claim(modular("sub", 11), "sum")
    labels = Labels.of(claim, claim.prompts("discovery", 500, 0))
    assert int(labels.total.min()) < 0
    groups = wrap_groups(labels)
    assert groups is not None
    circle = fourier.circle(labels.label, 1, 11) @ normal(2, 20)
    assert heldout(circle + 0.05 * normal(len(circle), 20, seed=1), labels, groups) > 0.98
