"""Tables as the page, the terminal and the figures need them, and `payload`: the JSON from which `page.js` draws.

A *place* is what one row of the map stands for: domain, quantity, site and position; with a layer it is a *location*.
The payload has the layers, the examples by domain, the meanings of the columns that the page explains, and `rows`, one
a place, each with what its claim rests on (`claim_evidence`) and its `cells` by layer:

    t, r      trained and random: R² at each of the row's `frequencies`; the best one's p and angle error;
              points, the class means on the best plane, and `step`: from an item to the next one round it
    rivals    held-out R² of planes that are parabolas; scan: share of the variance in 1/10000 at each of `periods`
    dims      the best dimensions; `reach`, the best dimension with random weights

Columns that are only printed are formatted here; R² values that are plotted stay floats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from llm_probe.run.columns import column_meanings
from llm_probe.run.table import ALPHA, EMBEDDING

FLOOR = -0.2
"""Held-out R² has no lower bound; it is drawn down to here."""
PLACE = ["domain", "quantity", "site", "position"]
VERDICTS = ("supported", "undetermined", "refuted")
RIVALS = ("quadratic", "sawtooth", "cubic")
"""Families that a dimension's circle is compared with."""
DIMENSIONS_SHOWN = 5
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
P_VALUES = {
    "p_fwer": "corrected", "p_holm": "Holm", "p_selective": "selective", "p_assignment": "assignment",
    "p_period": "period",
}  # fmt: skip
"""Columns of `verdicts.csv` and their short names."""
EXPLAINED = {
    "r2_table": ("r2_class_means", "r2_partial", "p_fwer"),
    "verdicts": ("closure", *P_VALUES),
    "scan": ("share",),
}
"""Columns whose meaning `page.js` prints beside its pictures."""

Row = Mapping[Any, Any]
CELL_TABLES = ("r2_table", "circles", "scan")
Cells = dict[int, dict[str, list[Row]]]
"""Layer to the rows of each of `CELL_TABLES`."""


# ------------------------------------------------------------------------------------------------- numbers and names


def layer_name(layer: int) -> str:
    """A block by its number, the token embedding as `emb`."""
    return "emb" if layer == EMBEDDING else str(layer)


def origin_text(claim: Row) -> str:
    """Where an item's plane comes from, in words; empty where none was shown, and for sums."""
    words = {"embedding": "in the embedding", "blocks": "not found in the embedding"}
    return "" if number(claim["embedding_r2"]) is None else words.get(text(claim["origin"]), "")


def claim_name(domain: str, quantity: str) -> str:
    """`days: sum`; arithmetic has one quantity and is called by its domain."""
    return domain if domain.startswith("mod-") else f"{domain}: {quantity}"


def number(value: Any) -> float | None:
    """A table's entry as a float; None where it is empty."""
    return None if value is None or pd.isna(value) else float(value)


def text(value: Any) -> str:
    """A table's entry as text; empty where the table has nothing."""
    return "" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def r2_text(value: Any, decimals: int = 2) -> str:
    """An R² with no more digits than it deserves: one below -1 says only that the fit is useless."""
    r2 = number(value)
    if r2 is None:
        return "–"
    if r2 < -1:
        return "< −1"
    return f"{r2:.{decimals}f}".replace("-", "−") if round(r2, decimals) else f"{0:.{decimals}f}"


def p_text(value: Any) -> str:
    """One or two significant digits of a p-value."""
    p = number(value)
    if p is None:
        return "–"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}" if p >= 0.01 else f"{p:.1g}".replace("e-0", "e-")


def rounded(values: Iterable[Any], digits: int = 3) -> list[float | None]:
    """Floats that may be missing, as JSON numbers."""
    return [None if (value := number(entry)) is None else round(value, digits) for entry in values]


def closure_text(claim: Row) -> str:
    """How far an order of items closes; empty for sums and where no order beats the null."""
    closure, p = number(claim["closure"]), number(claim["p_fwer"])
    return "" if closure is None or p is None or p > ALPHA else f"closure {r2_text(closure)}"


def cannot_do(claim: Row) -> bool:
    """Whether the model was asked and answers no better than by guessing."""
    low = number(claim["accuracy_low"])
    return low is not None and low <= 1 / claim["period"]


def angle_error(plane: Row) -> float | None:
    """Median angle error of a plane; None at half the period, where a circle is one axis and angles are 0 or pi."""
    return None if 2 * plane["frequency"] == plane["period"] else number(plane["angle_error"])


def step_round(period: int, frequency: int) -> int:
    """How far apart items are that are neighbours on the circle of this frequency; 1 where items coincide on it."""
    return pow(frequency, -1, period) if math.gcd(period, frequency) == 1 else 1


def control_name(control: str) -> str:
    """A control in two or three words; an unknown one by its own name."""
    return CONTROL_NAMES.get(control, (control.replace("_", " "), ""))[0]


@cache
def meaning(table: str, column: str) -> str:
    """What a column means: the docstring under its field, as plain text."""
    return next(words for name, _, words in column_meanings()[table] if name == column).replace("`", "")


# ------------------------------------------------------------------------------------------------------ rows of tables


def at(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows whose columns have these values."""
    chosen = pd.Series(True, index=rows.index)
    for column, value in values.items():
        chosen &= rows[column] == value
    return rows.loc[chosen]


def ordered(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Claims by strength: cyclic before linear controls, then the verdict, then the plane's R²; with a `name`."""
    named = verdicts.assign(
        name=[claim_name(*pair) for pair in zip(verdicts["domain"], verdicts["quantity"], strict=True)]
    )
    keys = pd.DataFrame({
        "control": ~named["cyclic"].to_numpy(bool),
        "rank": [VERDICTS.index(word) for word in named["verdict"]],
        "strength": -named["plane_r2"].to_numpy(float),
        "name": named["name"].to_numpy(),
    })  # fmt: skip
    return named.iloc[keys.sort_values(list(keys)).index].reset_index(drop=True)


def best_planes(r2_table: pd.DataFrame, weights: str = "trained") -> pd.DataFrame:
    """One row a location: of the planes on a circle the frequency with the largest held-out R²."""
    rows = at(r2_table, unit="plane", family="fourier", weights=weights).dropna(subset="r2_heldout")
    rows = rows.sort_values("r2_heldout", ascending=False, kind="stable").drop_duplicates([*PLACE, "layer"])
    return rows.sort_values([*PLACE, "layer"], ignore_index=True)


def map_places(verdicts: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Rows of the map in the order of the verdicts: `PLACE`, `name` (with the place where a claim has several)."""
    claims = ordered(verdicts)[["domain", "quantity", "name"]]
    places = claims.merge(planes[PLACE].drop_duplicates(), on=["domain", "quantity"], how="inner")
    several = places.duplicated(["domain", "quantity"], keep=False)
    places.loc[several, "name"] += " · " + places.loc[several, "site"] + " · " + places.loc[several, "position"]
    return places


# --------------------------------------------------------------------------------------------- what a claim rests on


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
    """[name, p, effect, column] of every p that applies; only the assignment test has an effect."""
    effect = number(claim["assignment_effect"])
    gain = "" if effect is None else f" This claim: {effect:+.2f} nats.".replace("-", "−")
    gain = gain and f"{gain} {meaning('verdicts', 'assignment_effect')}"
    return [
        [name, p_text(claim[column]), gain * (column == "p_assignment"), column]
        for column, name in P_VALUES.items()
        if number(claim[column]) is not None
    ]


# --------------------------------------------------------------------------------------------------------- the payload


def payload(frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What `page.js` draws from; row i is row i of the map."""
    planes = best_planes(frames["r2_table"])
    cells = _by_place(frames)
    layers = sorted(int(layer) for layer in planes["layer"].unique())
    claims, controls, invariants = (frames[name].to_dict("records") for name in ("verdicts", "controls", "invariants"))
    by_claim = {(claim["domain"], claim["quantity"]): claim for claim in claims}
    rows = []
    for place in map_places(frames["verdicts"], planes).to_dict("records"):
        claim = by_claim[place["domain"], place["quantity"]]
        own = cells.get(tuple(place[key] for key in PLACE), {})
        rows.append(_map_row(place, claim, own) | claim_evidence(claim, controls, invariants))
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in frames["examples"].to_dict("records"):
        words = {"prompt": text(row["prompt"]), "answer": text(row["answer"]), "wrote": text(row["model_answer"])}
        examples.setdefault(str(row["domain"]), []).append({**words, "right": bool(row["right"])})
    explained = EXPLAINED | {"invariants": [name for name, *_ in column_meanings()["invariants"]]}
    meanings = {name: {column: meaning(name, column) for column in columns} for name, columns in explained.items()}
    return {"floor": FLOOR, "layers": layers, "rows": rows, "examples": examples, "meanings": meanings}


def _by_place(frames: Mapping[str, pd.DataFrame]) -> dict[tuple[Any, ...], Cells]:
    """Cells of every place: plain records, because a cell has too few rows to be worth a frame."""
    places: dict[tuple[Any, ...], Cells] = {}
    for name in CELL_TABLES:
        for row in frames[name].to_dict("records"):
            # The scan has no quantity: only sums are scanned.
            place = (row["domain"], row.get("quantity", "sum"), row["site"], row["position"])
            cell = places.setdefault(place, {}).setdefault(int(row["layer"]), {table: [] for table in CELL_TABLES})
            cell[name].append(row)
    return places


def _map_row(place: Row, claim: Row, cells: Cells) -> dict[str, Any]:
    frequencies = sorted({int(row["frequency"]) for cell in cells.values() for row in _circular(cell["r2_table"])})
    periods = sorted({row["scanned_period"] for cell in cells.values() for row in cell["scan"]}, reverse=True)
    items = {int(row["label"]): str(row["item"]) for cell in cells.values() for row in cell["circles"]}
    accuracy = number(claim["accuracy"])
    note = "" if accuracy is None else f"accuracy {accuracy:.2f}"
    return {
        **{key: place[key] for key in ("name", *PLACE)},
        "verdict": claim["verdict"],
        "note": note if claim["cyclic"] else "linear control",
        "confirmed": rounded(claim[key] for key in ("plane_r2", "plane_r2_low", "plane_r2_high")),
        "closure": closure_text(claim),
        "p_period": number(claim["p_period"]),
        "null": round(float(claim["null_r2"]), 3),
        "layer": int(claim["layer"]),
        "k": int(claim["frequency"]),
        "period": int(claim["period"]),
        "items": [items[label] for label in sorted(items)],
        "frequencies": frequencies,
        "periods": rounded(periods, 4),
        "cells": {
            layer: _cell(cell, frequencies, periods) for layer, cell in sorted(cells.items()) if cell["r2_table"]
        },
    }


def _circular(rows: Iterable[Row]) -> list[Row]:
    """Planes on a circle, as in `best_planes`."""
    planes = (row for row in rows if row["unit"] == "plane" and row["family"] == "fourier")
    return [row for row in planes if number(row["r2_heldout"]) is not None]


def _cell(tables: Mapping[str, list[Row]], frequencies: list[int], periods: list[float]) -> dict[str, Any]:
    sides = {name: [row for row in tables["r2_table"] if row["weights"] == name] for name in ("trained", "random")}
    points = {name: [row for row in tables["circles"] if row["weights"] == name] for name in sides}
    shares: dict[str, dict[float, float]] = {}
    for row in tables["scan"]:
        shares.setdefault(row["weights"][0], {})[row["scanned_period"]] = row["share"]
    return {
        **{name[0]: _plane(rows, points[name], frequencies) for name, rows in sides.items()},
        "rivals": {
            row["family"]: rounded([row["r2_heldout"]])[0]
            for row in sides["trained"]
            if row["unit"] == "plane" and row["family"] != "fourier"
        },
        # Integers in 1/10000: the scan is most of the page.
        "scan": {
            kind: [round(10_000 * share[period]) if period in share else None for period in periods]
            for kind, share in shares.items()
        },
        "dims": best_dimensions(sides["trained"])[:DIMENSIONS_SHOWN],
        "reach": best_dimensions(sides["random"])[:1],
    }


def _plane(rows: list[Row], circle: list[Row], frequencies: list[int]) -> dict[str, Any] | None:
    """One side of a cell; None where these weights were not run."""
    planes = {int(row["frequency"]): row for row in _circular(rows)}
    if not planes:
        return None
    best = max(planes.values(), key=lambda row: row["r2_heldout"])
    return {
        "r2": rounded(planes[k]["r2_heldout"] if k in planes else None for k in frequencies),
        "k": int(best["frequency"]),
        "p": number(best["p_fwer"]),
        "step": step_round(int(best["period"]), int(best["frequency"])),
        "error": rounded([angle_error(best)], 2)[0],
        "share": rounded([best["variance_share"]])[0],
        "templates": rounded([best["r2_heldout_templates"]])[0],
        "residues": rounded([best["r2_heldout_residues"]])[0],
        "groups": int(best["n_groups"]),
        "prompts": int(best["n_prompts"]),
        "points": [rounded((row["x"], row["y"])) for row in sorted(circle, key=lambda row: int(row["label"]))],
    }


def best_dimensions(rows: Iterable[Row]) -> list[list[int | float | None]]:
    """[dim, frequency, class-mean R² of circle and `RIVALS`, partial R², its frequency, p] of a cell's dimensions,
    the largest class-mean R² of the circle first."""
    families: dict[int, dict[str, list[Row]]] = {}
    for row in rows:
        if row["unit"] == "dimension":
            families.setdefault(int(row["dim"]), {}).setdefault(row["family"], []).append(row)
    best = []
    for dim, family in families.items():
        if circles := family.get("fourier"):
            published, partial = (
                max(circles, key=lambda row: _or_less(row[column])) for column in ("r2_class_means", "r2_partial")
            )
            rivals = [family[name][0]["r2_class_means"] if name in family else None for name in RIVALS]
            strength = _or_less(published["r2_class_means"]), _or_less(partial["r2_partial"])
            r2 = rounded([published["r2_class_means"], *rivals, partial["r2_partial"]])
            frequencies = number(published["frequency"]), number(partial["frequency"])
            best.append((strength, [dim, frequencies[0], *r2, frequencies[1], number(partial["p_fwer"])]))
    return [entry for _, entry in sorted(best, key=lambda pair: pair[0], reverse=True)]


def _or_less(value: Any) -> float:
    """A number to sort by; an empty entry is below everything."""
    known = number(value)
    return float("-inf") if known is None else known
