"""Families of claims about arithmetic, and which prompts are read beside them."""

from dataclasses import replace
from itertools import combinations

import pytest

from llm_probe.questions.claims import COMPANIONS, Claim, families, family_of, plain
from llm_probe.questions.domains import DOMAINS, Operation, modular
from llm_probe.run.config import DEFAULT_MODULI
from llm_probe.statistics.assignment import divides, why_not


def sums(*moduli: int, operation: Operation = "add") -> list[Claim]:
    return [Claim(modular(operation, modulus), "sum") for modulus in moduli]


def pairs(claim: Claim) -> list[tuple[int, int, str]]:
    return [(one.first, one.offset, one.template) for one in claim.prompts("discovery", 200, 0)]


def test_families_by_operation_and_operands() -> None:
    words = [Claim(DOMAINS["days"], "sum"), Claim(DOMAINS["days"], "item"), Claim(DOMAINS["hours"], "sum")]
    claims = [*sums(7, 11), *sums(7, operation="sub"), *sums(30), *words]
    grouped = families(claims)
    assert [[claim.name for claim in family.members] for family in grouped] == [
        ["mod-add 7: sum", "mod-add 11: sum"], ["mod-sub 7: sum"], ["mod-add 30: sum"]
    ]  # fmt: skip
    assert family_of(claims[1], grouped) == grouped[0]
    assert all(family_of(claim, grouped) is None for claim in words)
    assert families(words) == []


def test_the_default_moduli_need_no_companion() -> None:
    (family,) = families(sums(*DEFAULT_MODULI))
    assert family.companions == ()
    assert family.moduli == DEFAULT_MODULI


@pytest.mark.parametrize("modulus", [*range(5, 26), 30, 63, 77, 100])
def test_any_modulus_alone_can_be_tested_beside_its_companions(modulus: int) -> None:
    (family,) = families(sums(modulus))
    assert why_not(family.moduli, modulus) is None
    assert len(set(family.moduli)) == len(family.moduli)
    assert set(family.moduli) == {modulus, *COMPANIONS}


def test_companions_are_unrelated_to_one_another() -> None:
    assert not [pair for pair in combinations(COMPANIONS, 2) if divides(*pair)]


@pytest.mark.parametrize("modulus", [7, 30])
def test_companions_ask_about_the_same_operands(modulus: int) -> None:
    """Also where these have three digits, which no companion of its own would have."""
    (family,) = families(sums(modulus))
    digits = {len(str(first)) for first, _, _ in pairs(family.members[0])}
    assert digits == ({2} if modulus == 7 else {3})
    for claim in (*family.companions, family.plain):
        assert pairs(claim) == pairs(family.members[0])


def test_companions_have_the_templates_that_were_asked_for() -> None:
    claim = sums(7)[0]
    one = replace(claim.domain, questions={"published": claim.domain.questions["published"]})
    (family,) = families([Claim(one, "sum")])
    assert all(set(beside.domain.questions) == {"published"} for beside in (*family.companions, family.plain))
    # Another set of templates is another family: other prompts would be compared.
    assert len(families([claim, *sums(11), Claim(one, "sum")])) == 2


@pytest.mark.parametrize("operation", ["add", "sub", "mul"])
def test_plain_prompts_do_not_say_the_modulus(operation: Operation) -> None:
    plains = [Claim(plain(modular(operation, modulus)), "sum") for modulus in (7, 23)]
    texts = [[prompt.text for prompt in claim.prompts("discovery", 300, 0)] for claim in plains]
    assert texts[0] == texts[1]
    assert not any(mark in text for text in texts[0] for mark in ("mod", "{", "remainder when"))
    prompts = plains[0].prompts("discovery", 300, 0)
    assert all({"item", "offset"} == set(prompt.spans) for prompt in prompts)
    assert {prompt.template for prompt in prompts} == {prompt.template for prompt in sums(7)[0].prompts(
        "discovery", 300, 0)}  # fmt: skip
    # The labels are those of the modulus it stands beside.
    assert [prompt.label for prompt in prompts] == [prompt.total % 7 for prompt in prompts]
