"""Exact match and the most probable answer, on models whose next-token probabilities are written down here."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from llm_probe.activations import answers
from llm_probe.activations.behaviour import Scored, behaviour_rows, example_rows, score
from llm_probe.models.reference.prompts import QWEN_PRETOKENIZATION
from llm_probe.questions.domains import DOMAINS, Domain
from llm_probe.questions.prompts import Prompt, behind_examples, question, question_set
from toy.run.errors import InputError

END = "<end>"
Rule = Callable[[str], dict[str, float]]
"""The text so far to the probabilities of next tokens, written as in the vocabulary (`Ġ` for a space)."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which single digits and ` Thursday`, `Thursday`, ` sharp`, … are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PRETOKENIZATION), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [*DOMAINS["days"].items, "sharp", "flat", "is"]
    tokenizer.train_from_iterator([f"{word} {word}\n" for word in words] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


TOKENIZER = build_tokenizer()
VOCABULARY = TOKENIZER.get_vocab()


@dataclass
class Cache:
    """What a `Written` model remembers: the ids it has read."""

    ids: Tensor

    def reorder_cache(self, rows: Tensor) -> None:
        self.ids = self.ids[rows]


class Written(nn.Module):
    """A causal model whose next-token probabilities are a rule of the text so far."""

    def __init__(self, rule: Rule, *, caches: bool = True) -> None:
        super().__init__()
        self.rule, self.caches, self.rows_read = rule, caches, 0

    def forward(
        self, input_ids: Tensor, past_key_values: Cache | None = None, use_cache: bool = False
    ) -> SimpleNamespace:
        ids = input_ids if past_key_values is None else torch.cat([past_key_values.ids, input_ids], dim=1)
        self.rows_read += len(ids)
        logits = torch.full((*input_ids.shape, len(VOCABULARY)), -1e4)
        for row, text in enumerate(TOKENIZER.batch_decode(ids)):
            for token, probability in self.rule(text).items():
                logits[row, -1, VOCABULARY[token]] = math.log(probability)
        return SimpleNamespace(logits=logits, past_key_values=Cache(ids) if self.caches and use_cache else None)


def loaded(model: nn.Module, *, is_encoder: bool = False) -> Any:
    mute = "an encoder" if is_encoder else ""
    return SimpleNamespace(
        model=model, tokenizer=TOKENIZER, device=torch.device("cpu"), mute=mute, check_ids=lambda *_: None
    )


def scored(prompt: Prompt, answers: tuple[str, ...], steps: dict[str, dict[str, float]], **options: bool) -> Scored:
    """Score one prompt under a model that knows what comes after `prompt + key`, and ends the text elsewhere."""

    def rule(text: str) -> dict[str, float]:
        return steps.get(text.removeprefix(prompt.text), {END: 1.0})

    return score(loaded(Written(rule, **options)), [prompt], answers)[0]


DAYS, HOURS, NOTES = DOMAINS["days"], DOMAINS["hours"], DOMAINS["notes"]
THURSDAY = question(DAYS, "after", 0, 3)  # "3 days after Monday is"
SPACED = question(DAYS, "published", 0, 3)  # "Monday + 3 days = "
ONE = question(HOURS, "published", 9, 3)  # "10 o'clock + 3 hours = "
TWELVE = question(HOURS, "after", 9, 2)  # "2 hours after 10 o'clock is"
C = question(NOTES, "after", 9, 3)  # "3 semitones after A is"


def test_the_vocabulary_is_as_the_tests_assume() -> None:
    for token in ("Thursday", "ĠThursday", "Ġsharp", "Ġ", "1", "2", "C"):
        assert token in VOCABULARY
    assert (ONE.answer, TWELVE.answer, C.answer) == ("1", "12", "C")


@pytest.mark.parametrize("caches", [True, False])
@pytest.mark.parametrize("prompt", [THURSDAY, SPACED], ids=["after a word", "after a space"])
@pytest.mark.parametrize("token", ["ĠThursday", "Thursday"])
def test_an_answer_may_follow_directly_or_after_a_space(prompt: Prompt, token: str, caches: bool) -> None:
    result = scored(prompt, DAYS.items, {"": {token: 0.6, "ĠMonday": 0.4}}, caches=caches)
    assert (result.exact, result.chosen, result.written.strip()) == (True, 3, "Thursday")


def test_the_variants_of_an_answer_are_added() -> None:
    # Monday is the single most probable token, but Thursday has 0.3 + 0.25.
    steps = {"": {"ĠMonday": 0.45, "ĠThursday": 0.3, "Thursday": 0.25}}
    assert scored(THURSDAY, DAYS.items, steps) == Scored(exact=False, chosen=3, written=" Monday")


def test_a_longer_number_is_another_answer() -> None:
    # P("1") = 0.5 * (1 - 0.2 - 0.5) = 0.15, P("11") = 0.1, P("12") = 0.25, P("2") = 0.2.
    steps = {"": {"1": 0.5, "2": 0.2, ".": 0.3}, "1": {"2": 0.5, "1": 0.2, END: 0.3}}
    assert scored(ONE, HOURS.items, steps) == Scored(exact=False, chosen=HOURS.items.index("12"), written="12")
    # "9" with 0.3 is above them all; "1" alone would be above it.
    steps = {**steps, "": {"1": 0.5, "2": 0.2, "9": 0.3}}
    assert scored(ONE, HOURS.items, steps).chosen == HOURS.items.index("9")
    # With "1" followed by the end, P("1") = 0.5 * 0.9.
    steps = {"": {"1": 0.5, "2": 0.2, ".": 0.3}, "1": {"2": 0.1, END: 0.9}}
    assert scored(ONE, HOURS.items, steps) == Scored(exact=True, chosen=0, written="1")


@pytest.mark.parametrize(
    ("after", "exact"),
    [(END, True), (".", True), ("Ġ", True), ("Ċ", True), ("5", False), ("2", False), ("s", False), ("ĠThursday", True)],
)
def test_an_answer_must_not_go_on(after: str, exact: bool) -> None:
    result = scored(ONE, HOURS.items, {"": {"1": 1.0}, "1": {after: 1.0}})
    assert result.exact == exact
    assert result.chosen == HOURS.items.index("12" if after == "2" else "1")


def test_an_answer_of_several_tokens_needs_them_all() -> None:
    steps = {"": {"Ġ": 1.0}, " ": {"1": 1.0}, " 1": {"2": 0.6, END: 0.4}, " 12": {END: 1.0}}
    assert scored(TWELVE, HOURS.items, steps) == Scored(exact=True, chosen=11, written=" 12")
    # The first token is right and the second is not the arg-max: 12 is neither written nor chosen.
    steps = {**steps, " 1": {"2": 0.4, END: 0.6}}
    assert scored(TWELVE, HOURS.items, steps) == Scored(exact=False, chosen=0, written=" 1")


def test_a_longer_answer_that_begins_with_the_right_one_is_wrong() -> None:
    steps = {"": {"Ġ": 1.0}, " ": {"C": 0.9, "D": 0.1}, " C": {"Ġsharp": 0.7, END: 0.3}}
    assert TOKENIZER.tokenize(" C") == ["Ġ", "C"]
    result = scored(C, NOTES.items, steps)
    assert (result.exact, result.chosen, result.written) == (False, NOTES.items.index("C sharp"), " C sharp")


def test_prompts_keep_their_order_across_batches() -> None:
    prompts = question_set(DAYS, "discovery", 30)
    answers = {prompt.text: prompt.answer for prompt in prompts}

    def rule(text: str) -> dict[str, float]:
        return {f"Ġ{answers[text]}": 0.5, "Ġ": 0.3, ".": 0.2} if text in answers else {END: 1.0}

    for batch_tokens in (1, 60, 10_000):
        results = score(loaded(Written(rule)), prompts, DAYS.items, batch_tokens=batch_tokens)
        assert all(result.exact for result in results)
        assert [result.chosen for result in results] == [prompt.label for prompt in prompts]


def test_branches_that_cannot_matter_are_not_followed() -> None:
    def rows_read(flat: float) -> int:
        """Rows the model reads when "E", which may go on to "E flat", has this probability."""
        model = Written(lambda text: {"C": 1 - flat, "E": flat} if text == C.text else {END: 1.0})
        score(loaded(model), [C], NOTES.items)
        return model.rows_read

    assert rows_read(0.4) == rows_read(1e-6) + 1


def chain(model: Qwen3ForCausalLM, prompt: str, tail: list[int]) -> list[float]:
    """Probability of each token of `tail`, by one pass over the whole sequence."""
    ids = TOKENIZER(prompt)["input_ids"] + tail
    expected = torch.softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    return [float(expected[len(ids) - len(tail) + step - 1, token]) for step, token in enumerate(tail)]


@pytest.mark.parametrize(("name", "shots"), [("zodiac", 0), ("hours", 0), ("zodiac", 6)])
def test_the_walk_over_the_trie_agrees_with_whole_sequences(name: str, shots: int) -> None:
    """Behind worked examples too, which are read once for all questions of a template."""
    domain = DOMAINS[name]
    prompts = [question(domain, template, first, 3 + first) for template in ("after", "plus") for first in range(5)]
    prompts = behind_examples(domain, prompts, shots) if shots else prompts
    torch.manual_seed(1)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(VOCABULARY),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            eos_token_id=0,
        )
    ).eval()
    torch.nn.init.normal_(model.lm_head.weight, std=1.0)  # sharp enough for the answers to differ
    with torch.inference_mode():
        for prompt, result in zip(prompts, score(loaded(model), prompts, domain.items), strict=True):
            variants = {lead + item: TOKENIZER(lead + item)["input_ids"] for item in domain.items for lead in ("", " ")}
            probability = dict.fromkeys(domain.items, 0.0)
            for text, tail in variants.items():
                product = math.prod(chain(model, prompt.text, tail))
                longer = {tuple(t[: len(tail) + 1]) for t in variants.values() if t[: len(tail)] == tail and t != tail}
                going_on = sum(chain(model, prompt.text, list(path))[-1] for path in longer)
                probability[text.strip()] += product * (1 - going_on)
            assert domain.items[result.chosen] == max(probability, key=lambda item: probability[item])
            prompt_ids = torch.tensor([TOKENIZER(prompt.text)["input_ids"]])
            written = model.generate(prompt_ids, do_sample=False, max_new_tokens=4, pad_token_id=0)[0]
            assert result.written.startswith(TOKENIZER.decode(written[prompt_ids.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize(("shared", "read"), [(30, [(1, 30), (5, 2)]), (10, [(5, 12)])])
def test_what_prompts_begin_with_is_read_once_where_it_is_long(
    shared: int, read: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []

    def note(_: object, ids: Tensor, unread: Tensor | None = None, cache: object = None) -> object:
        sizes.append(tuple((ids if unread is None else unread).shape))
        return SimpleNamespace(cache=SimpleNamespace(batch_repeat_interleave=lambda rows: None))

    monkeypatch.setattr(answers, "_read", note)
    answers._begin(None, torch.tensor([[7] * shared + [row, 1] for row in range(5)]))
    assert sizes == read


def test_errors() -> None:
    model = Written(lambda text: {END: 1.0})
    with pytest.raises(InputError, match="skipped: an encoder"):
        score(loaded(model, is_encoder=True), [THURSDAY], DAYS.items)
    with pytest.raises(InputError, match="'Thursday', is not among"):
        score(loaded(model), [THURSDAY], ["Monday", "Tuesday"])
    assert score(loaded(model), [], DAYS.items) == []


def test_rows_count_each_template() -> None:
    prompts = [question(DAYS, template, 0, offset) for template in ("after", "plus") for offset in range(4)]
    results = [Scored(exact=index < 3, chosen=index % 4, written=" x") for index in range(8)]
    after, plus = behaviour_rows(DAYS, "published", prompts, results)
    assert (after.template, after.n_prompts, after.exact, after.constrained) == ("after", 4, 0.75, 1.0)
    assert (plus.template, plus.exact, plus.exact_low) == ("plus", 0.0, 0.0)
    assert after.chance == pytest.approx(1 / 7)
    assert after.exact_low < 0.75 < after.exact_high


def test_examples_show_the_first_line() -> None:
    domain = Domain("dice", ("one", "two", "three"), questions={"plus": "{item} plus {offset} is"})
    prompts = [question(domain, "plus", 0, offset) for offset in range(9)]
    rows = example_rows(domain, prompts, [Scored(index == 4, 0, " two\nthree") for index in range(9)])
    assert [row.prompt for row in rows] == ["one plus 0 is", "one plus 4 is", "one plus 8 is"]
    assert [row.right for row in rows] == [False, True, False]
    assert rows[1].model_answer == "two"
    assert len(example_rows(domain, prompts[:2], [Scored(True, 0, "")] * 2)) == 2
