"""What a claim rests on, as the page prints it beside every one of its locations: its controls, its plane in numbers
that no rotation changes, and its p-values, in the order in which a circle has to pass them, each with what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llm_probe.page.views import Row, meaning, number, p_text, r2_text, text
from llm_probe.run.vocabulary import ALPHA, FAMILY_ALPHA

CONTROL_NAMES = {
    "shuffled": ("shuffled labels", "labels"),
    "difference": ("differences a − b", "labels"),
    "sum": ("sums a + b", "labels"),
    "latin_square": ("Latin square", "labels"),
    "reordered": ("items reordered", "labels"),
    "no_modulus": ("no modulus asked", "prompts"),
    "wrong_modulus": ("other moduli asked", "prompts"),
    "random_weights": ("random weights", "weights"),
    "random_blocks": ("random blocks", "weights"),
}
"""Control to its name on the page, and to what is not that of the claim: the labels, the prompts or the weights."""
PART = "·\N{NO-BREAK SPACE}"
P_VALUES = {
    "p_fwer": "corrected",
    "p_renaming": "renaming",
    "p_selective": "selective",
    "p_assignment": PART + "assignment",
    "p_contrast": PART + "contrast",
    "p_period": PART + "period",
    "p_repeats": PART + "repeats",
    "p_order": "order",
    "p_axes": "both axes",
    "p_redrawn": "random words",
    "p_redrawn_axes": "random words, axes",
    "p_shape": "any shape",
    "p_integer": "integer",
    "embedding_p": "embedding",
    "p_holm": "Holm",
}
"""Columns of `verdicts.csv` and their short names; those with a dot (`PART`) are the parts of the one above them."""
NAMES = {
    "p_shape": "clusters or an order, if no circle is shown",
    "p_integer": "a helix of the integer, if selective is not passed",
}
"""P-values that say what it is instead of a circle."""


def control_name(control: str) -> str:
    """A control in two or three words; an unknown one by its own name."""
    return CONTROL_NAMES.get(control, (control.replace("_", " "), ""))[0]


def claim_evidence(claim: Row, controls: Iterable[Row], invariants: Iterable[Row]) -> dict[str, Any]:
    """The claim's controls, its plane in invariant numbers (with the layers they were read at) and its p-values."""
    key = claim["domain"], claim["quantity"]
    sides = {row["weights"]: row for row in invariants if (row["domain"], row["quantity"]) == key}
    trained, random = sides.get("trained"), sides.get("random")
    return {
        "controls": [_control(row) for row in controls if (row["domain"], row["quantity"]) == key],
        "measures": [] if trained is None else _plane_statistics(trained, random),
        "read": [None if side is None else int(side["layer"]) for side in (trained, random)],
        "tests": _p_values(claim),
    }


def _control(row: Row) -> dict[str, Any]:
    frequency = number(row["frequency"])
    where = f"layer {int(row['layer'])}" + ("" if frequency is None else f", k = {frequency:.0f}")
    _, differs = CONTROL_NAMES.get(row["control"], ("", "labels"))
    return {"name": control_name(row["control"]), "differs": differs, "r2": round(float(row["r2"]), 3), "where": where}


def _plane_statistics(trained: Row, random: Row | None) -> list[list[str]]:
    """[label, trained, random, what there is without a circle, column] of every registered statistic that applies."""
    from llm_probe.statistics.registry import PLANE_STATISTICS  # loads torch

    lines = []
    for column, statistic in PLANE_STATISTICS.items():
        values = [None if row is None else number(row.get(column)) for row in (trained, random)]
        if statistic.label is not None and any(value is not None for value in values):
            without = statistic.without(trained) if callable(statistic.without) else statistic.without
            label = statistic.label or column.replace("_", " ")
            shown = r2_text if statistic.bounded else _three_digits
            lines.append([label, *map(shown, values), without, column])
    return lines


def _three_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _p_values(claim: Row) -> list[list[str]]:
    """[name, p, what it is for, note, column] of every p that applies."""
    return [
        [name, p_text(claim[column]), purpose(claim, column), _note(claim, column), column]
        for column, name in P_VALUES.items()
        if number(claim[column]) is not None
    ]


def purpose(claim: Row, column: str) -> str:
    """What a p-value is for in the verdict on this claim; empty in tables without levels, which had other rules."""
    from llm_probe.verdicts.levels import NAMED  # loads torch

    p = number(claim[column])
    if not text(claim["level"]) or p is None:
        return ""
    if P_VALUES[column].startswith(PART):
        return "part of selective"
    if column in NAMES:
        return f"≤ {NAMED} names {NAMES[column]}"
    if column == "embedding_p":
        return f"≤ {ALPHA} names the origin"
    replaced = text(claim["order_null"]) == "words" and column in ("p_order", "p_axes")
    if replaced or (column == "p_renaming" and claim["quantity"] == "item"):
        return "shown only"
    needs = "`supported` needs" if column == "p_holm" else "a circle needs"
    most = {"p_holm": FAMILY_ALPHA, "p_axes": NAMED, "p_redrawn_axes": NAMED}.get(column, ALPHA)
    return f"{needs} ≤ {most}: {'passed' if p <= most else 'not passed'}"


def _note(claim: Row, column: str) -> str:
    """What there is to add to the meaning of a p-value: the effect behind it, or why it is not judged by."""
    effect = number(claim["assignment_effect"])
    if column == "p_assignment" and effect is not None:
        gain = f"{effect:+.2f}".replace("-", "−")
        return f" This claim: {gain} nats. {meaning('verdicts', 'assignment_effect')}"
    if not text(claim["level"]):
        return ""
    items = column == "p_renaming" and claim["quantity"] == "item"
    return (
        " Items are asked for their order instead: without a geometry, each word still has a vector." if items else ""
    )
