"""A claim's prompts with random words in the place of its own: the same sentences, the same tokens shared.

A *word* is the text of a token, with or without the space before it: where the items hold both " east" and "east", what
takes their place comes in both forms as well. Words change places with words that have the same forms in the
vocabulary and the same kind of characters (letters, digits, others; ASCII or not), so that what stands in a prompt is
spelled as the item was. All words of the items are redrawn together, each another one's at most once, and wherever they
occur: a piece of an item that a template holds too ("a") changes there as well, because only then is the network's
answer a function of which rows of the embedding it was given, and the true words are one more draw. Words of the
templates alone stay, and are never drawn; neither are special, added and unused tokens.

    prompts (n)  ->  ids with every own word replaced, R + 1 times  ->  states (n, cells, d) of each
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import Encoded, encode

TEMPLATES = 3
"""Templates that are read: redraws multiply the prompts."""
CHUNK = 20
"""Redraws whose states are held at once."""
MARKS = re.compile("Ġ|▁|##|")
"""How tokenizers write that a token begins a word, or goes on with one."""
UNUSED = re.compile(r"[<\[].+[>\]]")
Words = Mapping[str, Mapping[str, int]]
"""A word to its forms: the mark before it to the id of the token."""


@dataclass(frozen=True)
class Redraws:
    """A few prompts of a claim, and the way to their states under random words."""

    labels: Labels
    states: Callable[[int], Iterator[Float[Tensor, "n cells d"]]]
    """How many redraws -> the states of the true words, then of every redraw."""


def redraws_of(
    loaded: LoadedModel,
    claim: Claim,
    prompts: Sequence[Prompt],
    plan: ReadPlan,
    seed: int,
    *,
    chat: bool = False,
    batch_tokens: int | None = None,
) -> Redraws:
    """The redraws of a claim about items; no prompt is read before they are asked for."""
    few = few_templates(prompts)

    def states(count: int) -> Iterator[Float[Tensor, "n cells d"]]:
        encoded = encode(loaded.tokenizer, few, chat=chat)
        embedding: Any = loaded.model.get_input_embeddings()  # type: ignore[operator]
        known = words_of(loaded.tokenizer, len(embedding.weight))
        redrawn = [{}, *replacements(encoded, known, count, seed)]
        for start in range(0, len(redrawn), CHUNK):
            chunk = [with_tokens(one, ids) for ids in redrawn[start : start + CHUNK] for one in encoded]
            kept = rows(stream(loaded, chunk, plan, batch_tokens=batch_tokens), len(chunk))
            yield from kept.unflatten(0, (-1, len(encoded)))

    return Redraws(Labels.of(claim, few), states)


def few_templates(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts of `TEMPLATES` templates, from the first to the last, each prompt once."""
    names = list(dict.fromkeys(prompt.template for prompt in prompts))
    kept = {names[round(i * (len(names) - 1) / (TEMPLATES - 1))] for i in range(TEMPLATES)}
    return list({(one.template, one.label): one for one in prompts if one.template in kept}.values())


def words_of(tokenizer: Any, rows_of_embedding: int) -> Words:
    """The words of a vocabulary that may be drawn."""
    left_out = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    words: dict[str, dict[str, int]] = {}
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        mark, text = _parts(token)
        if text and index not in left_out and index < rows_of_embedding and not UNUSED.fullmatch(token):
            words.setdefault(text, {})[mark] = index
    return words


def _parts(token: str) -> tuple[str, str]:
    """The mark before a token, and its text."""
    beginning = MARKS.match(token)
    mark = beginning.group() if beginning else ""
    return mark, token[len(mark) :]


def replacements(encoded: Sequence[Encoded], words: Words, count: int, seed: int) -> Iterator[dict[int, int]]:
    """`count` times: which token stands in the place of every token of the items' words."""
    text_of = {index: text for text, forms in words.items() for index in forms.values()}
    items = {index for one in encoded for index in one.ids[one.starts["item"] : one.positions["item"] + 1]}
    own = {text_of[index] for index in items if index in text_of}
    around = {text_of[index] for one in encoded for index in one.ids if index in text_of} - own
    pools: dict[Hashable, list[str]] = {}
    for text, forms in words.items():
        if text not in around:
            pools.setdefault(_kind(text, forms), []).append(text)
    members: dict[Hashable, list[str]] = {}
    for text in sorted(own):
        members.setdefault(_kind(text, words[text]), []).append(text)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        ids: dict[int, int] = {}
        for kind, texts in members.items():
            places = torch.randperm(len(pools[kind]), generator=generator)[: len(texts)].tolist()
            for text, place in zip(texts, places, strict=True):
                other = words[pools[kind][place]]
                ids |= {index: other[mark] for mark, index in words[text].items()}
        yield ids


def _kind(text: str, forms: Mapping[str, int]) -> Hashable:
    """Words of one kind can change places."""
    return frozenset(forms), text.isascii(), text.isalpha(), text.isdigit()


def with_tokens(encoded: Encoded, ids: Mapping[int, int]) -> Encoded:
    """The prompt with some tokens replaced wherever they stand; positions stay."""
    return replace(encoded, ids=tuple(ids.get(index, index) for index in encoded.ids))
