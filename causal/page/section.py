"""The causal section of the page, from the tables of a causal run alone.

One line a circle, strongest first: P(answer = s + j) after turning it by j as a filled dot on a line from 0 to 1, with
its interval, the highest mean of a control as a hollow dot, what any draw of a control reached in grey, and guessing
(1 / p) as a tick; accuracy before and after ablation; the change of ordinary text; the algorithm where it was asked
for; the verdict. A line opens, without a script, to the pictures of `section_pictures`.

Controls are the drawn ones, as in `verdicts`: planes of shuffled labels may hold the circle, so that their ablation is
shown and not counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from causal.controls.random_controls import CONTROLS
from causal.controls.text import LIKE_ANSWER
from causal.interventions.questions import EVERYWHERE
from causal.page import section_pictures as pictures
from causal.page.figures import Shown, maps
from causal.run.tables import TABLES
from llm_probe.page.report import Section
from llm_probe.page.views import at, number, text

CHIPS = {
    "causal": "supported",
    "not specific": "refuted",
    "not causal at this power": "undetermined",
    "cannot be tested": "untested",
}
"""Verdicts in order, with the page's class for their colour and shape."""
PLACES = {"last": "the prompt's last token", "answer": "the last token and the answer's own", EVERYWHERE: "every token"}
HEADS = "circle|P(answer = s + j), turned by j||accuracy, circle removed|text, nats per token|algorithm|verdict"
SHADES = ", ".join(pictures.colour(step / 8) for step in range(9))
KEY = f"""<p class="key"><span><i class="dot trained"></i> the found circle, 95&nbsp;% interval</span>
<span><i class="dot random"></i> highest mean of a control (random, matched in variance, shuffled labels)</span>
<span><i class="swatch null"></i> what any draw of a control reaches</span>
<span><i class="swatch guess"></i> guessing, 1 / p</span>
<span>share of answers: 0 <i class="gradient" style="background:linear-gradient(to right, {SHADES})"></i> 1</span>
<span class="wide">Fitted on some prompts, tested on others. A line opens to what it rests on (click, or Enter).</span>
</p>"""

Row = Mapping[Any, Any]


def section(folder: Path) -> Section | None:
    """The section of a probe run's folder; None where no causal run was finished in its causal/.

    Of a causal run of other weights than the folder's it says only that.
    """
    source = folder / "causal"
    if not (source / "run.json").is_file() or not (source / "causal_verdicts.csv").is_file():
        return None
    run, probed = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for path in (source / "run.json", folder / "run.json")
    )
    if probed.get("weights_fingerprint", own := run.get("weights_fingerprint")) == own:
        frames = {name: _table(source, name) for name in TABLES}
        content = _lines(frames) + _routing(frames["causal_routing"])
    else:
        content = '<p class="summary">The causal run beside this page is of other weights: make it again.</p>'
    names = [name for name in TABLES if (source / f"{name}.csv").is_file()]
    links = "".join(f'<li><a href="causal/{name}.csv">{name}.csv</a></li>' for name in names)
    again = f"<span>Make it again</span> <code>{escape(text(run.get('command')))}</code>"
    content += f'<p class="again">{again}</p><ul class="downloads">{links}</ul>'
    return Section("causal", "Causal: turn the circle, watch the answer", content)


def summary(verdicts: pd.DataFrame) -> str:
    """How many are causal of how many, and where."""
    words = verdicts["verdict"].tolist()
    if not words:
        return "No circle was tested."
    noun = "dimension" if verdicts["direction"].str.startswith("dim").all() else "circle"
    n = words.count("causal")
    numbers = sorted(set(verdicts.loc[(verdicts["verdict"] == "causal") | (n == 0), "layer"].tolist()))
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
        """The row of the found directions, or of another, under an intervention."""
        wanted = {"intervention": intervention, "position": position, "condition": condition}
        rows = self.table("causal_table", "layer", "site", direction=direction or self.verdict["direction"], **wanted)
        return next(iter(rows.to_dict("records")), None)

    @property
    def turned(self) -> Row | None:
        return self.row("rotate", self.verdict["position"], self.verdict["domain"])

    @property
    def ablated(self) -> Row | None:
        """Mean ablation; under the published protocol the dimension is zeroed everywhere."""
        mean = self.row("mean", self.verdict["position"], self.verdict["domain"])
        return mean or self.row("zero", EVERYWHERE, "published")

    def controls(self, intervention: str, column: str) -> pd.DataFrame:
        """Rows of controls at the same place in the domain's own questions, with a value in the column."""
        wanted = {"intervention": intervention, "condition": self.verdict["domain"]}
        rows = self.table("causal_table", "layer", "site", "position", **wanted)
        return rows.loc[(rows["direction"] != self.verdict["direction"]) & rows[column].notna()]

    def effects(self, intervention: str, column: str) -> dict[str, list[pictures.Share]]:
        """Control to the effects of its draws; to its one value where it is not drawn."""
        found = {}
        for name, value in self.controls(intervention, column).set_index("direction")[column].items():
            draws = self.table("causal_controls", "layer", "site", "position", control=name, intervention=intervention)
            found[str(name)] = draws["effect"].tolist() or [value]
        return found


def _lines(frames: Mapping[str, pd.DataFrame]) -> str:
    verdicts = frames["causal_verdicts"]
    circles = [Circle(row, frames) for row in verdicts.to_dict("records")]
    order = list(CHIPS)
    circles.sort(key=lambda one: (order.index(one.verdict["verdict"]), -(one.turned or {"moved": 0.0})["moved"]))
    heads = "".join(f"<span>{name}</span>" for name in HEADS.split("|"))
    lines = "".join(_line(circle, opened=not index) for index, circle in enumerate(circles))
    return (
        f'<p class="summary">{escape(summary(verdicts))}</p>{KEY}'
        f'<div class="turned header" aria-hidden="true">{heads}</div>{lines}'
    )


def _line(circle: Circle, opened: bool) -> str:
    """One circle: what is seen at once, and what it opens to."""
    verdict, word = circle.verdict, circle.verdict["verdict"]
    place = f"layer {verdict['layer']}, {verdict['position']}, {str(verdict['direction']).removeprefix('planes ')}"
    sentence = escape(str(verdict["sentence"])[:1].upper() + str(verdict["sentence"])[1:])
    marks, value = _turned(circle)
    cells = {
        "name": f"{escape(verdict['domain'])}<small>{escape(place)}</small>",
        "line": marks,
        "value": value,
        "ablated": _ablated(circle),
        "text": _text(circle),
        "algorithm": _algorithm(circle),
        "verdict": f'<mark class="chip {CHIPS[word]}">{word}</mark>',
        "why": f"<small>{sentence}</small>" * (word != "causal"),
    }
    row = "".join(f'<span class="c-{kind}">{cell}</span>' for kind, cell in cells.items())
    inside = _detail(circle, f"{sentence}. " * (word == "causal"))
    return f'<details class="turn"{" open" * opened}><summary class="turned">{row}</summary>{inside}</details>'


def _turned(circle: Circle) -> tuple[str, str]:
    """(the line with its marks, its number)."""
    turned = circle.turned
    if turned is None:
        return "", "<small>not turned</small>"
    moved, low, high, guess = turned["moved"], turned["moved_low"], turned["moved_high"], 1 / turned["period"]
    controls = circle.controls("rotate", "moved")
    controls = controls[controls["direction"].isin(CONTROLS)]
    best, most = (number(controls[name].max()) for name in ("moved", "extreme"))
    said = f"P(answer = s + j) {moved:.2f} ({low:.2f}–{high:.2f}), guessing {guess:.2f}"
    drawn = f'<i class="guess" style="left:{guess:.1%}"></i>'
    drawn += f'<i class="interval" style="left:{low:.1%};right:{1 - high:.1%}"></i>'
    if best is not None and most is not None:
        said += f", highest control {best:.2f}, its draws up to {most:.2f}"
        drawn = f'<i class="null" style="left:0;width:{most:.1%}"></i>{drawn}'
        drawn += f'<i class="dot random" style="left:{best:.1%}"></i>'
    drawn += f'<i class="dot trained" style="left:{moved:.1%}"></i>'
    value = f"<b>{moved:.2f}</b><small>{low:.2f}–{high:.2f}</small>"
    value += "" if best is None else f"<small>control {best:.2f}</small>"
    return f'<span class="line" role="img" aria-label="{said}" title="{said}">{drawn}</span>', value


def _ablated(circle: Circle) -> str:
    ablated, controls = circle.ablated, circle.controls("mean", "accuracy")
    if ablated is None:
        return "–"
    least = number(controls.loc[controls["direction"].isin(CONTROLS[:2]), "accuracy"].min())
    said = f"{ablated['accuracy_before']:.2f} → <b>{ablated['accuracy']:.2f}</b>"
    return said + ("" if least is None else f"<small>controls ≥ {least:.2f}</small>")


def _text(circle: Circle) -> str:
    everywhere, like = (circle.row("mean", where, "text") for where in (EVERYWHERE, LIKE_ANSWER))
    if everywhere is None:
        return "<small>not read</small>"
    said = f"<b>{everywhere['nats_change']:+.3f}</b> at every position"
    if basis := circle.row("zero", EVERYWHERE, "text", "random basis"):
        said += f"<small>random bases {basis['nats_change']:+.3f}</small>"
    if like:
        shown = ", shown &lt; 0.01" * (str(like["equivalent"]) == "True")
        said += f"<small>{like['nats_change']:+.3f} at answer-like places ({like['edited_share']:.2%}){shown}</small>"
    return said.replace("-0", "−0")


def _algorithm(circle: Circle) -> str:
    for found in circle.table("causal_algorithm", "layer", "site", "position").to_dict("records"):
        return f"<b>{escape(found['verdict'])}</b><small>log-likelihood ratio {found['ratio']:.1f}</small>"
    return "<small>not asked</small>"


def _detail(circle: Circle, why: str) -> str:
    verdict, turned, ablated, panels = circle.verdict, circle.turned, circle.ablated, []
    rotation = circle.table("rotation", "layer", "site", "position", "direction", intervention="rotate")
    if turned and not rotation.empty:
        note = "An answer that follows is on the diagonal. None: greedy decoding wrote none of the answers."
        panels.append(_panel("Answers, turned by j", pictures.turning(rotation, turned["period"]), note))
    if turned and (controls := circle.effects("rotate", "moved")):
        interval = (turned["moved_low"], turned["moved_high"])
        drawn = pictures.against("P(answer = s + j)", turned["moved"], interval, controls)
        panels.append(_panel("Turned, beside controls", drawn, f"Beside draws: {_rank(turned)}."))
    if ablated and (controls := circle.effects("mean", "accuracy")):
        before = ablated["accuracy_before"]
        interval = (before + ablated["change_low"], before + ablated["change_high"])
        drawn = pictures.against("accuracy", ablated["accuracy"], interval, controls)
        note = f"Unedited {before:.2f}; beside draws: {_rank(ablated)}. Shuffled and top variance may hold the circle."
        panels.append(_panel("Removed, beside controls", drawn, note))
    if not (places := circle.table("causal_map")).empty:
        note = f"Share of answers that become the donor's with its state there ({places['n'].max()} prompts)."
        panels.append(_panel("Where the answer is", pictures.layers(places, verdict["layer"]), note))
    position = (turned or ablated or verdict)["position"]  # the published protocol edits every token
    where = PLACES.get(position, f"the {position} token")
    said = f"{why}Edited: {verdict['site']} of layer {verdict['layer']}, {escape(where)}"
    said += f"; {int((turned or ablated or {})['n']):,} prompts" if turned or ablated else ""
    if (false := number(verdict["false_calls"])) is not None:
        said += f". Planes of shuffled labels would pass in {false:.0f} of {verdict['false_draws']:.0f} draws"
    return f'<p class="facts">{said}.</p><div class="panels">{"".join(panels)}</div>'


def _routing(rows: pd.DataFrame) -> str:
    """Who reads the modulus: two sentences and the maps of the heads."""
    if (shown := Shown.of(rows)) is None:
        return ""
    panels = "".join(_panel(title, pictures.heads(table), "") for title, table in maps(shown).items())
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in shown.sentences)
    return f'<h3>Who routes the modulus</h3>{said}<div class="panels">{panels}</div>'


def _panel(title: str, drawn: str, note: str) -> str:
    return f'<div><h3>{title}</h3>{drawn}<p class="note">{escape(note)}</p></div>'


def _rank(row: Row) -> str:
    p = number(row["rank"])
    return "no rank" if p is None else f"p {p:.2g} against {row['against']} ({row['draws']:.0f} draws)"


def _table(source: Path, name: str) -> pd.DataFrame:
    """A table of the run with today's columns; empty where it has no file."""
    path, columns = source / f"{name}.csv", [field.name for field in fields(TABLES[name])]
    return (pd.read_csv(path) if path.is_file() else pd.DataFrame()).reindex(columns=columns)
