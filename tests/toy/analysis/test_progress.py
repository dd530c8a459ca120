"""The rows of a run whose two checkpoints are known, and phases of planted trajectories."""

import json
import math
from dataclasses import asdict
from typing import Any

import pytest

from toy.analysis import progress
from toy.networks.closed_form import gromov
from toy.networks.model import build
from toy.networks.scores import MEASURED
from toy.run.files import write_atomic
from toy.training.runs import Run

P = 17


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Step 0 untrained, step 100 the closed form."""
    solved, config = gromov(P, [2, 3])
    made = Run(tmp_path_factory.mktemp("run"), config)
    write_atomic(made.folder / "config.json", json.dumps(asdict(config)))
    made.write_checkpoint(0, dict(build(config).named_parameters()))
    made.write_checkpoint(100, dict(solved.named_parameters()))
    return made


def test_rows_follow_the_final_keys(run: Run) -> None:
    first, last = progress.progress(run)
    assert (first["step"], last["step"]) == (0, 100)
    cosines = [4.5 * sum(math.cos(2 * math.pi * k * d / P) - 1 for k in (2, 3)) for d in range(P)]
    loss = math.log(sum(map(math.exp, cosines)))
    for name in ("full_loss", "train_loss", "test_loss", "restricted_loss"):
        assert last[name] == pytest.approx(loss, rel=1e-4)
    assert last["excluded_loss"] == pytest.approx(math.log(P), rel=1e-4)
    assert last["logit_coefficients"] == pytest.approx({"2": 4.5, "3": 4.5}, rel=1e-5)
    # Without one of two cosines the other one still peaks at the answer.
    one = math.log(sum(math.exp(4.5 * (math.cos(2 * math.pi * 3 * d / P) - 1)) for d in range(P)))
    assert last["excluded_loss_by_frequency"]["2"] == pytest.approx(one, rel=1e-4)
    assert last["logit_fve"] == pytest.approx(1, abs=1e-5)
    assert last["n_keys"] == 2 and first["n_keys"] == 0
    assert last["circularity"] == pytest.approx(1, abs=1e-5)
    assert last["gini_w_l"] == pytest.approx(1 - 4 / 16, abs=1e-5)
    # Before training the same keys hold next to nothing.
    assert first["logit_fve"] < 0.2 and first["full_loss"] > 2
    assert json.loads(json.dumps([first, last], allow_nan=False)) == [first, last]


def test_long_tables_take_their_losses_from_the_log(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write_metrics([{"step": 100, **dict.fromkeys(MEASURED, 0.25)}])
    assert progress.progress(run)[1]["train_loss"] != 0.25
    monkeypatch.setattr(progress, "ROWS_SCORED", 10)
    first, last = progress.progress(run)
    assert last["train_loss"] == last["test_accuracy"] == 0.25
    assert first["train_loss"] > 2  # no line of that step: it is run after all


def rows(**series: list[float]) -> list[dict[str, Any]]:
    """One row per entry, steps 0, 100, …; what is not given does not move."""
    count = len(next(iter(series.values())))
    still = {"train_loss": 0.0, "sum_squared_weights": 1.0, "gini": 0.0}
    return [{"step": 100 * i, **still, **{name: values[i] for name, values in series.items()}} for i in range(count)]


GROKKING = {
    "test_loss": [4.0, 9.0, 10.0, 9.0, 8.0, 5.0, 2.0, 0.1, 0.01],
    "test_accuracy": [0.0, 0.1, 0.2, 0.2, 0.3, 0.4, 0.8, 1.0, 1.0],
    "restricted_loss": [4.0, 3.0, 2.5, 1.5, 0.5, 0.1, 0.01, 0.001, 0.001],
    "excluded_loss": [4.0, 0.5, 0.1, 0.3, 1.0, 3.0, 5.0, 6.0, 6.0],
    "sum_squared_weights": [9.0, 12.0, 11.0, 10.0, 9.0, 8.0, 5.0, 4.0, 4.0],
}


def test_the_three_phases_of_a_planted_run() -> None:
    phases = progress.phases(rows(**GROKKING))
    assert phases["memorisation_ends"] == 200  # the excluded loss turns
    assert phases["circuit_formation_ends"] == 500  # the last test loss of at least 5
    assert phases["cleanup_ends"] == 700
    assert phases["restricted_halved"] == 300 and phases["test_halved"] == 600
    assert phases["restricted_before_test"] is True
    assert phases["changes"]["circuit_formation"]["excluded_loss"] == [0.1, 3.0]
    assert phases["changes"]["cleanup"]["sum_squared_weights"] == [8.0, 4.0]
    assert set(phases["rules"]) <= set(phases)


def test_a_late_jump_of_the_loss_moves_no_boundary() -> None:
    jump = {name: [*values, 11.0 if name != "test_accuracy" else 0.2] for name, values in GROKKING.items()}
    before, after = progress.phases(rows(**GROKKING)), progress.phases(rows(**jump))
    assert before == after


def test_a_run_that_only_memorises_has_no_boundary() -> None:
    phases = progress.phases(
        rows(
            test_loss=[4.0, 8.0, 12.0, 13.0],
            test_accuracy=[0.0, 0.01, 0.02, 0.02],
            restricted_loss=[4.0, 4.0, 4.0, 4.0],
            excluded_loss=[4.0, 0.5, 0.1, 0.01],
        )
    )
    assert phases["memorisation_ends"] is phases["circuit_formation_ends"] is phases["cleanup_ends"] is None
    assert phases["restricted_before_test"] is None and phases["changes"] == {}


def test_a_run_that_generalises_at_once_has_no_circuit_under_a_flat_loss() -> None:
    phases = progress.phases(
        rows(
            test_loss=[4.0, 1.0, 0.1],
            test_accuracy=[0.0, 0.6, 1.0],
            restricted_loss=[4.0, 1.0, 0.1],
            excluded_loss=[4.0, 4.1, 4.2],
        )
    )
    assert phases["memorisation_ends"] is None  # the excluded loss never fell, so it never rose from a minimum
    assert phases["cleanup_ends"] == 200 and phases["restricted_before_test"] is False


def test_no_rows_no_phases() -> None:
    assert progress.phases([])["cleanup_ends"] is None
