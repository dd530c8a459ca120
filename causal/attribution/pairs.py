"""Prompts beside their donors, up to the token at which the two answers part; and the logit difference there.

Prompt and donor (`maps.donor`) have as many tokens and differ in one. m of a prompt: the logit of the donor's answer
minus that of its own, at the token where the two part. Where both answers begin alike ("12", "15") that beginning is
put behind both prompts; where one answer is a beginning of the other ("1", "12") there is no such token, and the
prompt is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.experiments.maps import donor
from causal.interventions.questions import Questions
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.tokens import buckets, encode

BATCH_TOKENS = 2048
"""Tokens of one forward whose gradients are kept."""


@dataclass(frozen=True)
class Pairs:
    """Prompts of equal length with their donors, up to the token at which the answers part."""

    rows: Int[Tensor, " n"]
    ids: Int[Tensor, "n length"]
    donor_ids: Int[Tensor, "n length"]
    columns: Int[Tensor, "n positions"]
    own: Int[Tensor, " n"]
    """Next token of the prompt's own answer."""
    theirs: Int[Tensor, " n"]
    """Next token of the donor's."""


def paired(loaded: LoadedModel, claim: Claim, questions: Questions, positions: Sequence[str]) -> Iterator[Pairs]:
    """Batches of the prompts whose donor has as many tokens and another answer."""
    donors = [donor(claim, prompt) for prompt in questions.prompts]
    encoded = encode(loaded.tokenizer, donors)
    kept: list[tuple[int, tuple[int, ...], tuple[int, ...], int, int]] = []
    for row, (item, other) in enumerate(zip(questions.items, encoded, strict=True)):
        given = other.ids[: other.positions["last"] + 1]
        own, theirs = (item.tree.answers[asked.label] for asked in (questions.prompts[row], donors[row]))
        shared = next((k for k, (a, b) in enumerate(zip(own, theirs, strict=False)) if a != b), None)
        if shared is not None and len(item.ids) == len(given):
            start = own[:shared]
            kept.append((row, item.ids + start, given + start, own[shared], theirs[shared]))
    for bucket in buckets([len(ids) for _, ids, *_ in kept], BATCH_TOKENS):
        rows, *rest = zip(*(kept[index] for index in bucket), strict=True)
        ids, donor_ids, own, theirs = (torch.tensor(part, device=loaded.device) for part in rest)
        columns = [
            [ids.shape[1] - 1 if place == "last" else questions.items[row].positions[place] for place in positions]
            for row in rows
        ]
        yield Pairs(torch.tensor(rows), ids, donor_ids, torch.tensor(columns, device=loaded.device), own, theirs)


def difference(loaded: LoadedModel, batch: Pairs, ids: Int[Tensor, "n length"]) -> Float[Tensor, " n"]:
    """m: logit of the donor's answer minus that of the own one."""
    logits = loaded.model(input_ids=ids, logits_to_keep=1).logits[:, -1].float()  # type: ignore[operator]
    rows = torch.arange(len(ids), device=logits.device)
    return logits[rows, batch.theirs] - logits[rows, batch.own]
