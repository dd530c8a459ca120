"""The period scan: a planted line, white noise, every period of n alike, and nothing to compare with."""

import math
from dataclasses import replace

import pytest
import torch

from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import modular
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.planes import shows_circle
from llm_probe.statistics.scan import LOWEST, MASSIVE_DIMENSIONS, Scan, scan, without_massive


def sums(period: int, size: int = 500) -> tuple[Claim, Labels]:
    claim = Claim(modular("add", period), "sum")
    return claim, Labels.of(claim, claim.prompts("discovery", size, 0))


def scanned(claim: Claim, labels: Labels, states: torch.Tensor) -> Scan:
    return scan(adjusted_states(states, labels), labels, claim.tested_frequencies)


def wave(labels: Labels, frequency: float) -> torch.Tensor:
    angle = 2 * math.pi * frequency * labels.total
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def noise(labels: Labels, cells: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(len(labels.label), cells, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("period", "k"), [(7, 2), (12, 1), (23, 4)])
def test_a_planted_line_has_a_tiny_p_at_its_cell_and_frequency(period: int, k: int) -> None:
    claim, labels = sums(period)
    states = noise(labels, 2, 20, 0)
    states[:, 1, 4:6] += wave(labels, k / period)
    result = scanned(claim, labels, states)
    assert result.p_period is not None and result.p_period < 1e-4
    assert torch.unravel_index(result.prominence.argmax(), result.prominence.shape) == (1, k - 1)
    assert result.frequencies[: period // 2].tolist() == pytest.approx([j / period for j in range(1, period // 2 + 1)])
    assert int(result.share[1].argmax()) == k - 1  # its own line, not the grid's nearest


def test_a_line_elsewhere_is_not_its_own() -> None:
    claim, labels = sums(7)
    states = noise(labels, 1, 20, 0)
    states[:, 0, :2] += wave(labels, 0.225)
    result = scanned(claim, labels, states)
    assert result.p_period is not None and result.p_period > 0.05


def test_white_noise_is_conservative() -> None:
    """Forty networks of noise, each by itself: seldom 0.05 or less, never near a corrected 0.001."""
    claim, labels = sums(11, 300)
    adjusted = adjusted_states(noise(labels, 40, 16, 0), labels)
    p = [scan(adjusted[:, [cell]], labels, claim.tested_frequencies).p_period for cell in range(40)]
    assert sum(value is not None and value <= 0.05 for value in p) <= 5
    assert min(value for value in p if value is not None) > 1e-3


def test_every_period_of_n_alike_is_no_period() -> None:
    claim, labels = sums(7)
    waves = torch.cat([wave(labels, float(f)) for f in torch.linspace(0.01, 0.5, 90)], dim=1)
    result = scanned(claim, labels, waves[:, None] + noise(labels, 1, 180, 1) / 10)
    assert result.p_period is not None and result.p_period > 0.5


def test_a_decimal_line_proves_nothing() -> None:
    """Multiples of 1/10 are expected of digits: of period 5 nothing is left, of period 20 every second line."""
    claim, labels = sums(5)
    states = noise(labels, 1, 20, 0)
    states[:, 0, :2] += 2 * wave(labels, 1 / 5)
    result = scanned(claim, labels, states)
    assert result.p_period is None
    assert not result.prominence.isfinite().any()
    claim, labels = sums(20)
    usable = scanned(claim, labels, noise(labels, 1, 20, 0)).prominence.isfinite()[0].tolist()
    # k/20 is a multiple of 1/10 for even k; 1/20 is above the lowest line.
    assert LOWEST < 1 / 20
    assert [k for k, kept in enumerate(usable, start=1) if kept] == [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("period", "lost"),
    # 2/19 is 0.0053 from 1/10, 7/23 is 0.0043 from 3/10; 5/17 is 0.0059 from 3/10, 4/13 is 0.0077 from it.
    [(7, []), (13, []), (17, []), (19, [2]), (23, [7]), (20, [2, 4, 5, 6, 8, 10]), (10, [2, 4, 5]), (5, [])],
)
def test_what_sums_cannot_tell_from_a_decimal_period_shows_no_circle(period: int, lost: list[int]) -> None:
    """Half the resolution of operands from 10 to 99 is 0.0056; where nothing else is left decimal lines stay."""
    claim, labels = sums(period)
    able = shows_circle(claim.tested_frequencies, labels).tolist()
    assert [k for k, shows in zip(claim.tested_frequencies, able, strict=True) if not shows] == lost


def test_what_is_not_written_in_digits_has_no_decimal_periods() -> None:
    claim, labels = sums(19)
    assert shows_circle(claim.tested_frequencies, replace(labels, has_digits=False)).all()


def test_none_where_own_lines_leave_too_few_others() -> None:
    """Lines nearer than twice the resolution cover everything: 1/45 with operands that span 89."""
    claim, labels = sums(24)
    assert scanned(claim, labels, noise(labels, 1, 20, 0)).p_period is not None
    wide = Labels("sum", 47, labels.total % 47, labels.total, labels.first, labels.offset, labels.template, True)
    result = scan(adjusted_states(noise(labels, 1, 20, 0), wide), wide, tuple(range(1, 24)))
    assert result.p_period is None
    assert not result.prominence.isfinite().any()


def test_massive_dimensions_are_set_to_zero_by_hand() -> None:
    _, labels = sums(7, 200)
    states = noise(labels, 2, 10, 0)
    states[:, 0, [1, 3, 5, 7]] *= 100
    states[:, 1, [0, 2, 4, 6]] *= 100
    left = without_massive(states)
    assert left[:, 0].abs().sum(dim=0).nonzero()[:, 0].tolist() == [0, 2, 4, 6, 8, 9]
    assert left[:, 1].abs().sum(dim=0).nonzero()[:, 0].tolist() == [1, 3, 5, 7, 8, 9]
    assert torch.equal(left[:, 0, 8], states[:, 0, 8])
    narrow = noise(labels, 1, 3, 0)
    assert int((without_massive(narrow) != 0).any(dim=0).sum()) == 1 < MASSIVE_DIMENSIONS  # one always stays


def test_a_small_line_under_massive_dimensions_is_seen() -> None:
    claim, labels = sums(7)
    states = noise(labels, 1, 20, 0)
    states[:, 0, 6:8] += 0.7 * wave(labels, 1 / 7)
    states[:, 0, :4] *= 300
    result = scanned(claim, labels, states)
    assert result.p_period is not None and result.p_period < 1e-3
