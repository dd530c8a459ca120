"""Published claims: the numbers that were printed elsewhere, one row of `claims.csv` each.

A row is a fact: where a number stands, what it is about, which statistic it is and its value. Three kinds of
statistic are judged, and `METRICS` says which metric is which:

- **R²**: shares of variance that a fit explains. Of class means (`*_r2_residue_means`: one number a residue, then a
  cosine and a sine, or a polynomial; `linear_r2`: a straight line through 26 items), or of all inputs (`fve_*`);
- **ablation**: something with a part of the network removed, beside the same without (`base…`, `ablated…`, their
  difference): shares of right answers, or perplexities;
- **accuracy**: a share of right answers.

Not judged, and refused as unknown metrics: losses, norms, counts, Gini and signal-to-noise ratios, attention weights,
cosines and ranks, for which "how large is it by chance" has no answer without the network.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from toy.run.errors import InputError

Kind = Literal["class_mean_r2", "mean_r2", "rival_r2", "line_r2", "input_r2", "accuracy", "ablation", "perplexity"]


@dataclass(frozen=True)
class Metric:
    """What a published number is, and where it can lie."""

    kind: Kind
    low: float = 0.0
    high: float = 1.0
    needs: tuple[str, ...] = ()
    """Fields a row of this metric cannot do without."""


_RESIDUE, _RIVAL = Metric("class_mean_r2", needs=("modulus",)), Metric("rival_r2", needs=("modulus",))
_ACCURACY, _ABLATION, _DROP = Metric("accuracy"), Metric("ablation"), Metric("ablation", low=-1.0)
METRICS: dict[str, Metric] = {
    "fourier_r2_residue_means": _RESIDUE,
    "linear_r2_residue_means": _RIVAL,
    "quadratic_r2_residue_means": _RIVAL,
    "cubic_r2_residue_means": _RIVAL,
    "mean_r2_primes_5_35": Metric("mean_r2"),
    "mean_r2_composites_5_35": Metric("mean_r2"),
    "linear_r2": Metric("line_r2", needs=("modulus",)),
    "fve_cos_w(a+b)": Metric("input_r2", needs=("modulus", "frequency")),
    "fve_sin_w(a+b)": Metric("input_r2", needs=("modulus", "frequency")),
    "fve_by_5_cos_terms": Metric("input_r2", needs=("modulus",)),
    "fve_degree2_poly": Metric("input_r2", needs=("modulus",)),
    "base_acc": _ABLATION,
    "ablated_acc": _ABLATION,
    "acc_drop": _DROP,
    "baseline": _ABLATION,
    "ablated": _ABLATION,
    "drop": _DROP,
    "base_ppl": Metric("perplexity", low=1.0, high=math.inf),
    "ablated_ppl": Metric("perplexity", low=1.0, high=math.inf),
    "ppl_increase_pct": Metric("perplexity", low=-100.0, high=math.inf),
    **dict.fromkeys((
        "greedy_generation_accuracy_n100", "accuracy", "exact_match_accuracy", "train_accuracy",
        "interpolation_accuracy", "extrapolation_6digit_accuracy", "final_test_accuracy", "train_acc", "test_acc",
        "train_acc_last_logged", "test_acc_last_logged", "in_curriculum", "not_yet_curriculum", "extrapolation",
        "interp_acc", "extrap_acc", "unseen_acc",
    ), _ACCURACY),
}  # fmt: skip
"""Every metric that is judged. A drop of shares lies in [-1, 1], a perplexity is at least 1."""


@dataclass(frozen=True)
class ClaimColumns:
    """A published number and what it is about: the columns that every table of the audit begins with."""

    source: str
    """Repository, commit and file, or paper and section."""
    model: str
    """Model that the number is of, as the source names it."""
    experiment: str
    """Experiment of the source, which says what was searched (`llm_probe/replication/audit/searches.py`)."""
    domain: str
    """Question that was put to the model, with the prompt where it is known."""
    modulus: int | None
    """Period of the question: the modulus, or the number of items."""
    layer: int | None
    """Block whose output was read, counted from 0."""
    dim: int | None
    """Index of the residual dimension, sparse feature or head."""
    frequency: int | None
    """Frequency k of the fitted cosine and sine."""
    metric: str
    """Name of the statistic, a key of `METRICS` in `llm_probe/replication/audit/claims.py`."""
    value: float
    """The published number, as printed."""

    @property
    def kind(self) -> Kind:
        return METRICS[self.metric].kind

    @property
    def cell(self) -> tuple[str, int | None, int | None, int | None]:
        """(model, modulus, layer, dimension): what two numbers about the same fit share."""
        return self.model, self.modulus, self.layer, self.dim


@dataclass(frozen=True)
class PublishedClaim(ClaimColumns):
    """One published number as it was read from a file."""

    line: int
    """Line of the file it was read from."""

    def columns(self) -> dict[str, Any]:
        """What a table of the audit repeats of it."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(field.name for field in fields(ClaimColumns))
_TEXTS, _INTEGERS = ("source", "model", "experiment", "domain", "metric"), ("modulus", "layer", "dim", "frequency")


def read_claims(path: Path) -> tuple[list[PublishedClaim], list[str]]:
    """(claims, one sentence for each row that was refused).

    Raises:
        InputError: the file is not there or cannot be read as text, or its header lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="more")
            header = reader.fieldnames or []
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}: its first line must name {', '.join(COLUMNS)}")
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give a claims file with --claims") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}): give a claims file with --claims") from error
    claims, refusals = [], []
    for line, row in rows:
        try:
            claims.append(_parsed(row, line))
        except InputError as error:
            refusals.append(f"line {line} of {path.name} is refused: {error}")
    return claims, refusals


def _parsed(row: dict[str, str | None], line: int) -> PublishedClaim:
    if "more" in row:
        raise InputError(f"it has more than {len(COLUMNS)} fields; put commas inside a field between quotation marks")
    text = {name: (row[name] or "").strip() for name in COLUMNS}
    cut = [name for name in COLUMNS if row[name] is None]
    if missing := cut or [name for name in (*_TEXTS, "value") if not text[name]]:
        raise InputError(f"the field {missing[0]!r} is missing")
    metric = METRICS.get(text["metric"])
    if metric is None:
        raise InputError(f"unknown statistic {text['metric']!r}; known are {', '.join(METRICS)}")
    modulus, layer, dim, frequency = (_integer(name, text[name]) for name in _INTEGERS)
    if lacking := [name for name in metric.needs if not text[name]]:
        raise InputError(f"{text['metric']} needs the field {lacking[0]!r}")
    if modulus is not None and not 5 <= modulus <= 1000:
        raise InputError(f"the modulus must be from 5 to 1000, not {modulus}")
    if frequency is not None and modulus is not None and not 1 <= frequency <= modulus // 2:
        raise InputError(f"frequency {frequency} is not from 1 to {modulus // 2}, what a period of {modulus} has")
    value = _value(text["value"], text["metric"], metric)
    about = (text["source"], text["model"], text["experiment"], text["domain"])
    return PublishedClaim(*about, modulus, layer, dim, frequency, text["metric"], value, line)


def _integer(name: str, text: str) -> int | None:
    # "7.0" is what a table program makes of a column with empty cells.
    digits = text.removesuffix(".0")
    if text and not (digits.isascii() and digits.isdigit()):
        raise InputError(f"the {name} must be a whole number of at least 0, not {text!r}")
    return int(digits) if text else None


def _value(text: str, name: str, metric: Metric) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"the value {text!r} is no number") from None
    if not math.isfinite(value) or not metric.low <= value <= metric.high:
        most = "" if math.isinf(metric.high) else f" and at most {metric.high:g}"
        raise InputError(f"{name} must be at least {metric.low:g}{most}, not {text}")
    return value


def beside(claim: PublishedClaim, claims: Sequence[PublishedClaim], *metrics: str) -> dict[str, float]:
    """Metric to value of the numbers published about the same cell; of several the first."""
    values: dict[str, float] = {}
    for other in claims:
        if other.metric in metrics and other.cell == claim.cell:
            values.setdefault(other.metric, other.value)
    return values
