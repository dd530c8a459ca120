"""Calendar against arithmetic: do days and mod 7 share their dimensions and planes? (published: separate circuits)

The published comparison read a space after "days =" and a "=" after "mod 7", and asked whether the best dimensions are
the same ones. Here both grids use templates of one family that end in the *same token*, which is where both are read:

    equals              "{item} + {offset} days ="        "{item} + {offset} mod 7 ="
    is                  "{item} plus {offset} days is"    "{item} plus {offset} modulo 7 is"
    is, offset first    "{offset} days after {item} is"   the same arithmetic (a + b = b + a)

and what they share stands between what two halves of one grid share (ceiling) and what shuffled rows share (floor;
`overlap`). One row a frequency k = 1 … below n/2: for planes the plane of k in both; the dimensions do not depend on k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.tokens import encode
from llm_probe.replication.experiments.effects import (
    TOP,
    adjusted_means,
    compare,
    plane_overlap,
    shared_dims,
    split_means,
)
from llm_probe.replication.experiments.grids import GRIDS, Grid, arithmetic
from llm_probe.replication.experiments.reader import KEYS, Frame, Reader
from llm_probe.run.study import Rows, together
from llm_probe.run.vocabulary import Weights
from toy.maths import fourier

FAMILIES: dict[str, tuple[str, str]] = {
    "equals": ("{item} + {offset} {unit} =", "{item} + {offset} mod {modulus} ="),
    "is": ("{item} plus {offset} {unit} is", "{item} plus {offset} modulo {modulus} is"),
    "is, offset first": ("{offset} {unit} after {item} is", "{item} plus {offset} modulo {modulus} is"),
}
"""Template family to the calendar's text and arithmetic's."""
UNITS = {"days": "days", "months": "months", "hours": "hours"}
"""Calendar grid to the unit its offsets count."""


@dataclass(frozen=True)
class CalendarRow:
    """One calendar grid beside addition under the same modulus, at one frequency."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    domain: str
    """Calendar that was asked about: `days`, `months` or `hours`."""
    period: int
    """Modulus of the arithmetic that the calendar is compared with, 7 or 12."""
    family: str
    """Template family; in `is, offset first` the calendar names the offset before the item."""
    same_token: bool
    """Whether every prompt of both grids ends in one and the same token."""
    frequency: int
    """Frequency k of the planes."""
    share_calendar: float
    """Share of the variance between the calendar's class means at this frequency, all dimensions together."""
    share_arithmetic: float
    """Share of the variance between arithmetic's class means at this frequency, all dimensions together."""
    planes: float
    """Mean squared cosine of the angles between the two planes of k, each from half of the pairs."""
    planes_ceiling: float
    """Overlap of the planes of two halves of one grid (geometric mean of both grids)."""
    planes_floor: float
    """Overlap of the planes of the two grids with their rows shuffled."""
    planes_chance: float
    """Overlap of two random planes, 2 / d."""
    dims: float
    """Share of the ten best dimensions that both grids have in common, whatever their frequency."""
    dims_ceiling: float
    """Share of the ten best dimensions that two halves of one grid have in common."""
    dims_floor: float
    """Share of the ten best dimensions in common with shuffled rows."""
    dims_chance: float
    """Share that two random sets of ten dimensions have in common, 10 / d."""


QUESTION = "do the calendar and arithmetic share dimensions and planes?"
TABLES = {"calendar": CalendarRow}


def pair(domain: str, family: str) -> tuple[Grid, Grid]:
    """The two grids of a comparison: the published operands in the family's texts."""
    calendar, arithmetic_text = FAMILIES[family]
    base = GRIDS[domain]
    item = "{item} o'clock" if domain == "hours" else "{item}"
    text = calendar.replace("{item}", item).replace("{unit}", UNITS[domain])
    grid = Grid(f"{domain}: {family}", text, base.period, base.items, base.start, base.offsets)
    return grid, arithmetic(base.period, text=arithmetic_text)


def measure(reader: Reader) -> Rows:
    """Every domain and family under one set of weights."""
    return together([
        reader.rows(f"calendar {domain}: {family}", lambda d=domain, f=family: _compare(reader, d, f))
        for domain in UNITS
        for family in FAMILIES
    ])  # fmt: skip


def _compare(reader: Reader, domain: str, family: str) -> Rows:
    grids = pair(domain, family)
    prompts = [grid.prompts() for grid in grids]
    period, seed = grids[0].period, reader.config.seed
    ends = {entry.ids[-1] for part in prompts for entry in encode(reader.loaded.tokenizer, part)}
    states = [reader.states(part) for part in prompts]
    means = [adjusted_means(rows, part, period) for rows, part in zip(states, prompts, strict=True)]
    halves, nulls = (
        [
            split_means(rows, part, period, seed + i, shuffled=shuffled)
            for i, (rows, part) in enumerate(zip(states, prompts, strict=True))
        ]
        for shuffled in (False, True)
    )
    planes_chance, dims_chance = 2 / reader.d_model, min(TOP, reader.d_model) / reader.d_model
    rows = []
    for at, layer in enumerate(reader.layers):
        shares = [frequency_shares(part[at]).tolist() for part in means]
        parts = (halves[0][:, :, at], halves[1][:, :, at], (nulls[0][:, :, at], nulls[1][:, :, at]))
        dims = compare(*parts, shared_dims)
        for k in range(1, (period + 1) // 2):
            planes = compare(*parts, lambda a, b, k=k: plane_overlap(a, b, k))
            place = (reader.weights, layer, domain, period, family, len(ends) == 1, k)
            share = (shares[0][k - 1], shares[1][k - 1])
            rows.append(CalendarRow(*place, *share, *planes, planes_chance, *dims, dims_chance))
    return {"calendar": rows}


def frequency_shares(means: Float[Tensor, "n d"]) -> Float[Tensor, " k"]:
    """Share of the variance between class means at each frequency, all dimensions together."""
    power = fourier.power(means).sum(dim=1)
    return power / power.sum().clamp_min(torch.finfo(power.dtype).tiny)


def strongest(rows: Frame) -> Frame:
    """Of each comparison the frequency that is strongest in both grids (largest smaller share)."""
    both = rows[["share_calendar", "share_arithmetic"]].min(axis=1)
    return rows.loc[both.groupby([rows[key] for key in ("weights", "layer", "domain", "family")]).idxmax()]


def summary(tables: dict[str, Frame]) -> Frame:
    """One row a layer and set of weights: means over domains and families, each at its strongest frequency."""
    columns = [f"{what}{of}" for what in ("planes", "dims") for of in ("", "_ceiling", "_floor", "_chance")]
    mean = strongest(tables["calendar"]).groupby(KEYS)[columns].mean()
    mean[columns[4:]] *= 10
    return mean.rename(columns=lambda name: name.replace("_", " "))


def sentence(summary: Frame, tables: dict[str, Frame]) -> str:
    """What the numbers of one layer say."""
    trained, random = summary.loc["trained"], summary.loc["random"]
    return (
        f"the planes of the calendar and of arithmetic overlap by {_of(trained, 'planes')} and "
        f"share {_of(trained, 'dims', 1)} of ten best dimensions; with random weights {_of(random, 'planes')} and "
        f"{_of(random, 'dims', 1)}"
    )


def _of(row: Frame, what: str, decimals: int = 2) -> str:
    value, ceiling, floor = (f"{row[what + of]:.{decimals}f}" for of in ("", " ceiling", " floor"))
    return f"{value} (ceiling {ceiling}, floor {floor})"
