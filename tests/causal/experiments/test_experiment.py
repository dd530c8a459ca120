"""An intervention is one function and one line: registered here, it is made, counted and explained like any other."""

from pathlib import Path

import pytest
import torch

from causal.experiments.experiment import Experiment
from causal.interventions import edits
from causal.interventions.directions import Directions
from causal.interventions.edits import INTERVENTIONS, Intervention, meanings
from causal.run.config import CausalConfig
from causal.run.plan import Shape, circles_plan
from causal.run.tables import CausalRow, by_table
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular

CLAIM = Claim(modular("add", 12), "sum")
SHAPE = Shape(layers=3, width=16, vocabulary=50, block=100)
KNOWN = ["mean", "zero", "unwrite", "resample", "interchange", "full interchange", "rotate", "rotate orthonormal"]


def reflect(states: torch.Tensor, d: Directions) -> torch.Tensor:
    """The coordinates on the other side of the mean: twice as far as the mean itself."""
    return 2 * edits.mean(states, d.basis, d.mean) - states


def planned_rows(config: CausalConfig) -> int:
    line = next(line for line in circles_plan(config, SHAPE, [(CLAIM, 1, 1)]).splitlines() if line.startswith("rows"))
    return int(line.split()[1].replace(",", ""))


def test_a_new_intervention_is_made_counted_and_explained(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CausalConfig(prompts=20, discovery=150, control_prompts=10, out=tmp_path)
    before = planned_rows(config)
    sentence = "The coordinates are reflected at the mean."
    monkeypatch.setitem(INTERVENTIONS, "reflect", Intervention(reflect, "basis", sentence, everywhere=True))
    experiment = Experiment(loaded, config, CLAIM, (1, "resid_post", "last"), (1,))
    rows = by_table(experiment.interventions())["causal_table"]
    assert {row.intervention for row in rows} == {*KNOWN, "reflect"}
    of = {(row.intervention, row.position): row for row in rows}
    for position in {"last", experiment.position}:
        assert of["reflect", position].delta_norm == pytest.approx(2 * of["mean", position].delta_norm, rel=1e-4)
    assert {position for name, position in of if name == "reflect"} == {"last", experiment.position, "all"}
    assert planned_rows(config) == before + config.prompts
    assert f"`reflect`: {sentence}" in meanings()


def test_the_table_explains_every_intervention() -> None:
    assert list(INTERVENTIONS) == KNOWN
    assert all(f"`{name}`: {one.meaning}" in str(CausalRow.__doc__) for name, one in INTERVENTIONS.items())


def test_no_rotation_without_frequencies(loaded: LoadedModel, tmp_path: Path) -> None:
    config = CausalConfig(prompts=20, discovery=150, out=tmp_path)
    experiment = Experiment(loaded, config, CLAIM, (1, "resid_post", "last"), (), dim=3)
    rows = by_table(experiment.interventions())["causal_table"]
    assert {row.intervention for row in rows} == set(KNOWN) - {"rotate", "rotate orthonormal"}
