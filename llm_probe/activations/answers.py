"""The possible answers of a question as a tree of tokens, and what a model says of each of them.

Answers may differ in length ("7", "12", "E flat"), so they are scored over all their tokens, teacher-forced:

    log P(answer) = sum_t log p(token_t | prompt, tokens before t)  +  log(1 - q)

q: the probability of stepping from a complete answer on into a longer one ("1" into "12"). `written` is the answer
that greedy decoding writes: at each of its tokens the arg-max over the whole vocabulary, and at its end none of the
tokens that would make it longer; -1 where greedy decoding leaves the tree. What follows a complete answer otherwise
is not read.

Predictions are needed at the *nodes* of the tree that have children: the root (after the prompt), and every proper
beginning of an answer. Node 0 is the root; the others are tokens that follow the prompt, each with its parent.

    answers "1", "12", "3":   nodes  0 root {1, 3},  1 "1" {2}

A `Reading` keeps of each node's prediction only what the tree asks: log p of its K tokens, log(1 - q) and the arg-max.
Shapes: logits (rows, nodes, vocabulary), log_p (rows, nodes, K), stop and top (rows, nodes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """What the tree asks of the predictions at its nodes."""

    log_p: Float[Tensor, "rows nodes k"]
    """log p of every token of the tree."""
    stop: Float[Tensor, "rows nodes"]
    """log(1 - q) where an answer is complete, 0 elsewhere."""
    top: Int[Tensor, "rows nodes"]
    """The most probable token of the vocabulary."""

    def with_root(self, root: Reading) -> Reading:
        """These rows with another prediction after the prompt; rows repeat where `root` has more of them."""
        copies = len(root.top) // len(self.top)
        others = (part[:, 1:].repeat(copies, *[1] * (part.ndim - 1)) for part in (self.log_p, self.stop, self.top))
        first = (root.log_p, root.stop, root.top)
        return Reading(*(torch.cat(parts, dim=1) for parts in zip(first, others, strict=True)))

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
    def joined(parts: Sequence[Answers], order: Int[Tensor, " n"]) -> Answers:
        """Parts one after the other, then put into the order of the prompts; `order` says where each row belongs."""
        log_p, written = torch.cat([part.log_p for part in parts]), torch.cat([part.written for part in parts])
        back = torch.argsort(order)
        return Answers(log_p[back], written[back])


@dataclass(frozen=True)
class AnswerTree:
    """The answers of a question, in order, as tokens that follow the prompt."""

    answers: tuple[Tokens, ...]

    def __post_init__(self) -> None:
        if len(set(self.answers)) < len(self.answers) or not all(self.answers):
            raise ValueError(f"answers must be different and not empty: {self.answers}")

    @cached_property
    def nodes(self) -> tuple[Tokens, ...]:
        """The beginnings at which a prediction is read; the first is empty, parents come before their children."""
        starts = {answer[:length] for answer in self.answers for length in range(len(answer))}
        return tuple(sorted(starts, key=lambda node: (len(node), node)))

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Of each node behind the root: the node it follows."""
        return tuple(self.nodes.index(node[:-1]) for node in self.nodes[1:])

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """The K different tokens of the tree."""
        return tuple(sorted({token for answer in self.answers for token in answer}))

    def children(self, node: Tokens) -> tuple[int, ...]:
        """The tokens that go on from a beginning to an answer."""
        length = len(node)
        return tuple(
            sorted({answer[length] for answer in self.answers if answer[:length] == node and len(answer) > length})
        )

    def read(self, logits: Float[Tensor, "rows nodes vocabulary"]) -> Reading:
        """Keep what the tree asks."""
        logits = logits.float()
        wanted = torch.tensor(self.tokens, device=logits.device)
        # Two reductions instead of a log-softmax of the whole vocabulary, of which K tokens are wanted.
        total = logits.logsumexp(dim=-1)
        stop = torch.zeros_like(total)
        for index, node in enumerate(self.nodes[: logits.shape[1]]):
            if node in self.answers:
                # Summed over what does not go on: 1 - q would lose its digits where q is near 1.
                others = logits[:, index].index_fill(
                    1, torch.tensor(self.children(node), device=logits.device), -torch.inf
                )
                stop[:, index] = others.logsumexp(dim=-1) - total[:, index]
        return Reading(logits[..., wanted] - total[..., None], stop, logits.argmax(dim=-1))

    def score(self, reading: Reading) -> Answers:
        """log P of every answer, and the one that is written."""
        column = {token: index for index, token in enumerate(self.tokens)}
        log_p, written = [], torch.full_like(reading.top[:, 0], -1)
        for index, answer in enumerate(self.answers):
            places = [self.nodes.index(answer[:length]) for length in range(len(answer))]
            steps = [column[token] for token in answer]
            total = reading.log_p[:, places, steps].sum(dim=1)
            greedy = (reading.top[:, places] == torch.tensor(answer, device=written.device)).all(dim=1)
            if answer in self.nodes:  # longer answers begin with this one
                end, longer = self.nodes.index(answer), self.children(answer)
                total = total + reading.stop[:, end]
                greedy &= ~torch.isin(reading.top[:, end], torch.tensor(longer, device=written.device))
            log_p.append(total)
            written[greedy] = index
        return Answers(torch.stack(log_p, dim=1).cpu(), written.cpu())
