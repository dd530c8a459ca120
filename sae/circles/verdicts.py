"""Do features carry a circle better than planes, and better than in a random network? One answer a claim and layer.

From the ladder of every SAE of a layer (`ladder.LadderRow`), D = R²(best group) - R²(best plane), confirmation prompts:

    features beat planes   every trained SAE: the group beats its renaming null (p <= 0.01), the interval of D is above
                           0, and its R² lies above that of every random-weights group
    no better              every trained SAE: the interval of D is below `MARGIN`, and the plane or a group beats its
                           null, so that there is a circle to carry
    undetermined           anything else, with the reason

The margin is the smallest difference of R² worth a name; it was set before any SAE was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from llm_probe.run.table import ALPHA, Quantity, Site
from sae.circles.table import FeatureAnswer, FeatureVerdict, LadderRow

MARGIN = 0.01


def verdicts(ladder: Sequence[LadderRow]) -> Iterator[FeatureVerdict]:
    """Every claim and layer of a ladder that has a group and a plane, in its order."""
    by_place: dict[tuple[str, Quantity, int, Site], list[LadderRow]] = {}
    for row in ladder:
        by_place.setdefault((row.domain, row.quantity, row.layer, row.site), []).append(row)
    for rows in by_place.values():
        group, plane, random = (
            [row for row in rows if (row.weights, row.rung) == kind]
            for kind in (("trained", "group"), ("trained", "plane"), ("random", "group"))
        )
        if group and plane:
            yield _verdict(group, plane, random)


def _verdict(group: list[LadderRow], plane: list[LadderRow], random: list[LadderRow]) -> FeatureVerdict:
    low, high = min(row.beyond_plane_low for row in group), max(row.beyond_plane_high for row in group)
    better = min(row.r2_low for row in group) > max(row.r2_high for row in random) if random else None
    passed = [row.p_renaming is not None and row.p_renaming <= ALPHA for row in (*group, *plane)]
    answer, reason = _answer(carried=all(passed[: len(group)]), anything=any(passed), low=low, high=high, better=better)
    return FeatureVerdict(
        domain=group[0].domain,
        quantity=group[0].quantity,
        layer=group[0].layer,
        site=group[0].site,
        verdict=answer,
        better_than_random=better,
        group_r2=fmean(row.r2 for row in group),
        plane_r2=fmean(row.r2 for row in plane),
        beyond_plane_low=low,
        beyond_plane_high=high,
        random_group_r2=fmean(row.r2 for row in random) if random else None,
        n_saes=len(group),
        reason=reason,
    )


def _answer(
    *, carried: bool, anything: bool, low: float, high: float, better: bool | None
) -> tuple[FeatureAnswer, str]:
    between = f"difference to the plane {low:.2f} to {high:.2f}"
    if not anything:
        return "undetermined", "neither a plane nor a group beats renamed labels: there is no circle to carry here"
    if high < MARGIN:
        return "no better", between
    if low <= 0:
        return "undetermined", between
    if not carried:
        return "undetermined", "the groups do not all beat renamed labels"
    if better is None:
        return "undetermined", f"{between}, but no random-weights SAE was given to compare with"
    return ("features beat planes", between) if better else ("undetermined", "random-weights groups reach as far")
