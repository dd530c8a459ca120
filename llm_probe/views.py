"""Tables as pictures need them: what the page and the figures have in common.

A *place* is what one row of the map stands for: domain, quantity, site and position; with a layer it is a *cell*.
`payload` is the JSON from which `page.js` draws:

    layers, examples by domain, and `rows`, one a place, each with its `cells` by layer:
        t, r      trained and random: R² at each of the row's `frequencies`; the best one's p and angle error;
                  points, the class means on the best plane, and `step`: from an item to the next one round it
        rivals    held-out R² of planes that are parabolas
        scan      share of the variance in 1/10000 at each of the row's `periods`
        dims      the best dimensions; `reach`, the best dimension with random weights
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from llm_probe.table import ALPHA

FLOOR = -0.2
"""Held-out R² has no lower bound; it is drawn down to here."""
PLACE = ["domain", "quantity", "site", "position"]
VERDICTS = ("supported", "undetermined", "refuted")
RIVALS = {"quadratic": "parabola", "sawtooth": "sawtooth", "cubic": "cubic"}
"""Families that a dimension's circle is compared with, and what they are called."""
DIMENSIONS_SHOWN = 5

Row = Mapping[Any, Any]
Cells = dict[tuple[Any, ...], list[Row]]


def claim_name(domain: str, quantity: str) -> str:
    """`days: sum`; arithmetic has one quantity and is called by its domain."""
    return domain if domain.startswith("mod-") else f"{domain}: {quantity}"


def number(value: Any) -> float | None:
    """A cell of a table as a float; None where it is empty."""
    return None if value is None or pd.isna(value) else float(value)


def text(value: Any) -> str:
    """A text cell; empty where the table has nothing."""
    return "" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def r2_text(value: Any, decimals: int = 2) -> str:
    """An R² with no more digits than it deserves: one below -1 says only that the fit is useless."""
    r2 = number(value)
    if r2 is None:
        return "–"
    if r2 < -1:
        return "< −1"
    return f"{r2:.{decimals}f}".replace("-", "−") if round(r2, decimals) else f"{0:.{decimals}f}"


def closure_text(claim: Row) -> str:
    """How far an order of items closes; empty for sums and where no order beats the null."""
    closure, p = number(claim["closure"]), number(claim["p_fwer"])
    if closure is None or p is None or p > ALPHA:
        return ""
    return f"closure {r2_text(closure)}"


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


def p_text(value: Any) -> str:
    """One or two significant digits of a p-value."""
    p = number(value)
    if p is None:
        return "–"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}" if p >= 0.01 else f"{p:.1g}"


def ordered(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Claims by strength: cyclic before linear controls, then the verdict, then the plane's R²; with a `name`."""
    rank = {name: index for index, name in enumerate(VERDICTS)}
    named = verdicts.assign(
        name=[claim_name(*pair) for pair in zip(verdicts["domain"], verdicts["quantity"], strict=True)],
        _control=~verdicts["cyclic"].astype(bool),
        _rank=[rank[word] for word in verdicts["verdict"]],
        _strength=-verdicts["plane_r2"].astype(float),
    )
    return named.sort_values(["_control", "_rank", "_strength", "name"], ignore_index=True).drop(
        columns=["_control", "_rank", "_strength"]
    )


def plane_rows(r2_table: pd.DataFrame, weights: str = "trained") -> pd.DataFrame:
    """The rows of planes on a circle, one a place, layer and frequency."""
    chosen = (r2_table["unit"] == "plane") & (r2_table["family"] == "fourier") & (r2_table["weights"] == weights)
    return r2_table.loc[chosen & r2_table["r2_heldout"].notna()]


def best_planes(r2_table: pd.DataFrame, weights: str = "trained") -> pd.DataFrame:
    """One row a place and layer: the frequency with the largest held-out R²."""
    rows = plane_rows(r2_table, weights).sort_values("r2_heldout", ascending=False, kind="stable")
    return rows.drop_duplicates([*PLACE, "layer"]).sort_values([*PLACE, "layer"], ignore_index=True)


def map_places(verdicts: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Rows of the map in the order of the verdicts: `PLACE`, `name` (with the place where a claim has several)."""
    claims = ordered(verdicts)[["domain", "quantity", "name"]]
    places = claims.merge(planes[PLACE].drop_duplicates(), on=["domain", "quantity"], how="inner")
    several = places.duplicated(["domain", "quantity"], keep=False)
    places.loc[several, "name"] += " · " + places.loc[several, "site"] + " · " + places.loc[several, "position"]
    return places


def at(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows whose columns have these values."""
    chosen = pd.Series(True, index=rows.index)
    for column, value in values.items():
        chosen &= rows[column] == value
    return rows.loc[chosen]


def dimension_table(cell: Iterable[Row]) -> list[dict[str, Any]]:
    """The dimensions of a cell, best first: class-mean R² of the circle and of its rivals, partial R², corrected p."""
    by_dim: dict[int, dict[str, list[Row]]] = {}
    for row in cell:
        if row["unit"] == "dimension":
            by_dim.setdefault(int(row["dim"]), {}).setdefault(row["family"], []).append(row)
    found = []
    for dim, families in by_dim.items():
        circles = families.get("fourier")
        if not circles:
            continue
        published, partial = (
            max(circles, key=lambda row: _or_less(row[column])) for column in ("r2_class_means", "r2_partial")
        )
        rivals = {family: number(families[family][0]["r2_class_means"]) for family in RIVALS if family in families}
        found.append(
            {
                "dim": dim,
                "frequency": number(published["frequency"]),
                "fourier": number(published["r2_class_means"]),
                **dict.fromkeys(RIVALS),
                **rivals,
                "partial": number(partial["r2_partial"]),
                "partial_frequency": number(partial["frequency"]),
                "p": number(partial["p_fwer"]),
            }
        )
    return sorted(found, key=lambda row: (_or_less(row["fourier"]), _or_less(row["partial"])), reverse=True)


def _or_less(value: Any) -> float:
    """A number to sort by; an empty cell is below everything."""
    found = number(value)
    return float("-inf") if found is None else found


def rounded(values: Any, digits: int = 3) -> list[float | None]:
    """Floats that may be missing, as JSON numbers."""
    found = [number(value) for value in values]
    return [None if value is None else round(value, digits) for value in found]


def payload(frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What `page.js` draws from; row i is row i of the map."""
    planes = best_planes(frames["r2_table"])
    claims = {(claim["domain"], claim["quantity"]): claim for claim in frames["verdicts"].to_dict("records")}
    tables = {name: _by_cell(frames[name]) for name in ("r2_table", "circles", "scan")}
    layers = sorted(int(layer) for layer in planes["layer"].unique())
    rows = [
        _place_payload(place, claims[place["domain"], place["quantity"]], tables, layers)
        for place in map_places(frames["verdicts"], planes).to_dict("records")
    ]
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in frames["examples"].to_dict("records"):
        said = {"prompt": text(row["prompt"]), "answer": text(row["answer"]), "wrote": text(row["model_answer"])}
        examples.setdefault(str(row["domain"]), []).append({**said, "right": bool(row["right"])})
    return {"floor": FLOOR, "layers": layers, "rows": rows, "examples": examples}


def _by_cell(rows: pd.DataFrame) -> Cells:
    """Rows of a table by place and layer: plain records, because a cell has too few rows to be worth a frame."""
    cells: Cells = {}
    for row in rows.to_dict("records"):
        # The scan has no quantity: only sums are scanned.
        key = (row["domain"], row.get("quantity", "sum"), row["site"], row["position"], int(row["layer"]))
        cells.setdefault(key, []).append(row)
    return cells


def _place_payload(place: Row, claim: Row, tables: Mapping[str, Cells], layers: list[int]) -> dict[str, Any]:
    found = {
        layer: {name: cells.get((*(place[key] for key in PLACE), layer), []) for name, cells in tables.items()}
        for layer in layers
    }
    frequencies = sorted({int(row["frequency"]) for cell in found.values() for row in _circular(cell["r2_table"])})
    periods = sorted({row["scanned_period"] for cell in found.values() for row in cell["scan"]}, reverse=True)
    items = {int(row["label"]): str(row["item"]) for cell in found.values() for row in cell["circles"]}
    return {
        **{key: place[key] for key in ("name", *PLACE)},
        "verdict": claim["verdict"],
        "note": _note(claim),
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
            layer: _cell_payload(cell, frequencies, periods) for layer, cell in found.items() if cell["r2_table"]
        },
    }


def _note(claim: Row) -> str:
    """What a reader should know of a claim wherever its name stands."""
    if not claim["cyclic"]:
        return "linear control"
    accuracy = number(claim["accuracy"])
    return "" if accuracy is None else f"accuracy {accuracy:.2f}"


def _circular(rows: Iterable[Row], weights: str | None = None) -> list[Row]:
    """Planes on a circle, as `plane_rows`."""
    return [
        row
        for row in rows
        if row["unit"] == "plane" and row["family"] == "fourier" and weights in (None, row["weights"])
        and number(row["r2_heldout"]) is not None
    ]  # fmt: skip


def _cell_payload(tables: Mapping[str, list[Row]], frequencies: list[int], periods: list[float]) -> dict[str, Any]:
    cell = {name: [row for row in tables["r2_table"] if row["weights"] == name] for name in ("trained", "random")}
    rivals = [row for row in cell["trained"] if row["unit"] == "plane" and row["family"] != "fourier"]
    return {
        "t": _weights_payload(cell["trained"], tables["circles"], frequencies, "trained"),
        "r": _weights_payload(cell["random"], tables["circles"], frequencies, "random"),
        "rivals": {row["family"]: rounded([row["r2_heldout"]])[0] for row in rivals},
        "scan": _scan_payload(tables["scan"], periods),
        "dims": _dimension_payload(dimension_table(cell["trained"])[:DIMENSIONS_SHOWN]),
        "reach": _dimension_payload(dimension_table(cell["random"])[:1]),
    }


def _weights_payload(
    rows: list[Row], circles: list[Row], frequencies: list[int], weights: str
) -> dict[str, Any] | None:
    """One side of a cell; None where these weights were not run."""
    planes = {int(row["frequency"]): row for row in _circular(rows, weights)}
    if not planes:
        return None
    best = max(planes.values(), key=lambda row: row["r2_heldout"])
    points = sorted((int(row["label"]), row["x"], row["y"]) for row in circles if row["weights"] == weights)
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
        "points": [rounded(point[1:]) for point in points],
    }


def _scan_payload(rows: list[Row], periods: list[float]) -> dict[str, list[int | None]]:
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        found.setdefault(row["weights"][0], {})[row["scanned_period"]] = row["share"]
    # Integers in 1/10000: the scan is most of the page.
    return {
        kind: [round(10_000 * share[period]) if period in share else None for period in periods]
        for kind, share in found.items()
    }


def _dimension_payload(dimensions: list[dict[str, Any]]) -> list[list[int | float | None]]:
    """dim, frequency, class-mean R² of circle and rivals, partial R² and its frequency, p."""
    return [
        [row["dim"], row["frequency"], *rounded(row[key] for key in ("fourier", *RIVALS, "partial")),
         row["partial_frequency"], row["p"]]
        for row in dimensions
    ]  # fmt: skip
