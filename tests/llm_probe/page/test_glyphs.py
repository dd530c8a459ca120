"""Levels in words and pictures: each has its own, and a closest rival is named only where a shape was shown."""

from __future__ import annotations

from typing import get_args
from xml.etree import ElementTree

import pytest

from llm_probe.page.glyphs import SIZE, glyph, glyphs, level_text, rival_text
from llm_probe.run.vocabulary import Level


def test_every_level_has_a_picture_of_its_own_in_the_colour_of_the_text() -> None:
    pictures = glyphs()
    assert tuple(pictures) == get_args(Level)
    assert len({str(picture).partition(">")[2] for picture in pictures.values()}) == len(pictures)
    for level, picture in pictures.items():
        root = ElementTree.fromstring(str(picture))
        assert (root.get("width"), root.get("height"), root.get("role")) == (str(SIZE), str(SIZE), "img")
        assert (root.get("aria-label") or "").startswith(f"{level}: ")
        colours = {element.get(key) for element in root.iter() for key in ("fill", "stroke")} - {None, "none"}
        assert colours == {"currentColor"}


def test_tables_without_levels_have_neither_word_nor_picture() -> None:
    assert glyph("") == "" == level_text({}) == rival_text({})
    assert level_text({"level": float("nan"), "shape": float("nan")}) == ""


@pytest.mark.parametrize(
    ("level", "shape", "words"),
    [
        ("circle", None, "circle"),
        ("helix", "T = 2, 5, 10", "helix T = 2, 5, 10"),
        ("helix", "no single period", "helix, no single period"),
        ("ordered", "open arc", "ordered: open arc"),
        ("clusters", "seasons", "clusters: seasons"),
        ("decodable", float("nan"), "decodable"),
        ("nothing", None, "nothing"),
    ],
)
def test_a_level_says_what_exactly_it_is(level: str, shape: str | float | None, words: str) -> None:
    assert level_text({"level": level, "shape": shape}) == words


@pytest.mark.parametrize(
    ("level", "rival", "ratio", "words"),
    [
        ("circle", "folded line", 12.34, "closest rival: folded line, 12 nats less likely"),
        ("ordered", "runs", -0.42, "closest rival: runs of neighbours, 0.4 nats more likely"),
        ("clusters", "clusters: seasons", -9.6, "closest rival: clusters (seasons), 9.6 nats more likely"),
        ("helix", "line", 12.34, ""),
        ("decodable", "line", 12.34, ""),
        ("circle", None, None, ""),
    ],
)
def test_a_rival_is_named_where_a_shape_was_shown(
    level: str, rival: str | None, ratio: float | None, words: str
) -> None:
    assert rival_text({"level": level, "rival": rival, "rival_ratio": ratio}) == words


def test_a_rival_that_the_reason_names_is_not_named_twice() -> None:
    claim = {"level": "ordered", "rival": "line", "rival_ratio": -23.0}
    assert rival_text({**claim, "reason": "other orders do as well (p 0.02)"})
    assert not rival_text({**claim, "reason": "a line instead: likelier than the circle by 23 nats"})
