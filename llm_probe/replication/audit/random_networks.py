"""The null of random weights: the class-mean R² of networks of Qwen3's shape whose weights were drawn from a seed.

Every residual dimension of every block is reduced to class means over the published prompts and scored with the
published statistic, the R² of the best frequency (`toy.maths.regression.class_mean_r2`); `alphabet position`, published
with a straight line, is scored with the line. One row of the table is one network, one domain, one layer: how large
the statistic is among its d_model dimensions.

The network has Qwen3-0.6B's width, heads and feed-forward size; the number of blocks is a choice (28 in the
original) and the vocabulary is the reference model's, which splits numbers into digits as Qwen's does. Read at the
last token, float32, weights from transformers' own initialisation (normal, sd 0.02).

`NullTable` turns the table into laws. A search over all dimensions of a layer is compared with the largest of each
network's layers; one over several layers with the largest over the layers the table has; one over few dimensions with
quantiles over all dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from llm_probe.statistics.class_mean_null import Law, law_of_draws, law_of_survival, of_columns
from toy.run.cells import Cells, key_of
from toy.run.errors import InputError

if TYPE_CHECKING:
    from llm_probe.models.loading import LoadedModel
    from llm_probe.replication.experiments.grids import Grid

CELL_VERSION = 1
NAME = "random-weights Qwen3"
QUANTILES = {"median_r2": 0.5, "q75_r2": 0.75, "q90_r2": 0.9, "q95_r2": 0.95, "q99_r2": 0.99}
"""Quantiles over the dimensions of one layer: the law of a dimension that was not searched for."""
POSITION_DOMAIN = "alphabet position"


@dataclass(frozen=True)
class NullRow:
    """The class-mean R² of one layer of one network that was never trained, on one domain."""

    null: str
    """Kind of network that was drawn."""
    domain: str
    """Domain, such as `days` or `mod-add 7`; `alphabet position` is fitted by a straight line, as it was published."""
    n: int
    """Number of class means, which is the period."""
    seed: int
    """Seed that determines the network's weights."""
    layer: int
    """Block whose output at the last token was read, counted from 0."""
    dims: int
    """Number of residual dimensions that were searched in this layer."""
    max_r2: float
    """Largest R² among these dimensions, each at its best frequency."""
    tenth_r2: float
    """Tenth largest R² among these dimensions."""
    median_r2: float
    """Median R² over these dimensions: half of the dimensions that were not searched for lie above it."""
    q75_r2: float
    """75 % quantile of R² over these dimensions."""
    q90_r2: float
    """90 % quantile of R² over these dimensions."""
    q95_r2: float
    """95 % quantile of R² over these dimensions."""
    q99_r2: float
    """99 % quantile of R² over these dimensions."""


COLUMNS = tuple(field.name for field in fields(NullRow))
MODULI = (7, 11, 13, 17, 19, 23, 29, 31, 10, 12, 24)
CALENDARS = ("days", "months", "hours", "alphabet", POSITION_DOMAIN)


@dataclass(frozen=True)
class NullConfig:
    """Which networks are drawn."""

    out: Path = Path("results/calibration/class_mean_null.csv")
    """The table; the networks already measured are kept beside the folder's other cells."""
    seeds: int = 20
    """Networks, seeds 0, 1, …"""
    layers: int = 3
    """Blocks of each network; Qwen3-0.6B has 28."""
    moduli: tuple[int, ...] = MODULI
    calendars: tuple[str, ...] = CALENDARS
    cells: Path = Path("work/class_mean_null")
    """Folder of the finished networks: the same command goes on where it stopped."""

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.layers < 1:
            raise InputError("give --seeds and --layers of at least 1")
        unknown = sorted(set(self.calendars) - set(CALENDARS))
        if unknown:
            raise InputError(f"unknown calendar {unknown[0]!r}: choose from {', '.join(CALENDARS)}")


def grids(config: NullConfig) -> dict[str, Grid]:
    """Domain name to the published prompts."""
    from llm_probe.replication.experiments.grids import GRIDS, arithmetic

    calendars = {name: GRIDS[name.replace(" ", "_")] for name in config.calendars}
    return calendars | {f"mod-add {modulus}": arithmetic(modulus) for modulus in config.moduli}


def random_qwen3(layers: int, seed: int) -> LoadedModel:
    """A network of Qwen3-0.6B's width and heads with `layers` blocks and weights that are a function of the seed."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    from llm_probe.models.loading import REFERENCE_FOLDER, wrap

    tokenizer = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=3072, num_hidden_layers=layers,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(seed)
    return wrap(Qwen3ForCausalLM(config).requires_grad_(False).eval(), tokenizer, name=f"random Qwen3, seed {seed}")


def measure(loaded: LoadedModel, domain: str, grid: Grid) -> list[dict[str, Any]]:
    """One row a layer: the statistic's largest, tenth and quantiles over the dimensions."""
    from llm_probe.replication.audit.magnitude_networks import fit_r2
    from llm_probe.replication.experiments.grids import class_means

    rows = []
    for layer, means in enumerate(class_means(loaded, grid, range(len(loaded.layers)))):
        best = fit_r2(means, "linear" if domain == POSITION_DOMAIN else "fourier").amax(dim=0)
        ordered = best.sort(descending=True).values
        row = {"layer": layer, "dims": len(best), "max_r2": float(ordered[0])}
        row["tenth_r2"] = float(ordered[min(9, len(ordered) - 1)])
        rows.append(row | {name: float(best.quantile(level)) for name, level in QUANTILES.items()})
    return rows


def table(config: NullConfig, on_network: Callable[[int], None] = lambda seed: None) -> Iterator[dict[str, Any]]:
    """Every row; a network is one cell for each domain, and is built only if one is missing.

    Raises:
        InputError: the folder of cells cannot be written.
    """
    cells = Cells(config.cells, CELL_VERSION)
    for seed in range(config.seeds):
        network = cache(lambda seed=seed: random_qwen3(config.layers, seed))
        for domain, grid in grids(config).items():
            key = key_of({"domain": domain, "layers": config.layers, "seed": seed})
            measured = cells.get(key, lambda d=domain, g=grid, n=network: {"rows": measure(n(), d, g)})
            for row in measured["rows"]:
                yield {"null": "random-init Qwen3", "domain": domain, "n": grid.period, "seed": seed} | row
        on_network(seed)


@dataclass(frozen=True)
class NullTable:
    """Rows of random networks as laws; one row a domain, seed and layer."""

    rows: pd.DataFrame

    @staticmethod
    def read(path: Path) -> NullTable:
        """
        Raises:
            InputError: the table is not there, cannot be read, lacks a column or has an empty cell.
        """
        made_by = "scripts/calibration/null_class_means.py"
        try:
            rows = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path} ({error}): make it with {made_by}") from error
        missing = [name for name in COLUMNS if name not in rows.columns]
        numbers = [name for name in COLUMNS if name not in ("null", "domain", *missing)]
        wrong = [name for name in numbers if not pd.api.types.is_numeric_dtype(rows[name]) or rows[name].hasnans]
        if missing or wrong or rows.empty:
            what = f"lacks the column {missing[0]!r}" if missing else "has a column without numbers or no row"
            raise InputError(f"{path} {what}: make it anew with {made_by}")
        return NullTable(rows)

    def law(self, domain: str, dims: int, layers: int) -> Law | None:
        """The law of a search over dimensions and layers in this domain; None if the table has not measured it."""
        rows = self.rows[self.rows.domain == domain]
        if rows.empty:
            return None
        width = int(rows.dims.iloc[0])
        if dims >= width:
            draws: Any = rows.max_r2 if layers == 1 else rows.groupby("seed").max_r2.max()
            return law_of_draws(NAME, np.array(draws, dtype=float))
        # The tenth of 1,024 has 9.5 of them above it, the largest half a one.
        levels = np.array([*QUANTILES.values(), 1 - 9.5 / width, 1 - 0.5 / width])
        values = np.array(rows[[*QUANTILES, "tenth_r2", "max_r2"]], dtype=float)
        return law_of_quantiles(levels, np.maximum.accumulate(values, axis=1), dims * layers)

    def summary(self) -> str:
        """What the table rests on, in a sentence."""
        return f"{self.rows.seed.nunique()} networks of {self.rows.layer.nunique()} blocks"


def law_of_quantiles(
    levels: Float[np.ndarray, " levels"], values: Float[np.ndarray, "networks levels"], columns: int
) -> Law:
    """The largest of a few dimensions drawn from each network, from quantiles over all its dimensions.

    Between quantiles the share above r is interpolated; above a network's largest value it is half a dimension's.
    """
    edges = np.concatenate([[0.0], levels])
    knots = np.concatenate([np.zeros((len(values), 1)), values], axis=1)

    def above(r: float) -> float:
        one = [1 - np.interp(r, row, edges) for row in knots]
        return float(np.mean([of_columns(float(share), columns) for share in one]))

    return law_of_survival(NAME, above)
