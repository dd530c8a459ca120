"""The plan's numbers against what is known: published model sizes, and what a run really reads."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from llm_probe.run.config import ProbeConfig
from llm_probe.sweep import cost
from llm_probe.sweep.grid import Grid

NON_EMBEDDING = {"0.6B": 0.44e9, "1.7B": 1.4e9, "4B": 3.6e9, "8B": 6.95e9, "14B": 13.2e9, "32B": 31.2e9}
"""Parameters outside the embeddings as the model cards on the hub give them."""


@pytest.mark.parametrize(("name", "published"), NON_EMBEDDING.items())
def test_the_series_has_the_published_sizes(name: str, published: float) -> None:
    assert cost.size_of(f"Qwen/Qwen3-{name}").blocks == pytest.approx(published, rel=0.015)


def test_the_bundled_model_has_its_size() -> None:
    size = cost.size_of("reference")
    assert size.blocks + size.vocabulary == 1_000_512  # results/reference/run.json
    assert (size.layers, size.d_model) == (3, 128)


def test_work_is_what_a_run_reads() -> None:
    from llm_probe.models.loading import load
    from llm_probe.questions.selection import claims_for
    from llm_probe.questions.tokens import encode

    config = ProbeConfig(domains=("days",), prompts=100, behaviour=False)
    claims = claims_for(config, config.domains)
    done = cost.work_of(config, claims, 3)
    grid = len(_grid(claims))
    parts = sum(len(claim.prompts("discovery", 100, 0)) + len(claim.prompts("confirmation", 50, 0)) for claim in claims)
    assert done.prompts == 3 * (parts + grid)
    # Three layers and three kinds of weights a claim; the embedding is read where items stand, in each of the three.
    assert done.places == len(claims) * 3 * 3 + 3 and done.answer_tokens == 0
    prompts = [prompt for claim in claims for prompt in claim.prompts("discovery", 100, 0)]
    real = sum(len(one.ids) for one in encode(load("reference").tokenizer, prompts))
    guessed = sum(len(cost.PIECES.findall(prompt.text)) for prompt in prompts)
    assert guessed == pytest.approx(real, rel=0.3)


def _grid(claims) -> list:
    from llm_probe.questions.prompts import published_grid

    return [one for claim in claims if claim.quantity == "sum" for one in published_grid(claim.domain)]


def test_a_plan_says_counts_flops_memory_and_time(tmp_path: Path) -> None:
    import _kinds

    kind = _kinds.KINDS["probe"]
    fixed = {"domains": ["sizes"], "prompts": 40, "renamings": 9}
    cells = Grid("probe", fixed, {"seed": [0, 1, 2]}).cells(kind, 10)
    text = cost.preview(kind, cells, tmp_path, 2, None)
    assert "reference float32                      3      2" in text and "3 cells, 0 done, 3 to do: about" in text
    slower = cost.Cost.of(cells[0].config, 1e-6)
    assert slower.seconds > 10 * slower.flops / 1e12 and slower.weights == 4 * 1_000_512


def test_the_plan_of_one_run_names_its_passes_and_adds_up() -> None:
    config = ProbeConfig(domains=("sizes",), prompts=40, renamings=9, blocks_control=False)
    text = cost.plan_text(config)
    planned = cost.Cost.of(config, 1.0)
    assert f"prompts  {planned.prompts:,} with trained weights, random weights\n" in text
    assert f"tokens   {planned.tokens:,}" in text and "TFLOP/s" in text
    assert planned.forward == planned.flops / 1e12
    assert planned.seconds == planned.forward + planned.statistics


def test_other_kinds_are_counted(trivial: ModuleType, tmp_path: Path) -> None:
    kind = trivial.KINDS["trivial"]
    cells = Grid("trivial", {}, {"number": [1, 2]}).cells(kind, 10)
    assert cost.preview(kind, cells, tmp_path, 1, None) == "2 cells, 0 done, 2 to do\n  number=1\n  number=2"
