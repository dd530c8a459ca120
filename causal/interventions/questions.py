"""Questions as a model reads them: tokens, the place that is edited, and the tree of possible answers.

A prompt may be continued by an answer directly ("=" then "5") or after a space; which of the two the model writes is
measured once for each template (`leads`), on the unedited model, and kept for every intervention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from llm_probe.activations.answers import BOUNDARY_TOKENS, LEADS, AnswerTree, Tokens, answer_tree
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import encode, rendered
from toy.run.errors import InputError

ASKED = 8
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
    def pairs(self) -> Int[Tensor, " n"]:
        """Operand pairs as numbers: prompts of one pair belong together."""
        _, number = torch.tensor([[prompt.first, prompt.offset] for prompt in self.prompts]).unique(
            dim=0, return_inverse=True
        )
        return number

    def take(self, rows: Sequence[int]) -> Questions:
        """Some of the questions."""
        return Questions(tuple(self.prompts[row] for row in rows), tuple(self.items[row] for row in rows), self.period)


def ask(loaded: LoadedModel, prompts: Sequence[Prompt], answers: Sequence[str], *, chat: bool = False) -> Questions:
    """Tokenise prompts and their possible answers.

    Raises:
        InputError: an encoder, which answers nothing, or no prompts.
    """
    if loaded.is_encoder:
        raise InputError(f"{loaded.name} is an encoder and writes no answers: give a model that continues a text")
    if not prompts:
        raise InputError("there are no prompts to ask: give more templates or operands")
    texts = rendered(loaded.tokenizer, prompts, chat=chat)
    encoded = encode(loaded.tokenizer, prompts, chat=chat)
    heads = [row.ids[: row.positions["last"] + 1] for row in encoded]
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
    """Template to what the model puts between prompt and answer."""
    chosen: dict[str, str] = {}
    for template in dict.fromkeys(prompt.template for prompt in prompts):
        rows = [row for row, prompt in enumerate(prompts) if prompt.template == template][:ASKED]
        masses = []
        for lead in LEADS:
            trees = [answer_tree(loaded.tokenizer, texts[row], heads[row], answers, (lead,), chat) for row in rows]
            masses.append(sum(_mass(loaded, heads[row], tree) for row, tree in zip(rows, trees, strict=True)))
        chosen[template] = LEADS[masses.index(max(masses))]
    return chosen


@torch.inference_mode()
def _mass(loaded: LoadedModel, head: Tokens, tree: AnswerTree) -> float:
    """Probability of all answers together."""
    with evaluating(loaded.model):
        logits = torch.stack([loaded.model(input_ids=_row(loaded, head + node)).logits[0, -1] for node in tree.nodes])
    return float(tree.score(tree.read(logits[None])).log_p.exp().sum())


def _row(loaded: LoadedModel, ids: Tokens) -> Tensor:
    return torch.tensor([ids], device=loaded.device)
