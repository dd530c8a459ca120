"""The causal section of the page, from the tables of a causal run alone.

One line a circle, strongest first: P(answer = s + j) after rotating it by j as a filled dot on a line from 0 to 1, with
its interval, the highest mean of a control as a hollow dot, what any draw of a control reached in grey, and guessing
(1 / p) as a tick; accuracy before and after ablation; the change of ordinary text; the algorithm where it was tested;
the verdict. A line opens, without a script, to the pictures of `section_pictures`. circles.html writes all of it.

Controls are random directions (`CONTROLS`): planes of shuffled labels may hold the circle, so that their ablation is
shown and not counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from causal.controls.random_controls import CONTROLS
from causal.controls.text import LIKE_ANSWER
from causal.interventions.questions import EVERYWHERE
from causal.page import section_pictures as pictures
from causal.page.figures import Shown, maps
from causal.run.tables import TABLES
from llm_probe.page.sections import Part, Real, Section, finished_run, written_tables
from llm_probe.page.style import GRADIENT
from llm_probe.page.views import at, number, text
from toy.run.templates import render

TEMPLATES = Path(__file__).parent / "templates"
CHIPS = {
    "causal": "supported",
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
    probed = json.loads(probe.read_text(encoding="utf-8")) if probe.is_file() else {}
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
        "equivalent": bool(like) and str(like["equivalent"]) == "True",
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
        panels.append(("Answers, rotated by j", pictures.rotations(rotation, rotated["period"]), note))
    if rotated and (controls := circle.effects("rotate", "moved")):
        interval = (rotated["moved_low"], rotated["moved_high"])
        picture = pictures.against("P(answer = s + j)", rotated["moved"], interval, controls)
        panels.append(("Rotated, beside controls", picture, f"Beside draws: {_rank(rotated)}."))
    if ablated and (controls := circle.effects("mean", "accuracy")):
        before = ablated["accuracy_before"]
        interval = (before + ablated["change_low"], before + ablated["change_high"])
        picture = pictures.against("accuracy", ablated["accuracy"], interval, controls)
        note = f"Unedited {before:.2f}; beside draws: {_rank(ablated)}. Shuffled and top variance may hold the circle."
        panels.append(("Removed, beside controls", picture, note))
    if not (places := circle.table("causal_map")).empty:
        note = f"Share of answers that become the donor's with its state there ({places['n'].max()} prompts)."
        panels.append(("Where the answer is", pictures.layers(places, circle.verdict["layer"]), note))
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
    panels = [(title, pictures.heads(table), "") for title, table in maps(shown).items()]
    content = render(TEMPLATES, "panels.html", panels=panels)
    return [Part("Who routes the modulus", shown.sentences, content=content)]


def _rank(row: Row) -> str:
    p = number(row["rank"])
    return "no rank" if p is None else f"p {p:.2g} against {row['against']} ({row['draws']:.0f} draws)"
