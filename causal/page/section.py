"""The causal section of the page, from the tables of a causal run alone.

One line a circle, strongest first: P(answer = s + j) after rotating it by j as a filled dot on a line from 0 to 1, with
its interval, the highest mean of a control as a hollow dot, what any draw of a control reached in grey, and guessing
(1 / p) as a tick; accuracy before and after ablation; the change of ordinary text; the algorithm where it was tested;
the verdict. A line opens, without a script, to its pictures. circles.html writes all of it.

Controls are random directions (`CONTROLS`): planes of shuffled labels may hold the circle, so that their ablation is
shown and not counted.

Pictures of the page's causal section as inline SVG and HTML, small enough for a dozen circles on one page.

    rotations row j (steps of the rotation), column (answer - s) mod p, colour = share of the answers; a circle that
              the answer follows is a diagonal. Beside it the share that wrote none of the answers, and
              P(answer = s + j)
    against   one lane a control: histogram of its draws' effects from 0 to 1, the tested directions as a line
    heads     layers down, heads across: a share
    layers    tokens down, layers across: share of answers that become the donor's when its state is put there

Cells of one colour are one path on a ground that stands for zero: 24 x 24 cells are a few kB. `figures` draws the same
for papers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup

from causal.controls.random_controls import CONTROLS
from causal.controls.specificity import LIKE_ANSWER
from causal.interventions.questions import EVERYWHERE
from causal.page.figures import Shown, maps
from causal.page.mediators import dial_picture, mediator_table
from causal.run.tables import TABLES
from llm_probe.page.sections import Element, Part, Real, Section, finished_run, svg, svg_path, svg_text, written_tables
from llm_probe.page.style import GRADIENT, magnitude
from llm_probe.page.views import at, number, text
from llm_probe.run.reading import read_record
from toy.run.templates import render

TEMPLATES = Path(__file__).parent / "templates"
LEVELS = 20
"""Colours of a share: twentieths."""
BINS = 50
"""Of a histogram of draws; one bin is `STEP` wide."""
STEP = 5.8
NARROW = 10
"""Layers above which the cells of a map have no room for a number."""
CAPTION = 160
"""Width of the words under a map of heads."""
BRIGHT = 0.45
"""Share from which viridis is light enough for dark text."""


def colour(share: Real) -> str:
    """Viridis at a share, in steps."""
    return magnitude(round(share * LEVELS) / LEVELS)


def _squares(
    shares: Float[np.ndarray, "rows columns"], xs: Sequence[Real], top: Real, size: Real, grounds: Sequence[Real]
) -> list[Element]:
    """A ground of zeros - x and width of each stretch - and the other cells on it, those of one colour as one path."""
    height = size * len(shares)
    stretches = zip(grounds[::2], grounds[1::2], strict=True)
    squares = {colour(0): "".join(f"M{x} {top}h{wide}v{height}h-{wide}z" for x, wide in stretches)}
    for row, column in np.argwhere(shares >= 0.5 / LEVELS).tolist():
        fill = colour(shares[row, column])
        squares[fill] = squares.get(fill, "") + f"M{xs[column]} {top + size * row}h{size}v{size}h-{size}z"
    return [svg_path(path, fill=fill) for fill, path in squares.items()]


def rotations(rotation: pd.DataFrame, period: int) -> Markup:
    """The histogram of shifts for every j; `rotation`: rows of one direction, intervention and position."""
    table = rotation.pivot_table(index="j", columns="shift", values="share").reindex(columns=range(-1, period))
    shares = table.fillna(0.0).to_numpy()  # (rotations, 1 + p); column 0: none of the answers
    size, left, top = max(13, min(26, 190 // period)), 46, 34
    height, none, every = size * len(shares), left + size * period + 6, -(-18 // size)
    xs = [none, *(left + size * shift for shift in range(period))]
    below = top + height + 16
    elements = [
        *_squares(shares, xs, top, size, (left, size * period, none, size)),
        *(svg_text(left + size * (shift + 0.5), top - 6, shift, "middle") for shift in range(0, period, every)),
        svg_text(left, top - 21, "(answer − s) mod p"),
        svg_text(none + size / 2, below, "none", "middle"),
        svg_text(none + size + 36, top - 6, "s + j", "end"),
        svg_text(left, below, "rows: rotated by j"),
    ]
    moved = [shares[row, 1 + int(step) % period] for row, step in enumerate(table.index)]
    for row, step in enumerate(table.index):
        y = top + size * (row + 0.5) + 4
        elements += [svg_text(left - 6, y, int(step), "end")] * (row % every == 0)
        elements.append(svg_text(none + size + 36, y, f"{moved[row]:.2f}", "end", ""))
    label = f"Answers after rotating by j; the share that moved by j is {min(moved):.2f} to {max(moved):.2f}"
    return svg(label, none + size + 40, top + height + 22, elements)


def against(effect: str, own: Real, interval: tuple[Real, Real], controls: Mapping[str, Sequence[Real]]) -> Markup:
    """The effect of the tested directions (with its interval) beside the draws of every control, from 0 to 1."""
    left, width, top, lane, high = 6, STEP * BINS, 24, 42, 20
    at, low, up = (left + width * share for share in (own, *interval))
    anchor = "start" if own < 0.3 else "end" if own > 0.7 else "middle"
    elements = [svg_text(at, top - 11, f"tested {own:.2f}", anchor, "t")]
    for index, (name, effects) in enumerate(controls.items()):
        floor = top + lane * (index + 1)
        words = f"{len(effects)} draws, mean {np.mean(effects):.2f}, {min(effects):.2f} to {max(effects):.2f}"
        words = words if len(effects) > 1 else f"{effects[0]:.2f}"
        elements.append(svg_text(left, floor - lane + 14, f"{name}: {words}", kind=""))
        counts = np.histogram(np.clip(effects, 0, 1), bins=BINS, range=(0, 1))[0]
        bars = "".join(
            f"M{left + STEP * bar:.4g} {floor}v-{max(high * counts[bar] / counts.max(), 2):.3g}h{STEP}V{floor}z"
            for bar in np.flatnonzero(counts).tolist()
        )
        elements += [svg_path(f"M{left} {floor}h{width:g}", kind="axis"), svg_path(bars, kind="draws")]
        # Not through the words above each lane.
        elements.append(svg_path(f"M{low:.4g} {floor}v-{high}H{max(up, low + 1):.4g}v{high}z", kind="spread"))
        elements.append(svg_path(f"M{at:.4g} {floor}v-{high}", kind="tested"))
    bottom = top + lane * len(controls)
    elements += [svg_text(left + width * tick, bottom + 16, f"{tick:g}", "middle") for tick in (0, 0.5, 1)]
    elements.append(svg_text(left + width / 2, bottom + 32, effect, "middle"))
    label = f"{effect}: tested {own:.2f}, beside {', '.join(controls)}"
    return svg(label, width + 2 * left, bottom + 38, elements)


def layers(rows: pd.DataFrame, edited: int) -> Markup:
    """The layer and position map of one domain as a table; `edited`: the layer whose circle was rotated, in bold."""
    table = rows.pivot_table(index="position", columns="layer", values="donor").dropna()
    lines = {
        token: [(layer, share, colour(share), ink(share)) for layer, share in table.loc[token].items()]
        for token in ("item", "offset", "last")
        if token in table.index
    }
    numbers = len(table.columns) <= NARROW
    values = {"layers": table.columns.tolist(), "edited": edited, "lines": lines, "numbers": numbers}
    return render(TEMPLATES, "layers.html", **values)


def heads(table: pd.DataFrame) -> Markup:
    """Layers down, heads across; `table`: shares, with the layers as its index."""
    shares, left, top = table.to_numpy(dtype=float), 34, 22
    down, across = shares.shape
    size = max(9, min(38, 300 // max(down, across)))
    every = -(-18 // size)
    elements = [
        *_squares(shares, [left + size * k for k in range(across)], top, size, (left, size * across)),
        *(svg_text(left + size * (k + 0.5), top - 6, k, "middle") for k in range(0, across, every)),
        *(svg_text(left - 6, top + size * (k + 0.5) + 4, table.index[k], "end") for k in range(0, down, every)),
        svg_text(left, top + size * down + 16, "layers down, heads across"),
    ]
    for row, column in np.ndindex(down, across) if across <= NARROW else ():
        x, y = left + size * (column + 0.5), top + size * (row + 0.5) + 4
        tag, attributes, words = svg_text(x, y, f"{round(float(shares[row, column]), 2) + 0:.2f}", "middle")
        elements.append((tag, {**attributes, "class": None, "style": f"fill:{ink(float(shares[row, column]))}"}, words))
    most = np.unravel_index(shares.argmax(), shares.shape)
    where = f"head {most[1]} of layer {table.index[most[0]]}"
    label = f"Share by layer and head; the largest is {shares.max():.2f}, {where}"
    return svg(label, left + max(size * across, CAPTION), top + size * down + 22, elements)


def ink(share: Real) -> str:
    """The colour of a number on a ground of this share."""
    return "#000" if share >= BRIGHT else "#fff"


TEMPLATES = Path(__file__).parent / "templates"
CHIPS = {
    "causal: circle": "supported",
    "causal": "undetermined",
    "causal: answer code": "refuted",
    "not tested for harm": "untested",
    "not specific": "refuted",
    "not causal at this power": "undetermined",
    "cannot be tested": "untested",
}
"""Verdicts in order, with the page's class for their colour and shape."""
PLACES = {"last": "the prompt's last token", "answer": "the last token and the answer's own", EVERYWHERE: "every token"}

PLACE = ("layer", "site", "position")

Row = Mapping[Any, Any]
Panel = tuple[str, Markup, str]
"""Heading, picture, note."""


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no causal run was finished in its causal/.

    Of a causal run of other weights than the folder's it says only that.
    """
    source, probe = folder / "causal", folder / "run.json"
    if (finished := finished_run(source, TABLES, required=["causal_verdicts"])) is None:
        return None
    run, frames = finished
    probed = read_record(probe) if probe.is_file() else {}
    if probed.get("weights_fingerprint", own := run.get("weights_fingerprint")) == own:
        parts = [Part(content=_circles(frames)), *_routing(frames["causal_routing"])]
    else:
        words = "The causal run beside this page is of other weights: make it again."
        parts = [Part(paragraphs=[words], kind="summary")]
    title = "Causal: rotate the accepted circles and measure how the answers change"
    return Section("causal", title, parts, text(run.get("command")), written_tables(source, TABLES))


def summary(verdicts: pd.DataFrame) -> str:
    """How many are causal of how many, and where."""
    words = verdicts["verdict"].tolist()
    if not words:
        return "No circle was tested."
    noun = "dimension" if verdicts["direction"].str.startswith("dim").all() else "circle"
    causal = verdicts["verdict"].str.startswith("causal")
    n = int(causal.sum())
    numbers = sorted(set(verdicts.loc[causal | (n == 0), "layer"].tolist()))
    counts = ", ".join(f"{words.count(word)} {word}" for word in CHIPS if word in words and word != "causal")
    return (
        f"{n or 'None'} of {len(words)} {noun}{'s' * (len(words) > 1)} {'are' if n > 1 else 'is'} shown to be causal, "
        f"{'' if n else 'tested '}at layer{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
        f"{f'; {counts}' if counts else ''}."
    )


@dataclass(frozen=True)
class Circle:
    """A verdict with the rows of every table that belong to it."""

    verdict: Row
    frames: Mapping[str, pd.DataFrame]

    def table(self, name: str, *keys: str, **values: object) -> pd.DataFrame:
        """The rows of a table that agree with the verdict on some columns and with the values given."""
        return at(
            self.frames[name], domain=self.verdict["domain"], **{key: self.verdict[key] for key in keys}, **values
        )

    def row(self, intervention: str, position: str, condition: str, direction: str | None = None) -> Row | None:
        """The row of the tested directions, or of another, under an intervention."""
        wanted = {"intervention": intervention, "position": position, "condition": condition}
        rows = self.table("causal_table", "layer", "site", direction=direction or self.verdict["direction"], **wanted)
        return next(iter(rows.to_dict("records")), None)

    @property
    def rotated(self) -> Row | None:
        return self.row("rotate", self.verdict["position"], self.verdict["domain"])

    @property
    def ablated(self) -> Row | None:
        """Mean ablation; under the published protocol the dimension is zeroed everywhere."""
        mean = self.row("mean", self.verdict["position"], self.verdict["domain"])
        return mean or self.row("zero", EVERYWHERE, "published")

    def controls(self, intervention: str, column: str) -> pd.DataFrame:
        """Rows of controls at the same place in the domain's own questions, with a value in the column."""
        wanted = {"intervention": intervention, "condition": self.verdict["domain"]}
        rows = self.table("causal_table", *PLACE, **wanted)
        return rows.loc[(rows["direction"] != self.verdict["direction"]) & rows[column].notna()]

    def effects(self, intervention: str, column: str) -> dict[str, list[Real]]:
        """Control to the effects of its draws; to its one value where it has none."""
        effects = {}
        for name, value in self.controls(intervention, column).set_index("direction")[column].items():
            draws = self.table("causal_controls", *PLACE, control=name, intervention=intervention)
            effects[str(name)] = draws["effect"].tolist() or [value]
        return effects


def _circles(frames: Mapping[str, pd.DataFrame]) -> Markup:
    """The summary, the key and a line a circle."""
    verdicts, order = frames["causal_verdicts"], list(CHIPS)
    circles = [Circle(row, frames) for row in verdicts.to_dict("records")]
    circles.sort(key=lambda one: (order.index(one.verdict["verdict"]), -(one.rotated or {"moved": 0.0})["moved"]))
    lines = [_line(circle) for circle in circles]
    values = {"summary": summary(verdicts), "circles": lines, "gradient": GRADIENT}
    return render(TEMPLATES, "circles.html", **values)


def _line(circle: Circle) -> dict[str, Any]:
    """One circle as the template prints it: what is seen at once, and what it opens to."""
    verdict, sentence = circle.verdict, str(circle.verdict["sentence"])
    everywhere, like = (circle.row("mean", where, "text") for where in (EVERYWHERE, LIKE_ANSWER))
    ablations, algorithm = circle.controls("mean", "accuracy"), circle.table("causal_algorithm", *PLACE)
    direction = str(verdict["direction"]).removeprefix("planes ")
    return {
        "domain": verdict["domain"],
        "place": f"layer {verdict['layer']}, {verdict['position']}, {direction}",
        "verdict": verdict["verdict"],
        "chip": CHIPS[verdict["verdict"]],
        "sentence": sentence[:1].upper() + sentence[1:],
        "rotated": circle.rotated,
        "controls": _rotated_controls(circle),
        "ablated": circle.ablated,
        "least": number(ablations.loc[ablations["direction"].isin(CONTROLS[:2]), "accuracy"].min()),
        "text": everywhere,
        "basis": circle.row("zero", EVERYWHERE, "text", "random basis"),
        "like": like,
        "geometry": text(verdict.get("geometry")),
        "algorithm": next(iter(algorithm.to_dict("records")), None),
        "edited": _edited(circle),
        "panels": _panels(circle),
    }


def _rotated_controls(circle: Circle) -> dict[str, float | None] | None:
    """The highest mean of a random control under the same rotation, and the most that any of its draws reached."""
    if circle.rotated is None:
        return None
    controls = circle.controls("rotate", "moved")
    controls = controls[controls["direction"].isin(CONTROLS)]
    mean, draws = (number(controls[name].max()) for name in ("moved", "extreme"))
    return None if mean is None else {"mean": mean, "draws": draws}


def _panels(circle: Circle) -> list[Panel]:
    rotated, ablated, panels = circle.rotated, circle.ablated, []
    rotation = circle.table("rotation", *PLACE, "direction", intervention="rotate")
    if rotated and not rotation.empty:
        note = "An answer that follows is on the diagonal. None: greedy decoding wrote none of the answers."
        panels.append(("Answers, rotated by j", rotations(rotation, rotated["period"]), note))
    if rotated and (controls := circle.effects("rotate", "moved")):
        interval = (rotated["moved_low"], rotated["moved_high"])
        picture = against("P(answer = s + j)", rotated["moved"], interval, controls)
        panels.append(("Rotated, beside controls", picture, f"Beside draws: {_rank(rotated)}."))
    if ablated and (controls := circle.effects("mean", "accuracy")):
        before = ablated["accuracy_before"]
        interval = (before + ablated["change_low"], before + ablated["change_high"])
        picture = against("accuracy", ablated["accuracy"], interval, controls)
        note = f"Unedited {before:.2f}; beside draws: {_rank(ablated)}. Shuffled and top variance may hold the circle."
        panels.append(("Removed, beside controls", picture, note))
    if not (places := circle.table("causal_map")).empty:
        note = f"Share of answers that become the donor's with its state there ({places['n'].max()} prompts)."
        panels.append(("Where the answer is", layers(places, circle.verdict["layer"]), note))
    if not (mediators := circle.table("causal_mediators", *PLACE)).empty:
        panels.append(mediator_table(mediators))
    if not (doses := circle.table("causal_dose", *PLACE)).empty:
        panels.append(dial_picture(doses))
    return panels


def _edited(circle: Circle) -> str:
    """Where the model was edited, on how many prompts, and how often planes of shuffled labels would pass."""
    verdict, measured = circle.verdict, circle.rotated or circle.ablated
    position = (measured or verdict)["position"]  # the published protocol edits every token
    where = f"Edited: {verdict['site']} of layer {verdict['layer']}, {PLACES.get(position, f'the {position} token')}"
    where += f"; {int(measured['n']):,} prompts" if measured else ""
    if (false := number(verdict["false_calls"])) is not None:
        where += f". Planes of shuffled labels would pass in {false:.0f} of {verdict['false_draws']:.0f} draws"
    return f"{where}."


def _routing(rows: pd.DataFrame) -> list[Part]:
    """Who reads the modulus: two sentences and the maps of the heads."""
    if (shown := Shown.of(rows)) is None:
        return []
    panels = [(title, heads(table), "") for title, table in maps(shown).items()]
    content = render(TEMPLATES, "panels.html", panels=panels)
    return [Part("Who routes the modulus", shown.sentences, content=content)]


def _rank(row: Row) -> str:
    p = number(row["rank"])
    return "no rank" if p is None else f"p {p:.2g} against {row['against']} ({row['draws']:.0f} draws)"
