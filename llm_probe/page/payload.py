"""`payload`: the JSON from which the page's script draws.

It has the layers, the examples by domain, the meanings of the columns that the page explains, and `rows`, one a place,
each with what its claim rests on (`claim_evidence`) and its `cells` by layer:

    t, r      trained and random: R² at each of the row's `frequencies`; the best one's p and angle error;
              points, the class means on the plane at `k_points`, and `step`: from an item to the next one round it
    rivals    held-out R² of planes that are parabolas; scan: share of the variance in 1/10000 at each of `periods`
    dims      the best dimensions; `reach`, the best dimension with random weights

`prompts` of a row are single prompts at the location of the verdict, with their texts.

Columns that are only printed are formatted here; R² values that are plotted stay floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from llm_probe.page.claim_evidence import P_VALUES, claim_evidence
from llm_probe.page.glyphs import level_text, rival_text
from llm_probe.page.style import TRAINED_AND_RANDOM, Called
from llm_probe.page.terms import TERMS
from llm_probe.page.views import (
    FLOOR,
    PLACE,
    Row,
    angle_error,
    best_planes,
    closure_text,
    map_places,
    meaning,
    number,
    rounded,
    step_round,
    text,
)
from llm_probe.run.columns import column_meanings

RIVALS = ("quadratic", "sawtooth", "cubic")
"""Families that a dimension's circle is compared with."""
DIMENSIONS_SHOWN = 5
EXPLAINED = {
    "r2_table": ("r2_class_means", "r2_partial", "p_fwer"),
    "verdicts": ("closure", *P_VALUES),
    "scan": ("share",),
    "circles": ("z",),
}
"""Columns whose meaning the script prints beside its pictures."""
CELL_TABLES = ("r2_table", "circles", "scan")
Cells = dict[int, dict[str, list[Row]]]
"""Layer to the rows of each of `CELL_TABLES`."""


def payload(frames: Mapping[str, pd.DataFrame], called: Called = TRAINED_AND_RANDOM) -> dict[str, Any]:
    """What the script draws from; row i is row i of the map."""
    planes = best_planes(frames["r2_table"])
    cells = _by_place(frames)
    layers = sorted(int(layer) for layer in planes["layer"].unique())
    claims, controls, invariants = (frames[name].to_dict("records") for name in ("verdicts", "controls", "invariants"))
    by_claim = {(claim["domain"], claim["quantity"]): claim for claim in claims}
    points: dict[tuple[Any, ...], list[Row]] = {}
    for row in frames["points"].to_dict("records"):
        points.setdefault(tuple(row[key] for key in PLACE), []).append(row)
    rows = []
    for place in map_places(frames["verdicts"], planes).to_dict("records"):
        claim = by_claim[place["domain"], place["quantity"]]
        own = cells.get(tuple(place[key] for key in PLACE), {})
        prompts = _prompts(points.get(tuple(place[key] for key in PLACE), []))
        rows.append(_map_row(place, claim, own) | claim_evidence(claim, controls, invariants) | {"prompts": prompts})
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in frames["examples"].to_dict("records"):
        words = {"prompt": text(row["prompt"]), "answer": text(row["answer"]), "wrote": text(row["model_answer"])}
        examples.setdefault(str(row["domain"]), []).append({**words, "right": bool(row["right"])})
    explained = EXPLAINED | {"invariants": [name for name, *_ in column_meanings()["invariants"]]}
    meanings = {name: {column: meaning(name, column) for column in columns} for name, columns in explained.items()}
    names = dict(zip(("trained", "random"), called, strict=True))
    return {
        "floor": FLOOR, "layers": layers, "rows": rows, "examples": examples, "meanings": meanings, "called": names,
        "terms": TERMS,
    }  # fmt: skip


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
        "level": text(claim["level"]),
        "shown": level_text(claim),
        "rival": rival_text(claim),
        "note": note if claim["cyclic"] else "linear control",
        "confirmed": rounded(claim[key] for key in ("plane_r2", "plane_r2_low", "plane_r2_high")),
        "agreement": rounded(claim[key] for key in ("agreement", "agreement_low", "agreement_high")),
        "random": rounded([claim["random_r2"]])[0],
        "control": rounded([claim["control_r2"]])[0],
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
    k_points = int(circle[0]["frequency"]) if circle else int(best["frequency"])
    return {
        "r2": rounded(planes[k]["r2_heldout"] if k in planes else None for k in frequencies),
        "k": int(best["frequency"]),
        "p": number(best["p_fwer"]),
        "k_points": k_points,
        "step": step_round(int(best["period"]), k_points),
        "error": rounded([angle_error(best)], 2)[0],
        "share": rounded([best["variance_share"]])[0],
        "templates": rounded([best["r2_heldout_templates"]])[0],
        "residues": rounded([best["r2_heldout_residues"]])[0],
        "groups": int(best["n_groups"]),
        "prompts": int(best["n_prompts"]),
        "points": [_point(row) for row in sorted(circle, key=lambda row: int(row["label"]))],
    }


def _point(row: Row) -> list[float | None]:
    """[x, y] of a class mean, with its height beside the plane where that was kept."""
    height = number(row.get("z"))
    return rounded((row["x"], row["y"], *([] if height is None else [height])))


def _prompts(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Single prompts at the location of the verdict, coordinates in hundredths; None where none were kept."""
    sides = {name: [row for row in rows if row["weights"] == name] for name in ("trained", "random")}
    trained = sides["trained"]
    if not trained:
        return None
    return {
        "layer": int(trained[0]["layer"]),
        "labels": [int(row["label"]) for row in trained],
        "texts": [text(row["prompt"]) for row in trained],
        **{
            name[0]: [[round(100 * row[axis]) for axis in "xyz"] for row in own]
            for name, own in sides.items()
            if len(own) == len(trained)
        },
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
