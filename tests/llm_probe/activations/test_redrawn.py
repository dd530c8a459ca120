"""Random words in the place of a claim's own: shared tokens stay shared, words keep their kind."""

from __future__ import annotations

from functools import cache

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from llm_probe.activations.redrawn import TEMPLATES, few_templates, redraws_of, replacements, with_tokens, words_of
from llm_probe.activations.streaming import ReadPlan
from llm_probe.geometry.redrawn import redraw_scores, redraw_test
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, wrap
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import encode

COMPASS = Claim(DOMAINS["compass"], "item")
PLAN = ReadPlan((0, 1), ("resid_post",), ("item",))


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(REFERENCE_FOLDER)


def network(seed: int) -> LoadedModel:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen3Config(vocab_size=len(tokenizer()), num_hidden_layers=2, head_dim=8, **sizes)
    return wrap(Qwen3ForCausalLM(config).eval(), tokenizer())


def prompts(claim: Claim) -> list[Prompt]:
    return [*claim.prompts("discovery", 0, 0), *claim.prompts("confirmation", 0, 0)]


def test_a_few_templates_of_both_stages() -> None:
    few = few_templates(prompts(COMPASS))
    assert len(few) == TEMPLATES * 8
    names = list(dict.fromkeys(prompt.template for prompt in prompts(COMPASS)))
    assert list(dict.fromkeys(prompt.template for prompt in few)) == [names[0], names[6], names[-1]]
    # Where stages share their templates, a prompt is read once.
    assert len(few_templates([*few[:8], *few[:8]])) == 8


def test_a_slot_knows_its_first_token() -> None:
    for prompt, one in zip(few := few_templates(prompts(COMPASS)), encode(tokenizer(), few), strict=True):
        start, end = prompt.spans["item"]
        own = one.ids[one.starts["item"] : one.positions["item"] + 1]
        assert tokenizer().decode(own).strip() == prompt.text[start:end]


def test_words_are_replaced_alike_everywhere_and_by_their_kind() -> None:
    encoded = encode(tokenizer(), few_templates(prompts(COMPASS)))
    words = words_of(tokenizer(), len(tokenizer()))
    text_of = {index: text for text, forms in words.items() for index in forms.values()}
    own = {index for one in encoded for index in one.ids[one.starts["item"] : one.positions["item"] + 1]}
    around = {index for one in encoded for index in one.ids} - own
    several = list(replacements(encoded, words, 20, seed=0))
    for ids in several:
        assert own <= ids.keys() and len(set(ids.values())) == len(ids)
        assert not {text_of[index] for index in ids.values()} & {text_of[index] for index in around - ids.keys()}
        for index, other in ids.items():
            before, after = tokenizer().convert_ids_to_tokens([index, other])
            assert before.startswith("Ġ") == after.startswith("Ġ")
            assert after.removeprefix("Ġ").isalpha() and after.isascii() == before.isascii()
    assert len({tuple(ids.items()) for ids in several}) == 20
    assert several == list(replacements(encoded, words, 20, seed=0)) != list(replacements(encoded, words, 20, seed=1))
    # What two items share they go on sharing, and every prompt keeps its length and positions.
    changed = [with_tokens(one, several[0]) for one in encoded]
    for one, other in zip(encoded, changed, strict=True):
        assert (len(one.ids), one.positions) == (len(other.ids), other.positions)
    patterns = [
        [[a == b for b in one] for a in one] for one in ([i for e in es for i in e.ids] for es in (encoded, changed))
    ]
    assert patterns[0] == patterns[1]


def test_both_forms_of_a_word_go_together() -> None:
    """ "east" with a space and without it is one word: so is what takes its place."""
    words = {text: {"": 2 * index, "Ġ": 2 * index + 1} for index, text in enumerate(("east", "dog", "cat", "cow"))}
    words["sun"] = {"Ġ": 8}
    encoded = encode(tokenizer(), few_templates(prompts(COMPASS)))[:1]
    item = with_tokens(encoded[0], {})
    item = type(item)((9, 1, 0), {"item": 2, "last": 2}, {"item": 1})
    for ids in replacements([item], words, 20, seed=0):
        assert ids.keys() == {0, 1} and ids[1] == ids[0] + 1 and ids[0] in (0, 2, 4, 6)


def test_special_and_unused_tokens_are_no_words() -> None:
    words = words_of(tokenizer(), 1000)
    assert all(index < 1000 for forms in words.values() for index in forms.values())
    assert not any(index in forms.values() for forms in words.values() for index in tokenizer().all_special_ids)


def test_the_first_states_are_of_the_true_words() -> None:
    """And the redraws are the same ones each time."""
    redraws = redraws_of(network(0), COMPASS, prompts(COMPASS), PLAN, seed=3)
    first, again = (torch.stack(list(redraws.states(2))) for _ in range(2))
    assert first.shape == (3, TEMPLATES * 8, 2, 32)
    assert torch.equal(first, again)
    none = torch.stack(list(redraws.states(0)))
    torch.testing.assert_close(none[0], first[0])
    assert (first[0] - first[1]).abs().max() > 1e-3


def test_a_network_that_never_learnt_shows_no_compass() -> None:
    """North, northeast, east, … go round by their spelling: so do random words that are spelled alike."""
    p = []
    for seed in range(20):
        redraws = redraws_of(network(seed), COMPASS, prompts(COMPASS), PLAN, seed)
        p.append(redraw_test(redraw_scores(redraws.states(39), redraws.labels)).p_share.min().item())
    assert sum(value <= 0.05 for value in p) <= 4  # 1 is expected
    assert 0.3 < sum(p) / len(p) < 0.7
