"""From evidence to a word: supported, refuted or undetermined, with the reason on the same line.

What was shown of a claim is a level (`levels`: nothing, decodable, clusters, ordered, helix, circle); each step has a
null of its own. The word follows.

`supported` needs the level `circle`, on discovery prompts, and that it holds elsewhere:
1. where both operands are numbers, it stands out of its neighbourhood or gains more than other moduli let expect;
2. predicted and true points of confirmation prompts agree: the lower end of the 95 % interval of their correlation is
   above 0 …
3. … and above the upper end of what the same search reaches with random weights;
4. of sums, the plane is read better than every control label (`controls`);
5. no simpler quantity takes the circle away (`hypotheses`).

`refuted` is a finding too: a named rival is shown (clusters, a line, an open arc, a line folded back) and, as the best
of m such families, 100 m times likelier than the circle (of items also than a closed ring of any curvature).
p > 0.05 refutes nothing: it is what a small circle gives as well.

Everything else is `undetermined`, and so is a claim the null cannot decide because its items have too few orders,
unless random words in their place are its null (`geometry.redrawn`).

A run judges many claims, and `supported` needs p_holm <= `FAMILY_ALPHA` over all of them as well (`together`).

A claim about sums is asked whether it is this period that is read, because a network that was never trained on a
modulus may still hold the integer n itself, from which every period is read. Of sums of numbers three tests ask for
that, each (nearly) exact on its null; either will do (weighted Bonferroni, weights fixed in advance):

    p_assignment   1/2   periods gain most under their own moduli (`assignment`; all moduli of a family together)
    p_contrast     1/4   this period gains more under its own modulus than the rest of the table predicts for it
    p_period       1/4   the period stands out of its neighbourhood (`scan`; each claim by itself)

The first finds small circles under every modulus, the others one under a single modulus. Where one of them cannot be
run the others share its weight. Of sums that begin with a word the code of the integer has to repeat with the period
(`geometry.integer`). p_fwer is the largest p of the tests that a circle has to pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from llm_probe.geometry.redrawn import REDRAWS
from llm_probe.questions.claims import Claim
from llm_probe.run.table import BehaviourRow, ControlRow
from llm_probe.run.verdict_row import VerdictRow
from llm_probe.run.vocabulary import ALPHA, FAMILY_ALPHA, Control, Verdict
from llm_probe.statistics.assignment import ModulusTest
from llm_probe.verdicts.embedding import origin
from llm_probe.verdicts.evidence import Evidence
from llm_probe.verdicts.levels import Shown, rival, shown
from toy.maths.fourier import noise_maximum
from toy.maths.intervals import holm, wilson

LIKELIER = math.log(100)
"""Nats by which a rival has to be likelier to refute the circle, and log m more if it is the best of m families."""
WEIGHTS = (0.5, 0.25, 0.25)
"""Of the tests of selectivity: all moduli together, this modulus among the others, this period among the others."""
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
        """Is it this period and not every period? None of items, and where no test of it could be run."""
        if self.claim.quantity == "item":
            return None
        if not self.claim.adds_numbers:
            return self.evidence.geometry.p_repeats
        return selective((self.test and self.test.p, self.test and self.test.p_contrast, self.evidence.p_period))

    @property
    def p_fwer(self) -> float:
        """Of everything a circle has to pass, each corrected over all that was searched for it."""
        geometry = self.evidence.geometry
        order = geometry.p_order if geometry.p_redrawn is None else geometry.p_redrawn
        if self.claim.quantity == "item":
            return order
        return max(self.evidence.chosen.p_renaming, self.p_selective or 0.0, order)

    @property
    def least_p(self) -> float:
        """The smallest `p_fwer` that a perfect circle could have."""
        geometry = self.evidence.geometry
        if geometry.null == "words":
            return 1 / (REDRAWS + 1)
        return geometry.least_p_order if self.undecidable is None else 1.0

    @property
    def shown(self) -> Shown:
        """The most that was shown."""
        evidence = self.evidence
        low, high = evidence.closure_low, evidence.closure_high
        interval = None if low is None or high is None else (low, high)
        tests = (evidence.chosen.p_renaming, self.p_selective, evidence.geometry, evidence.closure, interval)
        level, limit = shown(self.claim.quantity, *tests), self.claim.no_circle
        return Shown("ordered", "", limit) if limit and level.level == "circle" else level

    @property
    def controls(self) -> list[ControlRow]:
        """Controls that change labels, then those that change prompts."""
        return [*self.evidence.rows["controls"], *self.prompt_controls]

    @property
    def strongest_control(self) -> ControlRow | None:
        """The control label that is read best; None where none applies."""
        return max((row for row in self.controls if row.control in CONTROLS), key=lambda row: row.r2, default=None)


def selective(p: Sequence[float | None]) -> float | None:
    """The tests of selectivity combined (weighted Bonferroni); None where none could be run."""
    run = [(value, weight) for value, weight in zip(p, WEIGHTS, strict=True) if value is not None]
    total = sum(weight for _, weight in run)
    return min((min(1.0, value * total / weight) for value, weight in run), default=None)


def verdicts(hypotheses: Sequence[Hypothesis]) -> Iterator[VerdictRow]:
    """The record of every claim, made once: `p_holm` is over all of them."""
    for hypothesis, p_holm in zip(hypotheses, together(hypotheses), strict=True):
        yield _record(hypothesis, p_holm)


def together(hypotheses: Sequence[Hypothesis]) -> list[float]:
    """p_holm of every claim: Holm's correction of p_fwer, weighted.

    How small p can be depends on the claim: seven labels have few orders, and no day could stand beside thirty other
    claims if all had to pass the same level. So every claim has the smallest p that its labels allow as its part of
    `FAMILY_ALPHA`, and what is left is shared equally; known before any state is read, as weights have to be. Claims
    that could not reach `ALPHA` whatever the states are no part of the family (Tarone 1990); theirs is 1.
    """
    least = [hypothesis.least_p for hypothesis in hypotheses]
    able = [i for i, p in enumerate(least) if p <= ALPHA]
    result = [1.0] * len(hypotheses)
    if able:
        rest = max(FAMILY_ALPHA - sum(least[i] for i in able), 0.0) / len(able)
        weights = torch.tensor([least[i] + rest for i in able], dtype=torch.float64)
        p = torch.tensor([hypotheses[i].p_fwer for i in able], dtype=torch.float64)
        for i, adjusted in zip(able, holm(p, weights).tolist(), strict=True):
            result[i] = adjusted
    return result


def judge(of: Hypothesis, p_holm: float = 0.0) -> tuple[Verdict, str]:
    """The verdict on a claim and its reason in words; `p_holm`: of the run it is part of, if of any."""
    evidence, geometry, level = of.evidence, of.evidence.geometry, of.shown
    if of.undecidable and geometry.null == "orders":
        return "undetermined", of.undecidable
    if level.level in ("clusters", "ordered") and _refutes(evidence):
        return "refuted", f"{rival(geometry)} instead: likelier than the circle by {-geometry.ratio:.0f} nats"
    if level.level != "circle":
        because = "; " + of.note if of.note and of.test is None and level.level in ("decodable", "helix") else ""
        published = _class_means(of) if level.level == "nothing" else ""
        return "undetermined", level.stopped_by + because + published
    if (doubt := _elsewhere(of)) is not None:
        return "undetermined", doubt
    if p_holm > FAMILY_ALPHA:
        return "undetermined", f"among so many claims chance reaches its p {of.p_fwer:.2g} as well (Holm {p_holm:.2g})"
    frequency = evidence.chosen.frequency
    return "supported", f"{'holds' if frequency == 1 else f'k = {frequency} holds'} on new prompts"


def _refutes(evidence: Evidence) -> bool:
    """Whether the rival that was shown is so much likelier than the circle that it refutes it.

    It is the likeliest of several families, so that each of them is given its part of the odds: with m of them the
    rival has to be 100 m times likelier. Nor is a period refuted one of whose frequencies is read there and cannot be
    told from the decimal digits: a circle at that frequency would show nowhere.
    """
    chosen, geometry = evidence.chosen, evidence.geometry
    if chosen.p_decimal is not None and chosen.p_decimal <= ALPHA:
        return False
    closest = geometry.ratio if geometry.ring_ratio is None else max(geometry.ratio, geometry.ring_ratio)
    return closest <= -LIKELIER - math.log(geometry.families)


def _elsewhere(of: Hypothesis) -> str | None:
    """Why a circle that was shown on discovery prompts does not hold elsewhere; None if it does."""
    evidence, test, confirmed = of.evidence, of.test, of.evidence.confirmation
    effect = None if test is None else test.effect_at(evidence.chosen.frequency)
    if effect is not None and effect <= 0 and (evidence.p_period is None or evidence.p_period > ALPHA):
        # The assignment's p is of all moduli together: which of them it was, their own effects say.
        return "its period gains no more under its own modulus than the other moduli let expect"
    if confirmed.agreement_low <= 0:
        return "does not hold on the confirmation prompts"
    if of.random is not None and confirmed.agreement_low <= of.random.confirmation.agreement_high:
        return f"random weights agree as well: {of.random.confirmation.agreement:.2f}"
    control = of.strongest_control if of.claim.quantity == "sum" else None
    if control is not None and evidence.chosen.discovery_r2 <= control.r2:
        return f"{CONTROLS[control.control]} are read as well: R² {control.r2:.2f}"
    if evidence.explained_by is not None:
        return f"explained by something simpler: {evidence.explained_by}"
    return "beats its null, but no random-weights control was run" if of.random is None else None


def _class_means(of: Hypothesis) -> str:
    """How the published statistic would have looked, as a clause."""
    trained, random = of.evidence.class_mean, of.random and of.random.class_mean
    if trained is None:
        return ""
    clause = f"; class-mean R² {trained.r2:.3f} (dim {trained.dim})"
    return clause + (f", random reaches {random.r2:.3f}" if random else "")


def _record(of: Hypothesis, p_holm: float) -> VerdictRow:
    (verdict, reason), level, geometry = judge(of, p_holm), of.shown, of.evidence.geometry
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
        agreement=confirmed.agreement,
        agreement_low=confirmed.agreement_low,
        agreement_high=confirmed.agreement_high,
        random_r2=random and random.confirmation.r2,
        null_r2=chosen.null_r2,
        angle_error=confirmed.angle_error,
        random_angle_error=random and random.confirmation.angle_error,
        p_renaming=chosen.p_renaming,
        p_fwer=of.p_fwer,
        p_holm=p_holm,
        p_selective=of.p_selective,
        p_assignment=test.p if of.claim.adds_numbers and test else None,
        assignment_effect=test.effect_at(chosen.frequency) if of.claim.adds_numbers and test else None,
        p_contrast=test.p_contrast if of.claim.adds_numbers and test else None,
        p_repeats=geometry.p_repeats,
        p_order=geometry.p_order,
        p_axes=geometry.p_axes,
        order_null=geometry.null,
        p_redrawn=geometry.p_redrawn,
        p_redrawn_axes=geometry.p_redrawn_axes,
        circle_share=geometry.share,
        rival=f"clusters: {geometry.rival_name}" if geometry.rival == "clusters" else geometry.rival,
        rival_ratio=geometry.ratio,
        p_shape=geometry.p_shape,
        p_integer=geometry.p_integer,
        helix_periods=", ".join(f"{period:g}" for period in geometry.periods) or None,
        p_period=evidence.p_period,
        closure=evidence.closure,
        closure_low=evidence.closure_low,
        closure_high=evidence.closure_high,
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
        # Renamed labels cannot decide where the embedding's plane comes from, if items have too few orders for them.
        origin=origin(of.claim.quantity, of.p_fwer, evidence.embedding if geometry.null == "orders" else None),
        explained_by=evidence.explained_by,
        level=level.level,
        shape=level.what or None,
        stopped_by=level.stopped_by or None,
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
    """Exact match over every template of the decoupled grid without examples, with its Wilson interval."""
    wide = [row for row in rows if row.grid == "decoupled" and not row.shots]
    n = sum(row.n_prompts for row in wide)
    if not n:
        return None, None, None
    right = sum(round(row.exact * row.n_prompts) for row in wide)
    return right / n, *wilson(right, n)
