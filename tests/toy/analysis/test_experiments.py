"""Bars read off planted results: what holds, what falls short, and what is only told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from toy.analysis.experiments import EXPERIMENTS, Bar, Seen, mean, network_row, worst
from toy.config import ToyConfig
from toy.networks.model import build


def _seen(grokked_at: int = 300, **analysis: Any) -> Seen:
    metrics = [
        {"step": step, "train_accuracy": 1.0, "test_accuracy": 0.99 if step >= grokked_at else 0.5}
        for step in range(0, 600, 100)
    ]
    return Seen(ToyConfig(), metrics, analysis, [])


def _value(experiment: str, says: str, *seen: Seen) -> float:
    return next(bar for bar in EXPERIMENTS[experiment].bars if bar.says.startswith(says)).measure(seen)


def test_a_bar_holds_falls_short_or_reports() -> None:
    assert Bar("x", worst("y"), at_least=0.9).holds(0.9) is True
    assert Bar("x", worst("y"), at_most=0.9).holds(0.91) is False
    assert Bar("x", worst("y"), at_least=1.0, at_most=2.0).holds(3.0) is False
    assert Bar("x", worst("y")).holds(0.9) is None
    assert Bar("x", worst("y"), at_least=0.9).holds(math.nan) is False


def test_the_last_seed_counts() -> None:
    assert _value("fast", "step with", _seen(200), _seen(400)) == 400
    assert _value("fast", "step with", _seen(200), _seen(10_000)) == math.inf


def test_the_worst_seed_counts() -> None:
    seen = (
        _seen(logit_fve=0.97, restricted_loss=2e-4, full_loss=4e-4),
        _seen(logit_fve=0.9, restricted_loss=3.0, full_loss=2.0),
    )
    assert _value("fast", "logit variance along", *seen) == 0.9
    assert _value("fast", "restricted loss", *seen) == pytest.approx(1.5)
    assert mean("logit_fve")(seen) == pytest.approx(0.935)


def test_a_measure_that_is_missing_is_no_success() -> None:
    assert math.isnan(worst("logit_fve")([_seen(logit_fve=None), _seen(logit_fve=1.0)]))


def test_no_keys_no_drop() -> None:
    assert _value("two-layers", "points lost without the top", _seen(frequency_ablation=None)) == 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_built(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert experiment.seeds >= 1 and experiment.bars
    build(experiment.config)


def test_a_row_of_the_table_of_networks() -> None:
    keys = ("full_accuracy", "train_loss", "test_loss", "full_loss", "restricted_loss", "excluded_loss", "logit_fve",
            "neurons_explained", "gini", "gini_w_l", "sum_squared_weights", "gradient_symmetricity",
            "distance_irrelevance", "circularity", "train_accuracy", "test_accuracy")  # fmt: skip
    row = network_row("fast", _seen(200, **dict.fromkeys(keys, 0.5), key_frequencies_neurons=[5, 2]))
    assert (row["experiment"], row["memorised_at"], row["grokked_at"], row["keys"]) == ("fast", 0, 200, "5 2")
