"""A planted circle: its pattern is found, and turning it moves a linear read-out by exactly j."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from causal.controls import random_controls as controls
from causal.experiments import effects
from causal.interventions import directions
from causal.interventions import edits as interventions
from llm_probe.statistics import patterns
from toy.maths.regression import Groups
from toy.run.errors import InputError

PERIOD, FREQUENCIES, WIDTH = 12, (1, 4, 6), 20
PLACE: directions.Location = (1, "resid_post", "last")


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(states, labels, true pattern): patterns that are not orthogonal, and correlated noise beside them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, PERIOD, (1500,), generator=generator)
    targets = patterns.targets_of(labels, FREQUENCIES, PERIOD)
    true = torch.randn(WIDTH, targets.shape[1], generator=generator).double()
    mixing = 0.1 * torch.randn(WIDTH, WIDTH, generator=generator).double()
    noise = torch.randn(1500, WIDTH, generator=generator).double() @ mixing
    return (targets @ true.T + noise + 3).float(), labels, true


@pytest.fixture(scope="module")
def fitted(planted: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> directions.Directions:
    states, labels, _ = planted
    groups = Groups.of(torch.arange(len(labels)) // 3)
    return directions.fit(states, labels, groups, "planted", PERIOD, FREQUENCIES, PLACE)


def test_the_pattern_is_what_was_planted(planted: tuple, fitted: directions.Directions) -> None:
    true = planted[2]
    assert torch.allclose(fitted.writer, true, atol=0.15 * float(true.abs().max()))
    assert torch.allclose(fitted.reader.T @ fitted.writer, torch.eye(5, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(fitted.basis.T @ fitted.basis, torch.eye(5, dtype=torch.float64), atol=1e-9)


def test_turning_moves_a_linear_read_out_by_j(planted: tuple, fitted: directions.Directions) -> None:
    """The read-out knows the planted pattern: its answer is the nearest residue."""
    states, labels, true = planted
    reading = torch.linalg.pinv(true)
    ideal = patterns.targets_of(torch.arange(PERIOD), FREQUENCIES, PERIOD)

    def answers(edited: torch.Tensor) -> torch.Tensor:
        return torch.cdist((edited.double() - 3) @ reading.T, ideal).argmin(dim=1)

    assert torch.equal(answers(states), labels)
    for j in range(1, PERIOD):
        turn = patterns.rotation(FREQUENCIES, PERIOD, j)
        moved = patterns.rotate(states, fitted.reader, fitted.mean, turn, fitted.writer)
        assert float((answers(moved) == (labels + j) % PERIOD).double().mean()) > 0.99
        elsewhere = controls.turned(fitted.writer, torch.Generator().manual_seed(j))
        other = patterns.rotate(states, fitted.reader, fitted.mean, turn, elsewhere)
        assert torch.allclose((other - states).norm(dim=1), (moved - states).norm(dim=1), rtol=1e-3)


def test_removed_variance_is_that_of_ablation(planted: tuple, fitted: directions.Directions) -> None:
    states = planted[0]
    change = interventions.mean(states, fitted.basis, fitted.mean) - states
    assert float(change.square().sum(dim=1).mean()) == pytest.approx(fitted.removed_variance, rel=1e-3)


def test_matched_bases_remove_as_much_and_nothing_of_the_circle() -> None:
    covariance = torch.diag(torch.linspace(0.1, 3, 30).double())
    basis = torch.eye(30, dtype=torch.float64)[:, 10:14]
    target = float((basis * (covariance @ basis)).sum())
    for one in controls.matched(basis, covariance, 5, torch.Generator().manual_seed(0)):
        assert float((basis.T @ one.basis).abs().max()) < 1e-9
        assert one.gain**2 * float((one.basis * (covariance @ one.basis)).sum()) == pytest.approx(target)
        assert one.gain == pytest.approx(1, abs=0.01) or target < 4 * float(covariance.trace()) / 30


def test_a_gain_makes_up_for_variance_that_is_not_there() -> None:
    covariance = torch.diag(torch.tensor([100.0] * 2 + [1.0] * 18).double())
    basis = torch.eye(20, dtype=torch.float64)[:, :2]
    assert controls.matched(basis, covariance, 1, torch.Generator().manual_seed(0))[0].gain == pytest.approx(10)


def test_the_share_on_the_manifold() -> None:
    covariance = torch.diag(torch.tensor([1.0, 1.0, 1e-6]).double())
    assert effects.manifold_share(torch.tensor([[1.0, 0, 0]]), covariance) == pytest.approx(1)
    assert effects.manifold_share(torch.tensor([[3.0, 0, 4.0]]), covariance) == pytest.approx(9 / 25)


def test_a_dimension_is_one_unit_vector(planted: tuple) -> None:
    one = directions.dimension(planted[0], "planted", PERIOD, PLACE, 3)
    assert one.basis.nonzero().tolist() == [[3, 0]]
    with pytest.raises(InputError, match="dimensions 0 to 19"):
        directions.dimension(planted[0], "planted", PERIOD, PLACE, 20)


def test_too_many_frequencies(planted: tuple) -> None:
    states, labels, _ = planted
    with pytest.raises(InputError, match="fewer coordinates than dimensions"):
        directions.fit(states[:, :4], labels, Groups.of(labels), "planted", PERIOD, FREQUENCIES, PLACE)


def table(folder: Path, p: float) -> Path:
    rows = [
        {"weights": "trained", "domain": "days", "quantity": "sum", "position": "last", "site": "resid_post",
         "layer": 2, "unit": "plane", "family": "fourier", "frequency": k, "p_fwer": one}
        for k, one in ((2, p), (1, p), (3, 0.5))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "r2_table.csv", index=False)
    (folder / "run.json").write_text(json.dumps({"weights_fingerprint": "abc"}))
    return folder


def test_accepted_planes_are_read(tmp_path: Path) -> None:
    assert directions.accepted(table(tmp_path, 0.002), "abc") == {"days": {(2, "resid_post", "last"): (1, 2)}}


def test_directions_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="belong to weights abc, this model has xyz"):
        directions.accepted(table(tmp_path, 0.002), "xyz")
    with pytest.raises(InputError, match="nothing to intervene on"):
        directions.accepted(table(tmp_path, 0.2), "abc")
    with pytest.raises(InputError, match="holds no finished probe run"):
        directions.accepted(tmp_path / "nothing", "abc")
