"""The table at the end of a run: aligned, as wide as the terminal, every reason said."""

from __future__ import annotations

import re

import pytest

from llm_probe.page import terminal
from llm_probe.questions.domains import DOMAINS, modular
from tests.llm_probe.made_up import CLAIMS, RUN, made_up

DAYS = [claim for claim in CLAIMS if claim[0] is DOMAINS["days"]]


def test_columns_are_aligned() -> None:
    lines = terminal.terminal_table(made_up(layers=4)["verdicts"], RUN, width=400).splitlines()
    head, names, rows = lines[2], lines[3], lines[4:-3]
    assert len(rows) == len(CLAIMS)
    ends = [match.end() for line in (head, names) for match in re.finditer(r"\S+", line[: names.index("verdict")])]
    assert len(ends) == 4 + 7
    assert all(row[end - 1] != " " and row[end] == " " for row in rows for end in ends if end > len("claim"))
    start = names.index("verdict")
    assert all(re.match(r"\S+", row[start:]) and row[start - 1] == " " for row in rows)


def test_the_headline_and_the_last_lines() -> None:
    lines = terminal.terminal_table(made_up(DAYS, layers=2)["verdicts"], RUN).splitlines()
    assert lines[0] == (
        "Up-0.6B · 8 layers · 1024 wide · fp32 · 21,504 prompts in 41 s · control: same architecture, random weights"
    )
    assert "results/made--Up-0.6B/report.html" in lines[-2]
    assert lines[-1].endswith(RUN["command"])


def test_a_line_says_why_and_what_the_published_statistic_would_have_said() -> None:
    verdicts = made_up([(modular("add", 7), "sum", "undetermined", 0.04, "renamed labels are read as well (p 0.62)")])[
        "verdicts"
    ]
    verdicts["reason"] += "; class-mean R² 0.991 (dim 505), random reaches 0.993"
    row = terminal.terminal_table(verdicts, RUN, width=240).splitlines()[4]
    assert " ".join(row.split()) == (
        "mod-add 7 7 0.60 - 0.04 -0.10 0.62 nothing, undetermined: renamed labels are read as well (p 0.62); "
        "dim 505: 0.991, random 0.993"
    )


def test_an_item_says_how_far_its_order_closes() -> None:
    row = terminal.terminal_table(made_up(DAYS, layers=2)["verdicts"], RUN, width=300).splitlines()[4]
    assert row.endswith(
        "circle, supported: holds on new prompts; in the embedding; "
        "closest rival: clusters (weekend), 14 nats less likely; closure 0.97 [0.91, 1.04]; "
        "dim 505: 0.991, random 0.993"
    )


def test_a_line_says_where_a_sum_comes_from() -> None:
    verdicts = made_up(DAYS[:1], layers=4)["verdicts"]
    assert "holds on new prompts; blocks 0-2; closest rival" in terminal.terminal_table(verdicts, RUN, width=300)


def test_long_reasons_wrap_under_the_verdict() -> None:
    frames = made_up([(DOMAINS["days"], "sum", "undetermined", 0.4, "many words " * 20)], layers=2)
    lines = terminal.terminal_table(frames["verdicts"], RUN).splitlines()
    assert max(map(len, lines)) <= 153
    assert lines[5].startswith(" " * lines[3].index("verdict"))


def test_missing_numbers_are_dashes() -> None:
    frames = made_up(DAYS[:1], layers=2, random=False, behaviour=False)
    row = terminal.terminal_table(frames["verdicts"], {**RUN, "control": None}).splitlines()[4].split()
    assert row[:8] == ["days:", "sum", "7", "-", "0", "0.88", "-", "0.002"]


def test_no_verdicts_are_a_sentence() -> None:
    assert "no claim was tested" in terminal.terminal_table(made_up([])["verdicts"], RUN)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = terminal.terminal_table(made_up(layers=4)["verdicts"], {**RUN, "command": "again"})
    assert max(map(len, said.splitlines())) <= width
    for words in ("closest rival: clusters (weekend)", "dim 505: 0.991", "other periods are as strong"):
        assert words in " ".join(said.split())
