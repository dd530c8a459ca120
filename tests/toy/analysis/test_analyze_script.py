"""scripts/toys/analyze_toy.py as a user runs it: its table, its one-sentence errors, a quick --help."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.root import ROOT
from toy.config import ToyConfig
from toy.pictures import families
from toy.training.train import train

SCRIPT = ROOT / "scripts/toys/analyze_toy.py"


@pytest.fixture
def analyze(monkeypatch: pytest.MonkeyPatch):
    """The script's exit code for some arguments, with one family of figures in place of all."""
    monkeypatch.setattr(families, "FAMILIES", {"13_progress": families.FAMILIES["13_progress"]})
    script = importlib.import_module("analyze_toy")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["analyze_toy.py", *arguments])
        return script.main()

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ToyConfig(modulus=5, d_model=8, n_heads=2, d_mlp=12, train_fraction=0.6, steps=2, checkpoint_every=1)
    train(config, path := tmp_path_factory.mktemp("toy") / "run")
    return path


def test_it_prints_the_numbers_and_writes_the_page(analyze, folder: Path, tmp_path: Path, capsys) -> None:
    assert analyze(str(folder), "--out", str(tmp_path), "--no-film", "--steps", "0", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["this", "network", "untrained"]
    assert any(line.startswith("neurons explained") for line in lines)
    assert lines[-1] == f"1 figures and the page {tmp_path / 'index.html'}"
    assert len((tmp_path / "progress.csv").read_text().splitlines()) == 3
    assert not (tmp_path / "film.mp4").exists()
    command = f"python scripts/toys/analyze_toy.py {folder} --out {tmp_path} --no-film --steps 0 2"
    assert command in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_what_has_no_figure_is_named(analyze, folder: Path, tmp_path: Path, capsys) -> None:
    assert analyze(str(folder / "checkpoints/step-000001.pt"), "--out", str(tmp_path)) == 0
    assert "no figure 13_progress: There is no history to draw" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("missing.pt",), "there is no checkpoint missing.pt"), ((".",), "is no run directory")],
)
def test_a_wrong_path_is_one_sentence(analyze, capsys, monkeypatch, tmp_path: Path, arguments, said) -> None:
    monkeypatch.chdir(tmp_path)
    assert analyze(*arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert said in message
    assert len(message.strip().splitlines()) == 1


def test_help_does_not_wait_for_torch() -> None:
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "--split-seed" in result.stdout
    assert "| torch\n" not in result.stderr
    assert "| matplotlib\n" not in result.stderr
