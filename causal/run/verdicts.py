"""Verdicts: from the rows of an experiment to ranks among its controls, to evidence, and to one word with its reason.

A verdict that begins with `causal` needs all of these, each of which could have come out the other way:

1. the model can do the task: its accuracy is above chance (else `cannot be tested`: there is nothing to lose);
2. turning the circle by j moves the answer by j more often than chance (lower end of the interval above 1 / p), more
   often than it leaves it, and more often than at least 99 % of the draws of every control: random patterns of equal
   norm, bases of equal removed variance, planes of shuffled labels;
   a direction that cannot be turned: ablation lowers the accuracy (McNemar p <= 0.01) more than 1 % of the draws do;
3. ordinary text is left alone: the same ablation changes every text that was tested by less than 0.01 nat per token
   (TOST, p < 0.05), at every position and at those that look like an answer's place (else `not specific`). Where an
   edit touches too little of a text it tests nothing (`specificity.SMALLEST_SHARE`): `not tested for harm` if that is
   all there is.

Such an effect is shared by every code that has one vector for each answer. The tests of order say which it is
(`causal.algorithms.order_tests`): `causal: circle` if planes that have not seen an answer lead to it, `causal: answer
code` if planes of any other order move the answers as well, and plain `causal` if neither was shown.

An effect that controls have too is `not specific` as well. Everything else is `not causal at this power`: what this
many prompts could have shown is part of the sentence. The thresholds are conventional and were not tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from causal.algorithms.order_tests import ANSWER_CODE, CIRCLE
from causal.algorithms.tables import OrderRow
from causal.controls.random_controls import CONTROLS
from causal.controls.specificity import LIKE_ANSWER, NOT_SPARED, NOT_TESTED, SMALLEST_SHARE, SPARED
from causal.experiments.effects import rank
from causal.experiments.experiment import Experiment
from causal.experiments.sweep import CONDITION
from causal.interventions.questions import EVERYWHERE
from causal.run.tables import CausalRow, ControlDraw, Verdict, VerdictRow
from llm_probe.run.study import Rows
from toy.maths.intervals import wilson

ALPHA = 0.01


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made from: the rows of the tested directions and of their controls."""

    period: int
    right: int
    """Prompts that are answered rightly without any edit."""
    n: int
    """Number of prompts."""
    power: str
    """What the run could have shown, in words."""
    rotated: CausalRow | None = None
    """Turned by j; None where there is no circle to turn."""
    ablated: CausalRow | None = None
    controls: Sequence[CausalRow] = ()
    """Means over the draws of random controls."""
    everywhere: CausalRow | None = None
    """Text, edited at every position; None where no text was read."""
    like: CausalRow | None = None
    """Text, edited at the positions that look like an answer's place."""
    basis: CausalRow | None = None
    """Text, without random bases."""
    others: Sequence[CausalRow] = ()
    """The same ablation where other questions are answered."""
    order: OrderRow | None = None
    """A row of the tests of order, with the word and reason of them all; None where they were not made."""

    @property
    def harm(self) -> str:
        """`spared`, `not spared` or `not tested`: the worst of the texts that were tested."""
        tested = {row.harm for row in (self.everywhere, self.like) if row} - {NOT_TESTED}
        return NOT_TESTED if not tested else SPARED if tested == {SPARED} else NOT_SPARED


def decide(evidence: Evidence) -> tuple[Verdict, str]:
    """(verdict, sentence)."""
    row, period = evidence.ablated, evidence.period
    before = row.accuracy_before if row and row.accuracy_before is not None else evidence.right / evidence.n
    if wilson(evidence.right, evidence.n)[0] <= 1 / period:
        return "cannot be tested", (
            f"the model answers {before:.0%}, no better than guessing (1 in {period}): nothing to lose"
        )
    after, p = (row.accuracy, row.p) if row and row.accuracy is not None and row.p is not None else (before, 1.0)
    turned = evidence.rotated if evidence.rotated and evidence.rotated.moved_low is not None else None
    numbers = _rotation(evidence) + _ablation(evidence, before, after)
    if turned and turned.moved_low is not None:
        effect, rank_of = turned.moved_low > max(1 / period, turned.stayed or 0.0), turned.rank
    else:
        effect, rank_of = p <= ALPHA and after < before, row.rank if row else None
    if not effect:
        return "not causal at this power", f"{numbers}; {evidence.power}"
    draws = min((row.draws for row in evidence.controls if row.draws is not None), default=None)
    if draws is not None and 1 / (1 + draws) > ALPHA:
        return "not causal at this power", f"{numbers}; {draws} draws of a control cannot show p <= {ALPHA}"
    if rank_of is not None and rank_of > ALPHA:
        return "not specific", f"{numbers}: controls of equal size do as much"
    said = f"{numbers}; {_order(evidence)}{_nats(evidence)}{_others(evidence)}"
    if evidence.harm == NOT_TESTED:
        return "not tested for harm", said
    return (_word(evidence) if evidence.harm == SPARED else "not specific"), said


def _word(evidence: Evidence) -> Verdict:
    """Which `causal`."""
    word = evidence.order.word if evidence.order else None
    return f"causal: {word}" if word in (CIRCLE, ANSWER_CODE) else "causal"


def _order(evidence: Evidence) -> str:
    """What the tests of order say; nothing of a direction that cannot be turned."""
    if evidence.order:
        return f"{evidence.order.word}: {evidence.order.reason}; "
    return "the order of the answers was not tested; " if evidence.rotated else ""


def _rotation(evidence: Evidence) -> str:
    if not evidence.rotated:
        return ""
    most = max((row.moved for row in evidence.controls if row.moved is not None), default=None)
    control = "" if most is None else f" (controls {most:.2f} at most)"
    return f"turned by j, the answer moves by j in {evidence.rotated.moved:.0%}{control}; "


def _ablation(evidence: Evidence, before: float, after: float) -> str:
    # Planes of shuffled labels may well hold the circle: their ablation is no control.
    left = [row.accuracy for row in evidence.controls if row.accuracy is not None and row.direction != "shuffled"]
    control = f" (controls {min(left):.0%} at least)" if left else ""
    return f"without it accuracy falls from {before:.0%} to {after:.0%}{control}"


def _nats(evidence: Evidence) -> str:
    """What the ablation does to text, and whether that was a test."""
    parts = []
    if evidence.everywhere:
        random = f" (random bases {evidence.basis.nats_change:+.3f})" if evidence.basis else ""
        change = f"text changes by {evidence.everywhere.nats_change:+.3f} nat at every position{random}"
        parts.append(f"{change}: {evidence.everywhere.harm}")
    if evidence.like and evidence.like.edited_share is not None:
        share = f"{evidence.like.edited_share:.2%} of it that look like an answer's place"
        few = f", less than {SMALLEST_SHARE:.0%}" if evidence.like.harm == NOT_TESTED else ""
        parts.append(f"by {evidence.like.nats_change:+.3f} at the {share}: {evidence.like.harm}{few}")
    return ", ".join(parts) or "no text was read"


def _others(evidence: Evidence) -> str:
    """The other domain that loses most."""
    losses = [(row.accuracy_before or 0.0, row.accuracy or 0.0, row.condition) for row in evidence.others]
    if not losses:
        return ""
    before, after, name = max(losses, key=lambda loss: loss[0] - loss[1])
    return f"; of other questions {name} loses most, {before:.0%} to {after:.0%}"


# ------------------------------------------------------------------------------------------- from rows to evidence


def ranked(rows: Rows) -> Rows:
    """The same rows; `mean` and `rotate` of the tested directions have their rank among the draws of every control."""
    draws = rows.get("causal_controls", ())
    positions = {draw.position for draw in draws}

    def with_rank(row: CausalRow) -> CausalRow:
        tested = row.intervention in ("mean", "rotate") and row.direction.startswith(("planes", "dim", "features"))
        if not (tested and row.position in positions and row.condition == row.domain):
            return row
        ranks = {}
        for name in sorted({draw.control for draw in draws}):
            values = [one.effect for one in draws if (one.control, one.intervention) == (name, row.intervention)]
            # Draws that do as much move as many answers, or leave as few right.
            sign, own = (1, row.moved) if row.intervention == "rotate" else (-1, row.accuracy)
            if values and own is not None:
                ranks[name] = rank(sign * own, [sign * value for value in values]), len(values)
        if not ranks:
            return row
        worst = max(ranks, key=lambda name: ranks[name][0])
        return replace(row, rank=ranks[worst][0], against=worst, draws=ranks[worst][1])

    return {**rows, "causal_table": [with_rank(row) for row in rows.get("causal_table", ())]}


def evidence_of(
    experiment: Experiment, rows: Sequence[CausalRow], power: str, order: Sequence[OrderRow] = ()
) -> Evidence:
    """What the verdict is made from; `power`: that of the run in words; `order`: the rows of the tests of order."""
    right, name, position = experiment.baseline.right, experiment.name, experiment.position
    own = experiment.claim.domain.name
    by_key = {(row.position, row.direction, row.intervention, row.condition): row for row in rows}
    return Evidence(
        order=next(iter(order), None),
        period=experiment.claim.period,
        right=int(right.sum()),
        n=len(right),
        power=power,
        rotated=by_key.get((position, name, "rotate", own)),
        # Under the published protocol the direction is zeroed at every position.
        ablated=by_key.get((position, name, "mean", own)) or by_key.get((EVERYWHERE, name, "zero", CONDITION)),
        controls=[row for row in rows if row.direction in CONTROLS],
        everywhere=by_key.get((EVERYWHERE, name, "mean", "text")),
        like=by_key.get((LIKE_ANSWER, name, "mean", "text")),
        basis=by_key.get((EVERYWHERE, "random basis", "zero", "text")),
        others=[
            row
            for row in rows
            if row.direction == name and row.intervention == "mean" and row.condition not in (own, "text", CONDITION)
        ],
    )


def verdict_row(experiment: Experiment, rows: Rows, power: str) -> VerdictRow:
    """The verdict, and how often shuffled labels would have been given it."""
    evidence = evidence_of(experiment, rows.get("causal_table", ()), power, rows.get("causal_order", ()))
    layer, site, _ = experiment.location
    key = (experiment.claim.domain.name, layer, site, experiment.position, experiment.name)
    turned = [draw for draw in rows.get("causal_controls", ()) if draw.intervention == "rotate"]
    prompts = len(experiment.subset[1].right) if turned else 0
    calls = false_calls(turned, prompts, experiment.claim.period) if turned else ()
    geometry = evidence.order.word if evidence.order else None
    return VerdictRow(*key, *decide(evidence), geometry, evidence.harm, *calls)


def false_calls(draws: Sequence[ControlDraw], prompts: int, period: int) -> tuple[int, int]:
    """(how many, of how many) turns of shuffled labels the rule of `verdicts` would call an effect beyond its controls.

    Each is held to the rule of a fitted circle: against chance, against staying, and by its rank among the draws of
    every control, the other shuffled labels too.
    """
    effects = {name: [draw.effect for draw in draws if draw.control == name] for name in {d.control for d in draws}}
    shuffled = [draw for draw in draws if draw.control == "shuffled"]
    called = 0
    for draw in shuffled:
        low = wilson(round(draw.effect * prompts), prompts)[0]
        beyond = all(rank(draw.effect, values) <= ALPHA for values in effects.values())
        called += low > max(1 / period, draw.stayed) and beyond
    return called, len(shuffled)
