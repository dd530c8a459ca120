"""The pages of docs/ as a reader meets them: their Python runs, their commands and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from _kinds import KINDS

from llm_probe.questions.own import load_domain
from llm_probe.sweep.grid import kind_of, read_grid
from tests.root import ROOT
from tests.test_readme import Block, blocks

NAMES = (
    "docs/tutorial.md",
    "docs/glossary.md",
    "docs/architecture.md",
    "docs/experiments.md",
    "docs/extending.md",
    "docs/library.md",
    "docs/cluster.md",
    "CHANGELOG.md",
)
PAGES = [ROOT / name for name in NAMES]
RUN = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("example", RUN, ids=range(len(RUN)))
def test_an_example_runs(example: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example.text, "docs", "exec"), {"__name__": "__main__"})


def test_no_python_is_shown_that_is_not_run() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"^```python\n", text, flags=re.MULTILINE)
        assert len(shown) == len([block for block in blocks(text) if block.language == "python"]), page.name
        assert not shown or page in [ROOT / "README.md", *PAGES], page.name


def test_every_yaml_that_is_shown_is_a_domain_or_a_grid(tmp_path: Path) -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for text in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            path = tmp_path / "shown.yaml"
            path.write_text(text, encoding="utf-8")
            if {"kind", "axes", "fields"} & yaml.safe_load(text).keys():
                grid = read_grid(path)
                assert grid.cells(kind_of(KINDS, grid.kind), most=100)
            else:
                assert load_domain(path).questions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(blocks(text)) == text.count("<!-- test -->")
    scripts = set(re.findall(r"scripts/((?:\w+/)?\w+\.py)", text))
    assert {name for name in scripts if not (ROOT / "scripts" / name).is_file()} == set()
    files = set(re.findall(r"`((?:llm_probe|toy|causal)/[\w/]+\.py)`", text))
    assert {name for name in files if not (ROOT / name).is_file()} == set()
    links = set(re.findall(r"\]\(([^)#]+)\)", text))
    assert {link for link in links if not (page.parent / link).exists()} == set()
    targets = set(re.findall(r"^(?:make) ([a-z0-9-]+)", text, flags=re.MULTILINE))
    assert {name for name in targets if f"\n{name}:" not in (ROOT / "Makefile").read_text()} == set()


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^\| ([^|]+?) \|", PAGES[1].read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert words == sorted(words, key=str.casefold)


def test_rooms_in_the_architecture_are_the_folders() -> None:
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[3]
    named, package = set(), ""
    for line in tree.strip().splitlines():
        package = package if line.startswith(" ") else line.split("/")[0]
        if line.startswith(" "):
            named.add(f"{package}/{line.split()[0].rstrip('/')}")
    packages = ("toy", "llm_probe", "sae", "causal")
    rooms = {str(path.parent.relative_to(ROOT)) for package in packages for path in (ROOT / package).glob("*/*.py")}
    assert rooms <= named
    assert {name for name in named if not (ROOT / name).is_dir()} == set()


def test_the_citation_is_valid() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= content.keys()
    assert content["license"] == "MIT"
