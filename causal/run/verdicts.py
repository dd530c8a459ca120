"""Verdicts: from the rows of an experiment to ranks among its controls, to evidence, and to one word with its reason.

`causal` needs all of these, each of which could have come out the other way:

1. the model can do the task: its accuracy is above chance (else `cannot be tested`: there is nothing to lose);
2. turning the circle by j moves the answer by j more often than chance (lower end of the interval above 1 / p), more
   often than it leaves it, and more often than at least 99 % of the draws of every control: random patterns of equal
   norm, bases of equal removed variance, planes of shuffled labels;
   a direction that cannot be turned: ablation lowers the accuracy (McNemar p <= 0.01) more than 1 % of the draws do;
3. ordinary text is left alone: the same ablation changes it by less than 0.01 nat per token (TOST, p < 0.05), at
   every position or at those that look like an answer's place; else `not specific`.

An effect that controls have too is `not specific` as well. Everything else is `not causal at this power`: what this
many prompts could have shown is part of the sentence. The thresholds are conventional and were not tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from causal.controls.random_controls import CONTROLS
from causal.controls.specificity import LIKE_ANSWER
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
    """The numbers a verdict is made from."""

    period: int
    accuracy: float
    accuracy_low: float
    """Lower end of its 95 % interval."""
    moved: float | None
    """P(answer = s + j) over j; None where there is no circle to turn."""
    moved_low: float | None
    stayed: float | None
    """P(answer = s) under the same turns."""
    moved_rank: float | None
    """The largest empirical p over the controls."""
    moved_control: float | None
    """Largest mean of a control."""
    ablated: float
    """Accuracy without the direction."""
    ablated_p: float
    """McNemar."""
    ablated_rank: float | None
    ablated_control: float | None
    """Lowest mean accuracy of a control."""
    nats_everywhere: float | None
    """Change of text, edited at every position; None where no text was read."""
    nats_like: float | None
    """The same at positions like the answer's."""
    equivalent: bool | None
    """Either is shown to be below 0.01 nat."""
    nats_random: float | None
    """The same of random bases of as many dimensions, at every position."""
    like_share: float | None
    """Share of the text at positions like the answer's."""
    draws: int | None
    """Fewest draws of a control; None without controls."""
    others: tuple[tuple[str, float, float], ...]
    """Other domains with their accuracy before and after the ablation."""
    power: str
    """What this many prompts can show, in words."""


def decide(evidence: Evidence) -> tuple[Verdict, str]:
    """(verdict, sentence)."""
    if evidence.accuracy_low <= 1 / evidence.period:
        return "cannot be tested", (
            f"the model answers {evidence.accuracy:.0%}, no better than guessing (1 in {evidence.period}): "
            "nothing to lose"
        )
    effect, beyond = _effect(evidence)
    numbers = f"{_rotation(evidence)}{_ablation(evidence)}"
    if not effect:
        return "not causal at this power", f"{numbers}; {evidence.power}"
    if evidence.draws is not None and 1 / (1 + evidence.draws) > ALPHA:
        return "not causal at this power", f"{numbers}; {evidence.draws} draws of a control cannot show p <= {ALPHA}"
    if not beyond:
        return "not specific", f"{numbers}: controls of equal size do as much"
    if evidence.equivalent is None:
        return "causal", f"{numbers}; no text was read"
    return ("causal" if evidence.equivalent else "not specific"), f"{numbers}; {_nats(evidence)}{_others(evidence)}"


def _effect(evidence: Evidence) -> tuple[bool, bool]:
    """(is there an effect, is it beyond the controls')."""
    if evidence.moved is not None and evidence.moved_low is not None:
        return evidence.moved_low > max(
            1 / evidence.period, evidence.stayed or 0.0
        ), evidence.moved_rank is None or evidence.moved_rank <= ALPHA
    lost = evidence.ablated_p <= ALPHA and evidence.ablated < evidence.accuracy
    return lost, evidence.ablated_rank is None or evidence.ablated_rank <= ALPHA


def _rotation(evidence: Evidence) -> str:
    if evidence.moved is None:
        return ""
    control = "" if evidence.moved_control is None else f" (controls {evidence.moved_control:.2f} at most)"
    return f"turned by j, the answer moves by j in {evidence.moved:.0%}{control}; "


def _ablation(evidence: Evidence) -> str:
    control = "" if evidence.ablated_control is None else f" (controls {evidence.ablated_control:.0%} at least)"
    return f"without it accuracy falls from {evidence.accuracy:.0%} to {evidence.ablated:.0%}{control}"


def _nats(evidence: Evidence) -> str:
    parts = []
    if evidence.nats_everywhere is not None:
        random = "" if evidence.nats_random is None else f" (random bases {evidence.nats_random:+.3f})"
        parts.append(f"text changes by {evidence.nats_everywhere:+.3f} nat at every position{random}")
    if evidence.nats_like is not None and evidence.like_share is not None:
        parts.append(
            f"by {evidence.nats_like:+.3f} at the {evidence.like_share:.2%} of it that look like an answer's place"
        )
    return ", ".join(parts)


def _others(evidence: Evidence) -> str:
    """The other domain that loses most."""
    if not evidence.others:
        return ""
    name, before, after = max(evidence.others, key=lambda other: other[1] - other[2])
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


def evidence_of(experiment: Experiment, rows: Sequence[CausalRow], power: str) -> Evidence:
    """What the verdict is made from; `power`: that of the run in words."""
    baseline = experiment.baseline
    right, n = int(baseline.right.sum()), len(baseline.right)
    by_key = {(row.position, row.direction, row.intervention, row.condition): row for row in rows}
    name, own, position = experiment.name, experiment.claim.domain.name, experiment.position
    rotated, ablated = (by_key.get((position, name, what, own)) for what in ("rotate", "mean"))
    if ablated is None:  # the published protocol: zeroed at every position
        ablated = by_key.get((EVERYWHERE, name, "zero", CONDITION))
    everywhere, like = (by_key.get((where, name, "mean", "text")) for where in (EVERYWHERE, LIKE_ANSWER))
    texts = [row for row in (everywhere, like) if row is not None]
    basis = by_key.get((EVERYWHERE, "random basis", "zero", "text"))
    controls = [row for row in rows if row.direction in CONTROLS]
    # Planes of shuffled labels may well hold the circle: their ablation is no control.
    lost = [row.accuracy for row in controls if row.accuracy is not None and row.direction != "shuffled"]
    others = [
        row
        for row in rows
        if row.direction == name and row.intervention == "mean" and row.condition not in (own, "text", CONDITION)
    ]
    return Evidence(
        period=experiment.claim.period,
        accuracy=ablated.accuracy_before if ablated and ablated.accuracy_before is not None else right / n,
        accuracy_low=wilson(right, n)[0],
        moved=rotated.moved if rotated else None,
        moved_low=rotated.moved_low if rotated else None,
        stayed=rotated.stayed if rotated else None,
        moved_rank=rotated.rank if rotated else None,
        moved_control=max((row.moved for row in controls if row.moved is not None), default=None),
        ablated=ablated.accuracy if ablated and ablated.accuracy is not None else right / n,
        ablated_p=ablated.p if ablated and ablated.p is not None else 1.0,
        ablated_rank=ablated.rank if ablated else None,
        ablated_control=min(lost, default=None),
        nats_everywhere=everywhere.nats_change if everywhere else None,
        nats_like=like.nats_change if like else None,
        equivalent=any(bool(row.equivalent) for row in texts) if texts else None,
        nats_random=basis.nats_change if basis else None,
        like_share=like.edited_share if like else None,
        draws=min((row.draws for row in controls if row.draws is not None), default=None),
        others=tuple((row.condition, row.accuracy_before or 0.0, row.accuracy or 0.0) for row in others),
        power=power,
    )


def verdict_row(experiment: Experiment, rows: Rows, power: str) -> VerdictRow:
    """The verdict, and how often shuffled labels would have been given it."""
    verdict = decide(evidence_of(experiment, rows.get("causal_table", ()), power))
    layer, site, _ = experiment.location
    key = (experiment.claim.domain.name, layer, site, experiment.position, experiment.name)
    turned = [draw for draw in rows.get("causal_controls", ()) if draw.intervention == "rotate"]
    prompts = len(experiment.subset[1].right) if turned else 0
    calls = false_calls(turned, prompts, experiment.claim.period) if turned else ()
    return VerdictRow(*key, *verdict, *calls)


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
