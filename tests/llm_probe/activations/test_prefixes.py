"""Beginnings computed once: the cut by hand, the same activations on every architecture, and where it stays off."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.activations import prefixes
from llm_probe.activations import streaming as activations
from llm_probe.activations.prefixes import Prefixes, agree, can_share, shared_prefixes, worthwhile
from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.questions.tokens import Encoded

SHARED = ("qwen3", "qwen2", "llama", "gpt2", "gpt_neox", "gemma", "mistral", "gemma2", "gemma3_text")
"""The last three have a sliding window, far longer than these prompts."""
WHOLE = ("bert",)
PLAN = ReadPlan(layers=(0, 2), sites=("resid_post", "attn_out"), positions=("last", "offset")).with_embedding()

Tiny = Callable[[str], PreTrainedModel]


def grid(first: int, second: int) -> list[tuple[int, ...]]:
    """a + b = for all a, b: four tokens."""
    return [(a, 30, 10 + b, 31) for a in range(first) for b in range(second)]


@pytest.fixture
def encoded() -> list[Encoded]:
    """A greeting of two tokens, a + b =, for 36 pairs; the cut for `offset` and `last` is behind the +."""
    return [Encoded((40, 41, *ids), {"last": 5, "item": 2, "offset": 4}) for ids in grid(6, 6)]


@pytest.fixture
def load(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> Callable[[str], LoadedModel]:
    def gemma() -> PreTrainedModel:
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "head_dim": 4}
        return GemmaForCausalLM(
            GemmaConfig(
                vocab_size=len(tokenizer), num_attention_heads=4, num_key_value_heads=2, pad_token_id=1, **sizes
            )
        ).eval()

    return lambda architecture: wrap(gemma() if architecture == "gemma" else tiny(architecture), tokenizer)


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[Prefixes]:
    """The beginnings that are computed while the test runs; a second forward costs nothing in it."""
    made: list[Prefixes] = []
    compute = prefixes.prefix_cache

    def noted(stack: Any, last: Any, shared: Prefixes, device: torch.device) -> Any:
        made.append(shared)
        return compute(stack, last, shared, device)

    monkeypatch.setattr(activations, "prefix_cache", noted)
    monkeypatch.setattr(prefixes, "CPU_FORWARD_TOKENS", 0)
    return made


def test_the_cut_by_hand() -> None:
    # Nine prompts of four tokens. k = 1: 3 + 9 · 3 = 30 tokens; k = 2: 3 · 2 + 9 · 2 = 24; k = 3: 9 · 3 + 9 = 36.
    shared = shared_prefixes(grid(3, 3), first_read=3)
    assert shared == Prefixes(2, ((0, 30), (1, 30), (2, 30)), (0, 0, 0, 1, 1, 1, 2, 2, 2), 24)
    # The order of the rows is theirs, and beginnings are numbered as they come.
    mixed = [(7, 1, 2), (5, 1, 3), (7, 1, 4), (5, 1, 2)]
    assert shared_prefixes(mixed, first_read=2) == Prefixes(2, ((7, 1), (5, 1)), (0, 1, 0, 1), 8)
    # Equal prompts are cut as late as they may be.
    assert shared_prefixes([(1, 2, 3)] * 4, first_read=2) == Prefixes(2, ((1, 2),), (0, 0, 0, 0), 6)


def test_no_cut_lies_behind_a_position_that_is_read() -> None:
    # Behind the first token only: 3 + 27 tokens, although a later cut leaves 24.
    assert shared_prefixes(grid(3, 3), first_read=1) == Prefixes(1, ((0,), (1,), (2,)), (0, 0, 0, 1, 1, 1, 2, 2, 2), 30)
    assert shared_prefixes(grid(3, 3), first_read=0) is None


def test_no_cut_where_none_saves() -> None:
    assert shared_prefixes([(1, 9, 9), (2, 9, 9), (3, 9, 9)], first_read=2) is None
    assert shared_prefixes([(1, 2, 3)], first_read=2) is None


def test_a_cut_must_pay_for_a_second_forward() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    # All pairs below ten: 220 of 400 tokens, and 64 for the forward, are less than 320.
    cut = worthwhile(grid(10, 10), 3, cpu)
    assert cut is not None and cut.tokens == 220
    # Below seven: 112 + 64 of 196. On a GPU such batches are too small.
    assert worthwhile(grid(7, 7), 3, cpu) is None
    assert worthwhile(grid(10, 10), 3, gpu) is None
    assert worthwhile(grid(10, 10) * 100, 3, gpu) is not None


@pytest.mark.parametrize("architecture", SHARED + WHOLE)
def test_activations_are_the_same_with_and_without_sharing(
    architecture: str, load: Callable[[str], LoadedModel], encoded: list[Encoded], cuts: list[Prefixes]
) -> None:
    loaded = load(architecture)
    assert can_share(loaded, 6) == (architecture in SHARED)
    expected = rows(stream(loaded, encoded, PLAN, share_prefixes=False), 36)
    assert cuts == []
    for batch_tokens in (None, 108):  # one batch, and two of 18 prompts
        read = rows(stream(loaded, encoded, PLAN, batch_tokens=batch_tokens), 36)
        torch.testing.assert_close(read, expected, rtol=1e-5, atol=1e-5)
    shapes = [(cut.length, len(cut.distinct), cut.tokens) for cut in cuts]
    # 6 · 4 + 36 · 2 of 216 tokens; 3 · 4 + 18 · 2 of 108, twice.
    assert shapes == ([(4, 6, 96), (4, 3, 48), (4, 3, 48)] if architecture in SHARED else [])


def test_a_window_shorter_than_the_prompts_is_read_whole(load: Callable[[str], LoadedModel]) -> None:
    window = load("mistral").model.config.sliding_window  # type: ignore[union-attr]
    assert can_share(load("mistral"), window) and not can_share(load("mistral"), window + 1)


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
def test_positions_inside_a_common_beginning_are_read(
    architecture: str, load: Callable[[str], LoadedModel], encoded: list[Encoded], cuts: list[Prefixes]
) -> None:
    loaded = load(architecture)
    plan = ReadPlan(layers=(0, 3), positions=("item", "last"))
    expected = rows(stream(loaded, encoded, plan, share_prefixes=False), 36)
    torch.testing.assert_close(rows(stream(loaded, encoded, plan), 36), expected, rtol=1e-5, atol=1e-5)
    # The item is token 2: only the greeting may be shared.
    assert [(cut.length, cut.distinct) for cut in cuts] == [(2, ((40, 41),))]


def test_no_forward_runs_behind_the_last_layer(
    load: Callable[[str], LoadedModel], encoded: list[Encoded], cuts: list[Prefixes]
) -> None:
    loaded, calls = load("qwen3"), []
    watched: dict[Any, Any] = dict(enumerate(loaded.layers)) | {"norm": loaded.backbone.norm}
    for name, module in watched.items():
        module.register_forward_pre_hook(lambda _, inputs, name=name: calls.append((name, tuple(inputs[0].shape[:2]))))
    list(stream(loaded, encoded, ReadPlan(layers=(1, 0))))
    # Two prompts whole, for the check; the beginnings; the rest.
    assert calls == [(layer, shape) for shape in ((2, 6), (6, 4), (36, 2)) for layer in (0, 1)]


@pytest.mark.parametrize("flaw", ["deaf", "loud"])
def test_a_model_that_cannot_use_a_cache_is_read_whole(
    flaw: str,
    load: Callable[[str], LoadedModel],
    encoded: list[Encoded],
    cuts: list[Prefixes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load("llama")
    expected = rows(stream(loaded, encoded, PLAN, share_prefixes=False), 36)
    forward = loaded.backbone.forward

    def flawed(*, past_key_values: Any = None, **arguments: Any) -> Any:
        if flaw == "loud" and past_key_values is not None:
            raise AttributeError("no cache here")
        return forward(**arguments)

    monkeypatch.setattr(loaded.backbone, "forward", flawed)
    read = rows(stream(loaded, encoded, PLAN, batch_tokens=108), 36)
    torch.testing.assert_close(read, expected, rtol=1e-5, atol=1e-5)
    assert len(cuts) == 1, "tried on the first batch only"


def test_halving_a_batch_shares_what_is_left(
    load: Callable[[str], LoadedModel], encoded: list[Encoded], cuts: list[Prefixes], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load("qwen3")
    expected = rows(stream(loaded, encoded, PLAN, share_prefixes=False), 36)
    read = activations._read

    def short_of_memory(
        loaded: LoadedModel, prompts: list[Encoded], plan: ReadPlan, shared: Prefixes | None = None
    ) -> Tensor:
        cells = read(loaded, prompts, plan, shared)
        if len(prompts) > 18:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return cells

    monkeypatch.setattr(activations, "_read", short_of_memory)
    torch.testing.assert_close(rows(stream(loaded, encoded, PLAN), 36), expected, rtol=1e-5, atol=1e-5)
    # The whole grid runs out of memory; its halves share three beginnings each.
    assert [len(cut.owner) for cut in cuts] == [36, 18, 18] and len(cuts[1].distinct) == 3


def test_agreement_is_relative_to_each_vector() -> None:
    whole = torch.tensor([[[3.0, 4.0], [300.0, 400.0]]])
    assert agree(whole * (1 + 5e-6), whole, torch.float32)
    # 1e-3 is 2e-4 of the first vector, whose norm is 5, and 2e-6 of the second.
    assert not agree(whole + torch.tensor([[[1e-3, 0.0], [0.0, 0.0]]]), whole, torch.float32)
    assert agree(whole + torch.tensor([[[0.0, 0.0], [1e-3, 0.0]]]), whole, torch.float32)
    assert agree(whole * 1.01, whole, torch.bfloat16) and not agree(whole * float("nan"), whole, torch.bfloat16)
