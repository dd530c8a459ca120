"""Which names can change places, worked out by hand; and that a renaming is a bijection of the prompts."""

import math
from dataclasses import replace

import pytest
import torch

from llm_probe import load
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.statistics import renaming
from llm_probe.statistics.renaming import claim_item_kinds, digit_classes, item_kinds, n_item_orders, n_orders, orders


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (Claim(modular("add", 23), "sum"), [[1, 4, 5, 6, 7, 8, 9]]),  # 2 and 3 are the modulus'
        (Claim(modular("add", 7), "sum"), [[1, 2, 3, 4, 5, 6, 8, 9]]),
        # 10, 11 and 12 o'clock hold 0, 1 and 2.
        (Claim(DOMAINS["hours"], "sum"), [[0], [1], [2], [3, 4, 5, 6, 7, 8, 9]]),
        (Claim(DOMAINS["hours"], "item"), [[0], [1], [2], [3, 4, 5, 6, 7, 8, 9]]),
        # "{item}:00" holds a zero; 20 … 23 hold 0 … 3; 4 … 9 occur in x and in 1x alike.
        (Claim(DOMAINS["hours24"], "sum"), [[1], [2], [3], [4, 5, 6, 7, 8, 9]]),
        (Claim(DOMAINS["numbers"], "item"), [[0], [1, 2, 3, 4, 5, 6, 7, 8, 9]]),
    ],
)
def test_digits_that_can_change_places(claim: Claim, expected: list[list[int]]) -> None:
    assert sorted(digit_classes(claim)) == sorted(expected)


def test_offsets_of_items_that_are_numbers_are_closed_under_renaming() -> None:
    for name in ("hours", "hours24"):
        assert DOMAINS[name].offsets == range(10, 100)
    assert DOMAINS["days"].offsets == range(21)
    short = Domain("short", ("1", "2", "3", "4", "5"), {"q": "{item} and {offset}"}, largest_offset=15)
    # Offsets 0 … 14 hold 5 … 9 in the units only, and never behind a one: 5 is an item, 6 … 9 are not.
    assert sorted(digit_classes(Claim(short, "sum"))) == [[0], [1], [2, 3, 4], [5], [6, 7, 8, 9]]


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (1999, None, [(99, 0.2), (400, 0.02), (1500, 0.0)]),
        (1999, 499, [(99, 0.2), (400, 0.02)]),
        (719, None, [(99, 0.2), (400, 0.02), (220, 0.0)]),
        (50, None, [(50, 0.2)]),
    ],
)
def test_stages_by_hand(count: int, most: int | None, expected: list[tuple[int, float]]) -> None:
    total = torch.arange(count)[:, None].repeat(1, 3)
    stages = list(renaming.Renamed(total, total > 5).stages(most))
    assert [(len(some.total), promising) for some, promising in stages] == expected
    # One after the other, none twice.
    assert torch.equal(torch.cat([some.total for some, _ in stages]), total[:most])
    assert torch.equal(torch.cat([some.carry for some, _ in stages]), total[:most] > 5)


def test_a_p_is_no_smaller_than_it_should_be_at_any_level() -> None:
    """p of noise by stages, 4,000 times: at most as often below a level as the level says, and never below 1/2000."""
    generator = torch.Generator().manual_seed(0)
    reported = []
    for uniform in torch.rand(4000, generator=generator):
        null = torch.rand(1999, generator=generator)
        rows = torch.arange(1999)[:, None]
        seen = torch.zeros(0)
        for some, promising in renaming.Renamed(rows, rows > 0).stages():
            seen = torch.cat([seen, null[some.total[:, 0]]])
            p = float(renaming.corrected_p(uniform, seen))
            if p > promising:
                break
        reported.append(p)
    p_values = torch.tensor(reported)
    for level in (0.01, 0.02, 0.05, 0.2, 0.5):
        share, slack = float((p_values <= level).double().mean()), 3 * (level * (1 - level) / 4000) ** 0.5
        assert level - slack - 0.01 <= share <= level + slack


def test_a_renaming_changes_item_and_offset_together() -> None:
    """Where 3 and 4 are swapped, "3 o'clock + 34" is read as "4 o'clock + 43"."""
    claim = Claim(DOMAINS["hours"], "sum")
    labels = Labels("sum", 12, *(torch.tensor([value]) for value in (0, 36, 2, 34)), template=torch.tensor([0]))
    renamed = renaming.rename(claim, labels, [], 400, 0)
    generator = torch.Generator().manual_seed(0)
    names = orders(digit_classes(claim), 10, 400, generator)
    expected = (names[:, 3] - 1) + 10 * names[:, 3] + names[:, 4]
    assert torch.equal(renamed.total[:, 0], expected)
    # Ten o'clock and ten hours hold no digit that changes.
    fixed = Labels("sum", 12, *(torch.tensor([value]) for value in (7, 19, 9, 10)), template=torch.tensor([0]))
    assert set(renaming.rename(claim, fixed, [], 50, 0).total.flatten().tolist()) == {19}


def test_orders_are_all_used_where_there_are_few() -> None:
    generator = torch.Generator().manual_seed(0)
    every = orders([[0, 1], [2, 3, 4]], 5, 10, generator)
    assert len(every) == n_orders([2, 3]) - 1 == 11
    assert len({tuple(row) for row in every.tolist()}) == 11
    assert all(sorted(row) == [0, 1, 2, 3, 4] for row in every.tolist())
    assert orders([[0], [1]], 2, 10, generator).tolist() == [[0, 1]]
    assert orders([list(range(9))], 9, 25, generator).shape == (25, 9)


def test_items_that_share_a_token_keep_their_names() -> None:
    def kinds(*items: tuple[int, ...], context: frozenset[int] = frozenset()) -> list[int]:
        return item_kinds([[item] for item in items], set(context))

    assert kinds((1,), (2,), (3,)) == [0, 0, 0]
    assert kinds((1,), (2,), (3, 4)) == [0, 0, 1]
    assert kinds((1,), (1, 5), (2,), (3,)) == [0, 1, 2, 2]  # C, C sharp, D, E
    assert kinds((1, 9), (2, 9), (3, 9)) == [0, 0, 0]  # first grade, second grade, third grade
    assert kinds((1, 9), (9, 2), (3, 9)) == [0, 1, 0]
    assert kinds((1,), (2,), (3,), context=frozenset({2})) == [0, 1, 0]
    # Written after a space and at the start of a text: both must agree.
    assert item_kinds([[(1,), (11,)], [(2,), (12,)], [(3,), (13, 14)]], set()) == [0, 0, 1]


def test_undecidable_says_how_many_orders_there_are() -> None:
    notes = Claim(DOMAINS["notes"], "item")
    assert "only 24 different orders" in (renaming.undecidable(notes, [0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8], 499) or "")
    assert renaming.undecidable(Claim(DOMAINS["hours"], "sum"), [], 499) is None
    assert "--renamings 99" in (renaming.undecidable(Claim(DOMAINS["hours"], "sum"), [], 9) or "")
    # 0 leads no number, the modulus is 7 and the question holds 1 to 5: three digits are left.
    question = {"plain": "12345: {item} + {offset} ="}
    few_digits = Claim(replace(modular("add", 7), questions=question, operands=range(100)), "sum")
    assert "digits have only 6 different orders" in (renaming.undecidable(few_digits, [], 499) or "")


def test_numbers_that_share_digits_do_not_change_places() -> None:
    """ "12" ends in the token of "2": where hours are tested for an order, only those that share nothing move."""
    tokenizer = load("reference", device="cpu").tokenizer
    expected = {"hours": math.factorial(7), "hours24": 1, "numbers": math.factorial(8) // 2}
    for name, orders_there in expected.items():
        claim = Claim(DOMAINS[name], "item")
        kinds = claim_item_kinds(claim, tokenizer)
        assert claim.renames_digits and n_item_orders(claim, kinds) == orders_there
