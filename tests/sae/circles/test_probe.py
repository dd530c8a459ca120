"""The whole probe on the reference model with small dictionaries, the verdicts, the pictures and the section."""

import dataclasses
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from llm_probe.page.sections import Section
from llm_probe.run.table import frame
from llm_probe.run.vocabulary import Weights
from sae.circles import page, probe
from sae.circles.ladder import verdicts
from sae.circles.table import TABLES, FeatureVerdict, LadderRow
from sae.config import FeatureProbe
from sae.training.saved import Saved
from tests.sae.planted_dictionary import saved
from toy.run.errors import InputError


def dictionary(name: str, seed: int) -> Saved:
    """40 random directions of the reference model's last block."""
    rows = torch.nn.functional.normalize(torch.randn(40, 128, generator=torch.Generator().manual_seed(seed)), dim=1)
    return saved(rows, rows, name=name, layer=2)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, Saved]:
    """Planted dictionaries in place of saved SAEs."""
    known = {name: dictionary(name, seed) for seed, name in enumerate(("t/seed0", "t/seed1", "r/seed0"))}
    monkeypatch.setattr(probe, "load_sae", known.__getitem__)
    monkeypatch.setattr(probe, "places_of", lambda given: [name for name in known if name[0] in given])
    monkeypatch.setattr(probe, "check_fits", lambda saved, loaded: None)
    return known


def test_a_run_writes_every_table_and_goes_on_where_it_was(
    places: dict[str, Saved], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"domains": ("seasons",), "prompts": 40, "renamings": 9, "out": tmp_path}
    request = FeatureProbe(("t",), ("r",), **settings)
    first = probe.run(request)
    assert {name: list(table) for name, table in first.frames.items()} == {
        name: [field.name for field in dataclasses.fields(row)] for name, row in TABLES.items()
    }
    ladder = first.frames["sae_ladder"]
    assert set(ladder["weights"]) == {"trained", "random"}
    assert ladder.groupby(["sae", "domain", "quantity"]).size().tolist() == [7] * 6
    assert len(first.frames["sae_recurrence"]) == 1
    needed = ladder.drop(columns=["p_renaming", "purity"])
    assert needed.isna().sum().sum() == 0, ladder[needed.isna().any(axis=1)][["rung", "quantity", "rank"]].to_string()
    choices = sorted((tmp_path / "cells").glob("*-choice.json"))
    assert len(choices) == 6

    first.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {*(f"{name}.csv" for name in TABLES), "run.json"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} >= {"ladder.svg", "ladder.png"}

    def unread(*_: object) -> Saved:
        raise AssertionError("a finished SAE is not read again")

    monkeypatch.setattr(probe, "features_of", unread)
    again = probe.run(request)
    for name, table in first.frames.items():
        pd.testing.assert_frame_equal(table, again.frames[name])


def test_a_folder_without_saes_and_no_folder_at_all_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no SAE"):
        probe.places_of([str(tmp_path)])
    with pytest.raises(InputError, match="no sparse autoencoder was given"):
        probe.run(FeatureProbe((), out=tmp_path))
    (tmp_path / "1.resid_post/seed2").mkdir(parents=True)
    (tmp_path / "1.resid_post/seed2/cfg.json").touch()
    (tmp_path / "1.resid_post/.seed3.checkpoints").mkdir()
    (tmp_path / "1.resid_post/.seed3.checkpoints/cfg.json").touch()
    assert probe.places_of([str(tmp_path), "release/id"]) == [str(tmp_path / "1.resid_post/seed2"), "release/id"]
    assert [probe.seed_of(name) for name in ("a/seed12", "release/id")] == [12, 0]


def row(
    weights: Weights, rung: str, r2: float, beyond: tuple[float, float], p: float = 0.002, seed: int = 0
) -> LadderRow:
    return LadderRow(
        weights, f"{weights}/seed{seed}", seed, 1, "resid_post", "days", 7, "sum", rung, "", 4, 1, r2, p, r2, r2 - 0.05,
        r2 + 0.05, None, sum(beyond) / 2, *beyond,
    )  # fmt: skip


def verdict_of(*rows: LadderRow) -> FeatureVerdict:
    return next(verdicts(rows))


@pytest.mark.parametrize(
    ("group", "random", "answer"),
    [
        (row("trained", "group", 0.9, (0.05, 0.2)), row("random", "group", 0.0, (0.0, 0.0)), "features beat planes"),
        (row("trained", "group", 0.9, (0.05, 0.2)), row("random", "group", 0.88, (0.0, 0.0)), "undetermined"),
        (row("trained", "group", 0.9, (0.05, 0.2)), None, "undetermined"),
        (row("trained", "group", 0.9, (0.05, 0.2), p=0.2), row("random", "group", 0.0, (0.0, 0.0)), "undetermined"),
        (row("trained", "group", 0.7, (-0.2, -0.05)), row("random", "group", 0.0, (0.0, 0.0)), "no better"),
        (row("trained", "group", 0.8, (-0.1, 0.005)), None, "no better"),
        (row("trained", "group", 0.8, (-0.1, 0.1)), row("random", "group", 0.0, (0.0, 0.0)), "undetermined"),
    ],
)
def test_the_verdict_follows_its_rules(group: LadderRow, random: LadderRow | None, answer: str) -> None:
    rows = [group, row("trained", "plane", 0.8, (0.0, 0.0)), *([random] if random else [])]
    assert verdict_of(*rows).verdict == answer


def test_without_any_circle_nothing_is_said_of_features() -> None:
    verdict = verdict_of(
        row("trained", "group", 0.0, (-0.3, -0.1), p=0.9), row("trained", "plane", 0.1, (0.0, 0.0), p=0.5)
    )
    assert verdict.verdict == "undetermined"
    assert "no circle" in verdict.reason


def test_one_seed_that_disagrees_leaves_it_open() -> None:
    rows = [row("trained", "plane", 0.8, (0.0, 0.0)), row("random", "group", 0.0, (0.0, 0.0))]
    rows += [row("trained", "group", 0.9, (0.05, 0.2)), row("trained", "group", 0.8, (-0.1, 0.1), seed=1)]
    assert verdict_of(*rows).verdict == "undetermined"


def test_the_section_begins_with_the_answer() -> None:
    rows = [row("trained", "plane", 0.8, (0.0, 0.0)), row("random", "group", 0.0, (0.0, 0.0))]
    rows.append(row("trained", "group", 0.7, (-0.2, -0.05)))
    frames = {name: frame([], kind) for name, kind in TABLES.items()}
    frames |= {"sae_ladder": frame(rows, LadderRow), "sae_verdicts": frame(list(verdicts(rows)), FeatureVerdict)}
    text = re.sub("<[^>]*>", "", Section("features", "", page.parts(frames)).html).strip()
    assert text.startswith(
        "Groups of features carry no circle better than the best plane, 1 no better; "
        "better than in a random network: days (sum, layer 1), of 1 compared."
    )
    assert set(page.all_figures(frames)) == {"ladder"}  # no unit is circular: there is no circle to draw
    empty = page.parts({name: frame([], kind) for name, kind in TABLES.items()})
    assert Section("features", "", empty).html.count("<svg") == 0
