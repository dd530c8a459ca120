"""Prompts beside donors: the same question about another first operand, or about another modulus.

`donor` asks with another first operand (the same but for its last digit, where numbers are added; another item
otherwise), so that donor and prompt have the same length and differ in one token. `pairs` puts prompts and donors side
by side up to the token at which their answers part: where both begin alike ("12", "15") that beginning is put behind
both; where one answer is a beginning of the other ("1", "12") there is no such token, and the prompt is left out.

`triples` gives each prompt two donors that ask the same of another modulus, up to the token at which all three part:

    prompt  a + b mod p      donors  a + b mod p', a + b mod p''      (same template, as many tokens, all else equal)

p' < p'' are sampled among the moduli at hand for which that is so. m of a prompt (or m_d of its donor d) is the logit
of the donor's answer minus that of its own, at that token. Each of two donors is the other's control.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.interventions.questions import Questions, ask
from llm_probe.activations.answers import Tokens
from llm_probe.circuits.attention import places_of
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt, question
from llm_probe.questions.tokens import Encoded, buckets, encode

POSITIONS = ("item", "offset", "last")
"""The operands' last tokens, and the prompt's (or the token at which the answers part)."""
BATCH_TOKENS = 2048
"""Tokens of one forward whose gradients are kept."""


def donor(claim: Claim, prompt: Prompt) -> Prompt:
    """The same question about another first operand, whose answer differs."""
    firsts = list(claim.domain.first_operands)
    if claim.renames_digits and claim.is_arithmetic:
        firsts = [first for first in firsts if first // 10 == prompt.first // 10]
    generator = torch.Generator().manual_seed(1000 * prompt.first + prompt.offset)
    for index in torch.randperm(len(firsts), generator=generator).tolist():
        other = question(claim.domain, prompt.template, int(firsts[index]), prompt.offset)
        if other.label != prompt.label:
            return other
    return prompt


def positions_of(questions: Questions) -> list[str]:
    """Those of `POSITIONS` that every prompt has."""
    return [position for position in POSITIONS if all(position in item.positions for item in questions.items)]


@dataclass(frozen=True)
class Pairs:
    """Prompts of equal length with their donors, up to the token at which the answers part."""

    rows: Int[Tensor, " n"]
    ids: Int[Tensor, "n length"]
    donor_ids: Int[Tensor, "n length"]
    columns: Int[Tensor, "n positions"]
    own: Int[Tensor, " n"]
    """Next token of the prompt's own answer."""
    others: Int[Tensor, " n"]
    """Next token of the donor's."""


def pairs(loaded: LoadedModel, claim: Claim, questions: Questions, positions: Sequence[str]) -> Iterator[Pairs]:
    """Batches of the prompts whose donor has as many tokens and another answer."""
    donors = [donor(claim, prompt) for prompt in questions.prompts]
    kept: list[tuple[int, Tokens, Tokens, int, int]] = []
    for row, (item, encoded) in enumerate(zip(questions.items, encode(loaded.tokenizer, donors), strict=True)):
        donor_ids = encoded.ids[: encoded.positions["last"] + 1]
        own, other = (item.tree.answers[prompt.label] for prompt in (questions.prompts[row], donors[row]))
        shared = next((k for k, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), None)
        if shared is not None and len(item.ids) == len(donor_ids):
            start = own[:shared]
            kept.append((row, item.ids + start, donor_ids + start, own[shared], other[shared]))
    for bucket in buckets([len(ids) for _, ids, *_ in kept], BATCH_TOKENS):
        rows, *rest = zip(*(kept[index] for index in bucket), strict=True)
        ids, donor_ids, own, others = (torch.tensor(part, device=loaded.device) for part in rest)
        last = {"last": ids.shape[1] - 1}
        columns = [[(questions.items[row].positions | last)[position] for position in positions] for row in rows]
        yield Pairs(torch.tensor(rows), ids, donor_ids, torch.tensor(columns, device=loaded.device), own, others)


def difference(loaded: LoadedModel, batch: Pairs, ids: Int[Tensor, "n length"]) -> Float[Tensor, " n"]:
    """m: logit of the donor's answer minus that of the own one."""
    logits = loaded.model(input_ids=ids, logits_to_keep=1).logits[:, -1].float()  # type: ignore[operator]
    rows = torch.arange(len(ids), device=logits.device)
    return logits[rows, batch.others] - logits[rows, batch.own]


@dataclass(frozen=True)
class Triples:
    """Prompts of equal length with their two donors; first axis: own, donor 1, donor 2."""

    ids: Int[Tensor, "three n length"]
    tokens: Int[Tensor, " k"]
    """Every token with which an answer of the claim's prompts may go on."""
    answers: Int[Tensor, "three n"]
    """Next token of each answer: its index in `tokens`."""
    modulus: Bool[Tensor, "n length"]
    """The modulus' tokens."""
    between: Bool[Tensor, "n length"]
    """The tokens behind them, but for the last."""
    pairs: Int[Tensor, " n"]
    """Operand pairs as numbers."""
    strata: Int[Tensor, " n"]
    """Prompts of one number have the same donors' moduli, and answers that begin alike."""

    @property
    def last(self) -> Bool[Tensor, "n length"]:
        """Where the answers part."""
        mask = torch.zeros_like(self.modulus)
        mask[:, -1] = True
        return mask


class _Triple(NamedTuple):
    ids: list[Tokens]
    answers: list[int]
    modulus: list[int]
    operands: tuple[int, int]
    stratum: tuple[int, ...]


def triples(loaded: LoadedModel, claim: Claim, claims: Sequence[Claim], size: int, seed: int) -> Iterator[Triples]:
    """Batches of at most `size` prompts of the claim's causal part that have two donors among the claims.

    Claims whose operands have the same range share no operand pair: what a network makes of a pair is counted once.
    """
    prompts = claim.prompts("causal", size * len(claims), seed)[claims.index(claim) :: len(claims)]
    questions = ask(loaded, prompts, max((one.domain.items for one in claims), key=len))
    donors = {one.period: _reworded(loaded, one, prompts) for one in claims if one.period != claim.period}
    generator = torch.Generator().manual_seed(seed)
    kept: list[_Triple] = []
    for row, (prompt, item) in enumerate(zip(prompts, questions.items, strict=True)):
        modulus = places_of(loaded.tokenizer, prompt, Encoded(item.ids, item.positions))["modulus"]
        possible = []
        for pair in combinations([period for period, ids in donors.items() if _fits(item.ids, ids[row], modulus)], 2):
            answers = [item.tree.answers[prompt.total % period] for period in (claim.period, *pair)]
            if (shared := parting(answers)) is not None:
                start, tokens = answers[0][:shared], [answer[shared] for answer in answers]
                ids = [one + start for one in (item.ids, *(donors[period][row] for period in pair))]
                stratum = (*sorted(pair), *start)
                possible.append(_Triple(ids, tokens, modulus, (prompt.first, prompt.offset), stratum))
        if possible and modulus[-1] < len(item.ids) - 1:
            kept.append(possible[int(torch.randint(len(possible), (), generator=generator))])
    tokens = sorted({token for one in kept for token in one.answers})
    strata = sorted({one.stratum for one in kept})
    for bucket in buckets([len(one.ids[0]) for one in kept], BATCH_TOKENS):
        yield _batch([kept[index] for index in bucket], tokens, strata, loaded.device)


def _batch(
    some: Sequence[_Triple], tokens: Sequence[int], strata: Sequence[tuple[int, ...]], device: torch.device
) -> Triples:
    """Prompts of equal length as tensors."""
    ids = torch.tensor([one.ids for one in some], device=device).transpose(0, 1)
    modulus, between = torch.zeros(2, *ids.shape[1:], dtype=torch.bool, device=device)
    for row, one in enumerate(some):
        modulus[row, one.modulus] = True
        between[row, one.modulus[-1] + 1 : -1] = True
    return Triples(
        ids, torch.tensor(tokens, device=device),
        torch.tensor([[tokens.index(token) for token in one.answers] for one in some], device=device).T,
        modulus, between,
        torch.tensor([one.operands[0] * 1_000_000 + one.operands[1] for one in some]),
        torch.tensor([strata.index(one.stratum) for one in some]),
    )  # fmt: skip


def parting(answers: Sequence[Tokens]) -> int | None:
    """The index of the first token that is not the same in all answers, if no two have the same one there."""
    shared = next((k for k, some in enumerate(zip(*answers, strict=False)) if len(set(some)) > 1), None)
    apart = shared is not None and len({answer[shared] for answer in answers}) == len(answers)
    return shared if apart else None


def _reworded(loaded: LoadedModel, claim: Claim, prompts: Sequence[Prompt]) -> list[Tokens]:
    """The tokens of the same questions under another claim's modulus."""
    others = [question(claim.domain, prompt.template, prompt.first, prompt.offset) for prompt in prompts]
    return [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, others)]


def _fits(own: Tokens, other: Tokens, columns: Sequence[int]) -> bool:
    """Whether two prompts differ in these columns alone."""
    return len(own) == len(other) and {k for k in range(len(own)) if own[k] != other[k]} <= set(columns)
