"""Can the model do the task? Exact match and the most probable of the n possible answers.

A prompt may be continued by an answer directly or after one space; both spellings count (`answers`). Two measures,
because a model may know an answer that it does not write:

- **exact**: the greedy continuation begins with all tokens of a spelling of the right answer, of no longer answer
  ("C" is wrong where the model writes "C sharp"), and the text does not go on inside the word or number ("15" is
  not "1"). Greedy decoding is deterministic, so this is teacher-forced arg-max over the answer and the token after.
- **chosen**: the arg-max of P(answer) over the n answers, each over all its tokens and spellings (`answers.walk`).

The tables hold the share of each with its 95 % Wilson interval, template by template.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from llm_probe.activations.answers import WORTH_SHARING, Tokens, answer_trees, walk
from llm_probe.questions.domains import Domain
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import buckets, encode, rendered
from llm_probe.run.table import BehaviourRow, ExampleRow
from toy.maths.intervals import wilson
from toy.run.errors import InputError

BATCH_TOKENS = 4096
"""Prompt tokens in one pass."""


@dataclass(frozen=True)
class Scored:
    """What a model makes of one question."""

    exact: bool
    chosen: int
    """Index of the most probable of the n answers."""
    written: str
    """The greedy continuation: a few tokens, up to the end of text."""


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
        InputError: the model writes no answers, a prompt's answer is not one of `answers`, or it cannot be read.
    """
    if loaded.mute:
        raise InputError(f"behaviour is skipped: {loaded.mute}; its states can still be probed")
    for prompt in prompts:
        if prompt.answer not in answers:
            raise InputError(f"the answer of {prompt.text!r}, {prompt.answer!r}, is not among {list(answers)}")
    ids = [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, prompts, chat=chat)]
    texts = rendered(loaded.tokenizer, prompts, chat=chat)
    special = set(loaded.tokenizer.all_special_ids)
    scored: dict[int, Scored] = {}
    for tree, members in answer_trees(loaded.tokenizer, texts, ids, answers, chat):
        loaded.check_ids([ids[index] for index in members], max(map(len, tree.answers)))
        loaded.check_ids(tree.answers)
        for batch in _batches(ids, members, batch_tokens):
            tokens = torch.tensor([ids[index] for index in batch])
            greedy, probability = walk(loaded, tokens, tree, len(answers), batch_tokens // tokens.shape[1])
            for index, path, chosen in zip(batch, greedy, probability.argmax(dim=1).tolist(), strict=True):
                # Up to the first special token: the end of the text or of the turn.
                end = next((place for place, token in enumerate(path) if token in special), len(path))
                path, last = path[:end], ids[index][-1]  # noqa: PLW2901
                exact = _is_exact(loaded.tokenizer, last, path, tree.owner, answers.index(prompts[index].answer or ""))
                scored[index] = Scored(exact, chosen, _continuation(loaded.tokenizer, [last], path))
    return [scored[index] for index in range(len(prompts))]


def _batches(ids: Sequence[Tokens], members: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Prompts of equal length; long ones, which have examples before them, only with those that begin alike."""
    for bucket in buckets([len(ids[index]) for index in members], batch_tokens):
        alike: dict[Tokens, list[int]] = {}
        for index in (members[place] for place in bucket):
            own = ids[index]
            alike.setdefault(own[: len(own) // 2] if len(own) > 2 * WORTH_SHARING else (), []).append(index)
        yield from alike.values()


def _is_exact(tokenizer: Any, last: int, path: list[int], owner: dict[Tokens, int], right: int) -> bool:
    """Whether a greedy path after the token `last` writes answer `right` and nothing longer."""
    lengths = [length for length in range(1, len(path) + 1) if tuple(path[:length]) in owner]
    if not lengths or owner[tuple(path[: lengths[-1]])] != right:
        return False
    rest = _continuation(tokenizer, [last, *path[: lengths[-1]]], path[lengths[-1] : lengths[-1] + 1])
    return not rest[:1].isalnum()


def _continuation(tokenizer: Any, before: list[int], after: list[int]) -> str:
    """The text that `after` adds to `before`; decoded together, since alone SentencePiece drops a leading space."""
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    return tokenizer.decode(before + after, **options)[len(tokenizer.decode(before, **options)) :]


def behaviour_rows(
    domain: Domain,
    grid: Literal["published", "decoupled"],
    prompts: Sequence[Prompt],
    scored: Sequence[Scored],
    shots: int = 0,
) -> list[BehaviourRow]:
    """One row per template, in order of appearance."""
    answers = domain.possible_answers
    members: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        members.setdefault(prompt.template, []).append(index)
    rows: list[BehaviourRow] = []
    for template, indices in members.items():
        n = len(indices)
        exact = sum(scored[index].exact for index in indices)
        right = sum(scored[index].chosen == answers.index(prompts[index].answer or "") for index in indices)
        shares = (exact / n, *wilson(exact, n), right / n, *wilson(right, n))
        rows.append(BehaviourRow(domain.name, domain.period, grid, template, n, *shares, 1 / len(answers), shots))
    return rows


def example_rows(
    domain: Domain, prompts: Sequence[Prompt], scored: Sequence[Scored], count: int = 3
) -> list[ExampleRow]:
    """`count` prompts, evenly spaced, with what the model wrote (its first line)."""
    places = np.unique(np.linspace(0, len(prompts) - 1, count).round().astype(int)) if prompts else []
    return [
        ExampleRow(
            domain.name,
            prompts[index].text,
            prompts[index].answer or "",
            (scored[index].written.strip().splitlines() or [""])[0],
            scored[index].exact,
        )
        for index in map(int, places)
    ]
