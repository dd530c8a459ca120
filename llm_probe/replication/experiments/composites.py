"""Composites: the best dimension mod 10, 12, 24, 60, 100 beside what the same search finds without anything there.

Grids of more than `prompts` pairs are sampled with equally many pairs of each residue, and the class means are cleaned
of the operands (`effects`), which the complete grid does by itself. Three things stand beside the best R²:

    iid_maximum     the median of the same search on white noise (Beta law)
    shuffled        the same search after the rows, less their operands' effects, changed places: median and 95 %
    confound        the largest R² of functions of the numbers alone:
                    a·b (whose class means are a parabola, as those of (a + b)², max and |a - b| are),
                    [a >= 10][b >= 10] and the wrap [a + b >= n]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.prompts import Prompt
from llm_probe.replication.experiments.effects import adjusted_means, effect_weights, nuisance_basis, sample
from llm_probe.replication.experiments.grids import arithmetic
from llm_probe.replication.experiments.reader import KEYS, Frame, Reader
from llm_probe.run.study import Rows, together
from llm_probe.run.vocabulary import Weights
from toy.maths.fourier import noise_maximum
from toy.maths.regression import class_mean_r2, residual

SHUFFLES = 99


@dataclass(frozen=True)
class CompositeRow:
    """The best dimension under one modulus."""

    weights: Weights
    """`trained`: the model as given; `random`: the same architecture with freshly drawn weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    period: int
    """Modulus of the sums."""
    n_pairs: int
    """Number of operand pairs below the modulus."""
    n_prompts: int
    """Number of these pairs that were read."""
    dim: int
    """Index of the best residual dimension."""
    frequency: int
    """Frequency k at which this dimension is best."""
    r2: float
    """Class-mean R² of this dimension at that frequency (in sample, operands' effects removed)."""
    iid_maximum: float
    """Median of the same maximum on white noise (Beta law)."""
    shuffled_median: float
    """Median of the same maximum over shuffles of the rows."""
    shuffled_95: float
    """95th percentile of the same maximum over shuffles of the rows."""
    confound: str
    """Function of the two numbers, smooth or of their digits, that lies nearest to one cosine on these pairs."""
    confound_r2: float
    """Class-mean R² of that function."""


QUESTION = "is the best dimension of a composite better than nothing?"
TABLES = {"composites": CompositeRow}


def measure(reader: Reader) -> Rows:
    """Every composite under one set of weights."""
    prompts = reader.config.prompts
    moduli = dict.fromkeys(reader.config.composites)
    return together([
        reader.rows(f"composite {n}", lambda n=n: _composite(reader, n), prompts=prompts) for n in moduli
    ])  # fmt: skip


def _composite(reader: Reader, n: int) -> Rows:
    config = reader.config
    prompts = sample(arithmetic(n).prompts(), n, config.prompts, config.seed)
    states = reader.states(prompts)
    means, maxima = adjusted_means(states, prompts, n), shuffled_maxima(states, prompts, n, config.seed)
    confound, rows = worst_confound(prompts, n), []
    for at, layer in enumerate(reader.layers):
        r2, shuffled = class_mean_r2(means[at]), maxima[:, at]
        k, dim = divmod(int(r2.argmax()), r2.shape[1])
        best = (dim, k + 1, float(r2.max()), noise_maximum(n, reader.d_model))
        null = (float(shuffled.median()), float(shuffled.quantile(0.95)))
        rows.append(CompositeRow(reader.weights, layer, n, n * n, len(prompts), *best, *null, *confound))
    return {"composites": rows}


def shuffled_maxima(
    rows: Float[Tensor, "prompts layers d"], prompts: Sequence[Prompt], period: int, seed: int
) -> Float[Tensor, "shuffles layers"]:
    """Largest class-mean R² of each layer after each shuffle of the rows, less their operands' effects."""
    weights = effect_weights(prompts, period)
    flat = residual(rows.double().flatten(1), nuisance_basis(prompts))
    generator = torch.Generator().manual_seed(seed)
    maxima = []
    for _ in range(SHUFFLES):
        order = torch.randperm(len(flat), generator=generator)
        maxima.append(class_mean_r2(weights[:, order] @ flat).amax(dim=0).view(rows.shape[1:]).amax(dim=1))
    return torch.stack(maxima)


def worst_confound(prompts: Sequence[Prompt], period: int) -> tuple[str, float]:
    """The function of a and b, none of which knows the residue's circle, with the largest class-mean R²."""
    a = torch.tensor([prompt.first for prompt in prompts]).double()
    b = torch.tensor([prompt.offset for prompt in prompts]).double()
    functions = {
        "a·b": a * b,
        "[a >= 10][b >= 10]": ((a >= 10) & (b >= 10)).double(),
        "[a + b >= n]": (a + b >= period).double(),
    }
    columns = torch.stack(list(functions.values()), dim=1)
    r2 = class_mean_r2(adjusted_means(columns[:, None], prompts, period)[0]).amax(dim=0)
    return list(functions)[int(r2.argmax())], float(r2.max())


def summary(tables: dict[str, Frame]) -> Frame:
    """One row a layer and set of weights, one column a modulus: the best R², and what it is compared with."""
    rows = tables["composites"]
    named = rows.assign(modulus=[f"mod {n}" for n in rows["period"]])
    best = named.pivot(index=KEYS, columns="modulus", values="r2")
    law = named.groupby(["layer", "modulus"])[["iid_maximum", "confound_r2"]].first().unstack("modulus")
    others = {"white noise": law["iid_maximum"], "numbers alone": law["confound_r2"]}
    parts = [best, *(part.set_index(pd.MultiIndex.from_product([part.index, [of]])) for of, part in others.items())]
    return pd.concat(parts).sort_index().rename_axis(KEYS)[list(dict.fromkeys(named["modulus"]))]


def sentence(summary: Frame, tables: dict[str, Frame]) -> str:
    """What the numbers of one layer say."""
    rows = tables["composites"]
    trained, random = (rows[rows["weights"] == weights].set_index("period") for weights in ("trained", "random"))
    others = trained[["confound_r2", "iid_maximum", "shuffled_95"]].assign(random=random["r2"])
    beyond = trained.index[trained["r2"] > others.max(axis=1)]
    return (
        "the best dimension beats random weights, the shuffled rows, white noise and every "
        f"function of the numbers alone at {len(beyond)} of {len(trained)} moduli"
        + (f" ({', '.join(map(str, beyond))})" if len(beyond) else "")
    )
