"""Range scan: a "range detector", or two-digit operands? (published: dimension 867 is periodic for n = 14 … 29)

For n = 5 … 35 every pair of operands below n is read, and the class-mean R² of k = 1 of one dimension is followed: the
best one at n = 23. The digit-count hypothesis h(a, b) = [a >= 10][b >= 10] has class means of its own, whose R² needs
no model; so does their correlation over n. Then the scan is repeated with operands 10 <= a, b < 10 + n. There each
residue still has n pairs and h is constant: what digit count made is gone, what the residue made stays. The tens digit
still moves, so [a >= 20][b >= 20] is followed beside it.

A dimension selected at one n has, at another, the law of a single dimension of white noise: R² ~ Beta(1, (n - 3)/2),
median 1 - 2^(-2/(n-3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import torch

from llm_probe.replication.experiments.grids import Grid, arithmetic
from llm_probe.replication.experiments.reader import KEYS, Frame, Reader
from llm_probe.run.study import Rows
from llm_probe.run.vocabulary import Weights
from toy.maths.regression import class_mean_r2

Operands = Literal["from 0", "two digits"]
STARTS: dict[Operands, int] = {"from 0": 0, "two digits": 10}


@dataclass(frozen=True)
class RangeRow:
    """One followed dimension at one modulus."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    operands: Operands
    """`from 0`: 0 <= a, b < n, as published; `two digits`: 10 <= a, b < 10 + n."""
    n: int
    """Modulus of the sums."""
    selected_on: Literal["from 0", "two digits", "asked"]
    """Operands whose best dimension at the selecting n (23) is followed, or `asked` by --dims."""
    dim: int
    """Index of the followed residual dimension."""
    r2: float
    """Class-mean R² of this dimension at k = 1."""
    r2_best: float
    """Class-mean R² of this dimension at its best k."""
    hypothesis: float
    """Class-mean R² of k = 1 of [a >= 10][b >= 10] on the same operands; 0 where it is constant."""
    tens: float
    """Class-mean R² of k = 1 of [a >= 20][b >= 20]: the step of the tens digit that two-digit operands still make."""
    iid_median: float
    """Median class-mean R² of k = 1 of a dimension of white noise that was not selected."""


QUESTION = "a range detector, or two-digit operands?"
TABLES = {"range": RangeRow}


def step_r2(grid: Grid, least: int = 10) -> float:
    """Class-mean R² of k = 1 of [a >= least][b >= least] on a grid; the digit-count hypothesis at 10."""
    sums = torch.zeros(grid.period, dtype=torch.float64)
    for prompt in grid.prompts():
        sums[prompt.label] += prompt.first >= least and prompt.offset >= least
    return float(class_mean_r2((sums / len(grid.items))[:, None])[0, 0])


def measure(reader: Reader) -> Rows:
    """The scan on both grids under one set of weights."""
    first, last = reader.config.scanned
    moduli = range(first, last + 1)
    places: list[tuple[Operands, int]] = [(operands, n) for operands in STARTS for n in moduli]
    grids: dict[tuple[Operands, int], Grid] = {
        (operands, n): arithmetic(n, start=STARTS[operands]) for operands, n in places
    }
    cells = {key: reader.cell(f"range {grid.name}", lambda g=grid: _scores(reader, g)) for key, grid in grids.items()}
    steps = {place: (step_r2(grid), step_r2(grid, 20)) for place, grid in grids.items()}
    rows: list[RangeRow] = []
    for at, layer in enumerate(reader.layers):
        chosen: list[tuple[Any, int]] = []
        for operands in STARTS:
            r2 = cells[operands, reader.config.selected_at]["first"][at]
            chosen.append((operands, r2.index(max(r2))))
        chosen += [("asked", dim) for dim in reader.config.dims]
        for (operands, n), cell in cells.items():
            for how, dim in chosen:
                r2 = (cell["first"][at][dim], cell["best"][at][dim], *steps[operands, n], 1 - 0.5 ** (2 / (n - 3)))
                rows.append(RangeRow(reader.weights, layer, operands, n, how, dim, *r2))
    return {"range": rows}


def _scores(reader: Reader, grid: Grid) -> dict[str, Any]:
    """R² of k = 1 and of the best k of every dimension."""
    scores = [class_mean_r2(means) for means in reader.class_means(grid)]
    return {"first": [score[0].tolist() for score in scores], "best": [score.amax(dim=0).tolist() for score in scores]}


def correlation(rows: Frame, since: int, of: str = "hypothesis") -> float | None:
    """Pearson's r of R² with a hypothesis over n >= since; None where either is constant or n are under three."""
    rows = rows[rows["n"] >= since]
    if len(rows) < 3 or rows["r2"].std() < 1e-12 or rows[of].std() < 1e-12:
        return None
    return float(rows["r2"].corr(rows[of]))


def summary(tables: dict[str, Frame]) -> Frame:
    """One row a layer and set of weights: the dimension selected with operands from 0."""
    scan = tables["range"].query("selected_on == 'from 0'")
    published, digits = (scan[scan["operands"] == operands] for operands in STARTS)
    return pd.DataFrame(
        {
            "dim": published.groupby(KEYS)["dim"].first(),
            "R², operands from 0": published.groupby(KEYS)["r2"].mean(),
            "R², two digits": digits.groupby(KEYS)["r2"].mean(),
            "white noise": published.groupby(KEYS)["iid_median"].mean(),
            "r, n >= 11": {key: correlation(part, 11) for key, part in published.groupby(KEYS)},
            "r, n >= 17": {key: correlation(part, 17) for key, part in published.groupby(KEYS)},
            "r tens, two digits": {key: correlation(part, 11, "tens") for key, part in digits.groupby(KEYS)},
        }
    ).rename_axis(KEYS)


def sentence(summary: Frame, tables: dict[str, Frame]) -> str:
    """What the numbers of one layer say."""
    trained, random = summary.loc["trained"], summary.loc["random"]
    left = trained["R², two digits"] - trained["white noise"]
    gone = 1 - left / max(trained["R², operands from 0"] - trained["white noise"], 1e-9)
    return (
        f"the followed dimension's mean R² of {trained['R², operands from 0']:.2f} "
        + (f"falls to {trained['R², two digits']:.2f}" if gone > 0 else f"is {trained['R², two digits']:.2f}")
        + f" once all operands have two digits (white noise {trained['white noise']:.2f}); random weights: "
        f"{random['R², operands from 0']:.2f} and {random['R², two digits']:.2f}"
    )
