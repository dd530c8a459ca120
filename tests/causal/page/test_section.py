"""The causal section of the page: what it counts, shows and draws, that it is safe, small, and in the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from causal.algorithms.tables import AlgorithmRow
from causal.page.section import against, layers, rotations, section, summary
from causal.run.tables import CausalRow, ControlDraw, MapRow, RotationRow, VerdictRow
from llm_probe.page import report
from tests.html_page import Page
from tests.llm_probe.made_up import RUN, made_up

SCRIPT = "<script>alert(1)</script>"
PERIODS = {"mod-add 23": 23, "days": 7, "hours": 12}
WORDS = ("causal: circle", "not specific", "not causal at this power")
FINGERPRINT = {"weights_fingerprint": "f1", "command": f"run_causal.py {SCRIPT}"}


def rows_of(domain: str, period: int) -> list[Any]:
    """A circle that answers follow nine times in ten, with two controls that do nothing."""
    planes, site, at = "planes k = 1", "resid_post", (2, "resid_post", "last")

    def row(direction: str, intervention: str, **numbers: Any) -> CausalRow:
        return CausalRow(domain, period, *at, direction, intervention, domain, 2000, **numbers)

    text = CausalRow(domain, period, 2, site, "all", planes, "mean", "text", 39, nats_change=-0.064, harm="not spared")
    return [
        row(planes, "rotate", moved=0.9, moved_low=0.88, moved_high=0.92, rank=0.005, against="random", draws=200),
        row(planes, "mean", accuracy_before=1.0, accuracy=0.17, change_low=-0.85, change_high=-0.81),
        row("random", "rotate", moved=0.01, draws=200, extreme=0.03),
        row("random", "mean", accuracy=0.99, draws=200, extreme=0.97),
        row("shuffled", "mean", accuracy=0.4, draws=200, extreme=0.3),
        row("top variance", "rotate", moved=0.02),
        text,
        *(
            RotationRow(domain, period, *at, planes, "rotate", j, s, 0.9 if s == j else 0.1 / (period - 1), 2000)
            for j in range(period)
            for s in range(period)
        ),
        *(ControlDraw(domain, *at, "random", "rotate", n, 1, 0.01 * (n % 3), 0.9) for n in range(200)),
        *(ControlDraw(domain, *at, "random", "mean", n, 0, 0.99, 0.9) for n in range(200)),
        *(MapRow(domain, layer, token, "full", 0.5, 0.5, 500) for layer in range(4) for token in ("offset", "last")),
    ]


def write(folder: Path, rows: list[Any], run: dict[str, str] | None = None) -> None:
    """Tables as a run leaves them, one file a type."""
    names = {CausalRow: "causal_table", RotationRow: "rotation", ControlDraw: "causal_controls", MapRow: "causal_map",
             VerdictRow: "causal_verdicts", AlgorithmRow: "causal_algorithm"}  # fmt: skip
    (folder / "causal").mkdir(parents=True, exist_ok=True)
    for kind, name in names.items():
        if records := [vars(row) for row in rows if isinstance(row, kind)]:
            pd.DataFrame(records).to_csv(folder / "causal" / f"{name}.csv", index=False)
    (folder / "causal" / "run.json").write_text(json.dumps(run or FINGERPRINT))


def verdict(domain: str, word: str, **also: Any) -> VerdictRow:
    return VerdictRow(domain, 2, "resid_post", "last", "planes k = 1", word, f"because of {SCRIPT}", **also)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three circles, one of each verdict."""
    path = tmp_path_factory.mktemp("results")
    rows = [row for domain, period in PERIODS.items() for row in rows_of(domain, period)]
    write(path, [*rows, *(verdict(*pair) for pair in zip(PERIODS, WORDS, strict=True))])
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    made = section(folder)
    assert made
    return Page(made.html)


def test_a_folder_without_a_causal_run_has_no_section(tmp_path: Path) -> None:
    assert section(tmp_path) is None
    (tmp_path / "causal" / "cells").mkdir(parents=True)
    assert section(tmp_path) is None


def test_the_summary_counts_and_says_where() -> None:
    def said(*verdicts: tuple[str, int], direction: str = "planes k = 1") -> str:
        return summary(pd.DataFrame([{"verdict": word, "layer": at, "direction": direction} for word, at in verdicts]))

    assert said(("causal", 2)) == "1 of 1 circle is shown to be causal, at layer 2."
    assert said(("causal", 2), ("causal", 1), ("not specific", 0)) == (
        "2 of 3 circles are shown to be causal, at layers 1, 2; 1 not specific."
    )
    assert said(("causal: circle", 2), ("causal: answer code", 2)) == (
        "2 of 2 circles are shown to be causal, at layer 2; 1 causal: circle, 1 causal: answer code."
    )
    assert said(("not causal at this power", 9), direction="dim 35") == (
        "None of 1 dimension is shown to be causal, tested at layer 9; 1 not causal at this power."
    )
    assert summary(pd.DataFrame({"verdict": []})) == "No circle was tested."


def test_a_line_a_circle_the_causal_first_and_open(page: Page) -> None:
    said = re.sub(r"\s+", " ", " ".join(page.text))
    assert [line.get("open", "shut") for line in page.all("details")] == [None, "shut", "shut"]
    assert said.index("mod-add 23 layer 2, last, k = 1") < said.index("days layer 2") < said.index("hours layer 2")
    chips = [mark["class"] for mark in page.all("mark")]
    assert chips == ["chip supported", "chip refuted", "chip undetermined"]
    # Shuffled labels' planes may hold the circle: their ablation does not count.
    assert "1.00 → 0.17 controls ≥ 0.99" in said
    assert "0.90 0.88–0.92 control 0.01" in said
    assert "−0.064 at every position: not spared" in said
    assert "not tested" in said
    label = next(mark["aria-label"] for mark in page.all("span") if mark.get("class") == "line")
    assert label == "P(answer = s + j) 0.90 (0.88–0.92), guessing 0.04, highest control 0.01, its draws up to 0.03"
    dots = [mark.get("style") for mark in page.all("i") if mark.get("class") == "dot trained"]
    assert dots == [None, *["left:90.0%"] * 3]  # the first is the key's


def test_nothing_a_table_holds_is_read_as_html_and_nothing_runs(folder: Path) -> None:
    made = section(folder)
    assert made and SCRIPT not in made.html and "alert(1)" in made.html
    assert not re.search(r"<script|<img|<iframe|url\(|https?:| on\w+=", made.html)


def test_links_are_the_files_that_exist(folder: Path, page: Page) -> None:
    links = [str(link["href"]) for link in page.all("a")]
    assert len(links) == 5 and all((folder / link).is_file() for link in links)


def test_the_algorithm_is_shown_where_it_was_asked_for(tmp_path: Path) -> None:
    rule = ("step", True, 0.9, 0.05, 0.05, -10.0, 0.0, "clock", 41.2, "", 50)
    at = ("days", 2, "resid_post", "last")
    algorithms = [AlgorithmRow(*at, name, "modulus", *rule) for name in ("clock", "look-up")]
    write(tmp_path, [*rows_of("days", 7), verdict("days", "causal", false_calls=1, false_draws=200), *algorithms])
    made = section(tmp_path)
    assert made and "<b>clock</b><small>log-likelihood ratio 41.2</small>" in made.html
    assert "would pass in 1 of 200 draws" in made.html


def test_an_order_is_named_beside_a_verdict_that_does_not_say_it(tmp_path: Path) -> None:
    write(tmp_path, [*rows_of("days", 7), verdict("days", "not specific", geometry="circle", harm="not spared")])
    made = section(tmp_path)
    assert made and "not specific</mark><small>order: circle</small>" in made.html
    write(tmp_path, [*rows_of("days", 7), verdict("days", "causal: answer code", geometry="answer code")])
    made = section(tmp_path)
    assert made and "causal: answer code</mark></span>" in made.html


def test_a_run_that_turned_nothing_is_a_section_too(tmp_path: Path) -> None:
    write(tmp_path, [verdict("days", "cannot be tested")])
    made = section(tmp_path)
    assert made and "None of 1 circle" in made.html and "not rotated" in made.html and "<svg" not in made.html


def test_a_causal_run_of_other_weights_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, [*rows_of("days", 7), verdict("days", "causal")])
    (tmp_path / "run.json").write_text('{"weights_fingerprint": "f2"}')
    made = section(tmp_path)
    assert made and "of other weights" in made.html and "0.90" not in made.html
    (tmp_path / "run.json").write_text('{"weights_fingerprint": "f1"}')
    made = section(tmp_path)
    assert made and "of other weights" not in made.html


def test_the_page_holds_the_section_and_its_policy(folder: Path) -> None:
    made = section(folder)
    assert made
    frames = made_up(layers=2)
    page, without = (Page(report.render(frames, RUN, sections)) for sections in ([made], ()))
    assert [part["aria-labelledby"] for part in page.all("section") if part.get("id") == "causal"] == ["h-causal"]
    assert any(heading.get("id") == "h-causal" for heading in page.all("h2"))
    assert page.scripts == without.scripts
    policies = [[meta.get("content") for meta in one.all("meta") if "http-equiv" in meta] for one in (page, without)]
    assert policies[0] == policies[1]
    assert not any(part.get("id") == "causal" for part in without.all("section"))


def test_a_turned_circle_is_a_diagonal() -> None:
    period = 5
    rotation = pd.DataFrame(
        [
            {"j": j, "shift": s, "share": float(s == (-1 if j == 3 else j))}
            for j in range(period)
            for s in range(-1, period)
        ]
    )
    picture = rotations(rotation, period)
    ground, squares = re.findall(r'<path fill="#\w+" d="([^"]+)"', picture)
    corners = [(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)", squares)]
    left, top = (int(part) for part in re.findall(r"M(\d+) (\d+)", ground)[0])
    none = int(re.findall(r"M(\d+)", ground)[1])
    size = (none - 6 - left) // period
    assert corners == [(none if j == 3 else left + size * j, top + size * j) for j in range(period)]
    assert "moved by j is 0.00 to 1.00" in picture


def test_draws_stand_where_their_effects_are() -> None:
    picture = against("accuracy", 0.5, (0.4, 0.6), {"random": [0.0, 0.0, 1.0], "period 11": [0.25]})
    bars = re.findall(r'class="draws" d="([^"]+)"', picture)
    assert [bar.count("M") for bar in bars] == [2, 1]
    left, right = (float(x) for x in re.findall(r"M([\d.]+)", bars[0]))
    places = {float(x) for x in re.findall(r'class="tested" d="M([\d.]+)', picture)}
    assert len(places) == 1 and places.pop() == pytest.approx(left + (right + 5.8 - left) / 2)
    assert re.findall(r"v-([\d.]+)h", bars[0]) == ["20", "10"]
    assert "random: 3 draws, mean 0.33, 0.00 to 1.00" in picture and "period 11: 0.25" in picture


def test_many_layers_leave_no_room_for_numbers() -> None:
    rows = [{"layer": at, "position": token, "donor": 0.25} for at in range(12) for token in ("last", "item")]
    picture = layers(pd.DataFrame(rows), 3)
    assert picture.count("<td") == 24 and ">0.25<" not in picture and "<b>3</b>" in picture
    assert picture.index(">item<") < picture.index(">last<")
    assert ">0.25<" in layers(pd.DataFrame(rows[:6]), 3)


def test_a_dozen_circles_stay_small(tmp_path: Path) -> None:
    names = [f"mod-add {period}" for period in range(13, 25)]
    write(tmp_path, [row for name in names for row in (*rows_of(name, 24), verdict(name, "causal"))])
    made = section(tmp_path)
    assert made and len(made.html.encode()) < 400_000
