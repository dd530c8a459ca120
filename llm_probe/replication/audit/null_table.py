"""The null of random weights: `results/calibration/class_mean_null.csv` as laws.

A search over all dimensions of a layer is compared with the largest of each network's layers; one over several layers
with the largest over the layers the table has; one over few dimensions with quantiles over all dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llm_probe.replication.audit.null_laws import Law, of_draws, of_network_quantiles
from llm_probe.replication.audit.random_networks import COLUMNS, QUANTILES
from llm_probe.replication.audit.searches import Search
from toy.run.errors import InputError

NAME = "random-weights Qwen3"


@dataclass(frozen=True)
class NullTable:
    """Rows of random networks; one row a domain, seed and layer."""

    rows: pd.DataFrame

    @staticmethod
    def read(path: Path) -> NullTable:
        """
        Raises:
            InputError: the table is not there, cannot be read, lacks a column or has an empty cell.
        """
        try:
            rows = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot read {path} ({error}): make it with scripts/calibration/null_class_means.py"
            ) from error
        missing = [name for name in COLUMNS if name not in rows.columns]
        numbers = [name for name in COLUMNS if name not in ("null", "domain", *missing)]
        wrong = [name for name in numbers if not pd.api.types.is_numeric_dtype(rows[name]) or rows[name].hasnans]
        if missing or wrong or rows.empty:
            what = f"lacks the column {missing[0]!r}" if missing else "has a column without numbers or no row"
            raise InputError(f"{path} {what}: make it anew with scripts/calibration/null_class_means.py")
        return NullTable(rows)

    def law(self, domain: str, search: Search) -> Law | None:
        """The law of a search in this domain; None if the table has not measured the domain."""
        rows = self.rows[self.rows.domain == domain]
        if rows.empty:
            return None
        if search.dims >= int(rows.dims.iloc[0]):
            draws: Any = rows.max_r2 if search.layers == 1 else rows.groupby("seed").max_r2.max()
            return of_draws(NAME, np.array(draws, dtype=float))
        dims = int(rows.dims.iloc[0])
        # The tenth of 1,024 has 9.5 of them above it, the largest half a one.
        levels = np.array([*QUANTILES.values(), 1 - 9.5 / dims, 1 - 0.5 / dims])
        values = np.array(rows[[*QUANTILES, "tenth_r2", "max_r2"]], dtype=float)
        return of_network_quantiles(NAME, levels, np.maximum.accumulate(values, axis=1), search.columns)

    def summary(self) -> str:
        """What the table rests on, in a sentence."""
        return f"{self.rows.seed.nunique()} networks of {self.rows.layer.nunique()} blocks"
