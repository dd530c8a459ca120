"""Runs set beside the first one: verdicts, differences of R² with intervals, dimensions that moved, provenance.

    claims      one row a claim: both verdicts, both confirmed plane R² and their difference, the best dimensions
    layers      one row a place and layer: both held-out R² of the best plane and their difference, the kept dimensions
    provenance  one row a key of run.json that differs

A difference d = y - x of estimates with intervals (x_l, x_u) and (y_l, y_u) has the interval

    d - √((y - y_l)² + (x_u - x)²)   to   d + √((y_u - y)² + (x - x_l)²)

(Zou & Donner 2008, Statistics in Medicine 27:1693, for independent estimates). Runs of the same prompts err
alike, so that it is too wide rather than too narrow.

A confirmed R² has its own bootstrap interval, over confirmation prompts: how the plane would have come out on other
discovery prompts is not in it, so that two seeds of one model may differ by more. A layer's R² has none in the tables,
and gets R² ± 1.96 s with

    s = (1 - R²) max(1, 2 √R²) / √units

the first for residuals that are normal in the plane (their squared length is then exponential, its standard deviation
its mean), the second the large-sample law of a squared multiple correlation (Olkin & Finn 1995, Psychological Bulletin
118:155). Of the judged planes of `results/` none has a bootstrap interval more than 1.1 times as wide (tested), most
have a narrower one; units are operand pairs or items. It is of the best of a layer's frequencies, in both runs alike.

Layers stand for the same share of the depth: layer l of the deeper run, of L, goes with layer ⌈(l + 1) M / L⌉ - 1 of
the other's M, the same one where L = M. Dimensions are compared within one model only: in another
they mean something else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from llm_probe.page.views import PLACE, at, best_planes, number, text
from llm_probe.run import table
from llm_probe.run.reading import CHECKSUMS
from llm_probe.run.schema import RunTables, check_one_model_a_name, named_apart, read_run
from llm_probe.run.vocabulary import EMBEDDING, Position, Quantity, Site
from toy.run.errors import InputError

PUBLISHED = "published"
"""Name of a run that is no results folder: the published numbers, which the caller of `read_sides` hands in."""
CLAIM = ("domain", "period", "quantity")
CHANGE = ("difference", "difference_low", "difference_high")
R2S = {"r2": "plane_r2", "random_r2": "random_r2", "class_mean_r2": "class_mean_r2"}
"""Statistics that a claim is compared by, and the column of verdicts.csv that holds each."""
PROVENANCE = ("baseline", "run", "key", "baseline_value", "value")
NOT_COMPARED = ("date", "seconds", "out", "command", CHECKSUMS)
"""Keys of run.json that always differ and explain nothing."""
Row = Mapping[Any, Any]
Interval = tuple[float, float, float]
"""Estimate, lower and upper end."""


@dataclass(frozen=True)
class ComparedRow:
    """One claim in two runs; what a run does not have is empty."""

    baseline: str
    """Name of the run that the other one is compared with."""
    run: str
    """Name of the run that is compared with the baseline."""
    domain: str
    """Domain of the claim, such as `days` or `mod-add 7`."""
    period: int
    """Period of the claim: the number of items, or the modulus."""
    quantity: Quantity
    """Quantity that the claim is about, `sum` or `item`."""
    baseline_verdict: str | None
    """Verdict in the baseline, empty where it has no such claim; of `published`, what its number is worth by itself."""
    verdict: str | None
    """Verdict in the other run, empty where it has no such claim."""
    agrees: bool | None
    """Whether the verdicts are equal; empty where one is missing."""
    baseline_r2: float | None
    """R² on confirmation prompts in the baseline, its plane chosen and fitted on discovery prompts."""
    r2: float | None
    """R² of the other run, measured in the same way."""
    difference: float | None
    """R² of the other run minus R² of the baseline."""
    difference_low: float | None
    """Lower end of the 95 % interval of this difference."""
    difference_high: float | None
    """Upper end of that interval."""
    baseline_random_r2: float | None
    """R² of the same search with random weights, in the baseline."""
    random_r2: float | None
    """R² of the same search with random weights, in the other run."""
    baseline_class_mean_r2: float | None
    """Class-mean R² (the published statistic) at the baseline's best dimension: the end of a search, no interval."""
    class_mean_r2: float | None
    """Class-mean R² of the other run, measured in the same way."""
    baseline_dim: int | None
    """Best dimension of the baseline; empty unless both runs are of one model."""
    dim: int | None
    """Best dimension of the other run; empty unless both runs are of one model."""
    dim_moved: bool | None
    """Whether the two best dimensions differ."""
    baseline_reason: str
    """Reason of the baseline's verdict, in words."""
    reason: str
    """Reason of the other run's verdict, in words."""


@dataclass(frozen=True)
class ComparedLayerRow:
    """One place of two runs, at the same share of the depth."""

    baseline: str
    """Name of the run that the other one is compared with."""
    run: str
    """Name of the run that is compared with the baseline."""
    domain: str
    """Domain of the claim, such as `days` or `mod-add 7`."""
    period: int
    """Period of the claim: the number of items, or the modulus."""
    quantity: Quantity
    """Quantity that the claim is about, `sum` or `item`."""
    site: Site
    """Site of the block that was read."""
    position: Position
    """Token at which it was read."""
    baseline_layer: int
    """Block of the baseline, counted from 0; -1 for the token embedding."""
    layer: int
    """Block of the other run at the same share of the depth, counted from 0; -1 for the token embedding."""
    baseline_r2: float | None
    """Held-out R² of the layer's best plane in the baseline, discovery prompts; empty where planes were not fitted."""
    r2: float | None
    """R² of the other run, measured in the same way."""
    difference: float | None
    """R² of the other run minus R² of the baseline."""
    difference_low: float | None
    """Lower end of the approximate 95 % interval of this difference (`llm_probe/compare/comparison.py`)."""
    difference_high: float | None
    """Upper end of that interval."""
    baseline_class_mean_r2: float | None
    """Class-mean R² of the layer's best kept dimension in the baseline; empty where none was kept."""
    class_mean_r2: float | None
    """Class-mean R² of the other run, measured in the same way."""
    dims_kept: int | None
    """Number of dimensions that the baseline kept here (the best few); empty unless both runs are of one model."""
    dims_shared: int | None
    """Number of these dimensions that the other run kept too: the others moved."""


@dataclass(frozen=True)
class Comparison:
    """Every other run beside the first one."""

    runs: tuple[RunTables, ...]
    """The baseline first."""
    claims: pd.DataFrame
    """Rows of `ComparedRow`."""
    layers: pd.DataFrame
    """Rows of `ComparedLayerRow`."""
    provenance: pd.DataFrame
    """Columns baseline, run, key, baseline_value, value."""

    @property
    def changed(self) -> pd.DataFrame:
        """The claims whose verdicts differ; a claim that only one run has is not among them."""
        return self.claims.loc[self.claims["agrees"].eq(False)]


def read_sides(names: Sequence[str], published: Callable[[], RunTables]) -> list[RunTables]:
    """The runs of these results folders; the name `published` stands for the run that `published` makes.

    Raises:
        InputError: fewer than two different ones, one that cannot be read, or two models under one name.
    """
    places = list(dict.fromkeys(name if name == PUBLISHED else str(Path(name)) for name in names))
    if len(places) < 2:
        raise InputError(f"a comparison needs two different runs, got {', '.join(names)}: give two results folders")
    folders = named_apart([read_run(Path(name)) for name in places if name != PUBLISHED])
    check_one_model_a_name(folders)
    read = iter(folders)
    return [published() if name == PUBLISHED else next(read) for name in places]


def compare(runs: Sequence[RunTables]) -> Comparison:
    """Set every run beside the first.

    Raises:
        InputError: a run shares no claim with the first.
    """
    baseline, *others = runs
    claims = _frame([row for other in others for row in compared_claims(baseline, other)], ComparedRow)
    for other in others:
        if not claims.loc[claims["run"] == other.name, "agrees"].notna().any():
            folders = f"{baseline.folder} and {other.folder}"
            raise InputError(f"{folders} have no claim in common: there is nothing to compare")
    layers = _frame([row for other in others for row in compared_layers(baseline, other)], ComparedLayerRow)
    lines = [(baseline.name, other.name, *line) for other in others for line in provenance_differences(baseline, other)]
    return Comparison(tuple(runs), claims, layers, pd.DataFrame(lines, columns=list(PROVENANCE)))


def _frame(rows: list[Any], row_type: type) -> pd.DataFrame:
    """Rows as a table; whole numbers with gaps stay whole."""
    whole = {field.name: "Int64" for field in fields(row_type) if field.type == "int | None"}
    return table.frame(rows, row_type).astype(whole)


def difference(baseline: Interval, other: Interval) -> Interval:
    """Other minus baseline with the interval of Zou & Donner."""
    (x, x_low, x_high), (y, y_low, y_high) = baseline, other
    delta = y - x
    return delta, delta - math.hypot(y - y_low, x_high - x), delta + math.hypot(y_high - y, x - x_low)


def approximate(r2: float, units: int) -> Interval:
    """A layer's held-out R² with its large-sample 95 % interval (see above); `units` pairs or items were left out."""
    half = 1.96 * (1 - r2) * max(1.0, 2 * math.sqrt(max(r2, 0.0))) / math.sqrt(units)
    return r2, r2 - half, r2 + half


def one_model(baseline: RunTables, other: RunTables) -> bool:
    """Whether dimension i is the same thing in both: one model by name, one width."""
    return all(baseline.run.get(key) == other.run.get(key) for key in ("model", "d_model"))


def compared_claims(baseline: RunTables, other: RunTables) -> list[ComparedRow]:
    """Every claim of either run, the baseline's first and in its order."""
    mine, theirs = (
        {tuple(row[key] for key in CLAIM): row for row in run.frames["verdicts"].to_dict("records")}
        for run in (baseline, other)
    )
    same, rows = one_model(baseline, other), []
    for key in dict.fromkeys([*mine, *theirs]):
        x, y = mine.get(key, {}), theirs.get(key, {})
        values: dict[str, Any] = {"baseline": baseline.name, "run": other.name, **dict(zip(CLAIM, key, strict=True))}
        values |= zip(CHANGE, _difference(_confirmed(x), _confirmed(y)), strict=True)
        for side, row in (("baseline_", x), ("", y)):
            dim = number(row.get("best_dim")) if same else None
            values |= {f"{side}verdict": row.get("verdict"), f"{side}reason": text(row.get("reason"))}
            values |= {f"{side}{name}": number(row.get(column)) for name, column in R2S.items()}
            values[f"{side}dim"] = None if dim is None else int(dim)
        dims = values["baseline_dim"], values["dim"]
        values["dim_moved"] = None if None in dims else dims[0] != dims[1]
        values["agrees"] = x["verdict"] == y["verdict"] if x and y else None
        rows.append(ComparedRow(**values))
    return rows


def _confirmed(claim: Row) -> Interval | None:
    r2, low, high = (number(claim.get(key)) for key in ("plane_r2", "plane_r2_low", "plane_r2_high"))
    # A bootstrap interval need not hold its estimate.
    return None if r2 is None or low is None or high is None else (r2, min(low, r2), max(high, r2))


def _difference(x: Interval | None, y: Interval | None) -> Interval | tuple[None, None, None]:
    return (None, None, None) if x is None or y is None else difference(x, y)


def compared_layers(baseline: RunTables, other: RunTables) -> list[ComparedLayerRow]:
    """Every place and layer that both runs have; none where one of them kept no R² table."""
    mine, theirs = _layers(baseline), _layers(other)
    pairs = [(EMBEDDING, EMBEDDING), *layer_pairs(*(int(run.run.get("layers") or 0) for run in (baseline, other)))]
    same, rows = one_model(baseline, other), []
    for place, (layer, partner) in itertools.product(dict.fromkeys(key[:-1] for key in mine), pairs):
        x, y = mine.get((*place, layer)), theirs.get((*place, partner))
        if x is None or y is None:
            continue
        kept = (len(x.dims), len(x.dims & y.dims)) if same and x.dims and y.dims else (None, None)
        values: dict[str, Any] = dict(zip((*PLACE, *CHANGE), (*place, *_difference(x.plane, y.plane)), strict=True))
        rows.append(
            ComparedLayerRow(
                baseline=baseline.name, run=other.name, period=x.period, baseline_layer=layer, layer=partner,
                baseline_r2=x.plane and x.plane[0], r2=y.plane and y.plane[0],
                baseline_class_mean_r2=x.class_mean, class_mean_r2=y.class_mean,
                dims_kept=kept[0], dims_shared=kept[1], **values,
            )
        )  # fmt: skip
    return rows


def layer_pairs(baseline: int, other: int) -> list[tuple[int, int]]:
    """(layer of the one, layer of the other) at the same share of the depth, for every layer of the deeper one."""
    deeper = max(baseline, other)
    return [tuple(-(-(layer + 1) * depth // deeper) - 1 for depth in (baseline, other)) for layer in range(deeper)]  # type: ignore[misc]


class _Layer(NamedTuple):
    """What one run has at one place and layer."""

    period: int
    plane: Interval | None
    class_mean: float | None
    dims: frozenset[int]


def _layers(run: RunTables) -> dict[Any, _Layer]:
    """Trained weights by `PLACE` and layer, in the order of the table."""
    rows = at(run.frames["r2_table"], weights="trained", family="fourier")
    planes = {tuple(row[key] for key in (*PLACE, "layer")): row for row in best_planes(rows).to_dict("records")}
    layers = {}
    for key, group in rows.groupby([*PLACE, "layer"], sort=False):
        plane, kept = planes.get(key), group.loc[group["unit"] == "dimension"]  # type: ignore[call-overload]
        interval = approximate(float(plane["r2_heldout"]), int(plane["n_groups"])) if plane else None
        class_mean, dims = number(kept["r2_class_means"].max()), frozenset(map(int, kept["dim"]))
        layers[key] = _Layer(int(group["period"].iloc[0]), interval, class_mean, dims)
    return layers


def provenance_differences(baseline: RunTables, other: RunTables) -> list[tuple[str, str, str]]:
    """(key, baseline's value, other's) where the schema or what both run.json record differs; `versions` one by one."""
    mine, theirs = (_flat(run.run) | {"schema": str(run.schema)} for run in (baseline, other))
    both = [key for key in mine if key in theirs and key not in NOT_COMPARED]
    return [(key, mine[key], theirs[key]) for key in both if mine[key] != theirs[key]]


def _flat(run: Row) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in run.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": str(one) for name, one in value.items()}
        else:
            flat[key] = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return flat
