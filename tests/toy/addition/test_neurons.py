"""A planted wave is found, a ramp is not, and renaming digits is what an untrained network cannot notice."""

from __future__ import annotations

import math

import pytest
import torch

from toy.addition import neurons as addition_neurons
from toy.addition.config import AdditionConfig
from toy.addition.network import Addition
from toy.addition.neurons import (
    NUMBERS,
    activations,
    centred,
    line_bases,
    neuron_rows,
    published_r2,
    renaming,
    shares,
)

A, B = NUMBERS[:, None].double().expand(90, 90), NUMBERS.double().expand(90, 90)
BASES = line_bases()
MODEL = Addition(
    AdditionConfig(shape="encoder-decoder", d_model=16, d_mlp=12, n_heads=2, n_blocks=1)
).requires_grad_(False)  # fmt: skip


def test_waves_count_and_ramps_do_not() -> None:
    wave = (2 * math.pi * 10 * (A + B) / 100 + 0.3).cos()
    neurons = [
        wave + 5,
        wave + (2 * math.pi * A / 10).cos(),
        A + B,
        (A + B).square() * 0 + 3,
        (2 * math.pi * A / 10).cos(),
    ]
    line_shares = shares(*centred(torch.stack(neurons, dim=2)), BASES, torch.arange(90))
    # A line of the ones digit has whole cycles on the grid: nothing of it is a function of one operand.
    torch.testing.assert_close(line_shares[9].tolist(), [1.0, 0.5, 0.0, 0.0, 0.0], atol=1e-5, rtol=0)
    assert float(line_shares.sum(0)[2:].max()) < 1e-6 and float(line_shares[:9, 0].max()) < 0.01


def test_the_published_statistic_calls_a_ramp_periodic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition_neurons, "activations", lambda model: {"here": (A + B)[:, :, None]})
    assert published_r2(MODEL)["published_r2_largest"] > 0.98


def test_renaming_the_labels_is_renaming_the_rows_of_the_digits() -> None:
    digits = torch.tensor([0, 4, 1, 2, 9, 3, 5, 8, 6, 7])
    names = 10 * digits[NUMBERS // 10] + digits[NUMBERS % 10] - 10
    other = Addition(MODEL.config).requires_grad_(False)
    other.W_E[digits] = MODEL.W_E[:10]  # what was called i is now called digits[i]
    for place, grid in activations(MODEL).items():
        renamed = shares(*centred(grid), BASES, names)
        torch.testing.assert_close(shares(*centred(activations(other)[place]), BASES, torch.arange(90)), renamed)
        assert (renamed - shares(*centred(grid), BASES, torch.arange(90))).abs().max() > 1e-4


def test_renamings_are_bijections_of_the_grid() -> None:
    generator = torch.Generator().manual_seed(0)
    assert all(torch.equal(renaming(generator).sort().values, torch.arange(90)) for _ in range(20))


def test_a_planted_wave_has_the_smallest_p_and_noise_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = torch.randn(90, 90, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wave = noise + (2 * math.pi * 7 * (A + B) / 100).cos()[:, :, None] * torch.tensor([1.0, 0.0, 0.0])
    for grid, p, k in ((wave, 1 / 40, 7), (noise, None, None)):
        monkeypatch.setattr(addition_neurons, "activations", lambda model, grid=grid: {"here": grid})
        rows = list(neuron_rows(MODEL, renamings=39))
        best = min(rows, key=lambda row: row["p_fwer"])
        assert len(rows) == 50 and (p is None or (best["p_fwer"], best["k"], best["neurons_above"]) == (p, k, 1))
        assert p is not None or best["p_fwer"] > 0.05
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
