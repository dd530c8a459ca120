"""Questions as a model reads them: tokens, the columns in which batches of them run, and the tree of possible answers.

A prompt may be continued by an answer directly ("=" then "5") or after a space; which of the two the model writes is
measured once for each template, on the unedited model, and kept for every intervention. Prompts of equal length and
answer tree run together, without padding, with the nodes of the tree side by side behind the prompt:

    columns   0 … L-1 the prompt, L … L+N-1 the nodes of the tree

A node sees the prompt, its own beginning and itself; its rotary position is L - 1 + its depth. Shapes: mask
(1, 1, l, l) additive, positions (1, l), l = L + N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.answers import BOUNDARY_TOKENS, LEADS, AnswerTree, Tokens, answer_tree
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Part, Prompt
from llm_probe.questions.tokens import buckets, encode, rendered
from toy.run.errors import InputError

EVERYWHERE = "all"
"""The position that is every position, also of the answer's own tokens."""
ANSWER = "answer"
"""The last token of the prompt and the answer's own tokens behind it."""
BATCH_TOKENS = 8192
"""Tokens of one clean forward."""
LEAD_PROMPTS = 8
"""Prompts of a template that decide whether answers come after a space."""


@dataclass(frozen=True)
class Question:
    """One prompt up to its last token, and what may follow."""

    ids: Tokens
    positions: dict[str, int]
    tree: AnswerTree


@dataclass(frozen=True)
class Questions:
    """Prompts with the same possible answers."""

    prompts: tuple[Prompt, ...]
    items: tuple[Question, ...]
    period: int

    @property
    def labels(self) -> Int[Tensor, " n"]:
        """The right answers."""
        return torch.tensor([prompt.label for prompt in self.prompts])

    @property
    def sums(self) -> Int[Tensor, " n"]:
        """The integer sums, not reduced."""
        return torch.tensor([prompt.total for prompt in self.prompts])

    @property
    def pairs(self) -> Int[Tensor, " n"]:
        """Operand pairs as numbers: prompts of one pair belong together."""
        _, number = torch.tensor([[prompt.first, prompt.offset] for prompt in self.prompts]).unique(
            dim=0, return_inverse=True
        )
        return number

    def take(self, rows: Sequence[int]) -> Questions:
        """Some of the questions."""
        return Questions(tuple(self.prompts[row] for row in rows), tuple(self.items[row] for row in rows), self.period)

    def donors(self, seed: int) -> Int[Tensor, " n"]:
        """A donor prompt for each prompt, sampled among those with another answer.

        Raises:
            InputError: all prompts have the same answer.
        """
        labels = self.labels
        if len(labels.unique()) < 2:
            raise InputError("all prompts have the same answer: an interchange changes nothing; give more prompts")
        generator = torch.Generator().manual_seed(seed)
        donors = torch.randint(len(labels), (len(labels),), generator=generator)
        while bool((same := labels[donors] == labels).any()):
            donors[same] = torch.randint(len(labels), (int(same.sum()),), generator=generator)
        return donors


def questions_of(loaded: LoadedModel, claim: Claim, part: Part, size: int, seed: int) -> Questions:
    """The questions of one part (discovery or causal) of a claim."""
    return ask(loaded, claim.prompts(part, size, seed), claim.domain.items)


def ask(loaded: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[str], *, chat: bool = False) -> Questions:
    """Tokenise prompts and their possible answers.

    Raises:
        InputError: an encoder, which answers nothing, or no prompts.
    """
    if loaded.mute:
        raise InputError(f"{loaded.mute}: give a model that answers")
    if not prompts:
        raise InputError("there are no prompts to ask: give more templates or operands")
    texts = rendered(loaded.tokenizer, prompts, chat=chat)
    encoded = encode(loaded.tokenizer, prompts, chat=chat)
    heads = [row.ids[: row.positions["last"] + 1] for row in encoded]
    loaded.check_ids(heads)
    lead = _leads(loaded, prompts, texts, heads, answers, chat)
    known: dict[tuple[Tokens, str], AnswerTree] = {}
    items = []
    for prompt, text, head, row in zip(prompts, texts, heads, encoded, strict=True):
        key = (head[-BOUNDARY_TOKENS:], lead[prompt.template])
        if key not in known:
            known[key] = answer_tree(loaded.tokenizer, text, head, answers, (key[1],), chat)
        items.append(Question(head, row.positions, known[key]))
    return Questions(tuple(prompts), tuple(items), len(answers))


def _leads(
    loaded: LoadedModel,
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    heads: Sequence[Tokens],
    answers: Sequence[str],
    chat: bool,
) -> dict[str, str]:
    """Template to what the model puts between prompt and answer: the lead under which all answers are likelier."""
    chosen: dict[str, str] = {}
    for template in dict.fromkeys(prompt.template for prompt in prompts):
        rows = [row for row, prompt in enumerate(prompts) if prompt.template == template][:LEAD_PROMPTS]
        masses = []
        for lead in LEADS:
            trees = [answer_tree(loaded.tokenizer, texts[row], heads[row], answers, (lead,), chat) for row in rows]
            masses.append(sum(_mass(loaded, heads[row], tree) for row, tree in zip(rows, trees, strict=True)))
        chosen[template] = LEADS[masses.index(max(masses))]
    return chosen


@torch.inference_mode()
def _mass(loaded: LoadedModel, head: Tokens, tree: AnswerTree) -> float:
    """Probability of all answers together."""
    rows = [torch.tensor([head + node], device=loaded.device) for node in tree.nodes]
    with evaluating(loaded.model):
        logits = torch.stack([loaded.model(input_ids=row).logits[0, -1] for row in rows])
    return float(tree.score(tree.read(logits[None])).log_p.exp().sum())


@dataclass(frozen=True)
class Batch:
    """Prompts of equal length and answer tree."""

    rows: Int[Tensor, " n"]
    """Which prompts."""
    ids: Int[Tensor, "n length"]
    columns: Int[Tensor, " n"] | None
    """The edited column of each, the first of them at position `answer`; None for every column."""
    tree: AnswerTree
    onward: bool = False
    """Whether the columns behind the edited one are edited too."""


def batches(questions: Questions, position: str) -> Iterator[Batch]:
    """Questions of equal answer tree and length together.

    Raises:
        InputError: a prompt has no such position.
    """
    token = "last" if position == ANSWER else position
    groups: dict[AnswerTree, list[int]] = {}
    for row, item in enumerate(questions.items):
        if token not in item.positions and position != EVERYWHERE:
            raise InputError(
                f"prompt {questions.prompts[row].text!r} has no position {position!r}: choose from "
                f"{', '.join([*item.positions, ANSWER, EVERYWHERE])}"
            )
        groups.setdefault(item.tree, []).append(row)
    for tree, members in groups.items():
        lengths = [len(questions.items[row].ids) for row in members]
        for bucket in buckets(lengths, BATCH_TOKENS):
            rows = [members[index] for index in bucket]
            columns = None
            if position != EVERYWHERE:
                columns = torch.tensor([questions.items[row].positions[token] for row in rows])
            ids = torch.tensor([questions.items[row].ids for row in rows])
            yield Batch(torch.tensor(rows), ids, columns, tree, position == ANSWER)


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
