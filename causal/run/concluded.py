"""From the pieces of an experiment to ranks among its controls and to the evidence of its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from causal.controls.specificity import LIKE_ANSWER
from causal.experiments.effects import rank
from causal.experiments.experiment import Experiment
from causal.interventions.batches import EVERYWHERE
from causal.run.table import CausalRow, ControlDraw, Piece, VerdictRow
from causal.run.verdicts import ALPHA, Evidence, judge
from toy.maths.intervals import wilson


def ranked(piece: Piece) -> Piece:
    """The same piece; the found directions' `mean` and `rotate` have their rank among every control's draws."""
    controls = {draw.control for draw in piece.of(ControlDraw)}
    position = {draw.position for draw in piece.of(ControlDraw)}
    rows: list[CausalRow] = []
    for row in piece.of(CausalRow):
        tested = row.intervention in ("mean", "rotate") and row.direction.startswith(("planes", "dim", "features"))
        if not (tested and row.position in position and row.condition == row.domain):
            rows.append(row)
            continue
        against = {
            name: _rank(row, [one for one in piece.of(ControlDraw) if one.control == name]) for name in sorted(controls)
        }
        known = {name: found for name, found in against.items() if found is not None}
        if not known:
            rows.append(row)
            continue
        worst = max(known, key=lambda name: known[name])
        draws = sum(one.control == worst and one.intervention == row.intervention for one in piece.of(ControlDraw))
        rows.append(replace(row, rank=known[worst], against=worst, draws=draws))
    others = {name: kept for name, kept in piece.tables.items() if name != "causal_table"}
    return Piece({"causal_table": rows, **others})


def _rank(row: CausalRow, draws: list[ControlDraw]) -> float | None:
    """Share of draws that do as much: move as many answers, or leave as few right."""
    values = [draw.effect for draw in draws if draw.intervention == row.intervention]
    own = row.moved if row.intervention == "rotate" else row.accuracy
    if not values or own is None:
        return None
    return rank(own, values) if row.intervention == "rotate" else rank(-own, [-value for value in values])


def evidence_of(experiment: Experiment, piece: Piece, planned: str) -> Evidence:
    """What the verdict is made from; `planned`: the power of the run in words."""
    bench = experiment.bench
    right, n = int(bench.right.sum()), len(bench.right)
    rows = {(row.position, row.direction, row.intervention, row.condition): row for row in piece.of(CausalRow)}
    name, own, place = experiment.name, experiment.claim.domain.name, experiment.position
    rotated, ablated = rows.get((place, name, "rotate", own)), rows.get((place, name, "mean", own))
    if ablated is None:  # the published protocol: zeroed at every position
        ablated = rows.get((EVERYWHERE, name, "zero", "published"))
    texts = [rows.get((where, name, "mean", "text")) for where in (EVERYWHERE, LIKE_ANSWER)]
    controls = [row for row in piece.of(CausalRow) if row.direction in ("random", "matched", "shuffled")]
    moved = [row.moved for row in controls if row.moved is not None]
    # Planes of shuffled labels may well hold the circle: their ablation is no control.
    lost = [row.accuracy for row in controls if row.accuracy is not None and row.direction != "shuffled"]
    known = [row for row in texts if row is not None]
    others = [
        row
        for row in piece.of(CausalRow)
        if row.direction == name and row.intervention == "mean" and row.condition not in (own, "text", "published")
    ]
    basis = rows.get((EVERYWHERE, "random basis", "zero", "text"))
    return Evidence(
        period=experiment.claim.period,
        accuracy=ablated.accuracy_before if ablated and ablated.accuracy_before is not None else right / n,
        accuracy_low=wilson(right, n)[0],
        moved=rotated.moved if rotated else None,
        moved_low=rotated.moved_low if rotated else None,
        stayed=rotated.stayed if rotated else None,
        moved_rank=rotated.rank if rotated else None,
        moved_control=max(moved, default=None),
        ablated=ablated.accuracy if ablated and ablated.accuracy is not None else right / n,
        ablated_p=ablated.p if ablated and ablated.p is not None else 1.0,
        ablated_rank=ablated.rank if ablated else None,
        ablated_control=min(lost, default=None),
        nats_everywhere=texts[0].nats_change if texts[0] else None,
        nats_like=texts[1].nats_change if texts[1] else None,
        equivalent=any(bool(row.equivalent) for row in known) if known else None,
        nats_random=basis.nats_change if basis else None,
        like_share=texts[1].edited_share if texts[1] else None,
        draws=min((row.draws for row in controls if row.draws is not None), default=None),
        others=tuple((row.condition, row.accuracy_before or 0.0, row.accuracy or 0.0) for row in others),
        power=planned,
    )


def verdict_row(experiment: Experiment, piece: Piece, planned: str) -> VerdictRow:
    """The verdict, and how often shuffled labels would have been given it."""
    found = judge(evidence_of(experiment, piece, planned))
    layer, site, _ = experiment.place
    place = (experiment.claim.domain.name, layer, site, experiment.position, experiment.name)
    turned = [draw for draw in piece.of(ControlDraw) if draw.intervention == "rotate"]
    if not turned:
        return VerdictRow(*place, *found)
    return VerdictRow(*place, *found, *false_calls(turned, len(experiment.few[1].right), experiment.claim.period))


def false_calls(draws: Sequence[ControlDraw], prompts: int, period: int) -> tuple[int, int]:
    """(how many, of how many) turns of shuffled labels the rule of `verdicts` would call an effect beyond its controls.

    Each is judged as a found circle is: against chance, against staying, and by its rank among the draws of every
    control, the other shuffled labels too.
    """
    effects = {name: [draw.effect for draw in draws if draw.control == name] for name in {d.control for d in draws}}
    shuffled = [draw for draw in draws if draw.control == "shuffled"]
    called = 0
    for draw in shuffled:
        low = wilson(round(draw.effect * prompts), prompts)[0]
        beyond = all(rank(draw.effect, values) <= ALPHA for values in effects.values())
        called += low > max(1 / period, draw.stayed) and beyond
    return called, len(shuffled)
