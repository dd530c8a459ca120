"""A small run end to end: tables without gaps, the same again from its cells, a section, one sentence a mistake."""

import sys
from pathlib import Path

import circuits as script
import pandas as pd
import pytest

from llm_probe.circuits.page import section
from llm_probe.circuits.run import run
from llm_probe.circuits.table import TABLES, CircuitsConfig

EMPTY = {"p_fwer", "p_renamed", "p_periods"}
"""Columns that may have empty cells."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    config = CircuitsConfig(
        domains=("days",),
        items=("days",),
        prompts=12,
        shots=(0, 2),
        numbers=20,
        renamings=9,
        device="cpu",
        out=folder / "circuits",
    )
    result = run(config, "python scripts/circuits.py")
    result.write(config.folder)
    again = run(config, "python scripts/circuits.py")
    for name, frame in result.frames.items():
        pd.testing.assert_frame_equal(frame, again.frames[name])
    assert "lens" in str(result)
    return folder


def test_tables_have_no_gaps_and_both_kinds_of_weights(finished: Path) -> None:
    for name in TABLES:
        frame = pd.read_csv(finished / "circuits" / f"{name}.csv")
        assert set(frame["weights"]) == {"trained", "random"}, name
        assert frame.drop(columns=EMPTY & set(frame.columns)).notna().all(axis=None), name
    assert {path.name for path in (finished / "circuits" / "figures").glob("*.png")} == {
        f"{name}.png" for name in ("offsets", "attention", "lens", "analogies", "embeddings", "helix")
    }


def test_the_section_says_what_the_tables_say(finished: Path) -> None:
    own = section(finished)
    assert own is not None and own.anchor == "circuits" and own.html.count("<svg") == 6
    assert "<script" not in own.html and "Right answers after the last block" in own.html
    assert section(finished / "circuits") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--items", "weeks"), "unknown domain 'weeks'"),
        (("--model", "nobody/nothing"), "nobody/nothing is not in the cache"),
        (("--numbers", "7"), "the helix needs 20 to 1000 integers"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["circuits.py", *arguments, "--out", str(tmp_path / "out")])
    assert script.main() == 2
    assert message in capsys.readouterr().err
