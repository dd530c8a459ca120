"""The published numbers in the shape of a run, so that a run can be compared with them.

Of every published class-mean R² of a residual dimension (`audit.claims`) the table has one row; a claim's verdict is
that of its largest number by the audit (`audit.judge`), in the audit's words: what the number is worth by itself.
Planes, intervals and random weights were not published and stay empty.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from llm_probe.replication.audit.claims import PublishedClaim, read_claims
from llm_probe.replication.audit.rerun import WIDTHS
from llm_probe.replication.audit.searches import LAYERS, WIDTH, domain_of
from llm_probe.run import table
from llm_probe.run.schema import VERSION, RunTables, columns_of
from toy.run.errors import InputError

FOLDER = Path(__file__).parents[3] / "results" / "published"
"""Made by scripts/replication/audit_claims.py."""


def published_run(folder: Path = FOLDER) -> RunTables:
    """The published class-mean R² of dimensions, as tables of a run.

    Raises:
        InputError: no verdicts.csv of the audit, or one that holds no such number, or those of several models.
    """
    path = folder / "verdicts.csv"
    claims = [claim for claim in read_claims(path)[0] if _is_dimension(claim)]
    models = sorted({claim.model for claim in claims})
    if len(models) != 1:
        raise InputError(f"{path} has class-mean R² of {', '.join(models) or 'no model'}: keep those of one")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        audited = dict((reader.line_num, row) for row in reader)  # noqa: C402 - the number changes with each row
    best: dict[tuple[str, int], PublishedClaim] = {}
    for claim in claims:
        key = domain_of(claim), claim.modulus or 0
        best[key] = max(best.get(key, claim), claim, key=_size)
    known = {
        "verdicts": [
            {"domain": domain, "period": period, "quantity": "sum", "cyclic": True, "best_dim": claim.dim,
             "best_dim_layer": claim.layer, "best_dim_frequency": claim.frequency, "class_mean_r2": claim.value,
             "verdict": audited[claim.line]["verdict"], "reason": audited[claim.line]["reason"]}
            for (domain, period), claim in best.items()
        ],
        "r2_table": [
            {"domain": domain_of(claim), "period": claim.modulus, "quantity": "sum", "weights": "trained",
             "position": "last", "site": "resid_post", "layer": claim.layer, "unit": "dimension", "dim": claim.dim,
             "family": "fourier", "frequency": claim.frequency, "r2_class_means": claim.value}
            for claim in claims
        ],
    }  # fmt: skip
    frames = {name: table.frame([], row) for name, row in table.TABLES.items()}
    # What was not published is empty.
    frames |= {name: pd.DataFrame(rows).reindex(columns=list(columns_of(name))) for name, rows in known.items()}
    run = {"model": models[0], "layers": LAYERS, "d_model": WIDTHS.get(models[0], WIDTH)}
    return RunTables("published", folder, run, frames, VERSION, ())


def _size(claim: PublishedClaim) -> tuple[float, int]:
    """Some numbers are printed twice, once with three digits: of these the longer one is the value."""
    return round(claim.value, 3), len(repr(claim.value))


def _is_dimension(claim: PublishedClaim) -> bool:
    """A class-mean R² of one residual dimension of one layer; features of sparse autoencoders are something else."""
    placed = None not in (claim.modulus, claim.layer, claim.dim)
    return claim.kind == "class_mean_r2" and placed and not claim.experiment.startswith("sae")
