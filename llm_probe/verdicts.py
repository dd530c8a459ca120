"""From findings to a word: supported, refuted or undetermined, with the reason on the same line.

`supported` needs every one of these, each of which could have come out the other way:

1. the best plane beats the renaming null, corrected over all that was searched (p <= 0.01);
2. it holds on confirmation prompts: the lower end of the 95 % interval is above 0 …
3. … and above the upper end of what the same search reaches with random weights;
4. for items: no parabola in the item's index is read better when an item is left out, and the order closes - the
   last item is nearer to the first than half way from opposite to adjacent (`closure` >= 0.5);
5. where operands span many periods: the own period stands out in the variance spectrum (`scan`, p <= 0.01).

`refuted`: 1 or 4 fails clearly (p > 0.05, a parabola is better, or the ends are apart). Anything between is
`undetermined`, and so is a claim the null cannot decide because its items have too few orders.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_probe.analysis import Best
from llm_probe.behaviour import wilson
from llm_probe.claims import Claim
from llm_probe.table import ALPHA, BehaviourRow, Quantity, Verdict, VerdictRow
from toy.fourier import noise_maximum

CLEARLY_NOT = 0.05
CLOSED = 0.5
"""Half way between ends as far apart as opposite items (0) and ends that are neighbours (1)."""


def judge(  # noqa: PLR0911 - one return a reason
    quantity: Quantity, trained: Best, random: Best | None, undecidable: str | None
) -> tuple[Verdict, str]:
    """The verdict on a claim and its reason in words; `undecidable` is a reason that no p-value could be small."""
    published = _published(trained, random)
    if undecidable:
        return "undetermined", undecidable
    if trained.p_fwer > CLEARLY_NOT:
        return "refuted", f"no plane beats renamed labels{published}"
    if trained.p_fwer > ALPHA:
        return "undetermined", f"p between {ALPHA} and {CLEARLY_NOT}{published}"
    if quantity == "item":
        if trained.parabola_r2 >= trained.discovery_r2:
            numbers = f"a parabola has R² {trained.parabola_r2:.2f} where the circle has {trained.discovery_r2:.2f}"
            return "refuted", f"explained by order: {numbers}"
        if trained.closure is None or trained.closure <= 0:
            return "refuted", "ordered, but it does not close: the last item is not next to the first"
        if trained.closure < CLOSED:
            return "undetermined", f"ordered, and half closed: {trained.closure:.2f}, where a circle has 1 and a line 0"
    if trained.r2_low <= 0:
        return "undetermined", "does not hold on the confirmation prompts"
    if random is not None and trained.r2_low <= random.r2_high:
        return "undetermined", f"random weights reach {random.r2:.2f} too"
    if trained.p_period is not None and trained.p_period > ALPHA:
        return "undetermined", "other periods are as strong: the integer is there, not its residue alone"
    if random is None:
        return "undetermined", "beats its null, but no random-weights control was run"
    return "supported", f"{'holds' if trained.frequency == 1 else f'k = {trained.frequency} holds'} on new prompts"


def _published(trained: Best, random: Best | None) -> str:
    """How the published statistic would have looked, as a clause."""
    if trained.published is None:
        return ""
    clause = f"; class-mean R² {trained.published.r2:.3f} (dim {trained.published.dim})"
    return clause + (f", random reaches {random.published.r2:.3f}" if random and random.published else "")


def verdict_row(
    claim: Claim,
    trained: Best,
    random: Best | None,
    accuracy: tuple[float, float, float] | None,
    undecidable: str | None,
    searched_dimensions: int,
) -> VerdictRow:
    """The row of the verdict table; `accuracy` is (value, low, high), `undecidable` as for `judge`."""
    verdict, reason = judge(claim.quantity, trained, random, undecidable)
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
        p_period=trained.p_period,
        closure=trained.closure,
        best_dim=published.dim if published else None,
        best_dim_layer=published.layer if published else None,
        best_dim_frequency=published.frequency if published else None,
        class_mean_r2=published.r2 if published else None,
        random_class_mean_r2=random.published.r2 if random and random.published else None,
        noise_class_mean_r2=noise_maximum(claim.period, searched_dimensions) if published else None,
        verdict=verdict,
        reason=reason,
        n_discovery=trained.n_discovery,
        n_confirmation=trained.n_confirmation,
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


def accuracy_of(rows: Sequence[BehaviourRow]) -> tuple[float, float, float] | None:
    """Exact match over every template of the decoupled grid, with its Wilson interval; None without behaviour."""
    asked = sum(row.n_prompts for row in rows if row.grid == "decoupled")
    if not asked:
        return None
    right = sum(round(row.exact * row.n_prompts) for row in rows if row.grid == "decoupled")
    low, high = wilson(right, asked)
    return right / asked, low, high
