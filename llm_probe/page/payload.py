"""The JSON from which `page.js` draws, made of a run's tables.

layers, examples by domain, and `rows`, one a place (`views`), each with its claim (`claim_views`) and its `cells`
by layer:
    t, r      trained and random: R² at each of the row's `frequencies`; the best one's p and angle error;
              points, the class means on the best plane, and `step`: from an item to the next one round it
    rivals    held-out R² of planes that are parabolas
    scan      share of the variance in 1/10000 at each of the row's `periods`
    dims      the best dimensions; `reach`, the best dimension with random weights
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from llm_probe.page.claim_views import of_claim
from llm_probe.page.views import (
    FLOOR,
    PLACE,
    Row,
    angle_error,
    best_planes,
    closure_text,
    map_places,
    number,
    step_round,
    text,
)  # fmt: skip

RIVALS = {"quadratic": "parabola", "sawtooth": "sawtooth", "cubic": "cubic"}
"""Families that a dimension's circle is compared with, and what they are called."""
DIMENSIONS_SHOWN = 5

Cells = dict[tuple[Any, ...], list[Row]]


def payload(frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What `page.js` draws from; row i is row i of the map."""
    planes = best_planes(frames["r2_table"])
    claims = {(claim["domain"], claim["quantity"]): claim for claim in frames["verdicts"].to_dict("records")}
    tables = {name: _by_cell(frames[name]) for name in ("r2_table", "circles", "scan")}
    layers = sorted(int(layer) for layer in planes["layer"].unique())
    controls, invariants = (frames[name].to_dict("records") for name in ("controls", "invariants"))
    stands = {key: of_claim(claim, controls, invariants) for key, claim in claims.items()}
    rows = []
    for place in map_places(frames["verdicts"], planes).to_dict("records"):
        key = place["domain"], place["quantity"]
        rows.append(_place_payload(place, claims[key], tables, layers) | stands[key])
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
