"""Arithmetic claims judged together: their columns of the assignment test joined, and the p-values that follow.

A network that was never trained on a modulus may still hold the integer n itself, from which every period is read; the
renaming null alone is passed by it. What it cannot do is prefer a period where that period is asked for. Two tests ask
for that, each exact or nearly so on its own null:

    p_assignment    periods gain most under their own moduli         (`assignment`; all moduli of a family together)
    p_period        the period stands out of its neighbourhood       (`scan`; each claim by itself)
    p_selective   = min(1, p_assignment / 0.75, p_period / 0.25)     either will do (weighted Bonferroni)
    p_fwer        = max(renaming p, p_selective)                     both nulls must fall (intersection-union)

The weights are fixed in advance: the assignment test is the one that finds small circles, the scan is there for a
single modulus. So p_fwer is valid if *either* null holds. Where one of the two tests cannot be run the other has all
the weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm_probe.questions.claims import Claim
from llm_probe.run.table import ALPHA, ControlRow
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.verdicts.analysis import Best, Findings

ASSIGNMENT_WEIGHT = 0.75


def selective(p_assignment: float | None, p_period: float | None) -> float | None:
    """The two tests combined; None where neither could be run."""
    if p_assignment is None or p_period is None:
        return p_period if p_assignment is None else p_assignment
    return min(1.0, p_assignment / ASSIGNMENT_WEIGHT, p_period / (1 - ASSIGNMENT_WEIGHT))


@dataclass(frozen=True)
class Judged:
    """A claim's findings with every p corrected for both nulls, and what was compared."""

    findings: Findings
    adds_numbers: bool
    """Whether both operands are numbers, so that a network may hold the integer itself."""
    p_renaming: float
    """Of the renaming null alone."""
    p_selective: float | None
    """Is it this period and not every period; None where operands are words."""
    p_assignment: float | None
    effect: float | None
    """Nats that the period gains under its own modulus beyond the mean of the others, best plane."""
    rank: int | None
    """Its own modulus' place among those under which the period gains most; 1 is the first."""
    note: str = ""
    """Why the assignment test was not run, or which related moduli it left out."""
    prompt_controls: tuple[ControlRow, ...] = ()

    @property
    def best(self) -> Best:
        return self.findings.best

    @property
    def controls(self) -> tuple[ControlRow, ...]:
        """Controls that change labels, then those that change prompts."""
        return self.findings.controls + self.prompt_controls

    @staticmethod
    def alone(claim: Claim, findings: Findings) -> Judged:
        """A claim without a family."""
        return Judged.of(claim, findings, None, "", ())

    @staticmethod
    def of(
        claim: Claim, findings: Findings, test: ModulusTest | None, note: str, controls: tuple[ControlRow, ...]
    ) -> Judged:
        """Combine the tests and correct every p of the findings."""
        p = selective(test and test.p, findings.best.p_period) if claim.adds_numbers else None
        found = findings if p is None else corrected(findings, p)
        return Judged(
            found,
            claim.adds_numbers,
            findings.best.p_fwer,
            p,
            test and test.p,
            test and test.effect,
            test and test.rank,
            note,
            controls,
        )


def corrected(findings: Findings, least: float) -> Findings:
    """Findings whose every p asks both questions."""
    best = findings.best
    best = replace(best, p_fwer=max(best.p_fwer, least), layers_held=best.layers_held if least <= ALPHA else ())
    rows = (replace(row, p_fwer=row.p_fwer and max(row.p_fwer, least)) for row in findings.rows)
    return replace(findings, best=best, rows=tuple(rows))
