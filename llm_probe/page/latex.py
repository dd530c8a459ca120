"""The table of verdicts in LaTeX, with the rules of booktabs: a line a claim, numbers with the digits they deserve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from llm_probe.page.views import ordered, p_text, r2_text, text
from toy.run.errors import InputError

COLUMNS = ("domain", "quantity", "layer", "frequency", "plane_r2", "random_r2", "p_fwer", "p_holm", "level", "verdict")
"""Of verdicts.csv, where none are named."""
HEADINGS = {
    "period": "$n$",
    "frequency": "$k$",
    "plane_r2": "$R^2$",
    "plane_r2_low": "low",
    "plane_r2_high": "high",
    "random_r2": "random $R^2$",
    "null_r2": "null $R^2$",
    "class_mean_r2": "class-mean $R^2$",
    "p_fwer": "$p$",
    "p_holm": r"$p_\mathrm{Holm}$",
}
"""Columns that are not called by their name with spaces."""
ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "²": r"\textsuperscript{2}", "−": "$-$", "<": "$<$",
}  # fmt: skip


def latex_table(verdicts: pd.DataFrame, columns: Sequence[str]) -> str:
    """The claims by strength, as on the page.

    Raises:
        InputError: a column that verdicts.csv has not.
    """
    unknown = [column for column in columns if column not in verdicts.columns]
    if unknown or not columns:
        what = f"verdicts.csv has no column {unknown[0]!r}" if unknown else "a table of no columns cannot be written"
        raise InputError(f"{what}: choose from {', '.join(verdicts.columns)}")
    head = " & ".join(HEADINGS.get(column, escaped(column.replace("_", " "))) for column in columns)
    rows = [" & ".join(entry(claim, column) for column in columns) for claim in ordered(verdicts).to_dict("records")]
    sides = "".join("r" if pd.api.types.is_numeric_dtype(verdicts[column]) else "l" for column in columns)
    body = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", head + r" \\", r"\midrule", *(row + r" \\" for row in rows)]
    return "\n".join([r"% \usepackage{booktabs}", *body, r"\bottomrule", r"\end{tabular}", ""])


def entry(claim: Mapping[Any, Any], column: str) -> str:
    """One value of a claim; empty where the table has nothing."""
    value = claim[column]
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if not isinstance(value, float):
        return escaped(text(value))
    words = p_text(value) if column.startswith("p_") else r2_text(value)
    mantissa, _, exponent = words.partition("e")
    return rf"${mantissa}\cdot 10^{{{int(exponent)}}}$" if exponent else escaped(words)


def escaped(words: str) -> str:
    """Text in which no character means anything to LaTeX."""
    return "".join(ESCAPES.get(character, character) for character in words)
