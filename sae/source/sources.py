"""Tokens to train on and tokens held out: windows of text, and the task prompts of the probe's discovery part.

    passages(block)    the passages of one block of the stream: a function of (seed, block) alone
    held_out           passages that no block ever holds: every tenth document, every tenth operand pair

A `Passage` is what a model reads, and what it should have predicted at each place: everything in text, the answer's
tokens after a question. Only questions of the *discovery* part are drawn, so that what the probe confirms (and what
interventions are measured on) is new to an SAE too. A toy's passages are its own table: the rows that it was trained
on, which the probe never asks, and those of the discovery part.

Text is one of: Python's help topics (offline; the documents held out are those that the reference model never saw),
a file, or a data set that is streamed. Windows of the first two are drawn anywhere; those of a stream come in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from llm_probe.models.hub import is_toy
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.domains import Domain, resolve
from llm_probe.questions.prompts import PAIR_SHARE, Prompt, pair_hash, question, question_set, statement_set
from sae.config import SaeConfig
from toy.run.errors import InputError

UNSCORED = -100
"""A target that enters no loss."""
HELD_OUT_EVERY = 10
HELD_OUT_SALT = 7919
MOST_QUESTIONS = 5000
"""Questions of one domain in the pool that prompts are drawn from."""
BETWEEN_DOCUMENTS = "\n\n"


@dataclass(frozen=True)
class Passage:
    """What a model reads and should predict."""

    ids: tuple[int, ...]
    targets: tuple[int, ...]
    """The token after each, or UNSCORED; as long as `ids`."""
    task: bool
    """Whether it is a task prompt and not text."""


class Frame:
    """The special tokens a tokenizer puts around a text, and how many tokens of text fit between them."""

    def __init__(self, tokenizer: Any, context: int, *, causal: bool) -> None:
        marked = tokenizer("a", return_special_tokens_mask=True)
        marks = marked["special_tokens_mask"]
        first = marks.index(0)
        last = len(marks) - marks[::-1].index(0)
        self.before, self.after = marked["input_ids"][:first], marked["input_ids"][last:]
        self.causal, self.content = causal, context - len(self.before) - len(self.after)
        self.size = self.content + 1
        """Tokens that a window takes from the text: the last one is predicted and not read."""
        if self.content < 2:
            raise InputError(f"a context of {context} tokens has no room for text: give --context 8 or more")

    def passage(self, ids: Sequence[int]) -> Passage:
        """A window: `content` tokens that are read, and one more that is only predicted."""
        own = list(ids[: self.content])
        targets = list(ids[1 : len(own) + 1]) if self.causal else [UNSCORED] * len(own)
        before, after = [UNSCORED] * len(self.before), [UNSCORED] * len(self.after)
        return Passage((*self.before, *own, *self.after), (*before, *targets, *after), task=False)


class InMemory:
    """A text that is short enough to hold: windows begin anywhere in it."""

    def __init__(self, trained: str, held_out: str, tokenizer: Any, config: SaeConfig, *, causal: bool) -> None:
        self.frame, self.seed = Frame(tokenizer, config.context, causal=causal), config.data_seed
        self.ids, size = np.array(_tokens(tokenizer, trained)), self.frame.size
        if len(self.ids) < 2 * size:
            raise InputError(f"the text has {len(self.ids)} tokens, less than two windows of {size}: give a longer one")
        kept = _tokens(tokenizer, held_out)
        starts = range(0, len(kept) - size + 1, self.frame.content)
        self.held_out = [self.frame.passage(kept[start : start + size]) for start in starts]

    def draw(self, block: int, count: int) -> list[Passage]:
        """`count` windows: a function of the block."""
        size = self.frame.size
        starts = np.random.default_rng((self.seed, block)).integers(0, len(self.ids) - size + 1, count)
        return [self.frame.passage(self.ids[start : start + size].tolist()) for start in starts]


class Streamed:
    """A data set that is read from its beginning to its end and then again; every tenth document is held out."""

    def __init__(self, documents: Any, tokenizer: Any, config: SaeConfig, *, causal: bool) -> None:
        self.documents, self.tokenizer = documents, tokenizer
        self.frame = Frame(tokenizer, config.context, causal=causal)
        most = max(1, config.held_out_tokens // config.context)
        self.held_out = list(islice(self._windows(held_out=True, again=False), most))
        if not self.held_out:
            raise InputError(f"the data set {config.dataset} has no ten documents of a few hundred words: give another")
        self._next, self._rest = 0, self._windows(held_out=False, again=True)

    def draw(self, block: int, count: int) -> list[Passage]:
        """`count` windows: a function of the block, and of `count`, which must be the same for every block."""
        if block < self._next:
            self._next, self._rest = 0, self._windows(held_out=False, again=True)
        # What an interrupted run has read already is read again and skipped.
        for _ in islice(self._rest, (block - self._next) * count):
            pass
        self._next = block + 1
        return list(islice(self._rest, count))

    def _windows(self, *, held_out: bool, again: bool) -> Iterator[Passage]:
        left: list[int] = []
        while True:
            for number, document in enumerate(self.documents):
                if (number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) is held_out:
                    left += _tokens(self.tokenizer, document["text"] + BETWEEN_DOCUMENTS)
                start = 0
                while len(left) - start >= self.frame.size:
                    yield self.frame.passage(left[start : start + self.frame.size])
                    start += self.frame.content
                left = left[start:]
            if not again:
                return


@dataclass(frozen=True)
class Source:
    """A mixture of text and task prompts."""

    text: InMemory | Streamed | None
    prompts: Sequence[Sequence[Passage]]
    """One pool for each domain. A domain is drawn in proportion to the square root of its size: a month's few hundred
    questions are neither lost among thousands of sums nor repeated as often as all of those together."""
    held_out: list[Passage]
    task_share: float
    context: int
    seed: int

    def passages(self, block: int, tokens: int) -> list[Passage]:
        """Passages with at least `tokens` tokens, of which `task_share` belong to task prompts."""
        wanted = round(self.task_share * tokens)
        windows = -(-(tokens - wanted) // self.context)
        passages = self.text.draw(block, windows) if self.text else []
        rng = np.random.default_rng((self.seed, block, 1))
        often = np.cumsum(np.sqrt([len(pool) for pool in self.prompts]))
        while wanted > 0:
            pool = self.prompts[int(np.searchsorted(often, rng.random() * often[-1], side="right"))]
            passages.append(pool[int(rng.integers(len(pool)))])
            wanted -= len(passages[-1].ids)
        return passages


def source_of(config: SaeConfig, loaded: LoadedModel) -> Source:
    """The mixture that a configuration describes.

    Raises:
        InputError: a text or data set that cannot be read or is too short, or a domain that does not exist.
    """
    share = task_share(config)
    if is_toy(config.model) and (config.text or config.dataset):
        raise InputError(f"{config.model} is a toy, which reads its own table only: leave out --text and --dataset")
    text = _text(config, loaded) if share < 1 else None
    pools, kept = _prompts(config, loaded) if share > 0 else ([], [])
    windows = text.held_out[: -(-config.held_out_tokens // config.context)] if text else []
    order = np.random.default_rng(config.data_seed).permutation(len(kept))
    ends = np.cumsum([len(kept[index].ids) for index in order])
    questions = [kept[index] for index in order[: int(np.searchsorted(ends, config.held_out_tokens)) + 1]]
    return Source(text, pools, windows + questions, share, config.context, config.data_seed)


def task_share(config: SaeConfig) -> float:
    """The share of task prompts; where none is given, the one that suits the model."""
    if is_toy(config.model):
        return 1.0
    if config.task_share is not None:
        return config.task_share
    return 0.75 if config.model == "reference" else 0.05


def _text(config: SaeConfig, loaded: LoadedModel) -> InMemory | Streamed:
    causal = not loaded.is_encoder
    if config.dataset:
        return Streamed(_dataset(config.dataset), loaded.tokenizer, config, causal=causal)
    if config.text is None:
        from llm_probe.models.reference.prompts import english

        return InMemory(*english(), loaded.tokenizer, config, causal=causal)
    try:
        documents = config.text.read_text(encoding="utf-8").split(BETWEEN_DOCUMENTS)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{config.text} cannot be read as UTF-8 text ({error}): give another --text") from error
    kept = documents[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    trained = [text for number, text in enumerate(documents) if number % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
    first, second = (BETWEEN_DOCUMENTS.join(part) for part in (trained, kept))
    windows = InMemory(first, second, loaded.tokenizer, config, causal=causal)
    if not windows.held_out:
        raise InputError(f"{config.text} has too few documents to hold some out: separate them by empty lines")
    return windows


def _dataset(name: str) -> Any:
    from datasets import load_dataset

    try:
        documents = load_dataset(name, split="train", streaming=True)
        first = next(iter(documents), {})
    except Exception as error:
        # The library's errors have no common base, and the name that it could not read is the user's.
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the data set {name} cannot be read ({reason}): check its name or give --text") from error
    if not isinstance(first.get("text"), str):
        raise InputError(f"the data set {name} has no column `text` but {', '.join(first) or 'nothing'}: give another")
    return documents


def _prompts(config: SaeConfig, loaded: LoadedModel) -> tuple[list[list[Passage]], list[Passage]]:
    """(one pool for each domain, held-out questions)."""
    if is_toy(config.model):
        from llm_probe.questions.toy_domain import toy_domain
        from toy.training.layouts import load_checkpoint

        domains = [toy_domain(load_checkpoint(Path(config.model).expanduser())[1])]
    else:
        domains = {domain.name: domain for domain in resolve(list(config.domains), list(config.moduli))}.values()
    pools, kept = [], []
    for domain in domains:
        prompts = trainable_questions(domain)
        pairs = np.array([(prompt.first, prompt.offset) for prompt in prompts], dtype=np.int64).reshape(-1, 2)
        held = pair_hash(pairs[:, 0], pairs[:, 1], HELD_OUT_SALT) < 1 / HELD_OUT_EVERY
        questions = task_passages(loaded, prompts)
        statements = task_passages(loaded, statement_set(domain, "discovery"))
        pools.append([passage for passage, out in zip(questions, held, strict=True) if not out] + statements)
        kept += [passage for passage, out in zip(questions, held, strict=True) if out]
    if not kept or not all(pools):
        raise InputError("these domains have too few questions to hold some out: give more --domains")
    return pools, kept


def trainable_questions(domain: Domain) -> list[Prompt]:
    """The questions of a domain that may be trained on, by the parts that the probe makes with its default seed."""
    if not domain.second_is_item:
        return question_set(domain, "discovery", MOST_QUESTIONS) if domain.questions else []
    # A toy: the probe asks the rows that it was not trained on, so its own training rows are free.
    first, offset = (grid.ravel() for grid in np.meshgrid(domain.first_operands, domain.offsets, indexing="ij"))
    free = ~domain.admits(first, offset) | (pair_hash(first, offset, 0) < PAIR_SHARE["discovery"][1])
    return [question(domain, "plain", int(a), int(b)) for a, b in zip(first[free], offset[free], strict=True)]


def task_passages(loaded: LoadedModel, prompts: Sequence[Prompt]) -> list[Passage]:
    """Prompts as passages; for a model that writes, with the answer behind the question, all but its last token."""
    from llm_probe.models.reference.prompts import answer_text

    if not prompts:
        return []
    alone = loaded.tokenizer([prompt.text for prompt in prompts])["input_ids"]
    if loaded.is_encoder or prompts[0].answer is None:
        return [Passage(tuple(ids), (UNSCORED,) * len(ids), task=True) for ids in alone]
    whole = loaded.tokenizer([prompt.text + answer_text(prompt) for prompt in prompts])["input_ids"]
    passages = []
    for ids, question_ids in zip(whole, alone, strict=True):
        # Where the border's tokens merge, the answer begins at the first token that differs.
        same = next((n for n, (a, b) in enumerate(zip(ids, question_ids, strict=False)) if a != b), len(question_ids))
        begin = max(1, min(same, len(ids) - 1))
        passages.append(Passage(tuple(ids[:-1]), (UNSCORED,) * (begin - 1) + tuple(ids[begin:]), task=True))
    return passages


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
