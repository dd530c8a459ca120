"""The possible answers of a question as a tree of tokens, and what a model says of each of them.

Answers may differ in length ("7", "12", "E flat") and in spelling (directly after the prompt, or after a space). They
are scored over all their tokens, teacher-forced, and the spellings of one answer are added:

    P(answer) = sum over spellings of  prod_t p(token_t | prompt, tokens before t) * (1 - q)

q is the probability of stepping from the end of a spelling on into a longer answer: without it "1" would own the
probability of "10", "11" and "12". Predictions are needed at the *nodes* of the tree that have children: the root
(after the prompt), and every proper beginning of a spelling. Answers "1", "12", "3": nodes 0 root {1, 3}, 1 "1" {2}.

    AnswerTree.read, .score   from logits at every node: interventions (`causal`) and the logit lens
    walk                      from the model itself: one pass over the prompts, then one token for each node and prompt
                              on copies of their key-value cache, as many at once as a batch has room for. Branches
                              that could only turn a near tie (`NEGLIGIBLE`) are left out.

Shapes: logits (rows, nodes, vocabulary), log_p (rows, nodes, K), stop and top (rows, nodes); `ids` (batch, length)
without padding.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Tokens = tuple[int, ...]

LEADS = ("", " ")
"""What may stand between a prompt and its answer."""
BOUNDARY_TOKENS = 3
"""How many of a prompt's last tokens decide how an answer is split after it."""
WORTH_SHARING = 24
"""Tokens that prompts must begin with together to be read once for all of them."""
SHORTEST_CONTINUATION = 4
"""Greedy tokens that are written for display, however short the answers."""
CACHED_ROWS = 256
"""Predictions that are summed at a time: their temporaries stay in a processor's cache, which saves a third."""
NEGLIGIBLE = 1e-4
"""A branch of the tree less probable than this share of the best answer's probability is not followed."""


@dataclass(frozen=True)
class Reading:
    """What the tree needs of the predictions at its nodes."""

    log_p: Float[Tensor, "rows nodes k"]
    """log p of every token of the tree."""
    stop: Float[Tensor, "rows nodes"]
    """log(1 - q) where an answer is complete, 0 elsewhere."""
    top: Int[Tensor, "rows nodes"]
    """The most probable token of the vocabulary."""

    @staticmethod
    def cat(parts: Sequence[Reading], dim: int) -> Reading:
        """Readings one after the other: of more rows (0) or of more nodes (1)."""
        fields = zip(*(vars(part).values() for part in parts), strict=True)
        return Reading(*(torch.cat(tensors, dim=dim) for tensors in fields))

    def with_root(self, root: Reading) -> Reading:
        """These rows with another prediction after the prompt; rows repeat where `root` has more of them."""
        copies = len(root.top) // len(self.top)
        others = (part[:, 1:].repeat(copies, *[1] * (part.ndim - 1)) for part in vars(self).values())
        return Reading.cat([root, Reading(*others)], dim=1)

    def split(self, size: int) -> list[Reading]:
        """Parts of `size` rows."""
        return [Reading(*parts) for parts in zip(*(part.split(size) for part in vars(self).values()), strict=True)]


@dataclass(frozen=True)
class Answers:
    """What a model says of the p possible answers to n questions."""

    log_p: Float[Tensor, "n p"]
    written: Int[Tensor, " n"]
    """Index of the answer that greedy decoding writes, -1 for something else."""

    @property
    def chosen(self) -> Int[Tensor, " n"]:
        """Index of the most probable answer."""
        return self.log_p.argmax(dim=1)

    @staticmethod
    def in_order(parts: Sequence[Answers], order: Int[Tensor, " n"]) -> Answers:
        """Parts one after the other, then put into the order of the prompts; `order` says where each row belongs."""
        log_p, written = torch.cat([part.log_p for part in parts]), torch.cat([part.written for part in parts])
        back = torch.argsort(order)
        return Answers(log_p[back], written[back])


@dataclass(frozen=True)
class AnswerTree:
    """The answers of a question as tokens that follow the prompt."""

    answers: tuple[Tokens, ...]
    """Every answer; one that can be spelled in two ways stands here twice."""
    owners: tuple[int, ...] | None = None
    """Index of the answer that each of these spells; None: each is an answer of its own, in order."""

    def __post_init__(self) -> None:
        if len(set(self.answers)) < len(self.answers) or not all(self.answers):
            raise ValueError(f"answers must be different and not empty: {self.answers}")

    @cached_property
    def owner(self) -> dict[Tokens, int]:
        """Spelling to the index of its answer."""
        return dict(zip(self.answers, self.owners or range(len(self.answers)), strict=True))

    @cached_property
    def nodes(self) -> tuple[Tokens, ...]:
        """The beginnings at which a prediction is read; the first is empty, parents come before their children."""
        return tuple(sorted(self._branches, key=lambda node: (len(node), node)))

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Of each node behind the root: the node it follows."""
        return tuple(self.nodes.index(node[:-1]) for node in self.nodes[1:])

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """The K different tokens of the tree."""
        return tuple(sorted({token for answer in self.answers for token in answer}))

    @cached_property
    def _branches(self) -> dict[Tokens, tuple[int, ...]]:
        following: dict[Tokens, set[int]] = {}
        for answer in self.answers:
            for length, token in enumerate(answer):
                following.setdefault(answer[:length], set()).add(token)
        return {node: tuple(sorted(tokens)) for node, tokens in following.items()}

    def children(self, node: Tokens) -> tuple[int, ...]:
        """The tokens that go on from a beginning to an answer."""
        return self._branches.get(node, ())

    def read(self, logits: Float[Tensor, "rows nodes vocabulary"], first: int = 0) -> Reading:
        """Keep what the tree needs of predictions at its nodes from `first` on."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        wanted = torch.tensor(self.tokens, device=logits.device)
        # Two reductions instead of a log-softmax of the whole vocabulary, of which K tokens are wanted.
        total = torch.cat([rows.logsumexp(dim=-1) for rows in logits.split(CACHED_ROWS)])
        stop = torch.zeros_like(total)
        for index, node in enumerate(self.nodes[first : first + logits.shape[1]]):
            if node in self.owner:
                # Summed over what does not go on: 1 - q would lose its digits where q is near 1.
                longer = torch.tensor(self.children(node), device=logits.device)
                others = logits[:, index].index_fill(1, longer, -torch.inf)
                stop[:, index] = others.logsumexp(dim=-1) - total[:, index]
        return Reading(logits[..., wanted] - total[..., None], stop, _first_largest(logits))

    def score(self, reading: Reading) -> Answers:
        """log P of every answer, and the one that greedy decoding writes.

        That is, the arg-max over the whole vocabulary at each of its tokens, and at its end none of the tokens that
        would make it longer; -1 where greedy decoding leaves the tree.
        """
        rows, device = len(reading.top), reading.top.device
        column = {token: index for index, token in enumerate(self.tokens)}
        totals = [reading.log_p.new_full((rows,), -torch.inf)] * (1 + max(self.owner.values()))
        written = torch.full_like(reading.top[:, 0], -1)
        for answer, owner in self.owner.items():
            places = [self.nodes.index(answer[:length]) for length in range(len(answer))]
            total = reading.log_p[:, places, [column[token] for token in answer]].sum(dim=1)
            greedy = (reading.top[:, places] == torch.tensor(answer, device=device)).all(dim=1)
            if longer := self.children(answer):
                end = self.nodes.index(answer)
                total = total + reading.stop[:, end]
                greedy &= ~torch.isin(reading.top[:, end], torch.tensor(longer, device=device))
            # Nothing is written in place: interventions are trained through this.
            totals[owner] = torch.logaddexp(totals[owner], total)
            written[greedy] = owner
        return Answers(torch.stack(totals, dim=1).cpu(), written.cpu())


def _first_largest(logits: Float[Tensor, "rows nodes vocabulary"]) -> Int[Tensor, "rows nodes"]:
    """The arg-max; numpy's is ten times as fast as torch's on a processor."""
    if logits.device.type != "cpu":
        return logits.argmax(dim=-1)
    return torch.from_numpy(logits.detach().numpy().argmax(axis=-1))


# ---------------------------------------------------------------------------------------------------------- spellings


def answer_tree(
    tokenizer: Any, text: str, prompt_ids: Tokens, answers: Sequence[str], leads: Sequence[str], chat: bool
) -> AnswerTree:
    """Every answer, after each of the leads, as the tokens that come after those of the prompt.

    Where prompt and answer merge into one token at the border (or the space a prompt ends in would move into the
    answer's token), the answer is tokenised alone: the prompt's tokens are given and cannot be taken back.
    """
    texts = [(lead + answer, index) for lead in leads for index, answer in enumerate(answers)]
    behind = tokenizer([text + spelling for spelling, _ in texts], add_special_tokens=not chat)["input_ids"]
    alone = tokenizer([spelling for spelling, _ in texts], add_special_tokens=False)["input_ids"]
    # The special tokens (an EOS) that the tokenizer puts after a text by itself.
    marks = [0] if chat else tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    closing = marks[::-1].index(0)
    owner: dict[Tokens, int] = {}
    for (_, index), with_prompt, by_itself in zip(texts, behind, alone, strict=True):
        fits = tuple(with_prompt[: len(prompt_ids)]) == prompt_ids
        tail = tuple(with_prompt[len(prompt_ids) : len(with_prompt) - closing] if fits else by_itself)
        if tail:
            owner.setdefault(tail, index)
    if len(leads) == 1 and len(owner) < len(answers):
        raise ValueError(f"answers must be different and not empty, as tokens too: {list(answers)}")
    return AnswerTree(tuple(owner), tuple(owner.values()))


def answer_trees(
    tokenizer: Any, texts: Sequence[str], ids: Sequence[Tokens], answers: Sequence[str], chat: bool
) -> list[tuple[AnswerTree, list[int]]]:
    """The trees of all spellings, each with the indices of the prompts whose answers are spelled that way."""
    known: dict[Tokens, AnswerTree] = {}
    groups: dict[AnswerTree, list[int]] = {}
    for index, (text, own) in enumerate(zip(texts, ids, strict=True)):
        boundary = own[-BOUNDARY_TOKENS:]
        if boundary not in known:
            known[boundary] = answer_tree(tokenizer, text, own, answers, LEADS, chat)
        groups.setdefault(known[boundary], []).append(index)
    return list(groups.items())


# --------------------------------------------------------------------------------------------------------------- walk


@torch.inference_mode()
def walk(
    loaded: Any, ids: Int[Tensor, "batch length"], tree: AnswerTree, n_answers: int, room: int
) -> tuple[list[list[int]], Float[Tensor, "batch p"]]:
    """(greedy tokens, P of every answer) after each row of `ids`; at most `room` rows are read at once."""
    start = _begin(loaded.model, ids.to(loaded.device))
    greedy, known = _greedy(start, tree)
    probability = torch.zeros(len(ids), n_answers, dtype=torch.float64, device=start.logits.device)
    root = _Branch((), torch.arange(len(ids), device=start.logits.device), torch.ones_like(known))
    _follow(tree, [root], start, probability, known, max(room, len(ids)))
    return greedy, probability


def _begin(model: Any, ids: Int[Tensor, "rows length"]) -> _Beginning:
    """Every row read, what all of them begin with once: worked examples before a question."""
    differs = torch.nonzero((ids != ids[:1]).any(dim=0))[:, 0].tolist()
    shared = min([*differs, ids.shape[1] - 1])
    if len(ids) < 2 or shared < WORTH_SHARING:
        return _read(model, ids)
    first = _read(model, ids[:1, :shared])
    if not hasattr(first.cache, "batch_repeat_interleave"):
        return _read(model, ids)
    first.cache.batch_repeat_interleave(len(ids))
    return _read(model, ids, ids[:, shared:], first.cache)


def _greedy(start: _Beginning, tree: AnswerTree) -> tuple[list[list[int]], Tensor]:
    """The greedy tokens of each row, and P of the answer they begin with (batch,), 0 where they begin with none."""
    steps = max(SHORTEST_CONTINUATION, 1 + max(map(len, tree.answers)))
    state, paths = start.fork(torch.arange(len(start.ids))), [[] for _ in start.ids]
    reached = torch.ones(len(paths), dtype=torch.float64, device=start.logits.device)
    known = torch.zeros_like(reached)
    while True:
        likeliest, tokens = torch.softmax(state.logits.float(), dim=-1).max(dim=-1, keepdim=True)
        reached = reached * likeliest[:, 0]
        for path, token in zip(paths, tokens[:, 0].tolist(), strict=True):
            path.append(token)
        complete = torch.tensor([tuple(path) in tree.owner for path in paths], device=known.device)
        known = torch.where(complete, reached, known)
        if len(paths[0]) == steps:
            return paths, known
        state = state.read_on(tokens)


@dataclass(frozen=True)
class _Branch:
    """A node of the tree and the prompts that are followed into it."""

    node: Tokens
    rows: Int[Tensor, " rows"]
    """Prompts of the batch."""
    reached: Float[Tensor, " rows"]
    """P(node) for each of them."""


def _follow(
    tree: AnswerTree, branches: list[_Branch], state: _Beginning, probability: Tensor, known: Tensor, room: int
) -> None:
    """Add to `probability` (batch, p) what the subtrees of `branches` spell.

    `state` holds the rows of all branches one after the other; `known` (batch,) is a probability that the best
    answer has at least.
    """
    predictions = torch.softmax(state.logits.float(), dim=-1).split([len(branch.rows) for branch in branches])
    deeper: list[tuple[int, _Branch]] = []
    first = 0
    for branch, following in zip(branches, predictions, strict=True):
        children = tree.children(branch.node)
        steps = following[:, list(children)].double()
        if branch.node in tree.owner:
            stay = (1 - steps.sum(dim=1)).clamp_min(0)
            probability[branch.rows, tree.owner[branch.node]] += branch.reached * stay
        for token, step in zip(children, steps.unbind(dim=1), strict=True):
            child = _Branch((*branch.node, token), branch.rows, branch.reached * step)
            if tree.children(child.node):
                deeper.append((first, child))
            else:
                probability[child.rows, tree.owner[child.node]] += child.reached
        first += len(branch.rows)
    # Likely branches first: what they spell tells how improbable a branch need not be followed.
    deeper.sort(key=lambda step: float(step[1].reached.mean()), reverse=True)
    while deeper:
        places, followed = [], []
        while deeper and sum(map(len, places)) + len(deeper[0][1].rows) <= room:
            first, branch = deeper.pop(0)
            least = NEGLIGIBLE * torch.maximum(known, probability.amax(dim=1))[branch.rows]
            alive = torch.nonzero(branch.reached > least)[:, 0]
            if len(alive):
                places.append(first + alive)
                followed.append(_Branch(branch.node, branch.rows[alive], branch.reached[alive]))
        if followed:
            tokens = [branch.node[-1] for branch in followed for _ in branch.rows]
            step = torch.tensor(tokens, device=state.ids.device)[:, None]
            _follow(tree, followed, state.fork(torch.cat(places)).read_on(step), probability, known, room)


@dataclass(frozen=True)
class _Beginning:
    """Rows of tokens that a model has read, and its logits for the token behind them."""

    model: Any
    ids: Int[Tensor, "rows length"]
    logits: Float[Tensor, "rows vocabulary"]
    cache: Any
    """The key-value (or recurrent) cache; None where the model returns none, and `ids` are read anew."""

    def read_on(self, tokens: Int[Tensor, "rows any"]) -> _Beginning:
        """Read more tokens; this beginning is used up, so fork what is needed again."""
        ids = torch.cat([self.ids, tokens], dim=1)
        return _read(self.model, ids, ids if self.cache is None else tokens, self.cache)

    def fork(self, rows: Tensor) -> _Beginning:
        """A copy of the given rows."""
        # A copy and not a crop: recurrent and sliding-window caches cannot be cropped.
        cache, rows = copy.deepcopy(self.cache), rows.to(self.ids.device)
        if cache is not None and rows.tolist() != list(range(len(self.ids))):
            cache.reorder_cache(rows)
        return _Beginning(self.model, self.ids[rows], self.logits[rows], cache)


def _read(model: Any, ids: Tensor, unread: Tensor | None = None, cache: Any = None) -> _Beginning:
    """Read `unread` (None: all of `ids`), what stands before it being in the cache."""
    # Only the last position's logits: (batch, length, vocabulary) would be gigabytes.
    options = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    unread = ids if unread is None else unread
    output = model(input_ids=unread, past_key_values=cache, use_cache=True, **options)
    after = getattr(output, "past_key_values", None)
    return _Beginning(model, ids, output.logits[:, -1], after if hasattr(after, "reorder_cache") else None)
