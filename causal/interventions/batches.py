"""Prompts that run together, and the columns in which they run: no padding, the answer tree behind the prompt.

    columns   0 … L-1 the prompt, L … L+N-1 the nodes of the tree, side by side

A node sees the prompt, its own beginning and itself; its rotary position is L - 1 + its depth. Shapes: mask
(1, 1, l, l) additive, positions (1, l), l = L + N.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.interventions.questions import Questions
from llm_probe.activations.answers import AnswerTree
from llm_probe.questions.tokens import buckets
from toy.run.errors import InputError

EVERYWHERE = "all"
"""The position that is every position, also of the answer's own tokens."""
ANSWER = "answer"
"""The last token of the prompt and the answer's own tokens behind it."""
BATCH_TOKENS = 8192
"""Tokens of one clean forward."""


@dataclass(frozen=True)
class Batch:
    """Prompts of equal length and answer tree."""

    rows: Int[Tensor, " n"]
    """Which prompts."""
    ids: Int[Tensor, "n length"]
    places: Int[Tensor, " n"] | None
    """The edited column of each, the first of them at position `answer`; None for every column."""
    tree: AnswerTree
    onward: bool = False
    """Whether the columns behind the edited one are edited too."""


def batches(questions: Questions, position: str) -> Iterator[Batch]:
    """Questions of equal answer tree and length together.

    Raises:
        InputError: a prompt has no such position.
    """
    place = "last" if position == ANSWER else position
    groups: dict[AnswerTree, list[int]] = {}
    for row, item in enumerate(questions.items):
        if place not in item.positions and position != EVERYWHERE:
            raise InputError(
                f"prompt {questions.prompts[row].text!r} has no position {position!r}: choose from "
                f"{', '.join([*item.positions, ANSWER, EVERYWHERE])}"
            )
        groups.setdefault(item.tree, []).append(row)
    for tree, members in groups.items():
        lengths = [len(questions.items[row].ids) for row in members]
        for bucket in buckets(lengths, BATCH_TOKENS):
            rows = [members[index] for index in bucket]
            places = None
            if position != EVERYWHERE:
                places = torch.tensor([questions.items[row].positions[place] for row in rows])
            ids = torch.tensor([questions.items[row].ids for row in rows])
            yield Batch(torch.tensor(rows), ids, places, tree, position == ANSWER)


def geometry(batch: Batch, dtype: torch.dtype) -> tuple[Float[Tensor, "1 1 l l"], Int[Tensor, "1 l"]]:
    """Additive mask and positions of a prompt with the nodes of its tree behind it."""
    length, nodes = batch.ids.shape[1], batch.tree.nodes
    total = length + len(nodes) - 1
    seen = torch.ones(total, total, dtype=torch.bool).tril()
    for node, parent in enumerate(batch.tree.parents, start=1):
        column = length - 1 + node
        seen[column, length:] = seen[length - 1 + parent, length:] if parent else False
        seen[column, column] = True
    mask = torch.zeros(total, total, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    depths = [length - 1 + len(node) for node in nodes[1:]]
    return mask[None, None], torch.tensor([[*range(length), *depths]])


def side_by_side(
    batch: Batch, first: int, edits: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "1 1 queries keys"], Int[Tensor, "1 queries"]]:
    """Additive mask and positions of `edits` copies of the columns from `first` on, behind those before it, once.

    Every copy sees the columns before `first` and of those behind it only its own: queries = edits (l - first),
    keys = first + queries.
    """
    mask, positions = geometry(batch, dtype)
    own = mask[0, 0, first:]
    apart = torch.full((edits, len(own), edits, len(own)), torch.finfo(dtype).min, dtype=dtype)
    copies = torch.arange(edits)
    apart[copies, :, copies] = own[:, first:]
    queries = edits * len(own)
    behind = apart.view(queries, queries)
    return torch.cat([own[:, :first].repeat(edits, 1), behind], dim=1)[None, None], positions[:, first:].repeat(
        1, edits
    )
