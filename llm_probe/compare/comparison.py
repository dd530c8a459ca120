"""Runs compared from their folders: read, set beside the first one, printed, written, drawn.

    compare.csv              ComparedRow        verdicts, confirmed R² with the interval of their difference, dimensions
    compare_layers.csv       ComparedLayerRow   held-out R² layer by layer, with the interval of their difference
    compare_provenance.csv   what differs in run.json
    compare.svg, .png        every claim's R² in every run, on one line, trained (filled) and random weights (hollow)

The first run is the baseline. `published` stands for the published numbers (`compare_published`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from llm_probe.compare.compared import (
    ComparedLayerRow,
    ComparedRow,
    compared_claims,
    compared_layers,
    frame,
    one_model,
    provenance_differences,
)
from llm_probe.page.views import claim_name, number, r2_text, text
from llm_probe.run.schema import VERSION, RunTables, check_one_model_a_name, named_apart, read_run
from toy.run.errors import InputError
from toy.run.files import write_atomic

PUBLISHED = "published"
PROVENANCE = ("baseline", "run", "key", "baseline_value", "value")
SHOWN = 60
"""Characters of a value of run.json on the terminal."""


@dataclass(frozen=True)
class Comparison:
    """Every other run beside the first one."""

    runs: tuple[RunTables, ...]
    """The baseline first."""
    claims: pd.DataFrame
    """Rows of `ComparedRow`."""
    layers: pd.DataFrame
    """Rows of `ComparedLayerRow`."""
    provenance: pd.DataFrame
    """Columns baseline, run, key, baseline_value, value."""

    @property
    def changed(self) -> pd.DataFrame:
        """The claims whose verdicts differ; a claim that only one run asked about is not among them."""
        return self.claims.loc[self.claims["agrees"].eq(False)]

    def __str__(self) -> str:
        return "\n\n".join(_terminal(self, other) for other in self.runs[1:])


def read_sides(names: Sequence[str]) -> list[RunTables]:
    """Results folders, or `published`.

    Raises:
        InputError: fewer than two different ones, one that cannot be read, or two models under one name.
    """
    places = list(dict.fromkeys(name if name == PUBLISHED else str(Path(name)) for name in names))
    if len(places) < 2:
        raise InputError(f"a comparison needs two different runs, got {', '.join(names)}: give two results folders")
    folders = named_apart([read_run(Path(name)) for name in places if name != PUBLISHED])
    check_one_model_a_name(folders)
    read = iter(folders)
    return [_published() if name == PUBLISHED else next(read) for name in places]


def _published() -> RunTables:
    from llm_probe.replication.published_run import published_run

    return published_run()


def compare(runs: Sequence[RunTables]) -> Comparison:
    """Set every run beside the first.

    Raises:
        InputError: a run shares no claim with the first.
    """
    baseline, *others = runs
    claims = frame([row for other in others for row in compared_claims(baseline, other)], ComparedRow)
    for other in others:
        if not claims.loc[claims["run"] == other.name, "agrees"].notna().any():
            raise InputError(
                f"{baseline.folder} and {other.folder} have no claim in common: there is nothing to compare"
            )
    layers = [row for other in others for row in compared_layers(baseline, other)]
    differs = [
        (baseline.name, other.name, *line) for other in others for line in provenance_differences(baseline, other)
    ]
    provenance = pd.DataFrame(differs, columns=list(PROVENANCE))
    return Comparison(tuple(runs), claims, frame(layers, ComparedLayerRow), provenance)


def write(found: Comparison, folder: Path) -> list[Path]:
    """The tables and the figure; each file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written.
    """
    from llm_probe.compare.figure import figure
    from llm_probe.page.style import save_figures

    tables = {"compare": found.claims, "compare_layers": found.layers, "compare_provenance": found.provenance}
    try:
        for name, rows in tables.items():
            write_atomic(folder / f"{name}.csv", rows.to_csv(index=False, float_format="%.6g"))
        pictures = save_figures(folder, {"compare": figure(found)}, "llm_probe")
    except OSError as error:
        raise InputError(f"cannot write to {folder} ({error.strerror}): give another folder with --out") from error
    return [folder / f"{name}.csv" for name in tables] + pictures


# ---------------------------------------------------------------------------------------------------------- terminal


def _terminal(found: Comparison, other: RunTables) -> str:
    """One run against the baseline: a headline, a line a shared claim, what else differs."""
    baseline = found.runs[0]
    rows = found.claims.loc[found.claims["run"] == other.name]
    shared = rows.loc[rows["agrees"].notna()]
    lacking, lacked = (int(rows[column].isna().sum()) for column in ("verdict", "baseline_verdict"))
    head = (
        f"{other.name} against {baseline.name}: {shared['agrees'].eq(True).sum()} of {len(shared)} shared claims have "
        f"the same verdict; {lacking} only in {baseline.name}, {lacked} only in {other.name}"
    )
    lines = [_cells(claim) for claim in shared.to_dict("records")]
    names = ("claim", "n", baseline.name, other.name, "", "plane R²", "difference (95 %)", "random weights",
             "class-mean R²", "its dimension")  # fmt: skip
    widths = [max(len(line[column]) for line in (names, *lines)) for column in range(len(names))]
    left = (0, 2, 3, 4, 9)
    table = [
        "  ".join(cell.ljust(size) if place in left else cell.rjust(size)
                  for place, (cell, size) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in (names, *lines)
    ]  # fmt: skip
    return "\n".join([head, "", *table, "", *_notes(found, baseline, other)])


def _cells(claim: dict) -> tuple[str, ...]:
    low, high = number(claim["difference_low"]), number(claim["difference_high"])
    change = "-"
    if low is not None and high is not None:
        change = f"{claim['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
    plane, random = (_pair(claim, f"{kind}r2", 2) for kind in ("", "random_"))
    dims = [number(claim[key]) for key in ("baseline_dim", "dim")]
    moved = "" if None in dims else f"{dims[0]:.0f}" + (f" -> {dims[1]:.0f}" if claim["dim_moved"] else "")
    cells = (
        claim_name(claim["domain"], claim["quantity"]),
        str(claim["period"]),
        text(claim["baseline_verdict"]),
        text(claim["verdict"]),
        "" if claim["agrees"] else "differs",
        plane,
        change,
        random,
        _pair(claim, "class_mean_r2", 3),
        moved,
    )
    return tuple(cell.replace("−", "-").replace("–", "-") for cell in cells)


def _pair(claim: dict, column: str, decimals: int) -> str:
    """An R² in the baseline and in the other run."""
    values = [r2_text(claim[f"{side}{column}"], decimals) for side in ("baseline_", "")]
    return "-" if values == ["–", "–"] else f"{values[0]} -> {values[1]}"


def _notes(found: Comparison, baseline: RunTables, other: RunTables) -> list[str]:
    """Layers, dimensions and provenance in sentences."""
    notes = []
    layers = found.layers.loc[found.layers["run"] == other.name]
    if layers["difference"].notna().any():
        clear = int(((layers["difference_low"] > 0) | (layers["difference_high"] < 0)).sum())
        notes.append(f"layer by layer, {clear} of {len(layers)} differences of R² have an interval without 0")
    for run in (baseline, other):
        if gone := [f"{name}.csv" for name in run.missing]:
            notes.append(f"{run.name} has no {', '.join(gone)}: nothing of it is compared")
        if run.schema != VERSION:
            notes.append(f"{run.name} is of schema {run.schema}, read as {VERSION}: verdicts by the rules of then")
    if not one_model(baseline, other):
        notes.append("dimensions are not compared: these are two models")
    elif kept := int(layers["dims_kept"].sum()):
        notes.append(f"{kept - int(layers['dims_shared'].sum())} of {kept} kept dimensions (places together) moved")
    if PUBLISHED in (baseline.name, other.name):
        notes.append(
            "a published verdict is of the number by itself, and its R² is of class means (docs/statistics.md)"
        )
    changed = found.provenance.loc[found.provenance["run"] == other.name]
    lines = changed[list(PROVENANCE[2:])].itertuples(index=False, name=None)
    values = [f"{key} {_short(before)} -> {_short(after)}" for key, before, after in lines]
    notes.append("provenance: " + ("; ".join(values) or "nothing differs but the time"))
    return [line for note in notes for line in textwrap.wrap(note, 150, subsequent_indent="  ")]


def _short(value: str) -> str:
    return (value if len(value) <= SHOWN else value[: SHOWN - 1] + "…") or "none"
