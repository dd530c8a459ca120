"""What a claim stands on, for the page: its controls, its plane in invariant numbers, its p-values.

    controls     one entry a row of `controls.csv`: its name, R², what differs from the true search, and where it was
    measures     one line a column of `invariants.csv`: trained beside random, and what there is without a circle
    tests        the p-values that apply, with what each of them asks

Numbers that are only printed are texts already; R² that are drawn stay numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llm_probe.page.views import Row, number, p_text, r2_text

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
TESTS = {
    "p_fwer": ("corrected", "do renamed labels reach as much, anywhere that was searched?"),
    "p_holm": ("Holm", "the same over all claims of the run"),
    "p_selective": ("selective", "this period or every period? the smallest of those below, times their number"),
    "p_assignment": ("assignment", "are periods read best where their own modulus is asked for?"),
    "p_period": ("period", "does it stand out of the variance's spectrum?"),
}
"""Column of `verdicts.csv` to its name and what it asks."""


def of_claim(claim: Row, controls: Iterable[Row], invariants: Iterable[Row]) -> dict[str, Any]:
    """`controls`, `measures` (with the layers they were read at) and `tests` of one claim, from the tables' rows."""
    sides = {row["weights"]: row for row in _of(claim, invariants)}
    trained, random = sides.get("trained"), sides.get("random")
    return {
        "controls": [_control(row) for row in _of(claim, controls)],
        "measures": [] if trained is None else measures(trained, random),
        "read": [None if side is None else int(side["layer"]) for side in (trained, random)],
        "tests": tests(claim),
    }


def control_name(control: str) -> str:
    """A control in two or three words; an unknown one by its own name."""
    return CONTROL_NAMES.get(control, (control.replace("_", " "), ""))[0]


def measures(trained: Row, random: Row | None) -> list[list[str]]:
    """[name, trained, random, what there is without a circle] of every column that applies."""
    chance = f"{trained['decode_chance']:.2f}"
    noise, line = number(trained["circulant_noise"]), number(trained["circulant_line"])
    circulant = "" if noise is None or line is None else f"noise {noise:.2f}, line {line:.2f}"
    # An item that is left out is pushed to the far side where there is no signal: every angle is then off by pi alike.
    resultant = "0" if trained["quantity"] == "sum" else "0 or 1"
    columns = (
        ("resultant", "resultant of angle errors", resultant),
        ("decode_accuracy", "decoded to its residue", chance),
        ("kappa", "Cohen's κ of that", "0"),
        ("circulant_beyond_simplex", "circulant beyond a simplex", circulant),
        ("phi_share", "share of variance, Φ", ""),
        ("f_ratio", "F between residues", "1"),
        ("r2_wraps", "R² across wraps", "0"),
        ("r2_without_massive", "R² without massive dimensions", "0"),
    )
    return [
        [name, _figure(column, trained), _figure(column, random), without]
        for column, name, without in columns
        if number(trained[column]) is not None or (random is not None and number(random[column]) is not None)
    ]


def tests(claim: Row) -> list[list[str]]:
    """[name, p, what it asks] of every p that applies; the assignment's effect stands with its question."""
    effect = number(claim["assignment_effect"])
    gain = "" if effect is None else f" This one: {effect:+.2f} nats there.".replace("-", "−")
    larger = "" if number(claim["p_selective"]) is None else " Or selective, if that is larger."
    more = {"p_assignment": gain, "p_fwer": larger}
    return [
        [name, p_text(claim[column]), asks + more.get(column, "")]
        for column, (name, asks) in TESTS.items()
        if number(claim[column]) is not None
    ]


def _of(claim: Row, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if (row["domain"], row["quantity"]) == (claim["domain"], claim["quantity"])]


def _control(row: Row) -> dict[str, Any]:
    name, differs = CONTROL_NAMES.get(row["control"], (control_name(row["control"]), "labels"))
    frequency = number(row["frequency"])
    where = f"layer {int(row['layer'])}" + ("" if frequency is None else f", k = {frequency:.0f}")
    return {"name": name, "differs": differs, "r2": round(float(row["r2"]), 3), "where": where}


def _figure(column: str, row: Row | None) -> str:
    """A number of `invariants.csv` with the digits it deserves."""
    value = None if row is None else number(row[column])
    if value is None:
        return "–"
    if column == "f_ratio":
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return r2_text(value)
