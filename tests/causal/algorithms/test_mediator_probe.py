"""Dial, mediators and the causal columns of a series: by hand, and in the reference model, which is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causal.algorithms import over_training
from causal.algorithms.dose import POINTS, divergence, dose_rows, moved_on
from causal.algorithms.mediator_probe import ExperimentPlace, mediator_rows
from causal.experiments.experiment import Experiment
from causal.run.config import CausalConfig
from causal.run.plan import claim_of
from llm_probe.emergence.table import CheckpointRow
from llm_probe.models.loading import load


def clock(period: int, steps: float) -> torch.Tensor:
    """What a clock answers whose hand stands `steps` behind its first answer."""
    answers = torch.arange(period, dtype=torch.float64)
    return (3 * (2 * math.pi * (answers - steps) / period).cos()).softmax(dim=0)[None]


@given(st.integers(5, 24), st.floats(-30, 30))
def test_a_clock_that_is_moved_on_is_the_clock_at_that_hour(period: int, steps: float) -> None:
    assert torch.allclose(moved_on(clock(period, 0.0), steps), clock(period, steps), atol=1e-9)


@given(st.integers(5, 24), st.integers(0, 30), st.integers(0, 9))
def test_whole_steps_are_a_cyclic_shift_of_any_distribution(period: int, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    distribution = torch.rand(2, period, generator=generator, dtype=torch.float64).softmax(dim=1)
    assert torch.allclose(moved_on(distribution, float(steps)), distribution.roll(steps, dims=1), atol=1e-9)


def test_the_divergence_by_hand() -> None:
    one, other = torch.tensor([[0.5, 0.5]]).double(), torch.tensor([[0.25, 0.75]]).double()
    assert divergence(one, one) == 0
    assert divergence(one, other) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    config = CausalConfig(discovery=600, control_prompts=80, prompts=80)
    return Experiment(load("reference"), config, claim_of("mod-add 23"), (2, "resid_post", "last"), tuple(range(1, 10)))


def test_on_the_way_along_the_circle_the_answers_between_come_in_turn(experiment: Experiment) -> None:
    rows = {(row.route, row.steps): row for row in dose_rows(experiment)}
    assert len(rows) == 2 * (POINTS + 1)
    half = {route: rows[route, 3.5] for route in ("circle", "chord")}
    assert half["circle"].between > 0.8 and half["circle"].own < 0.1
    assert half["chord"].between < 0.4
    assert half["circle"].kl_predicted < half["chord"].kl_predicted
    # Both begin where nothing is changed and end at the same state.
    assert rows["circle", 0.0].kl_unmoved == pytest.approx(0, abs=1e-4)
    assert rows["circle", 0.0].own == pytest.approx(rows["chord", 0.0].own, abs=1e-4)
    assert rows["circle", 7.0].end == pytest.approx(rows["chord", 7.0].end, abs=1e-3)


def test_the_reference_uses_the_circle_that_it_carries(experiment: Experiment) -> None:
    rows = list(mediator_rows(experiment))
    assert [row.dimensions for row in rows] == [2, 4, 18]
    assert all(row.frequencies.split(", ") for row in rows)
    everything = rows[-1]
    assert everything.use == "used" and everything.n == 80 and everything.position == "answer"
    assert everything.moved_plane_low <= everything.moved_plane <= everything.moved_plane_high
    assert everything.right_without_plane < 0.3 < everything.right_without_random
    assert rows[0].angle < rows[0].angle_by_chance


def test_no_change_of_the_states_changes_no_answer(experiment: Experiment) -> None:
    place = ExperimentPlace(experiment)
    nothing = torch.zeros_like(place.test.states)
    right = (place.chosen(nothing) == place.test.answers).double().mean()
    assert right == pytest.approx(float(experiment.subset[1].right.double().mean()), abs=0.02)


def checkpoint(layer: int) -> CheckpointRow:
    """A row of mod 11 whose plane was read behind this block."""
    where = ("mod-add 11", "sum", 11, "circle", "supported", "", "resid_post", "last", layer, 1)
    return CheckpointRow("step-1", 1, None, *where, 0.9, 0.8, 1.0, 0.0, 0.01, None, None, 1.0, 0.9, 1.0, 1 / 11)


def test_a_checkpoint_is_given_its_use_and_its_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference model as a checkpoint: its last block moves the answer, its first does not hold it."""
    monkeypatch.setattr(over_training, "DISCOVERY", 400)
    monkeypatch.setattr(over_training, "PROMPTS", 60)
    loaded, intervene = load("reference"), over_training.interventions(0)
    last, first = (intervene(loaded, claim_of("mod-add 11"), checkpoint(layer)) for layer in (2, 0))
    assert last.moved is not None and last.moved > 0.8 and last.use == "used"
    assert last.algorithm in ("clock", "undetermined")
    assert first.moved is not None and first.moved < 0.2 and first.use == "undetermined"
    assert first.algorithm == "undetermined"
