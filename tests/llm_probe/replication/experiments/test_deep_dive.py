"""A whole deep dive on a tiny random model: tables without gaps, cells that are not computed twice, plain refusals."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import deep_dive as script
import pandas as pd
import pytest

from llm_probe.models.loading import wrap
from llm_probe.replication.experiments import deep_dive as module
from llm_probe.replication.experiments.deep_dive import EXPERIMENTS, deep_dive
from llm_probe.replication.experiments.primes import agreement
from llm_probe.replication.experiments.reader import DeepDiveConfig, Reader, checked
from llm_probe.run.study import Result
from toy.run.errors import InputError

SMALL = DeepDiveConfig(
    model="tiny", primes=(7, 11), composites=(10, 12), scanned=(10, 12), selected_at=11, prompts=100, dims=(3,)
)
OPTIONAL = {("polynomial", "frequency")}


@pytest.fixture
def config(tiny, tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeepDiveConfig:
    monkeypatch.setattr(module, "load", lambda name, **rest: wrap(tiny("qwen3"), tokenizer, name=name))
    # Fewer repetitions: what is tested here does not depend on their number.
    monkeypatch.setattr("llm_probe.replication.experiments.effects.SPLITS", 2)
    monkeypatch.setattr("llm_probe.replication.experiments.composites.SHUFFLES", 5)
    monkeypatch.setattr("llm_probe.replication.experiments.calendars.UNITS", {"days": "days"})
    monkeypatch.setattr("llm_probe.page.style.KINDS", ("svg",))
    return replace(SMALL, out=tmp_path)


def test_every_experiment_from_prompts_to_files(config: DeepDiveConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    result = deep_dive(config, "the command")
    result.write(config.folder)
    assert set(result.run["conclusions"]) == set(EXPERIMENTS)
    for experiment in EXPERIMENTS.values():
        for name, kind in experiment.TABLES.items():
            table = pd.read_csv(config.folder / f"{name}.csv")
            assert list(table.columns) == [field.name for field in fields(kind)]
            empty = {(name, column) for column in table.columns[table.isna().any()]}
            assert empty <= OPTIONAL
            assert {"trained", "random"} <= set(table["weights"])
            assert set(table["layer"]) == {2, 3}
    record = json.loads((config.folder / "deep_dive.json").read_text(encoding="utf-8"))
    assert record["command"] == "the command"
    assert record["conclusions"] == result.run["conclusions"]
    for name in EXPERIMENTS:
        assert "after block 3" in (config.folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
    _check_numbers(result)
    _check_resumed(config, result, monkeypatch)


def _check_numbers(result: Result) -> None:
    primes = result.frames["primes"]
    best, followed = (primes[primes["chosen"] == chosen] for chosen in ("best", "first prime"))
    assert (best["r2"].to_numpy() >= followed["r2"].to_numpy()).all()
    assert (best[best["period"] == 7]["dim"].to_numpy() == followed[followed["period"] == 11]["dim"].to_numpy()).all()
    scan = result.frames["range"]
    assert (scan[scan["operands"] == "two digits"]["hypothesis"] == 0).all()
    assert (scan["r2"] <= scan["r2_best"] + 1e-12).all()
    assert result.frames["calendar"]["same_token"].all()
    composites = result.frames["composites"].set_index("period")
    assert set(composites.loc[12, "n_prompts"]) == {96}
    assert set(composites.loc[12, "n_pairs"]) == {144}
    assert "primes: has each prime" in str(result)


def _check_resumed(config: DeepDiveConfig, result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command reads cells only."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished cell was computed again")

    monkeypatch.setattr(Reader, "states", never)
    monkeypatch.setattr(Reader, "class_means", never)
    again = deep_dive(config)
    for name, table in result.frames.items():
        pd.testing.assert_frame_equal(table, again.frames[name])
    assert again.run["conclusions"] == result.run["conclusions"]


def test_other_settings_are_other_cells(config: DeepDiveConfig) -> None:
    first = deep_dive(replace(config, experiments=("polynomial",), primes=(7,)))
    other = deep_dive(replace(config, experiments=("polynomial",), primes=(7,), dims=(5,)))
    assert set(first.frames["polynomial"]["dim"]) != set(other.frames["polynomial"]["dim"])
    assert 5 in set(other.frames["polynomial"]["dim"])


def test_agreement_of_primes_by_hand() -> None:
    rows = [(7, 7, 0.5), (7, 11, 0.1), (7, 13, 0.3), (11, 11, 0.2), (11, 13, 0.4), (13, 13, 0.6)]
    shares = agreement(pd.DataFrame(rows, columns=["period", "other", "shared"]))
    assert shares["own"].tolist() == [0.5, 0.2, 0.6]
    assert shares["others"].tolist() == pytest.approx([0.2, 0.25, 0.35])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiments": ("tides",)}, "unknown experiment 'tides': choose from primes, range"),
        ({"layers": (9,)}, "layer 9 does not exist: tiny has layers 0 to 3"),
        ({"dims": (99,)}, "dimension 99 does not exist: tiny is 16 wide"),
        ({"primes": (5,)}, "modulus 5 is too small"),
        ({"scanned": (4, 9)}, "cannot be run: give --scanned"),
        ({"composites": (60,)}, "fewer than four for each residue mod 60: give --prompts 240"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(config: DeepDiveConfig, change: dict, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        deep_dive(replace(config, **change))


def test_an_encoder_is_refused(config: DeepDiveConfig, tiny, tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load", lambda name, **rest: wrap(tiny("bert"), tokenizer, name=name))
    with pytest.raises(InputError, match="tiny is an encoder, which continues no text"):
        deep_dive(config)


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny, tokenizer
) -> None:
    monkeypatch.setattr(sys, "argv", ["deep_dive.py", "--experiments", "tides", "--out", str(tmp_path)])
    assert script.main() == 2
    assert capsys.readouterr().err.startswith("error: unknown experiment 'tides'")
    monkeypatch.setattr(module, "load", lambda name, **rest: wrap(tiny("qwen3"), tokenizer, name=name))
    small = ["--experiments", "composites", "--composites", "7", "--layers", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["deep_dive.py", *small])
    assert script.main() == 0
    assert "after block 1 the best dimension" in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / "composites.csv")["layer"]) == {1}


def test_the_defaults_can_be_run() -> None:
    assert checked(DeepDiveConfig()).folder == Path("results/deep_dive/reference")
