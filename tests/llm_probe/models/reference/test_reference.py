"""The reference model: its stream of batches, its training, and the committed weights on pairs it never saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from llm_probe.emergence.checkpoints import checkpoints_of
from llm_probe.emergence.config import SeriesConfig
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, load
from llm_probe.models.reference import train as reference_train
from llm_probe.models.reference.prompts import (
    IGNORED,
    Stream,
    build_tokenizer,
    is_held_out,
    reference_domains,
    tokenise,
)
from llm_probe.models.reference.recipe import LARGEST_OPERAND, Recipe, card
from llm_probe.models.reference.train import accuracy, learning_rate, pairs_of, train
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import question

TINY = Recipe(
    vocabulary=600, d_model=64, layers=1, first_steps=3, second_steps=3, batch=8, windows=2, window=16, bfloat16=False
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(TINY.vocabulary)


@pytest.fixture(scope="module")
def reference() -> LoadedModel:
    return load("reference", device="cpu")


def test_a_batch_is_a_function_of_the_seed_and_the_step(tokenizer: PreTrainedTokenizerFast) -> None:
    streams = Stream(TINY, tokenizer), Stream(TINY, tokenizer), Stream(replace(TINY, seed=1), tokenizer)
    streams[1](3)  # what was drawn before does not matter
    first, again, other = (stream(4) for stream in streams)
    assert torch.equal(first.english, again.english) and not torch.equal(first.english, other.english)
    for (tokens, targets), (same_tokens, same_targets) in zip(first.questions, again.questions, strict=True):
        assert torch.equal(tokens, same_tokens) and torch.equal(targets, same_targets)
    texts = [[prompt.text for prompt in stream.questions(4)] for stream in streams]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0] != [prompt.text for prompt in streams[0].questions(5)]


def test_no_held_out_pair_is_trained_on(tokenizer: PreTrainedTokenizerFast) -> None:
    stream, count = Stream(Recipe(), tokenizer), 0
    prompts = [prompt for step in (0, 3000, 6000, 8000, 11_499) for prompt in stream.questions(step)]
    for domain in stream.domains:
        pairs = [
            (prompt.first, prompt.offset)
            for prompt in prompts
            if prompt.template in domain.questions
            and prompt.first in domain.first_operands
            and prompt.text == question(domain, prompt.template, prompt.first, prompt.offset).text
        ]
        first, offset = np.array(pairs).T
        assert not is_held_out(domain, first, offset).any()
        count += len(pairs)
    assert count == len(prompts) > 1000


@pytest.mark.parametrize("domain", reference_domains(), ids=lambda domain: domain.name)
def test_a_fifth_of_every_domain_is_held_out(domain) -> None:
    first, offset = np.meshgrid(np.array(domain.first_operands), np.array(domain.offsets))
    assert is_held_out(domain, first, offset).mean() == pytest.approx(0.2, abs=0.03)
    assert domain.offsets == range(LARGEST_OPERAND)
    a, b = pairs_of(domain, published=True)
    assert len(a) > 0 and max(a.max(), b.max()) < domain.period and is_held_out(domain, a, b).all()


def test_domains_hold_out_pairs_of_their_own() -> None:
    first, offset = np.meshgrid(np.arange(100), np.arange(100))
    seven, eleven = (is_held_out(modular("add", modulus), first, offset) for modulus in (7, 11))
    assert (seven & eleven).mean() == pytest.approx(0.04, abs=0.01)


def test_operands_grow_in_the_second_stage_only(tokenizer: PreTrainedTokenizerFast) -> None:
    stream = Stream(replace(TINY, first_steps=10, second_steps=20), tokenizer)
    assert [stream.largest_operand(step) for step in (0, 9, 10, 15, 20, 29)] == [0, 0, 25, 62, 100, 100]


def test_only_answer_tokens_are_targets(tokenizer: PreTrainedTokenizerFast) -> None:
    prompts = [question(modular("add", 13), "published", a, b) for a, b in ((6, 6), (90, 4))]
    tokens, targets = tokenise(tokenizer, prompts)
    for row, answer in enumerate(("12\n", "3\n")):
        targeted = targets[row] != IGNORED
        assert tokenizer.decode(targets[row][targeted]) == answer
        # A target stands where the token before it is read.
        assert tokenizer.decode(tokens[row, : int(targeted.nonzero()[0]) + 1]) == prompts[row].text


def test_the_learning_rate_by_hand() -> None:
    recipe = Recipe(first_steps=100, second_steps=100, constant_share=0.5, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in (0, 4, 9, 99, 150, 175, 200)]
    # Ten steps of warm-up, constant to step 100 + 50, then straight down to 2 % at step 200.
    assert rates == pytest.approx([0.1, 0.5, 1, 1, 1, 0.51, 0.02])


def test_a_resumed_training_is_the_one_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def no_measuring(model, tokenizer, step) -> dict[str, float]:
        measured.append(step)
        return {"mod published": 0.0, "mod full": 0.0}

    monkeypatch.setattr(reference_train, "quick_accuracy", no_measuring)
    straight, _ = train(TINY, tmp_path / "straight", progress=False)
    train(TINY, tmp_path / "halves", stop=3, progress=False)
    resumed, _ = train(TINY, tmp_path / "halves", progress=False)
    assert measured == [5, 2, 5]
    weights = resumed.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in straight.state_dict().items())
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines()[-1] for name in ("straight", "halves")]
    assert json.loads(logs[0]) == json.loads(logs[1])
    assert not list(tmp_path.rglob("*.tmp"))
    with pytest.raises(ValueError, match="made by another recipe: give another --work folder"):
        train(replace(TINY, seed=1), tmp_path / "halves", progress=False)


def test_snapshots_are_a_series_and_change_nothing(tmp_path: Path) -> None:
    plain, _ = train(TINY, tmp_path / "plain", progress=False)
    kept, _ = train(TINY, tmp_path / "kept", progress=False, snapshot_every=2)
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), kept.parameters(), strict=True))
    config = SeriesConfig(model=str(tmp_path / "kept" / "snapshots"), checkpoints=("step-*",))
    steps = [one.step for one in checkpoints_of(config)]
    assert steps == list(range(0, TINY.first_steps + TINY.second_steps + 1, 2))


def test_the_committed_model_answers_pairs_it_never_saw(reference: LoadedModel) -> None:
    answers = [
        accuracy(reference.model, reference.tokenizer, domain, published=False, most=30)
        for domain in reference_domains()
    ]
    right, questions = (sum(column) for column in zip(*answers, strict=True))
    assert questions == 30 * 12
    assert right / questions >= 0.98


def test_the_committed_weights_are_small() -> None:
    assert (REFERENCE_FOLDER / "model.safetensors").stat().st_size < 8_000_000


def test_the_committed_card_is_made_from_the_committed_measurement() -> None:
    measured = json.loads((REFERENCE_FOLDER / "measured.json").read_text(encoding="utf-8"))
    written = (REFERENCE_FOLDER / "README.md").read_text(encoding="utf-8")
    table = [line for line in card(Recipe(), measured).splitlines() if line.startswith("|")]
    assert len(table) == 14 and all(line in written for line in table)


def test_every_digit_is_a_token(reference: LoadedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    for each in (reference.tokenizer, tokenizer):
        tokens = each.tokenize("1234 + 99 mod 7 = 05")
        assert [token for token in tokens if token.strip("Ġ").isdigit()] == [*"1234997" + "05"]
    assert reference.tokenizer.tokenize(" Wednesday") == ["ĠWednesday"]
