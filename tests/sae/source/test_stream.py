"""Batches are a function of (seed, step), shuffled, and hold the states that hooks read."""

import random
from dataclasses import replace

import pytest
import torch

from llm_probe.models.loading import LoadedModel
from sae.config import SaeConfig
from sae.source.sources import UNSCORED, Passage, source_of, task_share
from sae.source.stream import ordinary, read_states
from sae.training.train import stream_of
from toy.run.errors import InputError

PLACES = [(0, "resid_post"), (2, "mlp_out")]


def test_a_step_is_the_same_whatever_came_before(config: SaeConfig, loaded: LoadedModel) -> None:
    straight = stream_of(config, loaded, PLACES)
    steps = [straight(step) for step in range(6)]
    jumping = stream_of(config, loaded, PLACES)
    for step in random.Random(0).sample(range(6), 6):
        again = jumping(step)
        assert all(torch.equal(steps[step][place], again[place]) for place in PLACES)
    other = stream_of(replace(config, data_seed=1), loaded, PLACES)(0)
    assert not torch.equal(other[PLACES[0]], steps[0][PLACES[0]])


def test_states_are_those_of_plain_forwards(config: SaeConfig, loaded: LoadedModel) -> None:
    passages = source_of(config, loaded).passages(0, 100)
    assert {len(passage.ids) for passage in passages} > {16}  # windows, and prompts of other lengths
    states = read_states(loaded, passages, PLACES, batch_tokens=40)
    start = 0
    for passage in passages:
        with torch.no_grad():
            hidden = loaded.backbone(torch.tensor([passage.ids]), output_hidden_states=True).hidden_states
        end = start + len(passage.ids)
        torch.testing.assert_close(states[0, start:end], hidden[1][0], rtol=1e-4, atol=1e-5)
        start = end
    assert start == states.shape[1]


def test_a_block_is_shuffled_and_complete(config: SaeConfig, loaded: LoadedModel) -> None:
    stream = stream_of(replace(config, task_share=0.0, largest_norm=0.0), loaded, PLACES)
    in_order = read_states(loaded, stream.source.passages(0, 128), PLACES, 8192)[0]
    shuffled = torch.cat([stream(step)[PLACES[0]] for step in range(2)])
    assert not torch.equal(shuffled, in_order)
    torch.testing.assert_close(shuffled.sum(dim=0), in_order.sum(dim=0), rtol=1e-4, atol=1e-3)
    assert len(in_order) == len(shuffled) == 128


def test_long_states_are_left_out_and_counted(config: SaeConfig, loaded: LoadedModel) -> None:
    states = torch.ones(10, 4)
    states[3] *= 11
    assert ordinary(states, 10.0).tolist() == [True] * 3 + [False] + [True] * 6
    assert ordinary(states, 0.0).all()
    stream = stream_of(replace(config, largest_norm=1.2), loaded, PLACES)
    batch = torch.cat([stream(step)[PLACES[0]] for step in range(2)])
    every = read_states(loaded, stream.source.passages(0, 128), PLACES, 8192)[0]
    longest = 1.2 * every.norm(dim=1).median()
    assert stream.dropped[PLACES[0]] == int((every.norm(dim=1) > longest).sum()) > 0
    assert stream.read == len(every)
    assert batch.norm(dim=1).max() <= longest


def test_the_share_of_prompts_is_what_was_asked_for(config: SaeConfig, loaded: LoadedModel) -> None:
    passages = source_of(config, loaded).passages(3, 4000)
    tokens = [sum(len(passage.ids) for passage in passages if passage.task is task) for task in (False, True)]
    assert abs(tokens[1] / sum(tokens) - 0.25) < 0.02
    assert task_share(replace(config, task_share=None)) == 0.05


def test_targets_are_the_next_token_of_text_and_the_answer_of_a_question(
    config: SaeConfig, loaded: LoadedModel
) -> None:
    decode = loaded.tokenizer.decode
    passages = source_of(config, loaded).passages(0, 1000)
    window = next(passage for passage in passages if not passage.task)
    assert len(window.ids) == 16 and window.targets[:-1] == window.ids[1:]
    prompt = next(passage for passage in passages if passage.task and set(passage.targets) != {UNSCORED})
    answer = decode([target for target in prompt.targets if target != UNSCORED]).replace(" ", "")
    assert answer.strip() in {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
    assert len(prompt.ids) == len(prompt.targets)


def test_what_is_held_out_is_never_drawn(config: SaeConfig, loaded: LoadedModel) -> None:
    source = source_of(config, loaded)
    passages: set[Passage] = {passage for block in range(40) for passage in source.passages(block, 400)}
    questions = {passage for passage in source.held_out if passage.task}
    assert questions and passages.isdisjoint(questions)
    text = "".join(loaded.tokenizer.convert_ids_to_tokens([i for p in source.held_out if not p.task for i in p.ids]))
    assert "document 9 says" in text and "document 8 says" not in text


def test_a_data_set_is_streamed_and_read_again(config: SaeConfig, loaded: LoadedModel, folder, tmp_path) -> None:
    documents = (folder / "documents.txt").read_text(encoding="utf-8").split("\n\n")
    rows = tmp_path / "corpus"
    rows.mkdir()
    (rows / "train.jsonl").write_text("\n".join(f'{{"text": "{text}"}}' for text in documents), encoding="utf-8")
    streamed = replace(config, text=None, dataset=str(rows), task_share=0.0)
    source = source_of(streamed, loaded)
    blocks = [source.passages(block, 400) for block in range(5)]
    assert source.passages(2, 400) == blocks[2]  # back to an earlier block, as a resumed run does
    first = "".join(loaded.tokenizer.convert_ids_to_tokens(list(blocks[0][0].ids)))
    assert first.startswith("document 0 says")
    seen = "".join(loaded.tokenizer.convert_ids_to_tokens([i for block in blocks for p in block for i in p.ids]))
    assert source.held_out and "document 8 says" in seen and "document 9 says" not in seen
    with pytest.raises(InputError, match="cannot be read"):
        source_of(replace(streamed, dataset=str(tmp_path / "nothing")), loaded)


def test_a_toy_is_read_at_its_three_positions() -> None:
    """The states of a toy's own table: operands, "=", and the answer as the target of the last."""
    from llm_probe.models.loading import _mapped
    from llm_probe.models.toy_model import BridgeConfig, ToyForCausalLM, number_tokenizer
    from llm_probe.questions.toy_domain import toy_domain
    from sae.source.sources import task_passages, trainable_questions
    from toy.config import ToyConfig

    toy = ToyConfig(modulus=13, d_model=8, n_heads=2, d_mlp=8)
    network = ToyForCausalLM(BridgeConfig(toy)).eval()
    loaded = _mapped(network, number_tokenizer(13), "toy", None, "trained", is_encoder=False)
    prompts = trainable_questions(toy_domain(toy))
    passages = task_passages(loaded, prompts)
    for prompt, passage in list(zip(prompts, passages, strict=True))[:20]:
        assert passage.ids == (prompt.first, prompt.offset, 13)
        assert passage.targets == (UNSCORED, UNSCORED, prompt.label)
    assert read_states(loaded, passages, [(0, "resid_post")], 64).shape == (1, 3 * len(passages), 8)


def test_texts_that_cannot_be(config: SaeConfig, loaded: LoadedModel, tmp_path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("a few words", encoding="utf-8")
    with pytest.raises(InputError, match="less than two windows"):
        source_of(replace(config, text=short), loaded)
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        source_of(replace(config, text=tmp_path / "none.txt"), loaded)
