"""A training with known checkpoints: weekdays are put on a circle in the embeddings from one step on."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from llm_probe.emergence import film as films
from llm_probe.emergence.config import SeriesConfig
from llm_probe.emergence.page import section
from llm_probe.emergence.planted import Training
from llm_probe.emergence.series import run
from llm_probe.emergence.table import CheckpointRow
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DAYS
from llm_probe.run.study import Result
from toy.run.errors import InputError

STEPS, START = (0, 100, 200, 300, 400, 500), 200


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six checkpoints of a tiny Qwen3: noise drifts, and from step 200 on weekdays stand on a circle."""
    base = tmp_path_factory.mktemp("training")
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 1}
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=1, head_dim=16, **sizes))
    table = model.get_input_embeddings().weight.data
    days = [tokenizer.encode(" " + name)[0] for name in DAYS]
    angles = 2 * math.pi * torch.arange(7) / 7
    circle = torch.zeros(7, 32)
    circle[:, 3], circle[:, 11] = angles.cos(), angles.sin()
    for step in STEPS:
        table += 0.002 * torch.randn(table.shape)
        if step == START:
            table[days] += 0.2 * circle
        model.save_pretrained(base / f"checkpoint-{step}")
        tokenizer.save_pretrained(base / f"checkpoint-{step}")
    return base


def config(training: Path, out: Path) -> SeriesConfig:
    return SeriesConfig(
        model=str(training), checkpoints=("checkpoint-*",), tokens_a_step=10, domains=("days",), prompts=150,
        renamings=99, behaviour_prompts=5, out=out,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(training: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("series")
    own = config(training, folder)
    made = run(own, own.series_folder, "python scripts/probe_llm.py --checkpoints 'checkpoint-*'")
    made.write(own.series_folder)
    return made, folder


def test_the_circle_is_given_its_step(result: tuple[Result, Path]) -> None:
    changes = result[0].frames["changes"].set_index(["quantity", "event"])
    circle = changes.loc[("item", "circle")]
    assert circle["step"] == START
    assert circle["not_yet_at"] in (100, 0) and circle["above_at"] in (200, 300)
    assert pd.isna(changes.loc[("sum", "circle"), "step"])
    assert pd.isna(changes.loc[("sum", "answered"), "step"])


def test_every_checkpoint_has_its_rows_and_one_twin(result: tuple[Result, Path]) -> None:
    frames = result[0].frames
    rows = frames["checkpoints"]
    items = rows.loc[rows["quantity"] == "item"]
    assert items["step"].tolist() == list(STEPS)
    assert items["tokens"].tolist() == [10 * step for step in STEPS]
    assert items["random_r2"].nunique() == 1
    assert len(frames["checkpoint_circles"]) == 2 * len(STEPS) * 7


def test_a_finished_series_reads_its_cells_and_writes_the_same(
    result: tuple[Result, Path], training: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = result[1]
    before = {path.name: path.read_bytes() for path in (folder / "checkpoints").glob("*.csv")}
    from llm_probe.activations import streaming

    monkeypatch.setattr(streaming, "read", None)
    own = config(training, folder)
    run(own, own.series_folder).write(own.series_folder)
    assert before == {path.name: path.read_bytes() for path in (folder / "checkpoints").glob("*.csv")}
    assert len(before) == 3
    assert {path.name for path in (folder / "checkpoints" / "figures").iterdir()} == {
        "emergence.svg", "emergence.png", "days_item.mp4", "days_item.gif",
    }  # fmt: skip


def test_it_is_a_section_of_the_page_and_a_page(result: tuple[Result, Path]) -> None:
    folder = result[1]
    made = section(folder)
    assert made is not None and made.anchor == "checkpoints"
    assert "days: item" in made.html and "circle from step 200" in made.html
    page = (folder / "checkpoints" / "report.html").read_text(encoding="utf-8")
    assert "Over training" in page and "<script" not in page
    assert section(folder / "checkpoints") is None
    assert "days: item: " in str(result[0])


def test_a_film_of_the_items(result: tuple[Result, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "shown_for", lambda count: [1] * count)
    written = films.film(result[0].frames, "days", "item", tmp_path / "days")
    assert [path.suffix for path in written] == [".mp4", ".gif"]
    assert all(path.stat().st_size > 1000 for path in written)
    with pytest.raises(InputError, match="there is no film of months: item: the series has days: "):
        films.film(result[0].frames, "months", "item", tmp_path / "months")


def test_a_planted_training_gives_its_checkpoint_back_and_none_without() -> None:
    assert Training(0, 5).changes()["circle"].index in (4, 5, 6)
    assert Training(1, None).changes()["circle"].index is None


def test_what_interventions_do_is_dated_too(result: tuple[Result, Path], training: Path, tmp_path: Path) -> None:
    """Answers that follow from step 200 on, beside random directions that move a tenth of them throughout."""

    def intervene(loaded: LoadedModel, claim: Claim, row: CheckpointRow) -> CheckpointRow:
        assert claim.quantity == "sum" and loaded.d_model == 32
        moved = 0.9 if row.step >= START else 0.1
        use = "used" if row.step >= START else "undetermined"
        return replace(row, moved=moved, moved_low=moved - 0.05, moved_high=1.0, moved_by_chance=0.3, use=use)

    shutil.copytree(result[1], tmp_path, dirs_exist_ok=True)
    own = replace(config(training, tmp_path), causal=True)
    made = run(own, own.series_folder, intervene=intervene)
    changes = made.frames["changes"].set_index(["quantity", "event"])
    assert changes.loc[("sum", "moved"), "step"] == changes.loc[("sum", "used"), "step"] == START
    assert ("item", "moved") not in changes.index
    made.write(own.series_folder)
    assert "Violet: answers that follow" in (own.series_folder / "report.html").read_text(encoding="utf-8")
    assert "moved" not in set(result[0].frames["changes"]["event"])  # it was not asked for
