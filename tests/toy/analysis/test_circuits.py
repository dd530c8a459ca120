"""Neurons along a path, heads, subgroups: planted."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy.planted import planted
from toy.analysis import circuits, spectra


def wave(n: int, frequency: int, phase: float = 0.0) -> torch.Tensor:
    return (2 * math.pi * frequency / n * torch.arange(n, dtype=torch.float64) - phase).cos()


def test_the_strongest_neurons_come_first_with_phase_and_purity() -> None:
    n = 11
    flat = torch.ones(n, dtype=torch.float64)
    first = torch.outer(2 * wave(n, 3, 0.5), flat)
    second = torch.outer(5 * wave(n, 2, -1.0) + 1 * wave(n, 4), flat)
    neurons = torch.stack([first, second, torch.zeros(n, n), torch.outer(flat, wave(n, 1))], dim=2)
    ranked = circuits.rank_neurons(planted("add", n, neurons=neurons), fixed=4)
    # The last one varies with b alone, the third not at all: both are constant along the path.
    assert [row["neuron"] for row in ranked["neuron_ranking"]] == [1, 0]
    strongest = ranked["neuron_ranking"][0]
    assert strongest["frequency"] == 2
    assert strongest["peak_power"] == pytest.approx(25 * n / 2)
    assert strongest["phase"] == pytest.approx(-1.0)
    assert strongest["purity"] == pytest.approx(25 / 26)
    assert ranked["neuron_ranking"][1]["phase"] == pytest.approx(0.5)
    assert ranked["neuron_purity_median"] == pytest.approx(25 / 26)  # of [25/26, 1] the lower


def test_explained_neurons_and_dead_ones() -> None:
    n = 13
    flat = torch.ones(n, dtype=torch.float64)
    alone = torch.outer(wave(n, 3), wave(n, 3, 0.7))
    # Shares 0.8 at 3 and 0.2 at its double 6; 0.8 at 3 and 0.2 at 4, which is not its double.
    doubled = torch.outer(2 * wave(n, 3) + wave(n, 6), flat)
    mixed = torch.outer(2 * wave(n, 3) + wave(n, 4), flat)
    neurons = torch.stack([alone, doubled, mixed, torch.full((n, n), 3.0)], dim=2)
    readout = planted("add", n, neurons=neurons)
    summary = circuits.neurons(readout, spectra.grid_shares(neurons))
    assert summary["n_neurons"] == 4 and summary["n_dead_neurons"] == 1
    assert summary["neuron_frequencies"] == [3, 3, 3, 0]
    assert summary["neuron_shares"] == pytest.approx([1, 0.8, 0.8, 0])
    assert summary["n_neurons_explained"] == 1
    assert summary["neurons_explained"] == pytest.approx(1 / 3)
    assert summary["neurons_explained_with_double"] == pytest.approx(2 / 3)
    assert summary["neurons_by_frequency"] == {"3": 2 + 1}


def test_a_layer_of_dead_neurons_has_no_shares() -> None:
    readout = planted("add", 7, neurons=torch.zeros(7, 7, 3))
    summary = circuits.neurons(readout, spectra.grid_shares(readout.neurons))
    assert summary["n_dead_neurons"] == 3 and summary["neurons_explained"] is None
    assert circuits.rank_neurons(readout) == {"neuron_ranking": [], "neuron_purity_median": None}


def test_a_periodic_head_beside_a_constant_one() -> None:
    n = 11
    attention = torch.zeros(n, n, 2, 3, dtype=torch.float64)
    attention[..., 0, 0] = 0.5 + 0.3 * wave(n, 4)[:, None] - 0.1 * wave(n, 4)
    attention[..., 1, 0] = 1 / 3
    heads = circuits.attention_periodicity(planted("add", n, attention=attention))
    assert heads is not None
    assert heads[0]["frequency"] == 4 and heads[0]["share"] == pytest.approx(1)
    assert heads[1]["share"] == 0
    assert circuits.attention_periodicity(planted("add", n)) is None


@given(st.integers(3, 60))
def test_orders_divide_the_modulus_and_hold_every_frequency_once(n: int) -> None:
    shares = torch.rand(n // 2, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    orders = circuits.subgroups(n, shares, [1])
    assert all(n % row["order"] == 0 for row in orders)
    assert sorted(k for row in orders for k in row["frequencies"]) == list(range(1, n // 2 + 1))
    assert sum(row["logit_share"] for row in orders) == pytest.approx(float(shares.sum()))
    for row in orders:
        # cos w_k s takes one value per element of the subgroup only: it repeats after `order` steps.
        assert all(k * row["order"] % n == 0 for k in row["frequencies"])
    assert orders[-1]["order"] == n and orders[-1]["keys"] == [1]
