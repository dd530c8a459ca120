"""Texts, labels and parts: spans worked out by eye, the pair hash pinned, every domain complete."""

import re

import numpy as np
import pytest

from llm_probe.questions.domains import DOMAINS, STATEMENTS, Domain, modular, resolve
from llm_probe.questions.prompts import (
    PARTS,
    behind_examples,
    pair_hash,
    part_templates,
    published_grid,
    question,
    question_set,
    render,
    statement,
    statement_set,
)
from toy.run.errors import InputError

PAIRS = pytest.mark.parametrize("domain", [modular("add", 7), DOMAINS["days"], DOMAINS["notes"]], ids=lambda d: d.name)


def test_render_notes_the_characters_of_each_slot() -> None:
    text, spans = render("{offset} days after {item} is", {"item": "Wednesday", "offset": "12"})
    assert text == "12 days after Wednesday is"
    assert spans == {"offset": (0, 2), "item": (14, 23)}


def test_a_repeated_value_keeps_its_own_span() -> None:
    text, spans = render("{item} + {offset} mod {modulus} =", {"item": "11", "offset": "1", "modulus": "11"})
    assert text == "11 + 1 mod 11 ="
    assert spans == {"item": (0, 2), "offset": (5, 6), "modulus": (11, 13)}


@pytest.mark.parametrize("name", DOMAINS)
def test_every_span_holds_its_value(name: str) -> None:
    domain = DOMAINS[name]
    for index in range(domain.period):
        for template in domain.questions:
            prompt = question(domain, template, index, 17)
            assert prompt.text[slice(*prompt.spans["item"])] == domain.items[index]
            assert prompt.text[slice(*prompt.spans["offset"])] == "17"
        for template in domain.statements:
            prompt = statement(domain, template, index)
            assert prompt.text[slice(*prompt.spans["item"])] == domain.items[index]


def test_labels_and_answers() -> None:
    friday = question(DOMAINS["days"], "published", 4, 3)
    assert (friday.text, friday.total, friday.label, friday.answer) == ("Friday + 3 days = ", 7, 0, "Monday")
    eleven = question(DOMAINS["hours"], "published", 10, 2)
    assert (eleven.text, eleven.label, eleven.answer) == ("11 o'clock + 2 hours = ", 0, "1")
    below = question(modular("sub", 7), "brackets", 10, 25)
    assert (below.text, below.total, below.label, below.answer) == ("(10 - 25) mod 7 =", -15, 6, "6")
    product = question(modular("mul", 13), "modulo", 10, 12)
    assert (product.text, product.label) == ("10 times 12 modulo 13 is", 3)
    planets = DOMAINS["planets"]
    assert statement(planets, next(iter(planets.statements)), 2).answer is None


def test_plain_sums_are_answered_by_the_sum_and_labelled_by_its_last_digit() -> None:
    add = DOMAINS["add"]
    asked_for = question(add, "published", 58, 67)
    assert (asked_for.text, asked_for.answer, asked_for.total, asked_for.label) == ("58 + 67 =", "125", 125, 5)
    assert add.possible_answers[0] == "0" and add.possible_answers[-1] == "198" and add.period == 10
    assert not add.says_modulus and modular("add", 7).says_modulus
    assert all(prompt.answer in add.possible_answers for prompt in published_grid(add))


def test_published_grid_is_complete() -> None:
    prompts = published_grid(DOMAINS["months"])
    assert {(prompt.first, prompt.offset) for prompt in prompts} == {(a, b) for a in range(12) for b in range(12)}
    assert prompts[13].text == "February + 1 months = "
    arithmetic = published_grid(modular("add", 7))
    assert len(arithmetic) == 49
    assert arithmetic[-1].text == "6 + 6 mod 7 ="
    assert {prompt.template for prompt in arithmetic} == {"published"}


@PAIRS
def test_parts_share_no_pair_and_no_template(domain: Domain) -> None:
    sets = {part: question_set(domain, part, 100_000) for part in PARTS}
    pairs = {part: {(prompt.first, prompt.offset) for prompt in sets[part]} for part in PARTS}
    templates = {part: {prompt.template for prompt in sets[part]} for part in PARTS}
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert not pairs[PARTS[one]] & pairs[PARTS[other]]
        assert not templates[PARTS[one]] & templates[PARTS[other]]
    assert sum(map(len, pairs.values())) == len(domain.first_operands) * len(domain.offsets)
    assert set().union(*templates.values()) == set(domain.questions)
    assert sum(map(len, sets.values())) == sum(len(pairs[part]) * len(templates[part]) for part in PARTS)


def test_part_sizes() -> None:
    nine = tuple("abcdefghi")
    assert [len(part_templates(nine, part)) for part in PARTS] == [4, 3, 2]
    assert [len(part_templates((*nine, *nine), part)) for part in PARTS] == [8, 6, 4]
    assert [len(part_templates(nine[:3], part)) for part in PARTS] == [1, 1, 1]
    assert all(part_templates(nine[:2], part) == nine[:2] for part in PARTS)


def test_worked_examples_are_right_and_of_no_pair_that_is_asked_about() -> None:
    days = DOMAINS["days"]
    prompts = question_set(days, "discovery", 30)
    behind = behind_examples(days, prompts, 3)
    pairs = {(prompt.first, prompt.offset) for prompt in prompts}
    for before, after in zip(prompts, behind, strict=True):
        *lines, text = after.text.split("\n")
        assert text == before.text and after.text[slice(*after.spans["item"])] == days.items[before.first]
        assert len(lines) == 3 and (after.label, after.answer) == (before.label, before.answer)
    shown = {prompt.template: prompt.text.rsplit("\n", 1)[0] for prompt in behind}
    assert len(shown) == 4 and all(prompt.text.startswith(shown[prompt.template]) for prompt in behind)
    for line in shown["published"].split("\n"):
        first, offset, answer = re.fullmatch(r"(\w+) \+ (\d+) days = (\w+)", line).groups()  # type: ignore[union-attr]
        pair = (days.items.index(first), int(offset))
        assert days.items[sum(pair) % 7] == answer and pair not in pairs


def test_more_worked_examples_than_there_are_pairs_are_refused() -> None:
    prompts = question_set(DOMAINS["days"], "discovery", 10_000)
    left = 7 * 21 - len({(prompt.first, prompt.offset) for prompt in prompts})
    assert behind_examples(DOMAINS["days"], prompts[:1], left)
    with pytest.raises(InputError, match=f"days has {left}: give fewer --shots"):
        behind_examples(DOMAINS["days"], prompts, left + 1)


def test_statements_hold_every_item_in_every_template() -> None:
    prompts = statement_set(DOMAINS["seasons"], "causal")
    assert len(prompts) == 4 * 4
    assert {prompt.label for prompt in prompts} == {0, 1, 2, 3}


def test_statements_say_nothing_of_an_order() -> None:
    contexts = [text.split("{item}") for text in STATEMENTS.values()]
    assert len({left for left, _ in contexts}) == len(contexts)
    assert all(left.endswith(" ") and len(left.split()) >= 2 and right.strip() for left, right in contexts)
    said = set(re.findall("[a-z]+", " ".join(STATEMENTS.values()).lower()))
    # "a" is an article and a letter, "in" and "I" are words.
    items = {word for domain in DOMAINS.values() for item in domain.items for word in item.lower().split()}
    units = {"day", "days", "week", "month", "year", "hour", "season", "time", "before", "after", "first", "last"}
    assert said & (items | units) == {"a", "i"}


def test_statements_keep_the_parts_that_they_had() -> None:
    parts = {part: part_templates(tuple(STATEMENTS), part) for part in PARTS}
    assert {"was", "thinking", "word", "said"} < set(parts["discovery"])
    assert {"picture", "list", "chose"} < set(parts["confirmation"]) and {"letter", "title"} < set(parts["causal"])


def test_the_pair_hash_never_changes() -> None:
    first, offset = np.array([0, 1, 62, 99]), np.array([0, 2, 15, 99])
    expected = [0.8833108082136426, 0.3763265929565459, 0.4819088338833306, 0.7409534009492609]
    assert pair_hash(first, offset, 0).tolist() == expected
    assert pair_hash(np.array([3]), np.array([4]), 7).tolist() == [0.9325454239879089]


def test_the_pair_hash_is_uniform() -> None:
    first, offset = np.meshgrid(np.arange(100), np.arange(100))
    counts = np.histogram(pair_hash(first.ravel(), offset.ravel(), 0), bins=10, range=(0, 1))[0]
    assert abs(counts - 1000).max() < 120  # four standard deviations of a binomial count


def test_question_sets_are_deterministic_and_shared_by_moduli() -> None:
    seven = question_set(modular("add", 7), "discovery", 50)
    twelve = question_set(modular("add", 12), "discovery", 50)
    assert [prompt.text for prompt in seven[:2]] == ["62 + 15 mod 7 =", "(70 + 38) mod 7 ="]
    assert [(p.first, p.offset, p.template) for p in seven] == [(p.first, p.offset, p.template) for p in twelve]
    assert seven == question_set(modular("add", 7), "discovery", 50)
    assert seven != question_set(modular("add", 7), "discovery", 50, seed=1)
    # A smaller set is the beginning of a larger one.
    assert seven[:10] == question_set(modular("add", 7), "discovery", 10)


@pytest.mark.parametrize("name", DOMAINS)
def test_every_domain_has_templates_for_all_parts(name: str) -> None:
    domain = DOMAINS[name]
    assert domain.name == name
    # Plain sums are only asked.
    statements = [0, 0, 0] if name == "add" else [8, 6, 4]
    assert [len(part_templates(tuple(domain.statements), part)) for part in PARTS] == statements
    assert len(domain.questions) >= (7 if name == "add" else 9) if domain.cyclic else not domain.questions
    assert "{unit}" not in "".join([*domain.questions.values(), *domain.statements.values()])


@pytest.mark.parametrize("modulus", [5, 7, 24, 26, 100])
def test_arithmetic_operands_have_one_digit_count(modulus: int) -> None:
    domain = modular("add", modulus)
    assert len({len(str(value)) for value in (domain.first_operands[0], domain.first_operands[-1])}) == 1
    assert len(domain.first_operands) >= 3 * modulus
    assert len(domain.questions) >= 9
    assert "{symbol}" not in "".join(domain.questions.values())


def test_resolve_follows_the_order_of_the_command_line() -> None:
    names = [domain.name for domain in resolve(["months", "mod", "mod-mul"], [7, 11])]
    assert names == ["months", "mod-add 7", "mod-add 11", "mod-mul 7", "mod-mul 11"]


def test_errors() -> None:
    with pytest.raises(InputError, match=r"unknown domain 'week': choose from mod, .*days"):
        resolve(["week"], [])
    with pytest.raises(InputError, match="modulus 3 is too small"):
        resolve(["mod"], [3])
    with pytest.raises(InputError, match="three different items"):
        Domain("pair", ("a", "b"), statements={"bare": "{item}"})
    with pytest.raises(InputError, match="three different items"):
        Domain("twins", ("a", "b", "b", "c"), statements={"bare": "{item}"})
    with pytest.raises(InputError, match=r"must hold \{offset\} exactly once"):
        Domain("dice", ("one", "two", "three"), questions={"bad": "{item} and on"})
    with pytest.raises(InputError, match="neither question nor statement"):
        Domain("mute", ("one", "two", "three"))


@pytest.mark.parametrize(
    ("classes", "is_partition"),
    [
        ((0, 0, 1), True),
        ((5, 2, 5), True),
        ((0, 1), False),  # an item without a class
        ((0, 1, 0, 1), False),
        ((1, 1, 1), False),  # one class says nothing
        ((0, 1, 2), False),  # every item is its own: that is the look-up, not a partition
    ],
)
def test_a_partition_has_a_class_for_every_item_and_fewer_classes_than_items(
    classes: tuple[int, ...], is_partition: bool
) -> None:
    def domain() -> Domain:
        return Domain("dice", ("one", "two", "three"), statements={"bare": "{item}"}, partitions={"even": classes})

    if is_partition:
        assert domain().partitions == {"even": classes}
        return
    with pytest.raises(
        InputError, match=r"the partition 'even' of 'dice' must put each of the 3 items into one of two"
    ):
        domain()


def test_the_partitions_that_are_known() -> None:
    named = {name: dict(domain.partitions) for name, domain in DOMAINS.items() if domain.partitions}
    assert {name: set(each) for name, each in named.items()} == {
        "days": {"weekend"},
        "months": {"seasons", "quarters"},
        "hours24": {"AM and PM"},
    }
    days, months = DOMAINS["days"].items, DOMAINS["months"].items
    weekend = [day for day, one in zip(days, named["days"]["weekend"], strict=True) if one]
    assert weekend == ["Saturday", "Sunday"]
    winter = [month for month, one in zip(months, named["months"]["seasons"], strict=True) if one == 0]
    assert winter == ["January", "February", "December"]
    assert named["months"]["quarters"] == tuple(month // 3 for month in range(12))
