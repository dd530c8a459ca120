"""From findings to a word: supported, refuted or undetermined, with the reason on the same line.

`supported` needs every one of these, each of which could have come out the other way:

1. the best plane beats the renaming null, corrected over all that was searched (p <= 0.01);
2. where operands are numbers: it is this period and not every period (`joined`: p_selective <= 0.01), and either it
   stands out of its neighbourhood or no other modulus' prompts carry it as much;
3. it holds on confirmation prompts: the lower end of the 95 % interval is above 0 …
4. … above the upper end of what the same search reaches with random weights …
5. … and above what it reads of every control label (`selectivity`);
6. no simpler quantity takes the circle away (`hypotheses`);
7. for items: no parabola in the item's index is read better when an item is left out, and the order closes - the
   last item is nearer to the first than half way from opposite to adjacent (`closure` >= 0.5).

`refuted`: 1 or 7 fails clearly (p > 0.05, a parabola is better, or the ends are apart). Anything between is
`undetermined`, and so is a claim the null cannot decide because its items have too few orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from llm_probe.questions.claims import Claim
from llm_probe.run.table import ALPHA, BehaviourRow, Control, ControlRow, Quantity, Verdict, VerdictRow
from llm_probe.verdicts.analysis import Best
from llm_probe.verdicts.joined import Judged
from toy.maths.fourier import noise_maximum
from toy.maths.intervals import holm, wilson

CLEARLY_NOT = 0.05
CLOSED = 0.5
"""Half way between ends as far apart as opposite items (0) and ends that are neighbours (1)."""
CONTROLS: dict[Control, str] = {
    "shuffled": "shuffled labels",
    "latin_square": "answers to a task without a circle",
    "reordered": "items in another order",
}
"""Control labels in words: the same prompts, a label that should not be read. The other operation is reported and not
judged by: a square of a circle of a + b holds a - b as well, so a model may have reason to carry it."""


def judge(  # noqa: PLR0911 - one return a reason
    quantity: Quantity, trained: Judged, random: Judged | None, undecidable: str | None
) -> tuple[Verdict, str]:
    """The verdict on a claim and its reason in words; `undecidable` is a reason that no p-value could be small."""
    best = trained.best
    published = _published(best, random.best if random else None)
    if undecidable:
        return "undetermined", undecidable
    if trained.p_renaming > CLEARLY_NOT:
        return "refuted", f"no plane beats renamed labels{published}"
    if trained.p_renaming > ALPHA:
        return "undetermined", f"p between {ALPHA} and {CLEARLY_NOT}{published}"
    if quantity == "item" and (found := _order(best)) is not None:
        return found
    if trained.p_selective is not None and trained.p_selective > ALPHA:
        because = "; " + trained.note if trained.note and trained.p_assignment is None else ""
        return "undetermined", f"other periods are as strong: the integer is there, not its residue alone{because}"
    if quantity == "sum" and trained.adds_numbers and trained.p_selective is None:
        return "undetermined", "its sums span too few periods to tell this period from every other"
    if (trained.rank or 1) > 1 and (best.p_period is None or best.p_period > ALPHA):
        # The assignment's p is of all moduli together: which of them it was, their own ranks say.
        return "undetermined", f"its period is read as well under {(trained.rank or 1) - 1} other moduli"
    if best.r2_low <= 0:
        return "undetermined", "does not hold on the confirmation prompts"
    if random is not None and best.r2_low <= random.best.r2_high:
        return "undetermined", f"random weights reach {random.best.r2:.2f} too"
    if (control := strongest_control(trained)) is not None and best.r2_low <= control.r2:
        return "undetermined", f"{CONTROLS[control.control]} are read as well: R² {control.r2:.2f}"
    if best.explained_by is not None:
        return "undetermined", f"explained by something simpler: {best.explained_by}"
    if random is None:
        return "undetermined", "beats its null, but no random-weights control was run"
    return "supported", f"{'holds' if best.frequency == 1 else f'k = {best.frequency} holds'} on new prompts"


def _order(best: Best) -> tuple[Verdict, str] | None:
    """Why items that are ordered are not on a circle; None if they may be."""
    if best.parabola_r2 >= best.discovery_r2:
        numbers = f"a parabola has R² {best.parabola_r2:.2f} where the circle has {best.discovery_r2:.2f}"
        return "refuted", f"explained by order: {numbers}"
    if best.closure is None or best.closure <= 0:
        return "refuted", "ordered, but it does not close: the last item is not next to the first"
    if best.closure < CLOSED:
        return "undetermined", f"ordered, and half closed: {best.closure:.2f}, where a circle has 1 and a line 0"
    return None


def strongest_control(trained: Judged) -> ControlRow | None:
    """The control label that is read best; None where none applies."""
    labels = [row for row in trained.controls if row.control in CONTROLS]
    return max(labels, key=lambda row: row.r2, default=None)


def _published(trained: Best, random: Best | None) -> str:
    """How the published statistic would have looked, as a clause."""
    if trained.published is None:
        return ""
    clause = f"; class-mean R² {trained.published.r2:.3f} (dim {trained.published.dim})"
    return clause + (f", random reaches {random.published.r2:.3f}" if random and random.published else "")


def verdict_row(
    claim: Claim,
    judged: Judged,
    control: Judged | None,
    accuracy: tuple[float, float, float] | None,
    undecidable: str | None,
    searched_dimensions: int,
) -> VerdictRow:
    """The row of the verdict table; `accuracy` is (value, low, high), `undecidable` as for `judge`."""
    verdict, reason = judge(claim.quantity, judged, control, undecidable)
    trained, random, label_control = judged.best, control.best if control else None, strongest_control(judged)
    value, low, high = accuracy or (None, None, None)
    published = trained.published
    return VerdictRow(
        domain=claim.domain.name,
        period=claim.period,
        quantity=claim.quantity,
        cyclic=claim.domain.cyclic,
        accuracy=value,
        accuracy_low=low,
        accuracy_high=high,
        layer=trained.layer,
        layers_held=ranges(trained.layers_held),
        site=trained.site,
        position=trained.position,
        frequency=trained.frequency,
        plane_r2=trained.r2,
        plane_r2_low=trained.r2_low,
        plane_r2_high=trained.r2_high,
        random_r2=random.r2 if random else None,
        null_r2=trained.null_r2,
        angle_error=trained.angle_error,
        random_angle_error=random.angle_error if random else None,
        p_fwer=trained.p_fwer,
        p_holm=trained.p_fwer,
        p_selective=judged.p_selective,
        p_assignment=judged.p_assignment,
        assignment_effect=judged.effect,
        p_period=trained.p_period,
        closure=trained.closure,
        best_dim=published.dim if published else None,
        best_dim_layer=published.layer if published else None,
        best_dim_frequency=published.frequency if published else None,
        class_mean_r2=published.r2 if published else None,
        random_class_mean_r2=random.published.r2 if random and random.published else None,
        noise_class_mean_r2=noise_maximum(claim.period, searched_dimensions) if published else None,
        control=label_control.control if label_control else None,
        control_r2=label_control.r2 if label_control else None,
        explained_by=trained.explained_by,
        verdict=verdict,
        reason=reason,
        n_discovery=trained.n_discovery,
        n_confirmation=trained.n_confirmation,
    )


def with_holm(rows: Sequence[VerdictRow]) -> list[VerdictRow]:
    """The rows with `p_holm` over all of them."""
    if not rows:
        return []
    adjusted = holm(torch.tensor([row.p_fwer for row in rows], dtype=torch.float64)).tolist()
    return [replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=True)]


def ranges(layers: tuple[int, ...]) -> str:
    """(1, 2, 3, 7) as `1-3, 7`."""
    parts: list[list[int]] = []
    for layer in sorted(layers):
        if parts and layer == parts[-1][-1] + 1:
            parts[-1].append(layer)
        else:
            parts.append([layer])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def accuracy_of(rows: Sequence[BehaviourRow]) -> tuple[float, float, float] | None:
    """Exact match over every template of the decoupled grid, with its Wilson interval; None without behaviour."""
    asked = sum(row.n_prompts for row in rows if row.grid == "decoupled")
    if not asked:
        return None
    right = sum(round(row.exact * row.n_prompts) for row in rows if row.grid == "decoupled")
    low, high = wilson(right, asked)
    return right / asked, low, high
