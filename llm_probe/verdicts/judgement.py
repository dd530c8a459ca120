"""From evidence to a word: supported, refuted or undetermined, with the reason on the same line.

A claim about sums of numbers is asked two questions, because a network that was never trained on a modulus may still
hold the integer n itself, from which every period is read; the renaming null alone is passed by it. What such a network
cannot do is prefer a period where that period is asked for. Two tests ask for that, each (nearly) exact on its null:

    p_assignment    periods gain most under their own moduli         (`assignment`; all moduli of a family together)
    p_period        the period stands out of its neighbourhood       (`scan`; each claim by itself)
    p_selective   = min(1, p_assignment / 0.75, p_period / 0.25)     either will do (weighted Bonferroni)
    p_fwer        = max(p_renaming, p_selective)                     both nulls must fall (intersection-union)

The weights are fixed in advance: the assignment test is the one that finds small circles, the scan is there for a
single modulus. p_fwer is valid if *either* null holds. Where one of the two cannot be run the other has all the weight.

`supported` needs all of:
1. the plane beats renamed labels (p_renaming <= 0.01);
2. where both operands are numbers: it is this period and not every period (p_selective <= 0.01), and either it
   stands out of its neighbourhood or no other modulus' prompts carry it as much;
3. it holds on confirmation prompts: the lower end of the 95 % interval is above 0 …
4. … above the upper end of what the same search reaches with random weights …
5. … and above what it reads of every control label (`controls`);
6. no simpler quantity takes the circle away (`hypotheses`);
7. for items: no parabola in the item's index is read better when an item is left out, and the order closes - the
   last item is nearer to the first than half way from opposite to adjacent (`closure` >= 0.5).

`refuted`: 1 or 7 fails clearly (p > 0.05, a parabola is better, or the ends are apart). Anything between is
`undetermined`, and so is a claim the null cannot decide because its items have too few orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from llm_probe.questions.claims import Claim
from llm_probe.run.table import ALPHA, BehaviourRow, Control, ControlRow, Verdict, VerdictRow
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.verdicts.embedding import origin
from llm_probe.verdicts.evidence import Evidence
from toy.maths.fourier import noise_maximum
from toy.maths.intervals import holm, wilson

CLEARLY_NOT = 0.05
CLOSED = 0.5
"""Half way between ends as far apart as opposite items (0) and ends that are neighbours (1)."""
ASSIGNMENT_WEIGHT = 0.75
"""Weight of the assignment test in `p_selective`; the period scan has the rest."""
CONTROLS: dict[Control, str] = {
    "shuffled": "shuffled labels",
    "latin_square": "answers to a task without a circle",
    "reordered": "items in another order",
}
"""Control labels in words: the same prompts, a label that should not be read. The other operation is reported and not
judged by: a square of a circle of a + b holds a - b as well, so a model may have reason to carry it."""
Accuracy = tuple[float | None, float | None, float | None]
"""Share of right answers and its 95 % interval; three times None where nothing was asked."""


@dataclass(frozen=True)
class Hypothesis:
    """One claim with all that its verdict rests on."""

    claim: Claim
    evidence: Evidence
    """Of the trained weights."""
    test: ModulusTest | None = None
    """Of arithmetic claims that have enough other moduli beside them: is the period read best under its own modulus?"""
    note: str = ""
    """Why the assignment test was not run, or which related moduli it left out."""
    prompt_controls: tuple[ControlRow, ...] = ()
    """What the same search finds in other prompts: under other moduli, and without a modulus."""
    random: Evidence | None = None
    """The same search and confirmation with random weights."""
    accuracy: Accuracy = (None, None, None)
    undecidable: str | None = None
    """Why no p-value of the renaming null could be small."""
    n_dimensions: int = 0
    """Dimensions that were searched: places times the width of the model."""

    @property
    def p_selective(self) -> float | None:
        """Is it this period and not every period? None where operands are words, or neither test could be run."""
        if not self.claim.adds_numbers:
            return None
        return selective(self.test and self.test.p, self.evidence.p_period)

    @property
    def p_fwer(self) -> float:
        """Corrected over everything that was searched, and for both nulls."""
        return max(self.evidence.chosen.p_renaming, self.p_selective or 0.0)

    @property
    def controls(self) -> list[ControlRow]:
        """Controls that change labels, then those that change prompts."""
        return [*self.evidence.rows["controls"], *self.prompt_controls]

    @property
    def strongest_control(self) -> ControlRow | None:
        """The control label that is read best; None where none applies."""
        return max((row for row in self.controls if row.control in CONTROLS), key=lambda row: row.r2, default=None)


def selective(p_assignment: float | None, p_period: float | None) -> float | None:
    """The two tests of selectivity combined (weighted Bonferroni); None where neither could be run."""
    if p_assignment is None or p_period is None:
        return p_period if p_assignment is None else p_assignment
    return min(1.0, p_assignment / ASSIGNMENT_WEIGHT, p_period / (1 - ASSIGNMENT_WEIGHT))


def verdicts(hypotheses: Sequence[Hypothesis]) -> Iterator[VerdictRow]:
    """The record of every claim, made once: `p_holm` is over all of them."""
    p = torch.tensor([hypothesis.p_fwer for hypothesis in hypotheses], dtype=torch.float64)
    for hypothesis, p_holm in zip(hypotheses, holm(p).tolist() if hypotheses else [], strict=True):
        yield _record(hypothesis, p_holm)


def judge(of: Hypothesis) -> tuple[Verdict, str]:  # noqa: PLR0911 - one return a reason
    """The verdict on a claim and its reason in words."""
    evidence, test = of.evidence, of.test
    p_renaming, confirmed = evidence.chosen.p_renaming, evidence.confirmation
    if of.undecidable:
        return "undetermined", of.undecidable
    if p_renaming > CLEARLY_NOT:
        return "refuted", f"no plane beats renamed labels{_class_means(of)}"
    if p_renaming > ALPHA:
        return "undetermined", f"p between {ALPHA} and {CLEARLY_NOT}{_class_means(of)}"
    if of.claim.quantity == "item" and (verdict := _order(evidence)) is not None:
        return verdict
    if of.p_selective is not None and of.p_selective > ALPHA:
        because = "; " + of.note if of.note and test is None else ""
        return "undetermined", f"other periods are as strong: the integer is there, not its residue alone{because}"
    if of.claim.adds_numbers and of.p_selective is None:
        return "undetermined", "its sums span too few periods to tell this period from every other"
    if test is not None and test.rank > 1 and (evidence.p_period is None or evidence.p_period > ALPHA):
        # The assignment's p is of all moduli together: which of them it was, their own ranks say.
        return "undetermined", f"its period is read as well under {test.rank - 1} other moduli"
    if confirmed.low <= 0:
        return "undetermined", "does not hold on the confirmation prompts"
    if of.random is not None and confirmed.low <= of.random.confirmation.high:
        return "undetermined", f"random weights reach {of.random.confirmation.r2:.2f} too"
    if (control := of.strongest_control) is not None and confirmed.low <= control.r2:
        return "undetermined", f"{CONTROLS[control.control]} are read as well: R² {control.r2:.2f}"
    if evidence.explained_by is not None:
        return "undetermined", f"explained by something simpler: {evidence.explained_by}"
    if of.random is None:
        return "undetermined", "beats its null, but no random-weights control was run"
    frequency = evidence.chosen.frequency
    return "supported", f"{'holds' if frequency == 1 else f'k = {frequency} holds'} on new prompts"


def _order(evidence: Evidence) -> tuple[Verdict, str] | None:
    """Why items that are ordered are not on a circle; None if they may be."""
    chosen, closure = evidence.chosen, evidence.closure
    if chosen.parabola_r2 >= chosen.discovery_r2:
        numbers = f"a parabola has R² {chosen.parabola_r2:.2f} where the circle has {chosen.discovery_r2:.2f}"
        return "refuted", f"explained by order: {numbers}"
    if closure is None or closure <= 0:
        return "refuted", "ordered, but it does not close: the last item is not next to the first"
    if closure < CLOSED:
        return "undetermined", f"ordered, and half closed: {closure:.2f}, where a circle has 1 and a line 0"
    return None


def _class_means(of: Hypothesis) -> str:
    """How the published statistic would have looked, as a clause."""
    trained, random = of.evidence.class_mean, of.random and of.random.class_mean
    if trained is None:
        return ""
    clause = f"; class-mean R² {trained.r2:.3f} (dim {trained.dim})"
    return clause + (f", random reaches {random.r2:.3f}" if random else "")


def _record(of: Hypothesis, p_holm: float) -> VerdictRow:
    verdict, reason = judge(of)
    evidence, random, test, control = of.evidence, of.random, of.test, of.strongest_control
    layer, site, position = evidence.location
    chosen, confirmed, class_mean = evidence.chosen, evidence.confirmation, evidence.class_mean
    beating = evidence.layers_beating_null if (of.p_selective or 0.0) <= ALPHA else ()
    accuracy, low, high = of.accuracy
    return VerdictRow(
        domain=of.claim.domain.name,
        period=of.claim.period,
        quantity=of.claim.quantity,
        cyclic=of.claim.domain.cyclic,
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        layer=layer,
        layers_held=ranges(beating),
        site=site,
        position=position,
        frequency=chosen.frequency,
        plane_r2=confirmed.r2,
        plane_r2_low=confirmed.low,
        plane_r2_high=confirmed.high,
        random_r2=random and random.confirmation.r2,
        null_r2=chosen.null_r2,
        angle_error=confirmed.angle_error,
        random_angle_error=random and random.confirmation.angle_error,
        p_renaming=chosen.p_renaming,
        p_fwer=of.p_fwer,
        p_holm=p_holm,
        p_selective=of.p_selective,
        p_assignment=test.p if of.claim.adds_numbers and test else None,
        assignment_effect=test.effect if of.claim.adds_numbers and test else None,
        p_period=evidence.p_period,
        closure=evidence.closure,
        best_dim=class_mean and class_mean.dim,
        best_dim_layer=class_mean and class_mean.layer,
        best_dim_frequency=class_mean and class_mean.frequency,
        class_mean_r2=class_mean and class_mean.r2,
        random_class_mean_r2=random and random.class_mean and random.class_mean.r2,
        noise_class_mean_r2=noise_maximum(of.claim.period, of.n_dimensions) if class_mean else None,
        control=control and control.control,
        control_r2=control and control.r2,
        embedding_r2=evidence.embedding and evidence.embedding.r2,
        embedding_p=evidence.embedding and evidence.embedding.p_renaming,
        origin=origin(of.claim.quantity, of.p_fwer, evidence.embedding),
        explained_by=evidence.explained_by,
        verdict=verdict,
        reason=reason,
        n_discovery=evidence.n_discovery,
        n_confirmation=evidence.n_confirmation,
    )


def ranges(layers: tuple[int, ...]) -> str:
    """(1, 2, 3, 7) as `1-3, 7`."""
    parts: list[list[int]] = []
    for layer in sorted(layers):
        if parts and layer == parts[-1][-1] + 1:
            parts[-1].append(layer)
        else:
            parts.append([layer])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def accuracy_of(rows: Sequence[BehaviourRow]) -> Accuracy:
    """Exact match over every template of the decoupled grid, with its Wilson interval."""
    wide = [row for row in rows if row.grid == "decoupled"]
    n = sum(row.n_prompts for row in wide)
    if not n:
        return None, None, None
    right = sum(round(row.exact * row.n_prompts) for row in wide)
    return right / n, *wilson(right, n)
