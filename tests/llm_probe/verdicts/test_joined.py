"""Two tests joined into one p, by hand, and what is corrected with it."""

from dataclasses import replace

import pytest

from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.table import R2Row
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.verdicts.analysis import Findings
from llm_probe.verdicts.joined import ASSIGNMENT_WEIGHT, Judged, corrected, selective
from tests.llm_probe.verdicts.test_verdicts import GOOD, control

CLAIM = Claim(modular("add", 7), "sum")


def row(p: float | None) -> R2Row:
    return R2Row("trained", "mod-add 7", 7, "sum", "last", "resid_post", 3, "plane", None, "fourier", 1,
                 None, None, None, 0.9, None, None, None, 0.1, p, 800, 400)  # fmt: skip


def test_the_weights_are_a_partition_and_one_test_alone_has_all_of_it() -> None:
    assert selective(0.06, 0.5) == pytest.approx(0.06 / ASSIGNMENT_WEIGHT)
    assert selective(0.5, 0.01) == pytest.approx(0.01 / (1 - ASSIGNMENT_WEIGHT))
    assert selective(0.9, 0.9) == 1.0
    assert (selective(None, 0.03), selective(0.03, None), selective(None, None)) == (0.03, 0.03, None)


def test_the_level_holds_when_both_nulls_do() -> None:
    """Of all pairs of uniform p, also the worst dependence (never small together), a share of at most α is below α."""
    grid = [(index + 0.5) / 2000 for index in range(2000)]
    shifted = [*grid[1000:], *grid[:1000]]
    for second in (grid, grid[::-1], shifted):
        small = sum((selective(one, other) or 1) <= 0.05 for one, other in zip(grid, second, strict=True))
        assert small / 2000 <= 0.05


def test_every_p_of_the_findings_is_raised_and_none_is_invented() -> None:
    findings = Findings(GOOD, (row(0.002), row(0.2), row(None)), (), ())
    raised = corrected(findings, 0.03)
    assert [one.p_fwer for one in raised.rows] == [0.03, 0.2, None]
    assert (raised.best.p_fwer, raised.best.layers_held) == (0.03, ())
    kept = corrected(findings, 0.004)
    assert (kept.best.p_fwer, kept.best.layers_held) == (0.004, GOOD.layers_held)


def test_what_is_taken_from_the_assignment_test() -> None:
    test = ModulusTest(7, (7, 9, 11, 13, 17), (), 0.004, 0.001, 0.003, 0.5, 0.1, 2, 1, 0, 4, 120)
    found = Judged.of(CLAIM, Findings(GOOD, (), (), (), (control("shuffled", 0.1),)), test, "a note",
                      (control("no_modulus", 0.3),))  # fmt: skip
    assert (found.p_assignment, found.effect, found.rank, found.note) == (0.003, 0.5, 2, "a note")
    assert found.p_selective == pytest.approx(0.004)
    assert [one.control for one in found.controls] == ["shuffled", "no_modulus"]  # labels first
    assert found.p_renaming == GOOD.p_fwer


@pytest.mark.parametrize("name", ["days", "hours"])
def test_words_have_no_selective_p_and_numbers_do(name: str) -> None:
    claim, findings = Claim(DOMAINS[name], "sum"), Findings(replace(GOOD, p_period=0.5), (), (), ())
    found = Judged.alone(claim, findings)
    assert found.adds_numbers == (name == "hours")
    assert (found.p_selective, found.best.p_fwer) == ((0.5, 0.5) if name == "hours" else (None, GOOD.p_fwer))
