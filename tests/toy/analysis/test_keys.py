"""The four rules: silent on random networks, right on planted frequencies."""

import math

import pytest
import torch

from tests.toy.planted import planted
from toy.analysis import keys, spectra
from toy.analysis.circuits import neurons
from toy.analysis.readout import read_out
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import build


@pytest.mark.parametrize(
    ("task", "modulus", "architecture"),
    [("add", 23, "transformer"), ("multiply", 17, "transformer"), ("add", 24, "mlp"), ("quadratic", 11, "mlp")],
)
def test_untrained_networks_have_no_key(task: str, modulus: int, architecture: str) -> None:
    for seed in range(20):
        config = ToyConfig(task=task, modulus=modulus, architecture=architecture, seed=seed)
        readout = read_out(build(config), config)
        shares = spectra.grid_shares(readout.neurons)
        assert keys.all_rules(readout, shares) == {"embedding": [], "w_l": [], "logits": [], "neurons": []}
        assert neurons(readout, shares)["neurons_explained"] < 0.01


def test_the_line_of_the_matrix_rule_is_crossed_as_rarely_as_it_says() -> None:
    """20,000 flat matrices, family-wise 0.001: 20 cross it, give or take 4.5."""
    generator = torch.Generator().manual_seed(0)
    n, width, count = 23, 10, 20_000
    power = fourier.power(torch.randn(n, count * width, generator=generator, dtype=torch.float64))
    by_matrix = power.view(-1, count, width).sum(dim=2)
    largest = (by_matrix / by_matrix.sum(dim=0)).amax(dim=0)
    assert 7 <= int((largest > keys.share_threshold(n, float(width))).sum()) <= 33


def test_how_many_neurons_are_needed() -> None:
    # Long circles: 1 %, at least two. Noise has a share above half with probability 2^-55.
    assert [keys.neurons_needed(m, 113) for m in (18, 201, 512)] == [2, 3, 6]
    # 11 tokens: one noise neuron in 16 has it, 32 ± 5.5 of 512.
    assert 45 < keys.neurons_needed(512, 11) < 60
    # On three tokens there is one frequency, and every neuron belongs to it.
    assert keys.neurons_needed(10, 3) == 11


def test_effective_rank_counts_directions() -> None:
    basis = fourier.orthonormal_basis(9)[1:]
    assert keys.effective_rank(basis[:4].T) == pytest.approx(4)
    # Copies of one column are one direction, however many.
    assert keys.effective_rank(basis[:1].T.repeat(1, 30)) == pytest.approx(1)
    assert keys.effective_rank(torch.ones(9, 3)) == 0


def test_a_weak_circle_in_a_wide_matrix_is_a_key() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(31, 64, generator=generator, dtype=torch.float64)
    assert keys.of_matrix(rows) == []
    rows[:, :12] += 1.4 * fourier.circle(torch.arange(31), 6, 31)[:, :1]
    assert keys.of_matrix(rows) == [6]


@pytest.mark.parametrize("n", [2, 3])
def test_a_circle_too_short_for_noise_has_no_key(n: int) -> None:
    assert keys.of_matrix(fourier.circle(torch.arange(n), 1, n)) == []
    assert math.isinf(keys.share_threshold(n, 2.0, 1))


def test_logit_rule_draws_the_line_at_one_percent() -> None:
    n = 11
    readout = planted("add", n, logits=torch.zeros(n, n, n))
    difference = (readout.answer[..., None] - torch.arange(n)).double() * (2 * math.pi / n)
    # Amplitudes 10, 1.2 and 0.9: power shares 0.978, 0.014 and 0.008.
    logits = 10 * (2 * difference).cos() + 1.2 * (5 * difference).cos() + 0.9 * (4 * difference).cos()
    assert keys.of_logits(planted("add", n, logits=logits)) == [2, 5]


def test_neuron_rule_needs_two_neurons_and_one_percent() -> None:
    def counted(total: int, **belonging: int) -> list[int]:
        shares = torch.full((4, total), 0.1, dtype=torch.float64)
        place = 0
        for name, count in belonging.items():
            shares[int(name[1:]) - 1, place : place + count] = 0.6
            place += count
        return keys.of_neurons(shares, 113)

    assert counted(50, k2=1, k3=2) == [3]
    assert counted(1000, k1=9, k2=10, k4=30) == [4, 2]
    assert counted(101, k1=2) == [1]
    assert counted(50) == []


def test_the_line_at_half_of_a_neurons_variance() -> None:
    shares = torch.tensor([[0.5, 0.5, 0.51, 0.52], [0.4, 0.4, 0.4, 0.4]], dtype=torch.float64)
    assert keys.neurons_by_frequency(shares) == {1: 2}
