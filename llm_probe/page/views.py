"""Tables as pictures need them: what the page and the figures have in common.

A *place* is what one row of the map stands for: domain, quantity, site and position; with a layer it is a *cell*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from llm_probe.run.table import ALPHA

FLOOR = -0.2
"""Held-out R² has no lower bound; it is drawn down to here."""
PLACE = ["domain", "quantity", "site", "position"]
VERDICTS = ("supported", "undetermined", "refuted")

Row = Mapping[Any, Any]


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
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}" if p >= 0.01 else f"{p:.1g}".replace("e-0", "e-")


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
