"""Which prompts stand beside a claim about arithmetic: other moduli, and none at all.

Arithmetic claims with one operation and the same operands form a family: their prompts ask about the *same* pairs,
so that responses under one modulus can be compared with those under another (`assignment`). Where the moduli that
were asked for are too few for the test, companions are read too and not reported. Every family also has its plain
prompts, the same texts without the modulus: what is read from them is no answer to the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import PLAIN_QUESTIONS, SYMBOLS, WORDS, Domain, modular
from llm_probe.statistics.assignment import why_not

COMPANIONS = (7, 9, 11, 13, 17, 19, 23)
"""Moduli that are read where too few were asked for: none divides another."""


@dataclass(frozen=True)
class Family:
    """Claims that are judged together."""

    asked: tuple[Claim, ...]
    companions: tuple[Claim, ...]

    @property
    def moduli(self) -> tuple[int, ...]:
        """Asked, then companions."""
        return tuple(claim.period for claim in (*self.asked, *self.companions))

    @property
    def plain(self) -> Claim:
        """The same operands asked about without a modulus."""
        return Claim(plain(self.asked[0].domain), "sum")


def families(claims: Sequence[Claim]) -> list[Family]:
    """Arithmetic claims by operation, operands and templates, each with the companions it needs."""
    groups: dict[object, list[Claim]] = {}
    for claim in claims:
        if claim.is_arithmetic:
            domain = claim.domain
            groups.setdefault((domain.operation, domain.operands, tuple(domain.questions)), []).append(claim)
    return [Family(tuple(group), tuple(_companions(group))) for group in groups.values()]


def family_of(claim: Claim, found: Sequence[Family]) -> Family | None:
    """The family a claim was asked in; None for claims that are not arithmetic."""
    return next((family for family in found if claim in family.asked), None)


def plain(domain: Domain) -> Domain:
    """An arithmetic domain whose questions do not say the modulus."""
    words = {"{symbol}": SYMBOLS[domain.operation], "{word}": WORDS[domain.operation]}
    texts = {name: PLAIN_QUESTIONS[name] for name in domain.questions}
    for mark, value in words.items():
        texts = {name: text.replace(mark, value) for name, text in texts.items()}
    return replace(domain, name=f"{domain.name} without the modulus", questions=texts)


def _companions(asked: Sequence[Claim]) -> list[Claim]:
    moduli = [claim.period for claim in asked]
    if all(why_not(moduli, modulus) is None for modulus in moduli):
        return []
    domain = asked[0].domain
    more = [modulus for modulus in COMPANIONS if modulus not in moduli]
    made = [modular(domain.operation, modulus, operands=domain.operands) for modulus in more]
    kept = [{name: other.questions[name] for name in domain.questions} for other in made]
    return [Claim(replace(other, questions=texts), "sum") for other, texts in zip(made, kept, strict=True)]
