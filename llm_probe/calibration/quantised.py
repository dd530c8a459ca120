"""Does a circle survive four-bit weights? The same probe on a model whose weights went through a GGUF quantisation.

Every matrix whose rows are blocks of 32 numbers is quantised by the `gguf` package and dequantised again, the token
embedding among them; norms stay as they are, as in GGUF files. Prompts, renamings and the random control are those of
the model itself, so that rows of different kinds differ by the weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from llm_probe.models.loading import LoadedModel
from llm_probe.page.style import GREY, INK, OCHRE, SIZE, TRAINED, frame, save_figures
from llm_probe.run.config import ProbeConfig
from llm_probe.run.probe import plan_of, run
from llm_probe.run.result import ProbeResult
from llm_probe.run.vocabulary import Quantity

KINDS = ("", "Q8_0", "Q4_1", "Q4_0")
"""Of the `gguf` package's quantisations those with one scale a block; empty: none."""
BLOCK = 32
STYLE = {"": (INK, "o"), "Q8_0": (TRAINED, "s"), "Q4_1": (OCHRE, "^"), "Q4_0": (OCHRE, "v")}


@dataclass(frozen=True)
class QuantisedRow:
    """One claim about a model under one quantisation of its weights."""

    quantization: str | None
    """Block format of the weights (Q8_0: 8 bits, Q4_0 and Q4_1: 4); empty for those of the model itself."""
    error: float
    """Root of the summed squared change of all quantised weights over their summed squares."""
    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    quantity: Quantity
    """`sum` or `item`."""
    accuracy: float | None
    """Share of right answers; empty for items."""
    layer: int
    """Block behind which the plane of the verdict lies."""
    plane_r2: float
    """R² of that plane on confirmation prompts."""
    agreement: float
    """Correlation of predicted with true points there."""
    level: str | None
    """The most that was shown of the claim."""
    verdict: str
    """`supported`, `refuted` or `undetermined`."""


def quantise(loaded: LoadedModel, kind: str) -> float:
    """Replace a model's matrices by what is left of them after a quantisation, and say how far they moved (`error`)."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    chosen = GGMLQuantizationType[kind]
    moved, total = 0.0, 0.0
    for weight in loaded.model.parameters():
        if weight.ndim != 2 or weight.shape[1] % BLOCK:
            continue
        before = weight.detach().float().cpu().numpy()
        after = dequantize(quantize(before, chosen), chosen)
        moved, total = moved + float(((after - before) ** 2).sum()), total + float((before**2).sum())
        with torch.no_grad():
            weight.copy_(torch.from_numpy(after))
    return (moved / total) ** 0.5


def quantised_rows(config: ProbeConfig, make: Callable[[], LoadedModel], kind: str) -> list[QuantisedRow]:
    """The verdicts of one kind of weights."""
    loaded = make()
    error = quantise(loaded, kind) if kind else 0.0
    return _rows(run(plan_of(config, lambda: loaded), None), kind, error)


def _rows(result: ProbeResult, kind: str, error: float) -> list[QuantisedRow]:
    return [
        QuantisedRow(
            kind or None, error, row["domain"], row["quantity"], row["accuracy"], row["layer"], row["plane_r2"],
            row["agreement"], row["level"], row["verdict"],
        )
        for row in result.verdicts.to_dict("records")
    ]  # fmt: skip


def figure(rows: Sequence[QuantisedRow]) -> Figure:
    """A line a claim of which a circle was shown, with a mark a quantisation: R² on new prompts."""
    own = [row for row in rows if not row.quantization and row.level == "circle"]
    picture = Figure((6.4, 1.2 + 0.28 * len(own)), layout="constrained")
    axes = picture.subplots()
    for kind, (colour, mark) in STYLE.items():
        values = {(row.domain, row.quantity): row for row in rows if (row.quantization or "") == kind}
        there = [
            (values[one.domain, one.quantity], y) for y, one in enumerate(own) if (one.domain, one.quantity) in values
        ]
        for full in (True, False):
            part = [(row.plane_r2, y) for row, y in there if (row.verdict == "supported") == full]
            label = (kind or "its own weights") if full else None
            axes.plot(
                [r2 for r2, _ in part], [y for _, y in part], mark, color=colour, linestyle="none", markersize=6,
                markerfacecolor=colour if full else "white", label=label,
            )  # fmt: skip
    axes.hlines(range(len(own)), 0, 1, color=GREY, linewidth=0.5, zorder=0)
    axes.set_yticks(range(len(own)), [f"{row.domain}: {row.quantity}" for row in own])
    axes.set(xlim=(0, 1), ylim=(len(own) - 0.5, -0.5))
    frame(axes, "R² of the plane on new prompts (hollow: not supported)", "")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False, fontsize=SIZE)
    return picture


def write_figure(folder: Path, rows: Sequence[QuantisedRow]) -> list[Path]:
    """`quantised` as svg and png."""
    return save_figures(folder, {"quantised": figure(rows)}, "calibration")
