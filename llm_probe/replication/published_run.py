"""The published numbers in the shape of a run, so that a run can be compared with them.

Of every published class-mean R² of a residual dimension (`audit.claims`) the table has one row; a claim's verdict is
that of its largest number by the audit (`audit.judge`): what the number is worth by itself. Planes, intervals and
random weights were not published and stay empty.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from llm_probe.replication.audit.claims import PublishedClaim, read_claims
from llm_probe.replication.audit.searches import LAYERS, WIDTH, domain_of
from llm_probe.replication.experiments.rerun import WIDTHS
from llm_probe.run import table
from llm_probe.run.schema import VERSION, RunTables, columns_of
from toy.run.errors import InputError

FOLDER = Path(__file__).parents[2] / "results" / "published"
"""Made by scripts/replication/audit_claims.py."""


def published_run(folder: Path = FOLDER) -> RunTables:
    """The published class-mean R² of dimensions, as tables of a run.

    Raises:
        InputError: no verdicts.csv of the audit, or one that holds no such number, or those of several models.
    """
    path = folder / "verdicts.csv"
    claims = [claim for claim in read_claims(path)[0] if _comparable(claim)]
    models = sorted({claim.model for claim in claims})
    if len(models) != 1:
        raise InputError(f"{path} has class-mean R² of {', '.join(models) or 'no model'}: keep those of one")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        judged = dict((reader.line_num, row) for row in reader)  # noqa: C402
    best: dict[tuple[str, int], PublishedClaim] = {}
    for claim in claims:
        key = domain_of(claim), claim.modulus or 0
        best[key] = max(best.get(key, claim), claim, key=_size)
    frames = {name: table.frame([], row) for name, row in table.TABLES.items()}
    frames["verdicts"] = _rows("verdicts", [_claim(*key, one, judged[one.line]) for key, one in best.items()])
    frames["r2_table"] = _rows("r2_table", [_dimension(claim) for claim in claims])
    run = {"model": models[0], "layers": LAYERS, "d_model": WIDTHS.get(models[0], WIDTH)}
    return RunTables("published", folder, run, frames, VERSION, ())


def _size(claim: PublishedClaim) -> tuple[float, int]:
    """Some numbers are printed twice, once with three digits: of these the longer one is the value."""
    return round(claim.value, 3), len(repr(claim.value))


def _rows(name: str, known: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of a table; what was not published is empty."""
    return pd.DataFrame(known).reindex(columns=list(columns_of(name)))


def _comparable(claim: PublishedClaim) -> bool:
    """A class-mean R² of one residual dimension of one layer; features of sparse autoencoders are something else."""
    placed = None not in (claim.modulus, claim.layer, claim.dim)
    return claim.kind == "class_mean_r2" and placed and not claim.experiment.startswith("sae")


def _claim(domain: str, period: int, best: PublishedClaim, judged: dict[str, str]) -> dict[str, Any]:
    return {
        **_about(domain, period),
        "cyclic": True,
        "best_dim": best.dim,
        "best_dim_layer": best.layer,
        "best_dim_frequency": best.frequency,
        "class_mean_r2": best.value,
        "verdict": judged["verdict"],
        "reason": judged["reason"],
    }


def _dimension(claim: PublishedClaim) -> dict[str, Any]:
    return {
        **_about(domain_of(claim), claim.modulus or 0),
        "weights": "trained",
        "position": "last",
        "site": "resid_post",
        "layer": claim.layer,
        "unit": "dimension",
        "dim": claim.dim,
        "family": "fourier",
        "frequency": claim.frequency,
        "r2_class_means": claim.value,
    }


def _about(domain: str, period: int) -> dict[str, Any]:
    return {"domain": domain, "period": period, "quantity": "sum"}
