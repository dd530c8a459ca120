"""The page of several runs: complete, inert, and safe with any text."""

from __future__ import annotations

import base64
import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from llm_probe.page import ladder_page
from llm_probe.run.schema import RunTables, read_runs
from tests.llm_probe.written import Write

MARKUP = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def third(frames: dict[str, pd.DataFrame]) -> None:
    frames["verdicts"].loc[1, ["verdict", "reason"]] = ["refuted", f"because {MARKUP}"]
    frames["verdicts"] = frames["verdicts"].iloc[:5]


@pytest.fixture
def runs(write_run: Write) -> list[RunTables]:
    return read_runs([
        write_run("small", model="a/s", parameters=1_000_000),
        write_run("large", model="a/l", parameters=8_000_000_000, command=f"probe {MARKUP}"),
        write_run("third", third, model=f"a/{MARKUP}", parameters=600_000_000),
    ])  # fmt: skip


def test_the_matrix_has_every_claim_of_every_run(runs: list[RunTables]) -> None:
    page = Page(ladder_page.render(runs))
    chips = [attributes["class"] for tag, attributes in page.elements if tag == "mark"]
    assert len(chips) == sum(len(run.frames["verdicts"]) for run in runs)
    for word in ("supported", "undetermined", "refuted"):
        said = sum((run.frames["verdicts"]["verdict"] == word).sum() for run in runs)
        assert chips.count(f"chip {word}") == said
    assert "small: 4 of 7 cyclic claims supported" in " ".join(page.text)
    assert "None of 2 linear controls is supported" in " ".join(page.text)


def test_the_ladder_goes_by_size_with_random_weights_beside(runs: list[RunTables]) -> None:
    content = ladder_page.render(runs)
    pictures = re.findall(r"<svg.*?</svg>", content)
    assert len(pictures) == len(runs[0].frames["verdicts"])  # two sizes share every claim
    lines = re.findall(r'points="([^"]+)"', pictures[0])
    assert len(lines) == 2  # trained and random
    across = [float(point.split(",")[0]) for point in lines[0].split()]
    assert across == sorted(across) and len(across) == 3
    assert all(word in content for word in (">1 M<", ">600 M<", ">8 B<"))


def test_a_run_of_random_weights_says_so_and_stands_in_no_ladder(write_run: Write) -> None:
    content = ladder_page.render(read_runs([
        write_run("a", model="a/s", parameters=1_000_000),
        write_run("b", model="a/l", parameters=8_000_000_000, untrained=True),
    ]))  # fmt: skip
    assert "a/l with random weights" in content and "8 billion parameters, random weights" in content
    assert "a/s with random weights" not in content and "<svg" not in content


def test_one_size_has_no_ladder(write_run: Write) -> None:
    content = ladder_page.render(read_runs([write_run("a"), write_run("b", seed=1)]))
    assert "<svg" not in content and "No claim was tested on models of two sizes" in content


def test_the_page_is_inert_and_its_text_is_text(runs: list[RunTables]) -> None:
    content = ladder_page.render(runs, command=f"make {MARKUP}")
    page = Page(content)
    assert page.count("script") == 0 and MARKUP not in content
    assert "default-src 'none'; style-src 'unsafe-inline'" in content
    links = [
        value or "" for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")
    ]
    assert all(link.startswith("data:") for link in links)  # no run has a page of its own here
    assert "url(" not in content


def test_the_download_holds_every_verdict(runs: list[RunTables]) -> None:
    link = re.search(r'download="verdicts.csv" href="data:text/csv;base64,([^"]+)"', ladder_page.render(runs))
    assert link
    rows = list(csv.DictReader(base64.b64decode(link.group(1)).decode().splitlines()))
    assert len(rows) == sum(len(run.frames["verdicts"]) for run in runs)
    assert {row["run"] for row in rows} == {"small", "large", "third"}
    assert {row["parameters"] for row in rows} == {"1000000", "8000000000", "600000000"}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_a_word_in_the_console(runs: list[RunTables], tmp_path: Path, width: int) -> None:
    path = tmp_path / "page.html"
    path.write_text(ladder_page.render(runs), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--enable-logging=stderr", f"--window-size={width},900",
               "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert "By size" in ended.stdout
    assert "CONSOLE" not in ended.stderr
