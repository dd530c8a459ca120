"""The page in a browser: what a click, a key, a narrow window and the dark do to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_probe.page import TEMPLATES, report
from llm_probe.page.terms import TERMS
from tests.browser import CHROMIUM, Tab, browser
from tests.llm_probe.made_up import RUN, made_up
from tests.root import ROOT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
FIRST = "days: item layer 4"
OPEN = "document.getElementById('h-detail').dataset.name"
WIDE = "[document.documentElement.scrollWidth, innerWidth]"
SAVING = (
    "window.saved = []; HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href]); };"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report.render(made_up(layers=6), RUN), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def shared_tab() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(shared_tab: Tab, address: str) -> Iterator[Tab]:
    """The page, fresh; at the end nothing may have been written to the console."""
    shared_tab.open(address)
    yield shared_tab
    assert shared_tab.complaints == []


def cell(tab: Tab, name: str, layer: int) -> str:
    """The selector of a cell of the map."""
    rows = tab.value("data.rows.map((row) => row.name)")
    return f'.map a[data-row="{rows.index(name)}"][data-layer="{layer}"]'


def in_window(tab: Tab, selector: str, height: int = 900) -> bool:
    box = tab.box(selector)
    return box["top"] >= 0 and box["bottom"] <= height


def test_a_click_on_the_map_shows_the_circle_without_losing_the_cell(tab: Tab) -> None:
    assert tab.value(OPEN) == FIRST
    chosen = cell(tab, "hours: sum", 4)
    tab.click(chosen)
    assert tab.value(OPEN) == "hours: sum layer 4"
    assert in_window(tab, ".pair svg") and in_window(tab, chosen)
    assert tab.value("[...document.querySelectorAll('.map [aria-current]')].length") == 1


def test_a_location_has_an_address_and_the_back_button_leads_away_from_it(tab: Tab, address: str) -> None:
    tab.click(cell(tab, "mod-add 7", 2))
    assert tab.value("location.hash") == "#mod-add%207/sum/resid_post/last/2"
    tab.click(cell(tab, "days: item", -1))
    assert tab.value(OPEN) == "days: item embedding"
    tab.value("history.back()")
    tab.until(f"{OPEN} === 'mod-add 7 layer 2'")
    tab.open(f"{address}#months/sum/resid_post/last/5")
    assert tab.value(OPEN) == "months: sum layer 5"
    assert in_window(tab, ".pair svg")
    tab.open(f"{address}#no/such/place")
    assert tab.value(OPEN) == FIRST


def test_the_keyboard_walks_over_the_map_and_through_the_layers(tab: Tab) -> None:
    tab.value("document.querySelector('.map [aria-current]').focus()")
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        tab.press(key)
    assert tab.value(OPEN) == "months: item layer 5"
    tab.value("document.querySelector('.slider input').focus()")
    tab.press("ArrowLeft")
    assert tab.value(OPEN) == "months: item layer 4"
    assert tab.value("location.hash") == "#months/item/resid_post/item/4"
    assert "months: item, layer 4: held-out R²" in tab.value("document.activeElement.getAttribute('aria-valuetext')")


def test_a_point_is_named_where_the_mouse_or_the_keyboard_is(tab: Tab) -> None:
    tab.value("document.querySelector('.stage').scrollIntoView()")
    box = tab.box(".pair .prompt")
    tab.point(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    here, beside = tab.value("[...document.querySelectorAll('.readout')].map((one) => one.textContent)")
    assert here in ("Monday: One says Monday", "Monday: Two say Monday")
    assert beside.startswith("Monday: ") and beside.endswith("on the circle 0°")
    assert tab.value("document.querySelectorAll('.pair .prompt.on').length") == 4
    tab.value("document.querySelector('.pair svg').focus()")
    tab.press("ArrowRight")
    assert tab.value("document.querySelector('.readout').textContent").startswith("Tuesday: ")


def test_the_pictures_turn_together_into_the_third_direction(tab: Tab) -> None:
    flat = places(tab)
    tab.value("document.querySelector('.turning input').focus()")
    for _ in range(2):
        tab.press("ArrowRight")
    assert tab.value("view.turn") == 2
    box = tab.box(".pair svg")
    x, y = box["x"] + 100, box["y"] + 100
    tab.point(x, y, "mousePressed", button="left", buttons=1, clickCount=1)
    for step in (20, 60):
        tab.point(x + step, y, buttons=1, button="left")
    tab.point(x + 60, y, "mouseReleased", button="left", clickCount=1)
    assert tab.value("view.turn") > 20
    turned = places(tab)
    assert all(one != other for one, other in zip(flat, turned, strict=True))  # trained and random
    tab.click(".turning .tool")
    assert places(tab) == flat


def places(tab: Tab) -> list[str]:
    """The line through the class means of each picture."""
    return tab.value(
        "[...document.querySelectorAll('.pair svg')].map((one) => one.querySelectorAll('path')[1].getAttribute('d'))"
    )


def test_a_run_from_before_points_has_a_circle_that_does_not_turn(tab: Tab, tmp_path: Path) -> None:
    frames = made_up(layers=2)
    frames["circles"], frames["points"] = frames["circles"].assign(z=None), frames["points"].iloc[:0]
    report.write(tmp_path / "old.html", frames, RUN)
    tab.open((tmp_path / "old.html").as_uri())
    assert tab.value(
        "[document.querySelectorAll('.pair svg').length, document.querySelectorAll('.turning, .prompt').length]"
    ) == [2, 0]


def test_a_word_is_explained_beside_it_and_escape_closes(tab: Tab) -> None:
    tab.click('.term[data-term="null"]')
    assert tab.value("gloss.textContent") == f"null {TERMS['null']}"
    assert in_window(tab, "#gloss")
    tab.press("Escape")
    assert tab.value("gloss.hidden")


def test_pictures_and_tables_are_saved_as_files_of_their_own(tab: Tab) -> None:
    tab.value(SAVING)
    chosen = ("[data-picture=map]", "[data-picture=strip]", ".pair .tool", ".panels .tool", "[data-table=verdicts]")
    for selector in chosen:
        tab.click(selector)
    saved = dict(tab.value("saved.map(([name, link]) => [name, decodeURIComponent(link)])"))
    assert [name.removeprefix("Up-0.6B-") for name in saved] == [
        "map.svg", "verdicts.svg", "days-item-layer-4-trained-weights.svg",
        "days-item-layer-4-Dimensions-class-mean-R²-and-rivals.csv", "verdicts.csv",
    ]  # fmt: skip
    pictures = [text for name, text in saved.items() if name.endswith(".svg")]
    assert all("<svg" in text and "var(--" not in text.partition("style=")[2][:60] for text in pictures)
    assert "Wednesday" in pictures[2]
    assert saved["Up-0.6B-days-item-layer-4-Dimensions-class-mean-R²-and-rivals.csv"].count("\n") == 7


def test_texts_are_copied(tab: Tab) -> None:
    tab.value(
        "Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { copied = text; } } })"
    )
    tab.click(".again .tool")
    assert tab.value("copied") == RUN["command"]
    tab.click("#cite .tool")
    assert tab.value("copied").startswith("@misc{circles")
    tab.click("#h-detail .tool")
    assert tab.value("copied").endswith("report.html#days/item/resid_post/item/4")


def test_the_directions_of_a_claim_are_a_line_of_python_where_the_run_has_them(tab: Tab, tmp_path: Path) -> None:
    assert tab.value("document.querySelector('.detail .again')") is None
    report.write(tmp_path / "new.html", made_up(layers=2), {**RUN, "schema": 7})
    tab.open((tmp_path / "new.html").as_uri())
    said = tab.value("document.querySelector('.detail .again code').textContent")
    assert said.endswith('read_result("results/made--Up-0.6B").plane("days", "item")')


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_wider_than_the_window(tab: Tab, address: str, width: int) -> None:
    tab.open(address, width, 844)
    assert tab.value(WIDE) == [width, width]
    tab.click(cell(tab, "mod-add 23", 2))
    assert in_window(tab, ".stage h2", 844)
    assert tab.value(WIDE) == [width, width]


def test_the_dark_page_has_light_words_and_light_pictures_when_saved(tab: Tab, address: str) -> None:
    tab.open(address, dark=True)
    colours = "[...document.querySelectorAll(SELECTOR)].map((one) => getComputedStyle(one).KEY)"

    def brightness(selector: str, key: str) -> list[float]:
        answers = tab.value(colours.replace("SELECTOR", json.dumps(selector)).replace("KEY", key))
        return [sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 765 for colour in answers]

    assert max(brightness("body, nav, #gloss", "backgroundColor")) < 0.2
    assert min(brightness("body, h2, .key, .note, td, .c-why", "color")) > 0.5
    assert min(brightness("svg text", "fill")) > 0.4
    tab.value(SAVING)
    tab.click(".pair .tool")
    saved = tab.value("decodeURIComponent(saved[0][1])")
    assert "rgb(0, 99, 166)" in saved and "rgb(31, 35, 40)" in saved


def test_every_explained_word_has_a_meaning_and_stands_in_the_glossary() -> None:
    said = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*"))
    used = set(re.findall(r'\bterm\("([^"]+)"', said))
    assert used == set(TERMS)
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [name for name in TERMS if name not in glossary] == []
