"""The streaming pass against single forwards, its memory behaviour and its reducers."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from llm_probe.activations import streaming as activations
from llm_probe.activations.prefixes import Sharing
from llm_probe.activations.streaming import ReadPlan, class_sums, rows, stream
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.questions.tokens import Encoded
from llm_probe.run.vocabulary import Position
from toy.run.errors import InputError

ARCHITECTURES = ("qwen3", "qwen2", "llama", "mistral", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "bert")
PLAN = ReadPlan(layers=(0, 2), sites=("resid_post", "mlp_out"), positions=("last", "item"))

Tiny = Callable[[str], PreTrainedModel]


@pytest.fixture
def encoded() -> list[Encoded]:
    """23 prompts of 5, 6 and 7 random tokens; the item stands at a different place in each."""
    generator = torch.Generator().manual_seed(0)
    prompts = []
    for index in range(23):
        length = 5 + index % 3
        ids = torch.randint(2, 40, (length,), generator=generator)
        prompts.append(Encoded(tuple(ids.tolist()), {"last": length - 1, "item": index % length}))
    return prompts


@pytest.fixture
def loaded(tiny: Tiny, tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    return wrap(tiny("qwen3"), tokenizer)


def one_by_one(loaded: LoadedModel, encoded: list[Encoded], layer: int, position: Position) -> Tensor:
    """The stream after a layer that is not the last, one prompt per forward, as transformers reports it."""
    with torch.no_grad():
        states = [
            loaded.model(input_ids=torch.tensor([prompt.ids]), output_hidden_states=True).hidden_states[layer + 1]
            for prompt in encoded
        ]
    return torch.stack([state[0, prompt.positions[position]] for state, prompt in zip(states, encoded, strict=True)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batches_equal_single_prompts(
    architecture: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast, encoded: list[Encoded]
) -> None:
    loaded = wrap(tiny(architecture), tokenizer)
    read = rows(stream(loaded, encoded, PLAN), len(encoded))
    assert read.shape == (23, 8, 16) and read.dtype == torch.float32
    # Layer-major order: layer 0 (resid_post last, item; mlp_out last, item), then layer 2.
    assert PLAN.cells[:5] == [
        (0, "resid_post", "last"), (0, "resid_post", "item"),
        (0, "mlp_out", "last"), (0, "mlp_out", "item"),
        (2, "resid_post", "last"),
    ]  # fmt: skip
    for cell, layer, position in ((0, 0, "last"), (1, 0, "item"), (4, 2, "last"), (5, 2, "item")):
        expected = one_by_one(loaded, encoded, layer, position)
        torch.testing.assert_close(read[:, cell], expected, rtol=1e-5, atol=1e-5)
    singly = rows(stream(loaded, encoded, PLAN, batch_tokens=1), len(encoded))
    torch.testing.assert_close(read, singly, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_embedding_is_what_the_first_block_reads(
    architecture: str, tiny: Tiny, tokenizer: PreTrainedTokenizerFast, encoded: list[Encoded]
) -> None:
    loaded = wrap(tiny(architecture), tokenizer)
    plan = PLAN.with_embedding()
    assert plan.embedding == ("item",) and plan.cells == [(-1, "resid_post", "item"), *PLAN.cells]
    read = rows(stream(loaded, encoded, plan), len(encoded))
    # With positional embeddings, scales and norms, where the model has them: hidden state 0.
    torch.testing.assert_close(read[:, 0], one_by_one(loaded, encoded, -1, "item"), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(read[:, 1:], rows(stream(loaded, encoded, PLAN), len(encoded)))
    if architecture == "qwen3":  # rotary: nothing is added before the first block
        items = torch.tensor([prompt.ids[prompt.positions["item"]] for prompt in encoded])
        assert torch.equal(read[:, 0], loaded.model.get_input_embeddings()(items))


def test_the_embedding_stands_first_whatever_is_read() -> None:
    plan = ReadPlan((3, 1), sites=("mlp_out",), positions=("last", "offset", "item")).with_embedding()
    assert plan.cells[:3] == [(-1, "resid_post", "offset"), (-1, "resid_post", "item"), (3, "mlp_out", "last")]
    # At the last token all prompts of a template have one embedding.
    assert ReadPlan((0,)).with_embedding() == ReadPlan((0,))


def test_longest_prompts_come_first_and_all_are_read(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    batches = list(stream(loaded, encoded, PLAN, batch_tokens=28))
    lengths = [{len(encoded[index].ids) for index in indices.tolist()} for indices, _ in batches]
    assert lengths == sorted(lengths, key=max, reverse=True) and all(len(of) == 1 for of in lengths)
    assert len(batches[0][0]) == 4  # 28 tokens hold four prompts of seven
    assert sorted(index for indices, _ in batches for index in indices.tolist()) == list(range(23))
    assert sum(len(indices) for indices, _ in batches) == 23


def test_nothing_behind_the_last_layer_is_computed(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    calls: list[str] = []
    watched = {f"block {index}": block for index, block in enumerate(loaded.layers)}
    watched |= {"norm": loaded.backbone.norm, "head": loaded.model.lm_head}
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: calls.append(name)) for name, module in watched.items()
    ]
    list(stream(loaded, encoded[:1], ReadPlan(layers=(1, 0))))
    assert calls == ["block 0", "block 1"]
    calls.clear()
    list(stream(loaded, encoded[:1], ReadPlan(layers=(3,))))
    assert calls == [f"block {index}" for index in range(4)]
    for handle in handles:
        handle.remove()


def test_the_last_layer_is_read_before_the_final_norm(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    read = rows(stream(loaded, encoded, ReadPlan(layers=(3,))), 23)[:, 0]
    after_norm = one_by_one(loaded, encoded, 3, "last")
    assert (read - after_norm).abs().max() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(loaded.backbone.norm(read), after_norm, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried", "DefaultCPUAllocator: can't allocate memory: you"])
def test_running_out_of_memory_halves_the_batch(
    message: str, loaded: LoadedModel, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows(stream(loaded, encoded, PLAN), 23)
    forward, tried = activations._forward, []

    def short_of_memory(loaded: LoadedModel, prompts: list[Encoded], plan: ReadPlan, sharing: Sharing) -> Tensor:
        tried.append(len(prompts))
        if len(prompts) > 2:
            raise RuntimeError(message)
        return forward(loaded, prompts, plan, sharing)

    monkeypatch.setattr(activations, "_forward", short_of_memory)
    torch.testing.assert_close(rows(stream(loaded, encoded, PLAN), 23), expected, rtol=1e-5, atol=1e-5)
    # Seven prompts of seven tokens fail, then three; one of seven tokens is left, and one of shorter prompts.
    assert tried[:3] == [7, 3, 1] and max(tried[2:]) == 1


def test_a_prompt_that_does_not_fit_alone_is_an_input_error(
    loaded: LoadedModel, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(activations, "_forward", always)
    with pytest.raises(InputError, match="one prompt of 7 tokens does not fit"):
        list(stream(loaded, encoded, PLAN))


def test_other_errors_pass_and_leave_no_hooks(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    outside = [Encoded((3, 4, 5), {"last": 9, "item": 0})]
    before = sum(len(module._forward_hooks) for module in loaded.model.modules())
    with pytest.raises(IndexError):
        list(stream(loaded, outside, PLAN))
    assert sum(len(module._forward_hooks) for module in loaded.model.modules()) == before


def test_a_model_in_training_mode_is_read_without_dropout(
    tiny: Tiny, tokenizer: PreTrainedTokenizerFast, encoded: list[Encoded]
) -> None:
    model = tiny("gpt2")
    expected = rows(stream(wrap(model, tokenizer), encoded, PLAN), 23)
    model.train()
    batches = stream(wrap(model, tokenizer), encoded, PLAN)
    next(batches)
    assert model.training, "between two batches the model is the user's"
    torch.testing.assert_close(rows(stream(wrap(model, tokenizer), encoded, PLAN), 23), expected)


def test_class_sums_are_the_sums_of_the_rows(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    labels = torch.tensor([index % 4 for index in range(23)])
    every = rows(stream(loaded, encoded, PLAN), 23).double()
    sums, counts = class_sums(stream(loaded, encoded, PLAN, batch_tokens=14), labels, 5)
    assert sums.shape == (8, 5, 16) and sums.dtype == torch.float64
    assert counts.tolist() == [6, 6, 6, 5, 0]
    for label in range(5):
        torch.testing.assert_close(sums[:, label], every[labels == label].sum(dim=0), rtol=1e-5, atol=1e-5)


def test_class_sums_hold_one_batch_at_a_time() -> None:
    """The stream may reuse one buffer: what has been summed is not kept."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        buffer = torch.empty(2, 3, 4)
        for start in range(0, 10, 2):
            buffer.fill_(float(start))
            yield torch.arange(start, start + 2), buffer

    sums, counts = class_sums(batches(), torch.zeros(10, dtype=torch.int64), 1)
    assert counts.tolist() == [10]
    assert torch.equal(sums, torch.full((3, 1, 4), 40.0, dtype=torch.float64))  # 2 (0 + 2 + 4 + 6 + 8)


def test_many_cells_make_the_batch_smaller(
    loaded: LoadedModel, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "READ_BYTES", 4 * 8 * 16 * 3)  # three rows of eight cells of sixteen floats
    assert max(len(indices) for indices, _ in stream(loaded, encoded, PLAN)) <= 3


def test_what_is_not_there_is_an_input_error(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    with pytest.raises(InputError, match="prompt 0 has no position 'modulus': its template fills last, item"):
        list(stream(loaded, encoded, ReadPlan(layers=(0,), positions=("modulus",))))
    with pytest.raises(InputError, match="layer 4 does not exist"):
        list(stream(loaded, encoded, ReadPlan(layers=(4,))))


def test_rows_can_be_trained_on(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    """Activations of inference mode could not enter a graph."""
    _, cells = next(stream(loaded, encoded, PLAN))
    weight = torch.zeros(16, requires_grad=True)
    (cells @ weight).sum().backward()
    assert weight.grad is not None
