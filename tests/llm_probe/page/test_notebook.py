"""What a notebook and a paper show of a made-up run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from llm_probe.page.notebook import RADIUS, SIZE, html, picture
from llm_probe.page.paper import COLUMNS, entry, escaped, latex_table
from llm_probe.page.views import ordered
from llm_probe.questions.domains import DOMAINS
from tests.llm_probe.made_up import CLAIMS, RUN, Claimed, made_up

DAYS: list[Claimed] = [claim for claim in CLAIMS if claim[0].name == "days"]


def test_every_claim_has_a_row_and_a_circle() -> None:
    frames = made_up()
    shown = html(frames, RUN)
    assert shown.count("<tr>") == 1 + len(CLAIMS)
    assert shown.count('aria-label="') == 2 * len(CLAIMS)  # its circle and the picture of its level
    assert all(claim["reason"].split(";")[0] in shown for claim in frames["verdicts"].to_dict("records"))
    assert "Up-0.6B · 8 layers" in shown and "Not asked" not in shown
    left_out = html(frames, {**RUN, "not_asked": {"random weights": "give <states>"}})
    assert "<li>random weights: give &lt;states&gt;</li>" in left_out


def test_names_are_escaped_and_no_claim_is_said() -> None:
    odd = replace(DOMAINS["days"], items=("<b>", *DOMAINS["days"].items[1:]))
    shown = html(made_up([(odd, *DAYS[0][1:])]), RUN)  # type: ignore[list-item]
    assert "<title>&lt;b&gt;</title>" in shown and "<title><b>" not in shown
    assert "No claim was tested" in html(made_up([]), RUN)


def test_points_stand_where_the_table_has_them() -> None:
    frames = made_up(DAYS[:1], random=False)
    rows = frames["circles"].assign(x=0.0, y=1.0)
    claim = ordered(frames["verdicts"]).iloc[0].to_dict()
    assert f'cx="{SIZE / 2:.1f}" cy="{SIZE / 2 - RADIUS:.1f}"' in picture(claim, rows)
    far = picture(claim, rows.assign(x=30.0))
    places = [float(part.split('"')[0]) for part in far.split('cx="')[2:]]
    assert max(places) <= SIZE and math.isclose(max(places), SIZE / 2 + 1.5 * RADIUS, abs_tol=0.2)


def test_a_table_in_latex() -> None:
    verdicts = made_up()["verdicts"]
    lines = latex_table(verdicts, COLUMNS).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")][1:]
    assert len(rows) == len(CLAIMS) and all(row.count(" & ") == len(COLUMNS) - 1 for row in rows)
    assert lines[1] == r"\begin{tabular}{llrrrrrrll}"
    assert rows[0].startswith("days & item & ")  # as on the page, the strongest first


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (0.00002, "p_fwer", r"$2\cdot 10^{-5}$"),
        (0.004, "p_fwer", "0.004"),
        (0.876, "plane_r2", "0.88"),
        (-3.0, "plane_r2", "$<$ $-$1"),
        (None, "random_r2", ""),
        (math.nan, "random_r2", ""),
        (5, "layer", "5"),
        (True, "cyclic", "True"),
        ("R² & 5 %_", "reason", r"R\textsuperscript{2} \& 5 \%\_"),
    ],
)
def test_entries(value: object, column: str, expected: str) -> None:
    assert entry({column: value}, column) == expected


def test_nothing_means_anything_to_latex() -> None:
    assert escaped("a{b}$c^~\\") == r"a\{b\}\$c\textasciicircum{}\textasciitilde{}\textbackslash{}"
