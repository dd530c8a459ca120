"""Tables as the page, the terminal and the figures need them: numbers and names in words, and rows in order.

A *place* is what one row of the map stands for: domain, quantity, site and position; with a layer it is a *location*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import pandas as pd

from llm_probe.run.columns import column_meanings
from llm_probe.run.vocabulary import ALPHA, EMBEDDING

FLOOR = -0.2
"""Held-out R² has no lower bound; it is drawn down to here."""
PLACE = ["domain", "quantity", "site", "position"]
VERDICTS = ("supported", "undetermined", "refuted")
Row = Mapping[Any, Any]


# ------------------------------------------------------------------------------------------------- numbers and names


def layer_name(layer: int) -> str:
    """A block by its number, the token embedding as `emb`."""
    return "emb" if layer == EMBEDDING else str(layer)


def fragment(place: Row, layer: int) -> str:
    """The address of a location on the page, written as JavaScript's `encodeURIComponent` writes it."""
    return "#" + "/".join(quote(str(part), safe="!'()*") for part in (*(place[key] for key in PLACE), layer))


def origin_text(claim: Row) -> str:
    """Where a plane comes from, in words; empty where none was shown, or an item's embedding was not read."""
    if text(claim["origin"]) != "blocks":
        return "in the embedding" if text(claim["origin"]) == "embedding" else ""
    blocks = f"blocks {text(claim['layers_held'])}".strip()
    return f"{blocks}, not found in the embedding" if claim["quantity"] == "item" else blocks


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
    """How far an order of items closes, with its interval; empty for sums and where no order beats the null."""
    closure, p = number(claim["closure"]), number(claim["p_fwer"])
    if closure is None or p is None or p > ALPHA:
        return ""
    ends = [number(claim[column]) for column in ("closure_low", "closure_high")]
    return f"closure {r2_text(closure)}" + ("" if None in ends else f" [{', '.join(map(r2_text, ends))}]")


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
