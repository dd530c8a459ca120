"""A claim: one quantity of one domain is carried on a circle. Its prompts, and what is known about each of them.

`sum`: the answer to a question, (item op offset) mod n, read at the last token; operand pairs are held out together.
`item`: the item a statement mentions, read at the item's last token; all prompts with one item are held out together.

For `item` only k = 1 is tested: "in this order, once round" is the claim, and on n items every frequency coprime
to n is the same circle in another order, so that searching k would search orders.

Arithmetic claims with one operation and the same operands form a family: their prompts ask about the *same* pairs,
so that responses under one modulus can be compared with those under another (`statistics.assignment`). Where the
requested moduli are too few for that test, companions are read too; they get no rows in the tables. Every family also
has its plain prompts, the same texts without the modulus: what is read from them is no answer to the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from llm_probe.questions.domains import PLAIN_QUESTIONS, Domain, fill_operation, modular
from llm_probe.questions.prompts import Part, Prompt, question_set, statement_set
from llm_probe.run.vocabulary import Position, Quantity
from llm_probe.statistics.assignment import why_not
from toy.maths import fourier
from toy.maths.regression import Groups


@dataclass(frozen=True)
class Claim:
    """One row of the verdict table."""

    domain: Domain
    quantity: Quantity

    @property
    def name(self) -> str:
        return f"{self.domain.name}: {self.quantity}"

    @property
    def period(self) -> int:
        return self.domain.period

    @property
    def is_arithmetic(self) -> bool:
        """A question of the form a op b mod n, whose prompt says the modulus."""
        return self.quantity == "sum" and self.domain.operands is not None

    @property
    def renames_digits(self) -> bool:
        """Whether the first operand is a number, so that renaming changes digits and not items."""
        written = all(item.isdigit() for item in self.domain.items) and not self.domain.second_is_item
        return self.is_arithmetic or written

    @property
    def adds_numbers(self) -> bool:
        """Both operands are numbers, so that the result spans several periods and a period has neighbours."""
        return self.quantity == "sum" and self.renames_digits

    @property
    def has_companions(self) -> bool:
        """Whether the same sums can be asked for under other moduli."""
        return self.is_arithmetic and self.domain.says_modulus

    @property
    def no_circle(self) -> str:
        """Why no circle can be shown of this claim, whatever the states hold; empty where one can."""
        return ""

    @property
    def tested_frequencies(self) -> tuple[int, ...]:
        return tuple(fourier.frequencies(self.period)) if self.quantity == "sum" else (1,)

    @property
    def default_positions(self) -> tuple[Position, ...]:
        return ("last",) if self.quantity == "sum" else ("item",)

    def prompts(self, part: Part, size: int, seed: int) -> list[Prompt]:
        """The prompts of a part: at most `size` questions, or every statement."""
        if self.quantity == "item":
            return statement_set(self.domain, part)
        return question_set(self.domain, part, size, seed)


@dataclass(frozen=True)
class Labels:
    """What is known about N prompts, as tensors (N,)."""

    quantity: Quantity
    period: int
    label: Int[Tensor, " n"]
    total: Int[Tensor, " n"]
    first: Int[Tensor, " n"]
    offset: Int[Tensor, " n"]
    template: Int[Tensor, " n"]
    has_digits: bool = False
    """Both operands are written in digits, so that they can carry."""
    operands_alike: bool = False
    """Both operands are of one kind, so that a question may have a mirror image: a + b and b + a."""

    @staticmethod
    def of(claim: Claim, prompts: Sequence[Prompt]) -> Labels:
        names = sorted({prompt.template for prompt in prompts})
        columns = {
            key: torch.tensor([getattr(prompt, key) for prompt in prompts])
            for key in ("label", "total", "first", "offset")
        }
        template = torch.tensor([names.index(prompt.template) for prompt in prompts])
        alike = claim.quantity == "sum" and (claim.is_arithmetic or claim.domain.second_is_item)
        return Labels(
            claim.quantity,
            claim.period,
            columns["label"],
            columns["total"],
            columns["first"],
            columns["offset"],
            template,
            has_digits=claim.is_arithmetic,
            operands_alike=alike,
        )

    @property
    def unit(self) -> Int[Tensor, " n"]:
        """What is left out together: the operand pair, or the item."""
        return self.first * 1_000_000 + self.offset if self.quantity == "sum" else self.label

    def groups(self, by: str) -> Groups | None:
        """Groups to leave out by `unit`, `template` or `residue`; None where there is only one group."""
        keys = {"unit": self.unit, "template": self.template, "residue": self.label}[by]
        return Groups.of(keys) if len(keys.unique()) > 1 else None


def claims_of(domains: Sequence[Domain]) -> list[Claim]:
    """The claims domains allow: `sum` where there are questions, `item` where there are statements."""
    sums = [Claim(domain, "sum") for domain in domains if domain.questions]
    return sums + [Claim(domain, "item") for domain in domains if domain.statements]


# ---------------------------------------------------------------------------------------------------- families

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
        if claim.has_companions:
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
