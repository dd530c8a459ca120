"""The table of random networks, with a tiny network in place of the wide one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, wrap
from llm_probe.replication.audit import random_networks
from llm_probe.replication.audit.random_networks import (
    COLUMNS,
    NullConfig,
    NullTable,
    grids,
    law_of_quantiles,
    table,
)
from toy.run.errors import InputError


def tiny(layers: int, seed: int) -> LoadedModel:
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    torch.manual_seed(seed)
    return wrap(Qwen3ForCausalLM(config).requires_grad_(False).eval(), tokenizer)


def test_grids_are_the_published_prompts(tmp_path: Path) -> None:
    named = grids(NullConfig(cells=tmp_path, moduli=(7,)))
    published = {name: grid.prompts() for name, grid in named.items()}
    assert {name: (grid.period, len(published[name])) for name, grid in named.items()} == {
        "days": (7, 49), "months": (12, 144), "hours": (12, 144), "alphabet": (26, 338),
        "alphabet position": (26, 26), "mod-add 7": (7, 49),
    }  # fmt: skip
    assert published["mod-add 7"][10].text == "1 + 3 mod 7 ="
    assert published["days"][8].text == "Tuesday + 1 days = " and published["days"][8].label == 2
    assert published["hours"][13].text == "2 o'clock + 1 hours = " and published["hours"][13].label == 2
    assert published["alphabet"][-1].text == "M + 25 letters = "
    assert [published["alphabet position"][index].text[4:8] for index in (0, 1, 10, 20)] == [
        "1st ",
        "2nd ",
        "11th",
        "21st",
    ]


def test_the_table_is_resumed_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    def counted(layers: int, seed: int) -> LoadedModel:
        built.append(seed)
        return tiny(layers, seed)

    monkeypatch.setattr(random_networks, "random_qwen3", counted)
    config = NullConfig(cells=tmp_path, seeds=2, layers=2, moduli=(7,), calendars=("days",))
    rows = list(table(config))
    assert list(table(config)) == rows and built == [0, 1]
    assert len(rows) == 2 * 2 * 2 and set(rows[0]) == set(COLUMNS)
    assert all(row["median_r2"] <= row["q95_r2"] <= row["max_r2"] <= 1 and row["dims"] == 32 for row in rows)
    path = tmp_path / "table.csv"
    path.write_text("\n".join([",".join(COLUMNS), *(",".join(str(row[name]) for name in COLUMNS) for row in rows)]))
    read = NullTable.read(path)
    largest = [max(row["max_r2"] for row in rows if row["domain"] == "days" and row["seed"] == seed) for seed in (0, 1)]
    whole, one = read.law("days", 32, 28), read.law("days", 1, 1)
    assert whole is not None and one is not None
    assert whole.median == pytest.approx(sum(largest) / 2, abs=1e-6)
    assert one.median < whole.median


def test_a_bad_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        NullTable.read(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("null,domain\nx,days\n")
    with pytest.raises(InputError, match="lacks the column 'n'"):
        NullTable.read(tmp_path / "bad.csv")
    (tmp_path / "text.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(["x"] * len(COLUMNS)) + "\n")
    with pytest.raises(InputError, match="without numbers"):
        NullTable.read(tmp_path / "text.csv")


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match="unknown calendar"):
        NullConfig(calendars=("years",))
    with pytest.raises(InputError, match="at least 1"):
        NullConfig(seeds=0)


def test_quantiles_of_networks_give_the_law_of_few_dimensions() -> None:
    # Two networks whose dimensions are uniform on [0, 1]: one exceeds r with 1 - r, the larger of two with 1 - r².
    levels = np.array([0.25, 0.5, 0.75, 0.999999])
    law = law_of_quantiles(levels, np.stack([levels, levels]), 1)
    assert law.above(0.7) == pytest.approx(0.3, abs=1e-5) and law.median == pytest.approx(0.5, abs=1e-5)
    assert law_of_quantiles(levels, np.stack([levels, levels]), 2).above(0.7) == pytest.approx(0.51, abs=1e-4)
