"""Quantised weights: how far each format moves them, what it leaves alone, and the rows of a tiny run."""

from __future__ import annotations

import pytest
import torch

from llm_probe.calibration.quantised import KINDS, QuantisedRow, figure, quantise, quantised_rows
from llm_probe.models.loading import REFERENCE_FOLDER, LoadedModel, load
from llm_probe.run.config import ProbeConfig


def reference() -> LoadedModel:
    return load(str(REFERENCE_FOLDER), device="cpu")


def test_formats_move_weights_by_what_their_bits_allow() -> None:
    """Eight bits: steps of max / 127, error max / 254 at most; four bits are some sixteen times as coarse."""
    errors = {}
    for kind in KINDS[1:]:
        own, loaded = reference(), reference()
        errors[kind] = quantise(loaded, kind)
        for (name, before), after in zip(own.model.named_parameters(), loaded.model.parameters(), strict=True):
            if before.ndim != 2:
                assert torch.equal(before, after), name
            elif kind == "Q8_0":
                blocks, change = before.view(-1, 32), (after - before).view(-1, 32)
                # A scale is kept in half precision: 2^-11 more.
                assert (change.abs().amax(1) <= blocks.abs().amax(1) * (1 / 254 + 2**-10)).all(), name
    assert errors["Q8_0"] < 0.01 < errors["Q4_1"] < errors["Q4_0"] < 0.15


def test_a_run_has_a_row_a_claim() -> None:
    config = ProbeConfig(domains=("sizes",), renamings=19, random_control=False, behaviour=False)
    rows = [row for kind in ("", "Q4_0") for row in quantised_rows(config, reference, kind)]
    assert [(row.quantization, row.domain, row.quantity) for row in rows] == [
        (None, "sizes", "item"), ("Q4_0", "sizes", "item"),
    ]  # fmt: skip
    assert rows[0].error == 0 < rows[1].error
    assert rows[0].plane_r2 != rows[1].plane_r2


def test_the_figure_shows_claims_with_a_circle_and_hollow_what_fell() -> None:
    def row(kind: str | None, verdict: str, level: str = "circle") -> QuantisedRow:
        return QuantisedRow(kind, 0.0, "days", "item", None, 1, 0.8, 0.9, level, verdict)

    axes = figure([row(None, "supported"), row("Q4_0", "undetermined")]).axes[0]
    faces = [line.get_markerfacecolor() for line in axes.lines if len(line.get_xdata())]  # type: ignore[arg-type]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["days: item"]
    assert len(faces) == 2 and faces[0] != "white" and faces[1] == "white"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError):
        quantise(reference(), "Q3_9")
