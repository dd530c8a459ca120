"""Primes: does each modulus have circuits of its own? (published: each prime has another best dimension)

For every prime p the full p x p grid gives the class-mean R² of all dimensions; the best dimension of the first prime
is followed over the others. "Specialised" was concluded from the best dimensions being different. With many near-ties
they differ between two *halves of one prime's pairs* as well, so the ten best are compared

    within a prime      half of its pairs with the other half   (the ceiling)
    between primes      half of p's pairs with half of q's

averaged over random splits (`effects`, `overlap`). Specialised circuits would share fewer between than within.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from llm_probe.replication.experiments.effects import (
    TOP,
    adjusted_means,
    between,
    shared,
    split_means,
    top_dims,
    within,
)
from llm_probe.replication.experiments.grids import arithmetic
from llm_probe.replication.experiments.reader import KEYS, Frame, Reader
from llm_probe.run.study import Rows
from llm_probe.run.vocabulary import Weights
from toy.maths.fourier import noise_maximum
from toy.maths.regression import class_mean_r2


@dataclass(frozen=True)
class PrimeRow:
    """One dimension of one prime's grid."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    period: int
    """Modulus of the sums."""
    n_prompts: int
    """Number of prompts: all operand pairs below the modulus."""
    chosen: str
    """`best`: this prime's best dimension; `first prime`: that of the first prime, followed; `asked`: by --dims."""
    dim: int
    """Index of the residual dimension."""
    frequency: int
    """Frequency k at which this dimension has its largest class-mean R²."""
    r2: float
    """Class-mean R² at that frequency (in sample, the published statistic)."""
    r2_tenth: float
    """Class-mean R² of the tenth best dimension, which shows how near the ties are."""
    iid_maximum: float
    """Median of the best R² over all dimensions and frequencies if class means were white noise (Beta law)."""


@dataclass(frozen=True)
class PrimeOverlapRow:
    """The ten best dimensions of two primes, each found on half of the operand pairs."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    period: int
    """Modulus of one prime."""
    other: int
    """Modulus of another prime; of the same prime it is the ceiling, one half of its pairs against the other half."""
    shared: float
    """Share of the ten best dimensions that both have in common, averaged over the splits."""
    chance: float
    """Share that two random sets of ten dimensions have in common, 10 / d."""


QUESTION = "has each prime circuits of its own?"
TABLES = {"primes": PrimeRow, "primes_overlap": PrimeOverlapRow}


def measure(reader: Reader) -> Rows:
    """Both tables under one set of weights."""
    cells = {p: reader.cell(f"prime {p}", lambda p=p: _prime(reader, p)) for p in dict.fromkeys(reader.config.primes)}
    chance = min(TOP, reader.d_model) / reader.d_model
    rows, overlaps = [], []
    for at, layer in enumerate(reader.layers):
        followed = _best(next(iter(cells.values()))["r2"][at])
        for p, cell in cells.items():
            r2, frequency = cell["r2"][at], cell["frequency"][at]
            tenth, iid = sorted(r2, reverse=True)[min(TOP, len(r2)) - 1], noise_maximum(p, len(r2))
            chosen = [("best", _best(r2)), ("first prime", followed), *(("asked", dim) for dim in reader.config.dims)]
            rows += [
                PrimeRow(reader.weights, layer, p, p * p, how, dim, frequency[dim], r2[dim], tenth, iid)
                for how, dim in chosen
            ]
            for q, other in cells.items():
                if q >= p:
                    halves, others = cell["halves"][at], other["halves"][at]
                    value = within(halves, shared) if p == q else between(halves, others, shared)
                    overlaps.append(PrimeOverlapRow(reader.weights, layer, p, q, value, chance))
    return {"primes": rows, "primes_overlap": overlaps}


def _best(r2: list[float]) -> int:
    return r2.index(max(r2))


def _prime(reader: Reader, p: int) -> dict[str, Any]:
    """R² and best k of every dimension on the full grid, and the ten best of both halves of every split."""
    prompts = arithmetic(p).prompts()
    states = reader.states(prompts)
    scores = [class_mean_r2(means).max(dim=0) for means in adjusted_means(states, prompts, p)]
    halves = split_means(states, prompts, p, reader.config.seed)
    return {
        "r2": [score.values.tolist() for score in scores],
        "frequency": [(score.indices + 1).tolist() for score in scores],
        "halves": [[[top_dims(half) for half in split] for split in halves[:, :, at]] for at in range(len(scores))],
    }


def summary(tables: dict[str, Frame]) -> Frame:
    """One row a layer and set of weights: means over the primes."""
    rows = tables["primes"].set_index("chosen")
    overlaps = tables["primes_overlap"]
    same = overlaps["period"] == overlaps["other"]
    groups = overlaps.groupby(KEYS)
    return pd.DataFrame(
        {
            "best R²": rows.loc["best"].groupby(KEYS)["r2"].mean(),
            "first prime's dim": rows.loc["first prime"].groupby(KEYS)["r2"].mean(),
            "white noise": rows.loc["best"].groupby(KEYS)["iid_maximum"].mean(),
            "shared within": 10 * overlaps[same].groupby(KEYS)["shared"].mean(),
            "shared between": 10 * overlaps[~same].groupby(KEYS)["shared"].mean(),
            "chance": 10 * groups["chance"].mean(),
            "own halves closer": {key: int(agreement(part).eval("own > others").sum()) for key, part in groups},
        }
    ).rename_axis(KEYS)


def sentence(summary: Frame, tables: dict[str, Frame]) -> str:
    """What the numbers of one layer say."""
    best = tables["primes"].query("chosen == 'best'").pivot(index="period", columns="weights", values="r2")
    reached, trained = int((best["random"] >= best["trained"]).sum()), summary.loc["trained"]
    alike = trained["shared within"] <= trained["shared between"]
    return (
        f"two primes share {trained['shared between']:.1f} of their ten best dimensions and "
        f"two halves of one prime {trained['shared within']:.1f}, so the primes "
        + ("differ no more than one prime from itself" if alike else "do differ beyond the noise of the halves")
        + f" ({trained['own halves closer']:.0f} of {len(best)} primes agree better with themselves), and random "
        f"weights reach the best R² at {reached} of {len(best)} primes"
    )


def agreement(overlaps: Frame) -> Frame:
    """One row a prime: dimensions shared by its own halves (`own`) and with the other primes on average (`others`)."""
    same = overlaps["period"] == overlaps["other"]
    apart = overlaps[~same]
    both: Frame = pd.concat([apart, apart.rename(columns={"period": "other", "other": "period"})])
    own = overlaps[same].set_index("period")["shared"]
    return pd.DataFrame({"own": own, "others": both.groupby("period")["shared"].mean()}).sort_index()
