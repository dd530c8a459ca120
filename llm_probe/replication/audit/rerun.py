"""Published R² claims, run again on their own prompts: published value, reproduced value, and this suite's verdict.

Every claim of the Qwen3 experiments that is an R² of class means names its grid (`experiments.grids`), layer, dimension
and, for most, frequency. Each distinct grid is read once for all its claims. The recipe is the published one:

    n class means at the last token, least squares on [1, cos, sin](2πks/n) (or [1, s, …, s^q]), R² of the n means

with the layer read as they read it (the last one after the final norm, `class_means`). Their denominator carries
1e-10, which changes an R² by 1e-10 / SStot and is left out. Beside the value stands the end of the search it came from:
the best of all dimensions at its layer (best frequency of each). A claim on a mean over moduli is the mean over their
grids of each dimension's R².

Claims that cannot be run again get a reason in words and no number. A published R² can be reproduced to the third digit
and mean nothing: only the calibrated verdict of a probe run of the same model says whether it does.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from llm_probe.models.loading import LoadedModel
from llm_probe.replication.audit.claims import ClaimColumns, PublishedClaim
from llm_probe.replication.audit.evidence import COMPOSITES, PRIMES
from llm_probe.replication.audit.magnitude_networks import Statistic, fit_r2
from llm_probe.replication.audit.searches import WIDTH, domain_of
from llm_probe.replication.experiments.grids import GRIDS, Grid, arithmetic, class_means
from llm_probe.run.study import Study
from toy.run.errors import InputError

METRICS: dict[str, Statistic] = {
    "fourier_r2_residue_means": "fourier",
    "linear_r2_residue_means": "linear",
    "quadratic_r2_residue_means": "quadratic",
    "cubic_r2_residue_means": "cubic",
    "linear_r2": "linear",
    "mean_r2_primes_5_35": "fourier",
    "mean_r2_composites_5_35": "fourier",
}
"""Metric to the family that was fitted."""
DOMAINS = {"days_of_week": "days", "months": "months", "clock_hours": "hours", "alphabet": "alphabet"}
"""First word of a claim's domain to its grid; `modular_addition` is arithmetic."""
SCANNED = {"mean_r2_primes_5_35": PRIMES, "mean_r2_composites_5_35": COMPOSITES}
"""Moduli of the published range scan, by the metric that averages over them."""
MODELS = ("Qwen/Qwen3",)
"""What the names of the models begin with whose claims are about prompts in words."""
WIDTHS = {"Qwen/Qwen3-0.6B": WIDTH}
"""Width of a published model: its dimensions mean nothing in another."""
REASONS_SHOWN = 8
Verdicts = Mapping[tuple[str, int], str]
"""(domain, period) of a claim about sums to its verdict."""


@dataclass(frozen=True)
class RerunRow(ClaimColumns):
    """One claim run again on a model: what stands beside the claim's own columns."""

    published: float
    """The published value."""
    reproduced: float | None = None
    """The same statistic of the same dimension, layer and frequency in this model."""
    difference: float | None = None
    """Reproduced minus published value."""
    reproduced_frequency: int | None = None
    """The best k of that dimension in this model; empty for polynomials and means over moduli."""
    reproduced_best_dim: int | None = None
    """The dimension of that layer with the largest R² in this model."""
    reproduced_best_r2: float | None = None
    """R² of that best dimension: the end of the search that the published number came from."""
    rank: int | None = None
    """Place of the published dimension among those of its layer, 1 the best."""
    n_prompts: int | None = None
    """Number of prompts that were read for it."""
    reason: str = ""
    """Why it was not run again; empty if it was."""
    calibrated: str = ""
    """This suite's verdict on the domain's sums in the probe run given by `--from`; empty without one, and where
    nothing was run again."""


RERUNS = Study({"reruns": RerunRow}, cell_version=1, words=lambda result: "", record="reruns.json")


def rerun(
    loaded: LoadedModel,
    claims: Sequence[PublishedClaim],
    verdicts: Verdicts,
    *,
    batch_tokens: int | None = None,
    on_grid: Callable[[Grid, int], None] = lambda grid, claims: None,
) -> list[RerunRow]:
    """One row a claim, in order; `on_grid` is told each grid that is read and how many claims it serves."""
    reasons = [why_not(loaded, claim) for claim in claims]
    users: dict[Grid, list[int]] = {}
    for index, reason in enumerate(reasons):
        for grid in grids_of(claims[index]) if reason is None else []:
            users.setdefault(grid, []).append(index)
    parts: dict[int, list[Float[Tensor, "k d"]]] = {index: [] for served in users.values() for index in served}
    for grid, served in users.items():
        on_grid(grid, len(served))
        layers = sorted({layer for index in served if (layer := claims[index].layer) is not None})
        means = class_means(loaded, grid, layers, published_layers=True, batch_tokens=batch_tokens)
        by_layer: dict[int | None, Tensor] = dict(zip(layers, means, strict=True))
        fit_once = cache(fit_r2)
        for index in served:
            parts[index].append(fit_once(by_layer[claims[index].layer], METRICS[claims[index].metric]))
    return [
        RerunRow(**claim.columns(), published=claim.value, reason=reason)
        if reason
        else _row(claim, parts[index], verdicts)
        for index, (claim, reason) in enumerate(zip(claims, reasons, strict=True))
    ]


def _row(claim: PublishedClaim, grids: Sequence[Float[Tensor, "_ d"]], verdicts: Verdicts) -> RerunRow:
    """The row of reruns.csv, from the R² on each of the claim's grids."""
    dim, fourier = claim.dim, METRICS[claim.metric] == "fourier"
    k = claim.frequency if fourier else None
    best = sum((r2.amax(dim=0) for r2 in grids[1:]), grids[0].amax(dim=0)) / len(grids)
    value = sum(float(r2[:, dim].max() if k is None else r2[k - 1, dim]) for r2 in grids) / len(grids)
    return RerunRow(
        **claim.columns(),
        published=claim.value,
        reproduced=value,
        difference=value - claim.value,
        reproduced_frequency=int(grids[0][:, dim].argmax()) + 1 if fourier and len(grids) == 1 else None,
        reproduced_best_dim=int(best.argmax()),
        reproduced_best_r2=float(best.max()),
        rank=1 + int((best > best[dim]).sum()),
        n_prompts=sum(grid.n_prompts for grid in grids_of(claim)),
        calibrated=verdicts.get((domain_of(claim), claim.modulus or 0), ""),
    )


def grids_of(claim: PublishedClaim) -> list[Grid]:
    """The grids a claim's statistic is averaged over; none if it is not an R² of a published grid."""
    if claim.metric not in METRICS or claim.experiment.startswith("sae"):
        return []
    if claim.metric in SCANNED:
        return [arithmetic(n) for n in SCANNED[claim.metric]]
    if claim.experiment == "alphabet_linear":
        return [GRIDS["alphabet_position"]]
    name = claim.domain.split()[0] if claim.domain else ""
    if name == "modular_addition":
        return [] if claim.modulus is None or claim.modulus < 3 else [arithmetic(claim.modulus)]
    return [GRIDS[DOMAINS[name]]] if name in DOMAINS else []


def why_not(loaded: LoadedModel, claim: PublishedClaim) -> str | None:
    """Why a claim cannot be run again on this model, in words; None if it can."""
    width = WIDTHS.get(claim.model, loaded.d_model)
    layer, dim, grids = claim.layer, claim.dim, grids_of(claim)
    highest = grids[0].period // 2 if grids else 0
    checks = (
        (claim.model.startswith(MODELS), f"it is about {claim.model}, which is not asked in words"),
        (not claim.experiment.startswith("sae"), "its features are of a sparse autoencoder that is not at hand"),
        (claim.metric in METRICS, f"{claim.metric} is not an R² of class means"),
        (bool(grids), f"no published prompts are known for the domain {claim.domain!r}"),
        (width == loaded.d_model, f"{claim.model} is {width} wide and {loaded.name} {loaded.d_model}"),
        (layer is not None and dim is not None, "it names no layer or no dimension"),
        (0 <= (layer or 0) < len(loaded.layers), f"layer {layer} does not exist: there are {len(loaded.layers)}"),
        (0 <= (dim or 0) < loaded.d_model, f"dimension {dim} does not exist: {loaded.name} is {loaded.d_model} wide"),
        (1 <= (claim.frequency or 1) <= max(highest, 1), f"frequency {claim.frequency} does not exist: {highest} do"),
    )
    return next((reason for holds, reason in checks if not holds), None)


# ------------------------------------------------------------------------------------------- the table and its summary


def calibrated_verdicts(folder: Path, model: str) -> dict[tuple[str, int], str]:
    """The verdicts on sums of a probe run of `model`.

    Raises:
        InputError: the folder holds no such table, or is of another model.
    """
    try:
        rows = list(csv.DictReader((folder / "verdicts.csv").read_text(encoding="utf-8").splitlines()))
        of_model = json.loads((folder / "run.json").read_text(encoding="utf-8"))["model"]
        verdicts = {(row["domain"], int(row["period"])): row["verdict"] for row in rows if row["quantity"] == "sum"}
    except (OSError, KeyError, ValueError, TypeError) as error:
        why = "give the results folder of scripts/probe_llm.py with --from"
        raise InputError(f"{folder} holds no verdicts.csv and run.json of a probe run: {why}") from error
    if of_model != model:
        raise InputError(f"{folder} is a run of {of_model}, not of {model}: its verdicts say nothing about that model")
    return verdicts


def terminal(claims: Sequence[PublishedClaim], rows: Sequence[RerunRow], verdicts: Verdicts) -> str:
    """One line an experiment (medians over its claims), then why the others were not run again."""
    groups: dict[str, list[RerunRow]] = {}
    for claim, row in zip(claims, rows, strict=True):
        if not row.reason:
            groups.setdefault(claim.experiment, []).append(row)
    width = max(map(len, ["experiment", *groups]))
    head = "run again  published  reproduced  |difference|  best dim's"
    lines = [f"{'experiment':<{width}}  {head}{'  calibrated' if verdicts else ''}"] if groups else []
    for name, group in groups.items():
        columns = zip(
            *((row.published, row.reproduced, abs(row.difference or 0), row.reproduced_best_r2) for row in group),
            strict=True,
        )
        medians = "{:>9.3f}  {:>10.3f}  {:>12.3f}  {:>10.3f}".format(*map(statistics.median, columns))  # type: ignore[arg-type]
        counts = Counter(row.calibrated or "no verdict" for row in group) if verdicts else {}
        words = ", ".join(f"{count} {word}" for word, count in counts.items())
        lines.append(f"{name:<{width}}  {len(group):>9}  {medians}  {words}".rstrip())
    done = sum(map(len, groups.values()))
    lines += ["", f"{done} of {len(rows)} claims run again (medians above); of the others:"]
    reasons = Counter(row.reason for row in rows if row.reason).most_common()
    lines += [f"  {count:>4}  {reason}" for reason, count in reasons[:REASONS_SHOWN]]
    if rest := reasons[REASONS_SHOWN:]:
        lines.append(f"  {sum(count for _, count in rest):>4}  for {len(rest)} other reasons, in the table")
    return "\n".join(lines)
