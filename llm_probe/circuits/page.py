"""The circuits section of the page, from the tables of a circuits run alone: a sentence and a picture a question.

The sentences count what stands out of its own null; none of these questions has a verdict. The pictures are functions
`(axes, rows)` of a part of a table, trained and random weights on the same axes:

    attention    difference from the position-matched control by layer and head; a dot: the band excludes zero
    offsets      right answers by offset; filled marks: above guessing
    lens         accuracy over layers with its interval, chance as a line
    analogies    candidates beaten over layers: rotation, parallelogram; grey: up to the null's 95th percentile
    embeddings   tokens on their best circle, each predicted from the other rows
    helix        held-out R² over layers by family
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from llm_probe.circuits.table import TABLES
from llm_probe.page.sections import Part, Section, finished_run, written_tables
from llm_probe.page.style import BAND, GREEN, GREY, INK, OCHRE, RANDOM, SIZE, TRAINED, VIOLET, as_svg, frame, span
from llm_probe.page.views import at, text
from llm_probe.run.study import Frames
from llm_probe.run.vocabulary import ALPHA

WEIGHTS = (("random", RANDOM, "--", "white"), ("trained", TRAINED, "-", TRAINED))
"""Weights, colour, line, face of a mark; the one drawn last lies on top."""
METHODS = {"rotation": "o", "parallelogram": "s"}
FAMILIES = {
    "digits + helix": INK, "digits": OCHRE, "helix": TRAINED, "polynomial": GREEN, "line": VIOLET,
    "shuffled helix": GREY,
}  # fmt: skip
"""Family to its colour; `other periods` is the grey band."""
ABOVE = 0.05
"""Corrected p up to which an offset counts as answered."""
PER_ROW = 4
TITLES = {
    "offsets": "Which questions are answered",
    "attention": "What the answer position attends to",
    "lens": "When the answer can be read",
    "analogies": "Analogies",
    "embeddings": "Circles in the input matrix",
    "helix": "The helix",
}
NOTES = {
    "offsets": "Most probable of the possible answers is right. Blue: no worked examples; green: behind them; filled: "
    "above guessing (Holm over the domain, p ≤ 0.05); orange: random weights; dotted: guessing.",
    "attention": "Attention from the prompt's last token less that to the same places holding other tokens. Dots: the "
    "95 % band, simultaneous over a domain, excludes zero.",
    "lens": "Final norm once, all tokens of the answer. Blue: trained; orange: random weights; dotted: guessing.",
    "analogies": "Circles: rotation; squares: parallelogram; blue: trained; orange: random weights; grey: below "
    "the 95th percentile of renamed items.",
    "embeddings": "Each token predicted from the other rows, radius 1 if perfect; orange: random weights.",
    "helix": "Each number predicted from the others. Grey: helices of random periods, 95 %; values below −0.2 at −0.2.",
}


def attention(axes: Axes, rows: pd.DataFrame) -> None:
    """Layers down, heads across; `rows`: one domain, role and kind of weights."""
    table = rows.pivot(index="layer", columns="head", values="difference")
    # Cells as shapes: the page's security policy shows no embedded bitmap.
    axes.pcolormesh(table.columns, table.index, table.to_numpy(), cmap="RdBu", vmin=-1, vmax=1, shading="nearest")
    axes.set_ylim(len(table) - 0.5, -0.5)
    marked = rows.loc[rows["difference"].abs() > rows["half_width"]]
    # Not the page's ink, which is light in the dark: the squares stay light.
    axes.plot(marked["head"], marked["layer"], ".", color="#111111", markersize=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=SIZE - 1)


def offsets(axes: Axes, rows: pd.DataFrame) -> None:
    """Right answers by offset; `rows`: one domain."""
    for weights, shots in sorted({(row["weights"], row["shots"]) for row in rows.to_dict("records")}):
        own = at(rows, weights=weights, shots=shots)
        colour = RANDOM if weights == "random" else GREEN if shots else TRAINED
        line = "--" if weights == "random" else "-"
        axes.plot(own["offset"], own["constrained"], line, color=colour, linewidth=1)
        for above, face in ((True, colour), (False, "white")):
            some = own.loc[(own["p_holm"] <= ABOVE) == above]
            axes.plot(some["offset"], some["constrained"], "o", color=colour, markerfacecolor=face, markersize=4)
    guessing = rows.drop_duplicates("offset").sort_values("offset")
    axes.plot(guessing["offset"], guessing["chance"], ":", color=GREY, linewidth=0.8)
    axes.set_ylim(-0.03, 1.03)


def lens(axes: Axes, rows: pd.DataFrame) -> None:
    """Accuracy after every block; `rows`: one domain, all prompts."""
    for weights, colour, line, face in WEIGHTS:
        own = at(rows, weights=weights)
        axes.fill_between(own["layer"], own["low"], own["high"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(own["layer"], own["accuracy"], line, color=colour, marker="o", markerfacecolor=face, markersize=4)
    axes.axhline(max(rows["chance"]), color=GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.03, 1.03)


def analogies(axes: Axes, rows: pd.DataFrame) -> None:
    """Candidates beaten over layers; `rows`: one domain."""
    tested = rows.loc[rows["method"].isin(METHODS)]
    if tested["p_fwer"].notna().any():
        axes.axhspan(0, tested["null_high"].max(), color=BAND, alpha=0.6, linewidth=0)
    else:  # names that share tokens cannot change places
        axes.text(0.02, 0.04, "no null: names share tokens", transform=axes.transAxes, fontsize=SIZE - 1, color=GREY)
    for weights, colour, line, face in WEIGHTS:
        for method, mark in METHODS.items():
            own = at(rows, weights=weights, method=method)
            axes.plot(own["layer"], own["beaten"], line, color=colour, marker=mark, markerfacecolor=face, markersize=4)
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 1.03)


def embeddings(axes: Axes, points: pd.DataFrame) -> None:
    """Tokens of one set on their best circle."""
    for weights, colour, line, face in WEIGHTS:
        own = at(points, weights=weights)
        width = 0.5 if set(own["frequency"]) == {1} else 0.0  # neighbours in the order are neighbours on the circle
        style = {"marker": "o", "markerfacecolor": face, "markersize": 4, "linewidth": width}
        axes.plot(own["x"], own["y"], line, color=colour, **style)
        if weights == "trained":
            for row in own.iloc[:: max(1, len(own) // 30)].to_dict("records"):
                offset = {"textcoords": "offset points", "xytext": (3, 3), "fontsize": SIZE - 2, "color": INK}
                axes.annotate(str(row["item"])[:3], (row["x"], row["y"]), **offset)
    axes.axhline(0, color=BAND, linewidth=0.8, zorder=0)
    axes.axvline(0, color=BAND, linewidth=0.8, zorder=0)
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")


def helix(axes: Axes, rows: pd.DataFrame) -> None:
    """Families over layers; `rows`: one context and kind of weights."""
    other = at(rows, family="other periods")
    axes.fill_between(other["layer"], other["low"].clip(-0.2), other["high"], color=BAND, linewidth=0)
    for family, colour in FAMILIES.items():
        own = at(rows, family=family)
        axes.plot(own["layer"], own["r2"].clip(-0.2), color=colour, marker="o", markersize=3, label=family)
    axes.set(xlim=(rows["layer"].min() - 0.3, rows["layer"].max() + 0.3), ylim=(-0.22, 1.03))


def all_figures(frames: Frames) -> dict[str, Figure]:
    """Every picture the tables allow, by name."""
    figures: dict[str, Figure] = {}
    with rc_context({"font.size": SIZE}):
        if len(frames["attention"]):
            figures["attention"] = _attention(frames["attention"])
        place = frames["helix"]["context"] + ", " + frames["helix"]["weights"] + " weights"
        panels = {
            "offsets": (frames["offsets"], "domain", offsets, "offset", "right answers"),
            "lens": (at(frames["lens"], part="all"), "domain", lens, "layer", "right answers through the lens"),
            "analogies": (frames["analogies"], "domain", analogies, "layer", "candidates beaten"),
            "embeddings": (frames["points"], "domain", embeddings, "", ""),
            "helix": (frames["helix"].assign(place=place), "place", helix, "layer", "held-out R² of the state"),
        }
        figures |= {name: _panels(*panel) for name, panel in panels.items() if len(panel[0])}
        for axes in figures["embeddings"].axes if "embeddings" in figures else ():
            name = axes.get_title(loc="left")
            own = at(frames["embeddings"], domain=name, weights="trained")
            best = own.loc[own["r2_heldout"].idxmax()]
            title = f"{name}: R² {best['r2_heldout']:.2f}, k = {best['frequency']}, p {best['p_fwer']:.2g}"
            axes.set_title(title, fontsize=SIZE, loc="left", color=INK, parse_math=False)
        if "helix" in figures:
            handles, names = figures["helix"].axes[0].get_legend_handles_labels()
            figures["helix"].legend(handles, names, loc="outside upper center", ncols=6, frameon=False)
    return figures


def _panels(rows: pd.DataFrame, by: str, draw: Callable[[Axes, pd.DataFrame], None], x: str, y: str) -> Figure:
    """A panel for every value of a column."""
    names = list(rows[by].unique())
    height = -(-len(names) // PER_ROW)
    figure = Figure((max(3.6, 2.6 * min(PER_ROW, len(names))), 0.4 + 2.2 * height), layout="constrained")
    grid = figure.subplots(height, min(PER_ROW, len(names)), squeeze=False).ravel().tolist()
    for axes, name in zip(grid, names, strict=False):
        draw(axes, rows.loc[rows[by] == name])
        frame(axes, title=name)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in grid[len(names) :]:
        axes.remove()
    figure.supxlabel(x, fontsize=SIZE)
    figure.supylabel(y, fontsize=SIZE)
    return figure


def _attention(rows: pd.DataFrame) -> Figure:
    """A line a domain; of each role trained and random beside each other."""
    domains, roles = list(rows["domain"].unique()), list(rows["role"].unique())
    figure = Figure((1.3 * 2 * len(roles), 0.7 + 1.1 * len(domains)), layout="constrained")
    grid = figure.subplots(len(domains), 2 * len(roles), squeeze=False, sharex=True, sharey=True)
    for line, domain in zip(grid.tolist(), domains, strict=True):
        for index, axes in enumerate(line):
            weights = ("trained", "random")[index % 2]
            own = at(rows, domain=domain, role=roles[index // 2], weights=weights)
            if own.empty:
                axes.axis("off")
                continue
            attention(axes, own)
            axes.label_outer()
            title = f"{roles[index // 2]}, {weights}" if domain == domains[0] else ""
            axes.set_title(title, fontsize=SIZE, color=TRAINED if weights == "trained" else RANDOM)
            axes.set_ylabel("" if index else domain, fontsize=SIZE)
    figure.supxlabel("head (layers down); blue: more attention than other tokens get there, red: less", fontsize=SIZE)
    return figure


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no circuits run was finished in its circuits/."""
    if (finished := finished_run(folder / "circuits", TABLES)) is None:
        return None
    run, frames = finished
    words, pictures = sentences(frames), all_figures(frames)
    parts = [
        Part(TITLES[name], [words[name]], picture=as_svg(pictures[name], "circuits"), caption=NOTES[name])
        for name in TITLES
        if name in pictures
    ]
    files = written_tables(folder / "circuits", TABLES)
    return Section("circuits", "Circuit questions", parts, text(run.get("command")), files)


def sentences(frames: Frames) -> dict[str, str]:
    """Question to what its table says, where it has rows."""
    makers = (_offsets_words, _attention_words, _lens_words, _analogies_words, _embeddings_words, _helix_words)
    rows = zip(TITLES, makers, strict=True)
    return {name: " ".join(make(frames[name])) for name, make in rows if len(frames[name])}


def _offsets_words(rows: pd.DataFrame) -> Iterator[str]:
    for domain in rows["domain"].unique():
        parts = []
        for shots in sorted(rows["shots"].unique()):
            own = at(rows, domain=domain, shots=shots, weights="trained")
            known = own.loc[own["p_holm"] <= ABOVE, "offset"].tolist()
            listed = ", ".join(map(str, known)) or "none"
            examples = f"behind {shots} worked examples" if shots else "without examples"
            parts.append(f"{examples} {listed if len(known) < len(own) else 'all'} of {len(own)} offsets")
        yield f"{domain}: {'; '.join(parts)}."
    if len(null := at(rows, weights="random")):
        yield f"With random weights {(null['p_holm'] <= ABOVE).sum()} of {len(null)} stand above guessing."


def _attention_words(rows: pd.DataFrame) -> Iterator[str]:
    for role, name in {"item": "first operand", "offset": "second operand", "modulus": "modulus"}.items():
        own = at(rows, role=role, weights="trained")
        if own.empty:
            continue
        best = own.loc[own["difference"].idxmax()]
        most = at(rows, role=role, weights="random")["difference"].max()
        beyond = (own["difference"] - own["half_width"] > most).mean()
        yield (
            f"The {name} draws a head by its content in {beyond:.0%} of heads and domains beyond all heads with random "
            f"weights ({most:.2f} at most), head {best['head']} of layer {best['layer']} in {best['domain']} most: "
            f"{best['attention']:.2f} against {best['control']:.2f} (difference ± {best['half_width']:.2f})."
        )
    first = at(rows, role="first", weights="trained")
    sinks = first.loc[(first["control"] > 2 * first["uniform"]) & (first["attention"] > 2 * first["uniform"])]
    yield (
        f"Token 0 keeps more than twice its even share, whatever stands there, in {len(sinks)} of {len(first)} heads "
        f"and domains{': a sink' if 2 * len(sinks) > len(first) else ''}."
    )


def _lens_words(rows: pd.DataFrame) -> Iterator[str]:
    rows = at(rows, part="all")
    trained, last = at(rows, weights="trained"), rows["layer"].max()
    read = trained.loc[trained["low"] > trained["chance"]].groupby("domain")["layer"].min()
    early, final = trained.loc[trained["layer"] == last - 1], trained.loc[trained["layer"] == last]
    null = at(rows, weights="random", layer=last)
    yield (
        f"Above guessing from layer {', '.join(f'{layer} ({domain})' for domain, layer in read.items())}."
        if len(read)
        else "Above guessing in no layer."
    )
    yield (
        f"Right answers after the last block {span(final['accuracy'].tolist())}, one block earlier "
        f"{span(early['accuracy'].tolist())}, with random weights {span(null['accuracy'].tolist())}; the most frequent "
        f"answer would be right in {span(final['chance'].tolist())}."
    )


def _analogies_words(rows: pd.DataFrame) -> Iterator[str]:
    tested = rows.loc[rows["p_fwer"].notna()]
    for weights in ("trained", "random"):
        parts = []
        for method in ("rotation", "parallelogram", "published sign"):
            own = at(tested, weights=weights, method=method)
            hits = own.loc[own["p_fwer"] <= ALPHA]["domain"].unique()
            parts.append(f"by {method} in {', '.join(hits) or 'none'}")
        yield f"With {weights} weights beyond the null (p ≤ {ALPHA}, of {tested['domain'].nunique()} sets that can be"
        yield f"tested): {'; '.join(parts)}."


def _embeddings_words(rows: pd.DataFrame) -> Iterator[str]:
    for weights in ("trained", "random"):
        own = at(rows, weights=weights)
        hits = own.loc[own["p_fwer"] <= ALPHA].to_dict("records")
        shown = ", ".join(
            f"{row['domain']} (k = {row['frequency']}: {row['r2_heldout']:.2f}, parabola {row['quadratic']:.2f})"
            for row in hits
        )
        yield f"Beyond the null at p ≤ {ALPHA} with {weights} weights: {shown or 'none'}, of {len(own)} tested."


def _helix_words(rows: pd.DataFrame) -> Iterator[str]:
    for context in rows["context"].unique():
        own = at(rows, context=context, family="helix")
        best = own.loc[own["weights"] == "trained"].sort_values("r2").iloc[-1]
        there = at(rows, context=context, layer=best["layer"])
        trained, null = (at(there, weights=weights).set_index("family") for weights in ("trained", "random"))
        p = "no null" if pd.isna(best["p_renamed"]) else f"p {best['p_renamed']:.2g} against renamed numbers"
        yield (
            f"{context.capitalize()}, layer {best['layer']}: helix {best['r2']:.2f} "
            f"({best['low']:.2f}–{best['high']:.2f}; {p}), with random weights {null.loc['helix', 'r2']:.2f}; a "
            f"polynomial of as many columns {trained.loc['polynomial', 'r2']:.2f}, the digits' names "
            f"{trained.loc['digits', 'r2']:.2f}, both {trained.loc['digits + helix', 'r2']:.2f}."
        )
