"""Figures for papers: their width, their type, and that a journal can print them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.text import Text

from llm_probe.page import paper
from llm_probe.questions.domains import DOMAINS
from tests.llm_probe.made_up import CLAIMS, made_up
from toy.run.errors import InputError

DAYS = [claim for claim in CLAIMS if claim[0] is DOMAINS["days"]]


@pytest.mark.parametrize("width", paper.WIDTHS)
def test_a_figure_is_as_wide_as_a_column_with_type_of_eight_points(width: float) -> None:
    frames = made_up(DAYS[:1], layers=3)
    figure = paper.claim_figure(frames, frames["verdicts"].iloc[0].to_dict(), width)
    assert figure.get_size_inches()[0] == width
    words = [text for text in figure.findobj(Text) if text.get_text()]  # type: ignore[attr-defined]
    assert {text.get_fontsize() for text in words} == {8}  # type: ignore[attr-defined]
    said = {text.get_text() for text in words}  # type: ignore[attr-defined]
    assert {"Mon", "Sun", "layer", "held-out R²"} <= said


def test_fonts_are_in_the_files_and_every_run_gives_the_same_bytes(tmp_path: Path) -> None:
    frames = made_up(DAYS[1:], layers=2)
    written = paper.save_claims(tmp_path / "a", frames)
    assert [path.name for path in written] == [
        "days-item-3.25in.pdf", "days-item-3.25in.svg", "days-item-5.5in.pdf", "days-item-5.5in.svg",
    ]  # fmt: skip
    pdf, picture = written[0].read_bytes(), written[1].read_text(encoding="utf-8")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"/CreationDate" not in pdf
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf)
    assert box is not None and float(box[1]) == pytest.approx(72 * 3.25, abs=0.5)
    assert "<text" not in picture and "<path" in picture
    paper.save_claims(tmp_path / "b", frames)
    assert all(path.read_bytes() == (tmp_path / "b" / path.name).read_bytes() for path in written)


def test_names_are_cut_where_their_first_letters_tell_them_apart() -> None:
    assert paper.short_names(DOMAINS["months"].items)[:3] == ["Jan", "Feb", "Mar"]
    assert paper.short_names(["low tide", "rising tide", "high tide"]) == ["low", "ris", "hig"]
    assert paper.short_names(["north", "northeast", "east"]) == ["north", "northeast", "east"]
    assert paper.short_names(["0", "1", "10"]) == ["0", "1", "10"]


def test_a_run_without_circles_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no circles to draw"):
        paper.save_claims(tmp_path, made_up([]))
