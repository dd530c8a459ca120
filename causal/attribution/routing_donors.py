"""Prompts beside two donors that ask the same of another modulus, up to the token at which all three answers part.

    prompt  a + b mod p      donors  a + b mod p', a + b mod p''      (same template, as many tokens, all else equal)

p' < p'' are drawn among the moduli at hand for which that is so. What the three answers begin with alike is put behind
the prompts ("12", "15", "18"); where two go on alike, or one is a beginning of another, there is no such token, and
another pair is drawn.

m_d: logit of donor d's answer minus that of the prompt's own, at that token. Each donor is the other's control.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from causal.attribution.pairs import BATCH_TOKENS
from causal.interventions.questions import ask
from llm_probe.activations.answers import Tokens
from llm_probe.circuits.attention import places_of
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.prompts import Prompt, question
from llm_probe.questions.tokens import Encoded, buckets, encode


@dataclass(frozen=True)
class Asked:
    """Prompts of equal length with their donors; first axis: own, donor 1, donor 2."""

    ids: Int[Tensor, "three n length"]
    tokens: Int[Tensor, " k"]
    """Every token with which an answer of the claim's prompts may go on."""
    answers: Int[Tensor, "three n"]
    """Next token of each answer: its place in `tokens`."""
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
        found = torch.zeros_like(self.modulus)
        found[:, -1] = True
        return found


def asked(loaded: LoadedModel, claim: Claim, claims: Sequence[Claim], size: int, seed: int) -> Iterator[Asked]:
    """Batches of at most `size` prompts of the claim's causal part that have two donors among the claims.

    Claims whose operands have the same range share no operand pair: what a network makes of a pair is counted once.
    """
    prompts = claim.prompts("causal", size * len(claims), seed)[claims.index(claim) :: len(claims)]
    questions = ask(loaded, prompts, max((one.domain.items for one in claims), key=len))
    donors = {one.period: _reworded(loaded, one, prompts) for one in claims if one.period != claim.period}
    generator = torch.Generator().manual_seed(seed)
    kept: list[Triple] = []
    for row, (prompt, item) in enumerate(zip(prompts, questions.items, strict=True)):
        places = places_of(loaded.tokenizer, prompt, Encoded(item.ids, item.positions))["modulus"]
        possible = []
        for pair in combinations([period for period, ids in donors.items() if _fits(item.ids, ids[row], places)], 2):
            answers = [item.tree.answers[prompt.total % period] for period in (claim.period, *pair)]
            if (shared := parting(answers)) is not None:
                start, tokens = answers[0][:shared], [answer[shared] for answer in answers]
                ids = [one + start for one in (item.ids, *(donors[period][row] for period in pair))]
                possible.append(Triple(ids, tokens, places, (prompt.first, prompt.offset), (*sorted(pair), *start)))
        if possible and places[-1] < len(item.ids) - 1:
            kept.append(possible[int(torch.randint(len(possible), (), generator=generator))])
    tokens = sorted({token for one in kept for token in one.answers})
    strata = sorted({one.stratum for one in kept})
    for bucket in buckets([len(one.ids[0]) for one in kept], BATCH_TOKENS):
        yield _batch([kept[index] for index in bucket], tokens, strata, loaded.device)


class Triple(NamedTuple):
    """One prompt and its donors."""

    ids: list[Tokens]
    answers: list[int]
    modulus: list[int]
    operands: tuple[int, int]
    stratum: tuple[int, ...]


def _batch(
    some: Sequence[Triple], tokens: Sequence[int], strata: Sequence[tuple[int, ...]], device: torch.device
) -> Asked:
    """Prompts of equal length as tensors."""
    ids = torch.tensor([one.ids for one in some], device=device).transpose(0, 1)
    modulus, between = torch.zeros(2, *ids.shape[1:], dtype=torch.bool, device=device)
    for row, one in enumerate(some):
        modulus[row, one.modulus] = True
        between[row, one.modulus[-1] + 1 : -1] = True
    return Asked(
        ids, torch.tensor(tokens, device=device),
        torch.tensor([[tokens.index(token) for token in one.answers] for one in some], device=device).T,
        modulus, between,
        torch.tensor([one.operands[0] * 1_000_000 + one.operands[1] for one in some]),
        torch.tensor([strata.index(one.stratum) for one in some]),
    )  # fmt: skip


def parting(answers: Sequence[Tokens]) -> int | None:
    """The place of the first token that is not the same in all answers, if no two have the same one there."""
    shared = next((k for k, some in enumerate(zip(*answers, strict=False)) if len(set(some)) > 1), None)
    apart = shared is not None and len({answer[shared] for answer in answers}) == len(answers)
    return shared if apart else None


def _reworded(loaded: LoadedModel, claim: Claim, prompts: Sequence[Prompt]) -> list[Tokens]:
    """The tokens of the same questions under another claim's modulus."""
    others = [question(claim.domain, prompt.template, prompt.first, prompt.offset) for prompt in prompts]
    return [row.ids[: row.positions["last"] + 1] for row in encode(loaded.tokenizer, others)]


def _fits(own: Tokens, other: Tokens, places: Sequence[int]) -> bool:
    """Whether two prompts differ in these places alone."""
    return len(own) == len(other) and {k for k, (a, b) in enumerate(zip(own, other, strict=True)) if a != b} <= set(
        places
    )
