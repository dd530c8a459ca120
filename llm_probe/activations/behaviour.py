"""Can the model do the task? Exact match and the most probable of the n possible answers.

A prompt may be continued by an answer directly or after one space; both *variants* are accepted, each as the
tokens that follow the prompt's own tokens. Two measures, because a model may know an answer that it does not write:

- **exact**: the greedy continuation begins with all tokens of a variant of the right answer, of no longer answer
  ("C" is wrong where the model writes "C sharp"), and the text does not go on inside the word or number ("15" is
  not "1"). Greedy decoding is deterministic, so this is teacher-forced arg-max over the answer and the token after.
- **chosen**: the arg-max over the n answers of

      P(answer) = sum over variants of  prod_t p(token_t | prompt, tokens before t) * (1 - q)

  where q is the probability of stepping from the variant's end into a longer answer: without it "1" would own the
  probability of "10", "11" and "12".

The variants of all answers form one trie of tokens. A probability is read at the trie nodes that have children, by
walking the trie with copies of the prompts' key-value cache: one token per node and prompt, after one pass over the
prompts, as many as a batch has room for at once. Branches that cannot matter are left out (`NEGLIGIBLE`): they
could only turn a near tie. Shapes: `ids` (batch, length) int64 without padding, logits
(rows, vocabulary) with a row per prompt and trie node.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import buckets, encode, rendered
from llm_probe.run.table import BehaviourRow, ExampleRow
from toy.maths.intervals import wilson
from toy.run.errors import InputError

BATCH_TOKENS = 4096
"""Prompt tokens in one pass."""

SHORTEST_CONTINUATION = 4
"""Greedy tokens that are written for display, however short the answers."""

BOUNDARY_TOKENS = 3
"""How many of a prompt's last tokens decide how an answer is split after it."""

NEGLIGIBLE = 1e-4
"""A branch of the trie less probable than this share of the best answer's probability is not followed."""

Variants = dict[tuple[int, ...], int]
"""Token sequence to the index of the answer it spells."""


@dataclass(frozen=True)
class Scored:
    """What a model makes of one question."""

    exact: bool
    chosen: int
    """Index of the most probable of the n answers."""
    written: str
    """The greedy continuation: a few tokens, up to the end of text."""


@dataclass
class _Node:
    """A trie node: the tokens that may follow, and the answers that are complete here."""

    children: dict[int, _Node] = field(default_factory=dict)
    answers: set[int] = field(default_factory=set)


def score(
    loaded: Any,
    prompts: Sequence[Prompt],
    answers: Sequence[str],
    *,
    chat: bool = False,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Scored]:
    """Score questions whose possible answers, in order, are `answers`.

    Raises:
        InputError: the model is an encoder, or a prompt's answer is not one of `answers`.
    """
    if loaded.is_encoder:
        raise InputError("behaviour is skipped: an encoder writes no continuation; its statements can still be probed")
    for prompt in prompts:
        if prompt.answer not in answers:
            raise InputError(f"the answer of {prompt.text!r}, {prompt.answer!r}, is not among {list(answers)}")
    ids = [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, prompts, chat=chat)]
    texts = rendered(loaded.tokenizer, prompts, chat=chat)
    scored: dict[int, Scored] = {}
    for variants, members in by_variants(loaded.tokenizer, texts, ids, answers, chat):
        for bucket in buckets([len(ids[index]) for index in members], batch_tokens):
            batch = [members[index] for index in bucket]
            tokens = torch.tensor([ids[index] for index in batch])
            room = batch_tokens // tokens.shape[1]
            greedy, chosen = _read(loaded, tokens, variants, len(answers), room)
            for row, index in enumerate(batch):
                right = answers.index(prompts[index].answer or "")
                path = _until_special(loaded.tokenizer, greedy[row])
                exact = _is_exact(loaded.tokenizer, ids[index][-1], path, variants, right)
                written = _continuation(loaded.tokenizer, [ids[index][-1]], path)
                scored[index] = Scored(exact, chosen[row], written)
    return [scored[index] for index in range(len(prompts))]


def by_variants(
    tokenizer: Any, texts: list[str], ids: list[tuple[int, ...]], answers: Sequence[str], chat: bool
) -> list[tuple[Variants, list[int]]]:
    """Prompts grouped by the token sequences of their possible continuations."""
    known: dict[tuple[int, ...], tuple[tuple[tuple[int, ...], int], ...]] = {}
    groups: dict[tuple[tuple[tuple[int, ...], int], ...], list[int]] = {}
    for index, (text, own) in enumerate(zip(texts, ids, strict=True)):
        boundary = own[-BOUNDARY_TOKENS:]
        if boundary not in known:
            known[boundary] = tuple(_variants(tokenizer, text, own, answers, chat).items())
        groups.setdefault(known[boundary], []).append(index)
    return [(dict(variants), members) for variants, members in groups.items()]


def _variants(tokenizer: Any, text: str, own: tuple[int, ...], answers: Sequence[str], chat: bool) -> Variants:
    """Every answer, directly and after a space, as the tokens that come after those of the prompt.

    Where prompt and answer merge into one token at the border (or the space a prompt ends in would move into the
    answer's token), the answer is tokenised alone: the prompt's tokens are given and cannot be taken back.
    """
    written = [(lead + answer, index) for lead in ("", " ") for index, answer in enumerate(answers)]
    joined = tokenizer([text + variant for variant, _ in written], add_special_tokens=not chat)["input_ids"]
    alone = tokenizer([variant for variant, _ in written], add_special_tokens=False)["input_ids"]
    closing = _closing_tokens(tokenizer) if not chat else 0
    variants: Variants = {}
    for (_, index), with_prompt, by_itself in zip(written, joined, alone, strict=True):
        fits = tuple(with_prompt[: len(own)]) == own
        tail = with_prompt[len(own) : len(with_prompt) - closing] if fits else by_itself
        if tail:
            variants.setdefault(tuple(tail), index)
    return variants


def _closing_tokens(tokenizer: Any) -> int:
    """How many special tokens (an EOS) the tokenizer puts after a text by itself."""
    marks = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return len(marks) - 1 - max(index for index, mark in enumerate(marks) if not mark)


def _trie(variants: Variants) -> _Node:
    root = _Node()
    for tokens, answer in variants.items():
        node = root
        for token in tokens:
            node = node.children.setdefault(token, _Node())
        node.answers.add(answer)
    return root


@torch.inference_mode()
def _read(loaded: Any, ids: Tensor, variants: Variants, n: int, room: int) -> tuple[list[list[int]], list[int]]:
    """Greedy tokens and most probable answer of each row of `ids`; at most `room` rows are read at once."""
    reader = _Reader(loaded.model, max(room, len(ids)))
    start = reader.advance(None, ids.to(loaded.device))
    greedy, known = _greedy(reader, start, variants)
    probability = torch.zeros(len(ids), n, dtype=torch.float64, device=start.logits.device)
    everywhere = torch.arange(len(ids), device=start.logits.device)
    root = _Branch(_trie(variants), everywhere, torch.ones_like(probability[:, 0]))
    _walk(reader, [root], start, probability, known)
    return greedy, probability.argmax(dim=1).tolist()


def _greedy(reader: _Reader, start: _State, variants: Variants) -> tuple[list[list[int]], Tensor]:
    """The greedy tokens of each row, and P of the answer they begin with (batch,), 0 where they begin with none."""
    steps = max(SHORTEST_CONTINUATION, 1 + max(map(len, variants)))
    state, paths = reader.fork(start, torch.arange(len(start.ids))), [[] for _ in start.ids]
    reached = torch.ones(len(paths), dtype=torch.float64, device=start.logits.device)
    known = torch.zeros_like(reached)
    while True:
        likeliest, tokens = torch.softmax(state.logits.float(), dim=-1).max(dim=-1, keepdim=True)
        reached = reached * likeliest[:, 0]
        for path, token in zip(paths, tokens[:, 0].tolist(), strict=True):
            path.append(token)
        complete = torch.tensor([tuple(path) in variants for path in paths], device=known.device)
        known = torch.where(complete, reached, known)
        if len(paths[0]) == steps:
            return paths, known
        state = reader.advance(state, tokens)


@dataclass(frozen=True)
class _Branch:
    """A trie node and the prompts that are followed into it."""

    node: _Node
    rows: Tensor
    """Prompts (rows,) of the batch."""
    reached: Tensor
    """P(node) for each of them."""


def _walk(reader: _Reader, branches: list[_Branch], state: _State, probability: Tensor, known: Tensor) -> None:
    """Add to `probability` (batch, n) what the subtrees of `branches` spell.

    `state` holds the rows of all branches one after the other; `known` (batch,) is a probability that the best
    answer has at least.
    """
    following = torch.softmax(state.logits.float(), dim=-1).split([len(branch.rows) for branch in branches])
    deeper: list[tuple[int, int, _Branch]] = []
    first = 0
    for branch, expected in zip(branches, following, strict=True):
        steps = expected[:, list(branch.node.children)].double()
        for answer in branch.node.answers:
            probability[branch.rows, answer] += branch.reached * (1 - steps.sum(dim=1)).clamp_min(0)
        for column, (token, child) in enumerate(branch.node.children.items()):
            reached = branch.reached * steps[:, column]
            for answer in child.answers if not child.children else ():
                probability[branch.rows, answer] += reached
            if child.children:
                deeper.append((first, token, _Branch(child, branch.rows, reached)))
        first += len(branch.rows)
    # Likely branches first: what they spell tells how improbable a branch need not be followed.
    deeper.sort(key=lambda step: float(step[2].reached.mean()), reverse=True)
    while deeper:
        places, tokens, followed = [], [], []
        while deeper and sum(map(len, places)) + len(deeper[0][2].rows) <= reader.room:
            first, token, branch = deeper.pop(0)
            least = NEGLIGIBLE * torch.maximum(known, probability.amax(dim=1))[branch.rows]
            alive = torch.nonzero(branch.reached > least)[:, 0]
            if len(alive):
                places.append(first + alive)
                tokens += [token] * len(alive)
                followed.append(_Branch(branch.node, branch.rows[alive], branch.reached[alive]))
        if followed:
            step = torch.tensor(tokens, device=state.ids.device)[:, None]
            arrived = reader.advance(reader.fork(state, torch.cat(places)), step)
            _walk(reader, followed, arrived, probability, known)


@dataclass(frozen=True)
class _State:
    """What a model has read, and what it expects next."""

    ids: Tensor
    logits: Tensor
    cache: Any
    """The key-value (or recurrent) cache; None where the model returns none, and `ids` are read anew."""


class _Reader:
    """Reads tokens on from a state; a state is used up by `advance`, so fork what is needed again."""

    def __init__(self, model: Any, room: int) -> None:
        self.model, self.room = model, room
        # Only the last position's logits: (batch, length, vocabulary) would be gigabytes.
        self.options = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}

    def advance(self, state: _State | None, tokens: Tensor) -> _State:
        """Read `tokens` (rows, any) after `state`."""
        ids = tokens if state is None else torch.cat([state.ids, tokens], dim=1)
        cache = None if state is None else state.cache
        fresh = ids if cache is None else tokens
        output = self.model(input_ids=fresh, past_key_values=cache, use_cache=True, **self.options)
        after = getattr(output, "past_key_values", None)
        return _State(ids, output.logits[:, -1], after if hasattr(after, "reorder_cache") else None)

    @staticmethod
    def fork(state: _State, rows: Tensor) -> _State:
        """A copy of the given rows."""
        # A copy and not a crop: recurrent and sliding-window caches cannot be cropped.
        cache, rows = copy.deepcopy(state.cache), rows.to(state.ids.device)
        if cache is not None and rows.tolist() != list(range(len(state.ids))):
            cache.reorder_cache(rows)
        return _State(state.ids[rows], state.logits[rows], cache)


def _until_special(tokenizer: Any, tokens: list[int]) -> list[int]:
    """The greedy tokens before the first special one (end of text or of turn)."""
    special = set(tokenizer.all_special_ids)
    return tokens[: next((index for index, token in enumerate(tokens) if token in special), len(tokens))]


def _is_exact(tokenizer: Any, last: int, path: list[int], variants: Variants, right: int) -> bool:
    """Whether a greedy path writes answer `right` and nothing longer."""
    lengths = [length for length in range(1, len(path) + 1) if tuple(path[:length]) in variants]
    if not lengths or variants[tuple(path[: lengths[-1]])] != right:
        return False
    rest = _continuation(tokenizer, [last, *path[: lengths[-1]]], path[lengths[-1] : lengths[-1] + 1])
    return not rest[:1].isalnum()


def _continuation(tokenizer: Any, before: list[int], after: list[int]) -> str:
    """The text that `after` adds to `before`; decoded together, since alone SentencePiece drops a leading space."""
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    return tokenizer.decode(before + after, **options)[len(tokenizer.decode(before, **options)) :]


def behaviour_rows(
    domain: Domain, grid: Literal["published", "decoupled"], prompts: Sequence[Prompt], scored: Sequence[Scored]
) -> list[BehaviourRow]:
    """One row per template, in order of appearance."""
    members: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        members.setdefault(prompt.template, []).append(index)
    rows: list[BehaviourRow] = []
    for template, indices in members.items():
        asked = len(indices)
        exact = sum(scored[index].exact for index in indices)
        constrained = sum(scored[index].chosen == prompts[index].label for index in indices)
        rows.append(
            BehaviourRow(
                domain.name,
                domain.period,
                grid,
                template,
                asked,
                exact / asked,
                *wilson(exact, asked),
                constrained / asked,
                *wilson(constrained, asked),
                1 / domain.period,
            )
        )
    return rows


def example_rows(
    domain: Domain, prompts: Sequence[Prompt], scored: Sequence[Scored], count: int = 3
) -> list[ExampleRow]:
    """`count` prompts, evenly spaced, with what the model wrote (its first line)."""
    chosen = np.unique(np.linspace(0, len(prompts) - 1, count).round().astype(int)) if prompts else []
    return [
        ExampleRow(
            domain.name,
            prompts[index].text,
            prompts[index].answer or "",
            (scored[index].written.strip().splitlines() or [""])[0],
            scored[index].exact,
        )
        for index in map(int, chosen)
    ]
