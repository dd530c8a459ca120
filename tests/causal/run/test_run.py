"""A small causal run of the reference model, from its own probe results to tables, and what is refused."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from causal.algorithms.algorithm_probe import algorithm_rows
from causal.experiments.experiment import Experiment
from causal.run.causal_run import run
from causal.run.config import CausalConfig
from causal.run.plan import claim_of, plan
from causal.run.tables import TABLES, by_table
from causal.run.verdicts import decide, evidence_of
from llm_probe.models.loading import load, randomised
from llm_probe.run.schema import VERSION
from llm_probe.run.study import Result
from sae.training.saved import Saved
from tests.root import ROOT
from toy.run.errors import InputError

PROBED = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CausalConfig:
    folder = tmp_path_factory.mktemp("causal")
    (folder / "text.txt").write_text("\n\n".join(f"Document {n} says that lists are ordered." for n in range(8)))
    return CausalConfig(
        probed=PROBED, claims=("mod-add 7",), prompts=60, discovery=300, draws=4, control_prompts=30, other_prompts=0,
        text=folder / "text.txt", underpowered=True, out=folder / "out",
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(config: CausalConfig) -> Result:
    made = run(config, "again")
    made.write(config.folder)
    return made


def test_turning_the_circle_moves_the_answer(result: Result) -> None:
    table = result.frames["causal_table"]
    own = table[(table.direction == "planes k = 1, 2, 3") & (table.intervention == "rotate")].iloc[0]
    assert own.moved > 0.8
    assert own.slope == pytest.approx(1, abs=0.01)
    random = table[(table.direction == "random") & (table.intervention == "rotate")].iloc[0]
    assert random.moved <= 0.02


def test_ablation_takes_the_answers_and_equal_norm_does_not(result: Result) -> None:
    table = result.frames["causal_table"]
    mean = table[(table.intervention == "mean") & (table.condition == "mod-add 7") & (table.position == "last")]
    assert mean[mean.direction.str.startswith("planes")].iloc[0].accuracy < 0.3
    assert mean[mean.direction == "random"].iloc[0].accuracy > 0.9


def test_histograms_are_shares(result: Result) -> None:
    rotation = result.frames["rotation"]
    keys = ["direction", "intervention", "position", "j"]
    assert rotation.groupby(keys).share.sum().to_numpy() == pytest.approx(1)
    still = rotation[(rotation.j == 0) & (rotation["shift"] == 0)]
    assert (still.share > 0.9).all()


def test_the_circle_carries_what_the_whole_state_does_and_a_helix_does_not(result: Result) -> None:
    patches = result.frames["causal_patches"].set_index("patch")
    assert patches.share_of_full["full"] == 1
    assert patches.share_of_full["circles"] > 0.8
    assert patches.share_of_full[["helix", "polynomial", "shuffled helix"]].max() < 0.3


def test_seven_answers_of_three_frequencies_are_no_clock(result: Result) -> None:
    algorithm = result.frames["causal_algorithm"]
    # Turned together they move the answer; two of the three planes do not lead to an answer that they have not seen.
    best = algorithm.sort_values("below_best").iloc[0]
    assert best.algorithm == "clock"
    assert best.verdict in ("look-up", "undetermined")
    assert (algorithm.ratio > 10).all()
    assert "turned onto an answer that the planes were fitted without" in best.reason
    order = result.frames["causal_order"].set_index("test")
    assert list(order.index) == ["unseen answer", "together", "half a step", *(f"k = {k} alone" for k in (1, 2, 3))]
    assert order.moved["unseen answer"] < 0.25 < order.moved["together"]
    assert set(order.orders) == {119}


def test_predictions_are_shares(result: Result) -> None:
    predictions = result.frames["causal_predictions"]
    for name in ("observed", "clock", "base_10", "look_up", "mixed"):
        assert predictions.groupby(["kind", "step"])[name].sum().to_numpy() == pytest.approx(1)


def test_a_larger_modulus_is_a_clock(config: CausalConfig, tmp_path: Path) -> None:
    experiment = Experiment(load("reference"), config, claim_of("mod-add 12"), (2, "resid_post", "last"), (1, 2, 3, 5))
    rows = by_table(algorithm_rows(experiment))
    assert {row.verdict for row in rows["causal_algorithm"]} == {"clock"}
    assert {row.word for row in rows["causal_order"]} == {"circle"}
    unseen, together = rows["causal_order"][:2]
    assert unseen.moved > 0.7 and unseen.worst > 0.25 and unseen.rank == pytest.approx(1 / 121)
    assert together.moved > 0.9


def test_few_draws_are_not_enough_for_a_verdict(result: Result) -> None:
    row = result.frames["causal_verdicts"].iloc[0]
    assert row.verdict == "not causal at this power"
    assert "4 draws" in row.sentence


def test_everything_is_written_and_goes_on_from_its_cells(
    config: CausalConfig, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {path.stem for path in config.folder.glob("*.csv")}
    # One claim has no other modulus; the others are of runs of their own.
    assert written == set(TABLES) - {
        "causal_routing",
        "causal_sweep",
        "succession",
        "succession_moves",
        "addition",
        "addition_moves",
        "shared_neurons",
    }
    assert {path.stem for path in (config.folder / "figures").iterdir()} == {
        "turning", "controls", "dial", "layer_positions", "attribution"
    }  # fmt: skip
    assert json.loads((config.folder / "run.json").read_text())["weights_fingerprint"]

    def computed(*_: object) -> None:
        raise AssertionError("a finished cell was computed again")

    monkeypatch.setattr("causal.interventions.engine.Engine.answers", computed)
    again = run(config, "again")
    for name, frame in result.frames.items():
        pd.testing.assert_frame_equal(frame, again.frames[name])


def test_the_record_says_what_made_it(config: CausalConfig, result: Result) -> None:
    record = json.loads((config.folder / "run.json").read_text())
    assert record["schema"] == VERSION
    assert record["seed"] == config.seed
    assert abs(datetime.now(UTC) - datetime.strptime(f"{record['date']}+0000", "%Y-%m-%d %H:%M UTC%z")).days == 0
    assert set(record) == {
        "model", "revision", "weights_fingerprint", "dtype", "device", "directions_from", "date", "command", "schema",
        "configuration", "power", "versions", "commit", "seed", "seconds", "sha256",
    }  # fmt: skip


def test_single_dimensions_under_the_published_protocol(config: CausalConfig, tmp_path: Path) -> None:
    one = replace(config, dims=("2:5",), claims=("mod-add 7",), protocol="published", underpowered=False, out=tmp_path)
    table = run(one).frames["causal_table"]
    published = table[table.condition == "published"]
    assert set(published.intervention) == {"zero", "mean"}
    assert (published.n == 49).all()
    assert set(published.position) == {"all"}


def test_every_dimension_of_a_layer(config: CausalConfig, tmp_path: Path) -> None:
    table = run(replace(config, sweep=("2",), prompts=40, out=tmp_path)).frames["causal_sweep"]
    assert table.dim.tolist() == list(range(128))
    assert (table.p_holm >= table.p).all()
    # One of 128 dimensions is little of any plane: none of them holds an answer alone.
    assert table.accuracy.min() > 0.5


def test_a_place_that_was_not_accepted(config: CausalConfig, tmp_path: Path) -> None:
    frames = run(replace(config, places=("1:offset",), out=tmp_path)).frames
    assert set(frames["causal_verdicts"].position) == {"offset"}
    assert set(frames["causal_table"].position) == {"offset", "all", "like answer"}
    assert set(frames["causal_verdicts"].verdict) == {"not causal at this power"}


def test_the_circle_of_an_item(config: CausalConfig, tmp_path: Path) -> None:
    items = replace(config, claims=("days",), places=("0:item",), quantity="item", draws=2, out=tmp_path)
    frames = run(items).frames
    verdict = frames["causal_verdicts"].iloc[0]
    # The first block's output at the item: what reads it there has read it already.
    assert (verdict.position, verdict.direction) == ("item", "planes of the item, k = 1, 2, 3")
    assert verdict.verdict == "not causal at this power"
    assert set(frames["causal_order"].position) == {"item"}
    assert frames["causal_patches"].empty and frames["causal_algorithm"].empty


def test_features_of_a_sparse_autoencoder(
    config: CausalConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = SimpleNamespace(cfg=SimpleNamespace(d_in=128, d_sae=128), W_dec=torch.eye(128))
    saved = Saved(inside, "some", 2, "resid_post", None)
    monkeypatch.setattr("causal.run.plan.load_sae", lambda where: saved)
    monkeypatch.setattr("causal.run.plan.check_fits", lambda saved, loaded: None)
    table = run(replace(config, features=("some:5,9",), prompts=40, draws=2, out=tmp_path)).frames["causal_table"]
    own = table[table.direction == "features 5,9"]
    assert set(own[own.condition == "mod-add 7"].intervention) == {
        "mean", "zero", "unwrite", "resample", "interchange", "full interchange"
    }  # fmt: skip
    with pytest.raises(InputError, match="has no latent 128"):
        run(replace(config, features=("some:128",), out=tmp_path))


def test_random_weights_have_nothing_to_lose(config: CausalConfig, tmp_path: Path) -> None:
    frames = run(replace(config, weights="random", out=tmp_path)).frames
    assert set(frames["causal_verdicts"].verdict) == {"cannot be tested"}
    assert frames["causal_controls"].empty


def test_the_plan_needs_no_weights(config: CausalConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causal.run.causal_run.load", None)
    assert "128 dimensions × 60 prompts × 1 domains = 7,680 rows" in plan(replace(config, sweep=("2",)))
    assert "circles  1," in plan(config)
    # Of seven days 16 draws and 2 trained subspaces, each moved six ways and ablated, and 60 steps of training them.
    one = replace(config, succession=True, claims=("days",), layers=("0", "2"))
    assert f"rows     {2 * 7 * 9 * (18 * 7 + 2 * 3 * 60):,} edited prompts" in plan(one)
    assert "moved    item, sum behind 3 blocks" in plan(replace(config, addition=True))


def test_an_earlier_table_does_not_outlive_a_run(result: Result, tmp_path: Path) -> None:
    (tmp_path / "causal_sweep.csv").write_text("old")
    result.write(tmp_path)
    assert not (tmp_path / "causal_sweep.csv").exists()


def test_directions_of_another_model_are_refused(config: CausalConfig, tmp_path: Path) -> None:
    shutil.copy(PROBED / "r2_table.csv", tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"weights_fingerprint": "0123"}))
    with pytest.raises(InputError, match="belong to weights 0123"):
        run(replace(config, probed=tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": ("mod-add 31",)}, "was accepted in"),
        ({"underpowered": False}, "--prompts 469"),
        ({"dims": ("9-35",)}, "not layer:dim"),
        ({"dims": ("9:35",)}, "layers 0 to 2"),
        ({"places": ("1:answer",)}, "not layer:position"),
        ({"sweep": ("x",)}, "is no layer"),
        ({"quantity": "item"}, "needs the place of the item"),
        ({"quantity": "item", "places": ("0:item",)}, "operands of mod-add 7 are numbers"),
        ({"features": ("work:a",)}, "is not SAE:latent"),
        ({"sweep": ("3",)}, "layers 0 to 2"),
    ],
)
def test_bad_requests(config: CausalConfig, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(replace(config, **change))


def test_claims_by_name() -> None:
    assert claim_of("mod-add 12").period == 12
    assert claim_of("days").period == 7
    for name in ("mod-add", "mod-add x", "planets", "nothing"):
        with pytest.raises(InputError):
            claim_of(name)


def test_a_model_that_cannot_do_the_task_has_nothing_to_lose(config: CausalConfig) -> None:
    random = randomised(load("reference"), 1)
    experiment = Experiment(random, config, claim_of("mod-add 7"), (2, "resid_post", "last"), (1, 2, 3))
    assert not experiment.can_be_tested
    verdict, sentence = decide(evidence_of(experiment, [], "no power"))
    assert verdict == "cannot be tested"
    assert "nothing to lose" in sentence
