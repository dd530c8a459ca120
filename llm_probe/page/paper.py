"""What papers take: a figure of every claim, and the table of verdicts in LaTeX.

Figures are as wide as a column or a page of text, with type of 8 points:

    trained circle   random circle   best plane over layers

They stand beside each other at 5.5 inches; at 3.25 the layers stand below. The claim is shown where its verdict was
read. Long names are cut to their first letters where these tell them apart. The table has the rules of booktabs, a line
a claim, and numbers with the digits they deserve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from llm_probe.page.circles import LABEL_GAP, best_error, circle, circle_title, label_width
from llm_probe.page.figures import layer_curves
from llm_probe.page.style import RANDOM, TRAINED, TRAINED_AND_RANDOM, Called, save_figures
from llm_probe.page.views import PLACE, Row, at, ordered, p_text, r2_text, text
from toy.run.errors import InputError

WIDTHS = (3.25, 5.5)
"""Inches: one column of two, and the text of a page with one."""
POINTS = 8
KINDS = ("pdf", "svg")
SHORTEST = 3
"""Letters of a name at least."""

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


def save_claims(folder: Path, frames: Mapping[str, pd.DataFrame], called: Called = TRAINED_AND_RANDOM) -> list[Path]:
    """Write the figure of every claim, such as days-item-3.25in.pdf, in both widths, as PDF and SVG.

    Raises:
        InputError: the run has no claims, or no circles to draw.
    """
    if frames["verdicts"].empty or frames["circles"].empty:
        raise InputError("the run has no circles to draw: circles.csv or verdicts.csv is missing or empty")
    written = []
    for claim in ordered(frames["verdicts"]).to_dict("records"):
        stem = "-".join([*str(claim["domain"]).split(), claim["quantity"]]).replace("/", "-")
        figures = {f"{stem}-{width:g}in": claim_figure(frames, claim, width, called) for width in WIDTHS}
        written += save_figures(folder, figures, "llm_probe", KINDS, embed=True)
    return written


def claim_figure(
    frames: Mapping[str, pd.DataFrame], claim: Row, width: float = WIDTHS[0], called: Called = TRAINED_AND_RANDOM
) -> Figure:
    """The figure of one row of the table of verdicts, `width` inches wide."""
    beside = width >= WIDTHS[1]
    figure = Figure((width, (0.42 if beside else 1.05) * width), layout="constrained")
    mosaic = [["trained", "random", "layers"]] if beside else [["trained", "random"], ["layers", "layers"]]
    panels = figure.subplot_mosaic(mosaic, height_ratios=[1] if beside else [1.7, 1])  # type: ignore[arg-type]
    _circles((panels["trained"], panels["random"]), frames, claim, width / (3 if beside else 2), called)
    _layers(panels["layers"], frames, claim)
    title = f"{circle_title(claim, frames['circles'])}\n{claim['verdict']}"
    figure.suptitle(title.replace("\n", ", " if beside else "\n"), parse_math=False, weight="bold")
    for words in figure.findobj(Text):
        words.set_fontsize(POINTS)
    return figure


def _circles(
    pair: tuple[Axes, Axes], frames: Mapping[str, pd.DataFrame], claim: Row, inches: float, called: Called
) -> None:
    """Trained beside random on one scale, each in a square of so many inches."""
    place = {key: claim[key] for key in (*PLACE, "layer")}
    points = at(frames["circles"], **place)
    names = dict(zip(points["item"], short_names(points["item"].astype(str).tolist()), strict=True))
    points = points.assign(item=[names[item] for item in points["item"]])
    reach = max(1.0, float(points[["x", "y"]].abs().to_numpy().max(initial=0.0)))
    unit = (inches / 2 - label_width(points) - LABEL_GAP) / reach
    for axes, weights, colour in zip(pair, ("trained", "random"), (TRAINED, RANDOM), strict=True):
        error = best_error(frames["r2_table"], place, weights)
        circle(axes, points, weights, error, reach + LABEL_GAP / unit, called, unit)
        said = "" if error is None else f"\nangle error {error:.2f} rad"
        axes.set_title(f"{called[weights == 'random']}{said}", color=colour)


def _layers(axes: Axes, frames: Mapping[str, pd.DataFrame], claim: Row) -> None:
    """The best plane over layers, with a line at the layer of the verdict."""
    layer_curves([axes], at(frames["verdicts"], domain=claim["domain"], quantity=claim["quantity"]), frames["r2_table"])
    axes.axvline(claim["layer"], color="black", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_title("", loc="left")
    axes.set(xlabel="layer", ylabel="held-out R²")


def short_names(names: Sequence[str]) -> list[str]:
    """The first three letters or as many more as tell all names apart; whole names where five are not enough."""
    for length in range(SHORTEST, SHORTEST + 3):
        cut = [name[:length].strip() for name in names]
        if len(set(cut)) == len(set(names)):
            return cut
    return list(names)


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


def entry(claim: Row, column: str) -> str:
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
