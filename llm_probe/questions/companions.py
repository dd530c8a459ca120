"""Which prompts stand beside a claim about arithmetic: other moduli, and no modulus at all.

Arithmetic claims with one operation and the same operands form a family: their prompts ask about the *same* pairs,
so that responses under one modulus can be compared with those under another (`statistics.assignment`). Where the
requested moduli are too few for that test, companions are read too; they get no rows in the tables. Every family also
has its plain prompts, the same texts without the modulus: what is read from them is no answer to the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import PLAIN_QUESTIONS, Domain, fill_operation, modular
from llm_probe.statistics.assignment import why_not

COMPANIONS = (7, 9, 11, 13, 17, 19, 23)
"""Moduli that are read where too few were requested: none divides another."""


@dataclass(frozen=True)
class Family:
    """Claims about one operation on the same operands."""

    members: tuple[Claim, ...]
    """The claims that were requested."""
    companions: tuple[Claim, ...]
    """Claims about further moduli, read for the comparison only."""

    @property
    def moduli(self) -> tuple[int, ...]:
        """Those of the members, then those of the companions."""
        return tuple(claim.period for claim in (*self.members, *self.companions))

    @property
    def plain(self) -> Claim:
        """Questions about the same operands that do not say the modulus."""
        return Claim(plain(self.members[0].domain), "sum")


def families(claims: Sequence[Claim]) -> list[Family]:
    """Arithmetic claims by operation, operands and templates, each family with the companions it needs."""
    groups: dict[object, list[Claim]] = {}
    for claim in claims:
        if claim.is_arithmetic:
            domain = claim.domain
            groups.setdefault((domain.operation, domain.operands, tuple(domain.questions)), []).append(claim)
    return [Family(tuple(group), tuple(_companions(group))) for group in groups.values()]


def family_of(claim: Claim, among: Sequence[Family]) -> Family | None:
    """The family that a claim is a member of; None for claims that are not arithmetic."""
    return next((family for family in among if claim in family.members), None)


def plain(domain: Domain) -> Domain:
    """An arithmetic domain whose questions do not say the modulus."""
    texts = fill_operation({name: PLAIN_QUESTIONS[name] for name in domain.questions}, domain.operation)
    return replace(domain, name=f"{domain.name} without the modulus", questions=texts)


def _companions(members: Sequence[Claim]) -> list[Claim]:
    moduli = [claim.period for claim in members]
    if all(why_not(moduli, modulus) is None for modulus in moduli):
        return []
    domain = members[0].domain
    others = [modular(domain.operation, one, operands=domain.operands) for one in COMPANIONS if one not in moduli]
    return [
        Claim(replace(other, questions={name: other.questions[name] for name in domain.questions}), "sum")
        for other in others
    ]
