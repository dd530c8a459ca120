"""The table on the terminal at the end of a run, and the words it shares with the page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from llm_probe.page.glyphs import level_text, rival_text
from llm_probe.page.style import TRAINED_AND_RANDOM, UNTRAINED, Called
from llm_probe.page.views import closure_text, number, ordered, origin_text, p_text, r2_text, text
from toy.run import terminal

FACTS = {
    "revision": "revision {}", "layers": "{} layers", "d_model": "{} wide", "parameters": "{} parameters",
    "quantization": "dequantised from {}", "dtype": "{}", "device": "on {}", "n_prompts": "{:,} prompts",
    "seconds": "{:,.0f} s", "date": "{}",
}  # fmt: skip
NAMES = ("claim", "n", "accuracy", "best\nlayer", "held-out\nR²", "random\nR²", "corrected\np")
HEADING = "verdict, reason; best dimension by class-mean R²"
NARROWEST = 44
"""Columns that reasons beside the numbers need; where there are fewer they stand below."""
WIDTH = 153
"""Of the table where there is no terminal."""
DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}

Run = Mapping[str, Any]


def terminal_table(verdicts: pd.DataFrame, run: Run, width: int | None = None) -> str:
    """The table at the end of a run: a headline, one line a claim with its reason beside or below, where things are.

    `width`: in columns; none given: that of the terminal.
    """
    width = width or terminal.width(WIDTH)
    lines = [_terminal_cells(claim) for claim in ordered(verdicts).to_dict("records")]
    upper, lower = zip(*(("", *name.split("\n"))[-2:] for name in NAMES), strict=True)
    widths = [max(map(len, column)) for column in zip(upper, lower, *(line[:-1] for line in lines), strict=True)]
    indent = sum(widths) + 2 * len(widths)
    beside = width - indent >= NARROWEST

    def line(cells: Sequence[str], words: str) -> str:
        first = cells[0].ljust(widths[0])
        start = "  ".join([first, *(cell.rjust(size) for cell, size in zip(cells[1:], widths[1:], strict=True))])
        under = " " * (indent + 2 if beside else 4)
        if beside:
            return textwrap.fill(words, width, initial_indent=f"{start}  ", subsequent_indent=under) if words else start
        return "\n".join([start, *textwrap.wrap(words, width, initial_indent=under, subsequent_indent=under)])

    body = ["no claim was tested"]
    if lines:
        body = [line(upper, "").rstrip(), line(lower, HEADING), *(line(row[:-1], row[-1]) for row in lines)]
    about = [short_name(run), *facts(run, ("layers", "d_model", "quantization", "dtype", "n_prompts", "seconds"))]
    headline = " · ".join([*about, f"control: {run.get('control') or 'none'}"])
    if run.get("seconds") is not None:
        headline = headline.replace(" prompts · ", " prompts in ")
    where = ""
    if run.get("command"):  # a model in memory wrote no files
        out = str(run.get("out", ".")).rstrip("/")
        places = [f"report  {out}/report.html", f"table  {out}/r2_table.csv"]
        where = (
            "\n"
            + ("      " if len("      ".join(places)) <= width else "\n").join(places)
            + f"\nagain   {run['command']}"
        )
    return "\n".join([textwrap.fill(headline, width), "", *body, where])


def _terminal_cells(claim: Mapping[Any, Any]) -> tuple[str, ...]:
    accuracy, (reason, published) = number(claim["accuracy"]), why(claim)
    layer = str(claim["layer"]) if text(claim["layers_held"]) else "-"
    shown = "-" if accuracy is None else f"{accuracy:.2f}"
    figures = (r2_text(claim["plane_r2"]), r2_text(claim["random_r2"]), p_text(claim["p_fwer"]), closure_text(claim))
    *columns, closure = (figure.replace("−", "-").replace("–", "-") for figure in figures)
    verdict = ", ".join(filter(None, [level_text(claim), claim["verdict"]]))
    why_so = f"{verdict}: {reason}".removesuffix(": ")
    words = "; ".join(filter(None, [why_so, origin_text(claim), rival_text(claim), closure, published]))
    return claim["name"], str(claim["period"]), shown, layer, *columns, words


def why(claim: Mapping[Any, Any]) -> tuple[str, str]:
    """The reason, and the best dimension by the published statistic (apart, also where the reason names it)."""
    reason, _, _ = text(claim["reason"]).partition("; class-mean R²")
    dim, r2, random = (number(claim[key]) for key in ("best_dim", "class_mean_r2", "random_class_mean_r2"))
    if dim is None or r2 is None:
        return reason, ""
    return reason, f"dim {dim:.0f}: {r2:.3f}" + ("" if random is None else f", random {random:.3f}")


def short_name(run: Run) -> str:
    """The model's name without its owner or folder; of weights that were never trained it says so."""
    name = str(run.get("model", "model")).rstrip("/").split("/")[-1].removesuffix(".gguf")
    return f"{name} with random weights" if run.get("untrained") else name


def called(run: Run) -> Called:
    """What a run calls the weights that it probed, and those of its control."""
    return UNTRAINED if run.get("untrained") else TRAINED_AND_RANDOM


def facts(run: Run, keys: tuple[str, ...] = tuple(FACTS)) -> list[str]:
    """What a run's record says of the model and the run, in words."""
    values = {**run, "dtype": DTYPES.get(str(run.get("dtype")), run.get("dtype"))}
    if (size := number(run.get("parameters"))) is not None:
        values["parameters"] = f"{size / 1e9:.2g} billion" if size >= 1e9 else f"{size / 1e6:.3g} million"
    return [FACTS[key].format(values[key]) for key in keys if values.get(key) not in (None, "")]
