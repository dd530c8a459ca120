"""The level on the page: first in its row, with a picture; absent from folders that were written before levels."""

from __future__ import annotations

from typing import get_args

from llm_probe.page import claim_evidence, report, terminal
from llm_probe.questions.domains import DOMAINS, modular
from llm_probe.run.schema import ADDED
from llm_probe.run.vocabulary import Level
from tests.llm_probe.made_up import CLAIMS, RUN, Claimed, made_up
from tests.llm_probe.page.test_report import Page

DAYS = [claim for claim in CLAIMS if claim[0] is DOMAINS["days"]]


def test_the_level_and_its_picture_stand_above_the_verdict() -> None:
    page = Page(report.render(made_up(layers=2), RUN))
    shown = [each for each in page.all("span") if (each.get("class") or "").startswith("level ")]
    assert len(shown) == len(CLAIMS)
    assert {"level supported", "level refuted", "level undetermined"} == {each["class"] for each in shown}
    said = " ".join(" ".join(page.text).split())
    assert "helix T = 10, 2 undetermined" in said
    assert "closest rival: clusters (weekend), 14 nats less likely" in said
    levels = [each["data-level"] for each in page.all("dt") if "data-level" in each]
    assert levels == list(get_args(Level))


def test_a_folder_from_before_levels_gives_a_page_without_them() -> None:
    frames = made_up(DAYS, layers=2)
    frames["verdicts"][list(ADDED[4]["verdicts"])] = None
    page = Page(report.render(frames, RUN))
    assert [(row["level"], row["shown"], row["rival"]) for row in page.payload["rows"]] == [("", "", "")] * 2
    assert not [each for each in page.all("span") if "level" in str(each.get("class")).split()]
    assert not any(test[2] for row in page.payload["rows"] for test in row["tests"])
    assert "The other" not in report.summary(frames["verdicts"], RUN)
    assert "  supported: holds on new prompts" in terminal.terminal_table(frames["verdicts"], RUN, width=240)


def test_points_go_round_in_the_order_of_the_plane_that_is_drawn() -> None:
    frames = made_up([(modular("add", 17), "sum", "supported", 0.9, "holds on new prompts")], layers=1)
    frames["verdicts"]["frequency"] = 7
    frames["circles"]["frequency"] = 7
    row = Page(report.render(frames, RUN)).payload["rows"][0]
    side = row["cells"]["0"]["t"]
    assert (row["k"], side["k_points"], side["k"]) == (7, 7, 1)
    # In steps of 5 labels the angle grows by 7 * 5 = 35 = 1 mod 17 parts of a turn: a ring, not a tangle.
    assert side["step"] == 5


def test_the_detail_has_the_agreement_that_the_verdict_asks_for() -> None:
    rows = {row["name"]: row for row in Page(report.render(made_up(DAYS, layers=1), RUN)).payload["rows"]}
    assert rows["days: sum"]["agreement"] == [0.91, 0.83, 0.93]


def test_a_p_value_says_what_it_is_for_so_that_none_contradicts_the_verdict() -> None:
    claims: list[Claimed] = [*DAYS, (DOMAINS["hours"], "sum", "undetermined", 0.4, "other orders do as well (p 0.62)")]
    frames = made_up(claims, layers=1)
    frames["verdicts"]["p_axes"] = 0.03
    payload = Page(report.render(frames, RUN)).payload
    purpose = {row["name"]: {test[-1]: test[2] for test in row["tests"]} for row in payload["rows"]}
    notes = {row["name"]: {test[-1]: test[3] for test in row["tests"]} for row in payload["rows"]}
    assert purpose["days: sum"]["p_order"] == "a circle needs ≤ 0.01: passed"
    assert purpose["days: sum"]["p_axes"] == "a circle needs ≤ 0.05: passed"
    assert purpose["hours: sum"]["p_order"] == "a circle needs ≤ 0.01: not passed"
    assert purpose["days: sum"]["p_repeats"] == "part of selective"
    assert purpose["days: sum"]["p_integer"] == "≤ 0.05 names a helix of the integer, if selective is not passed"
    assert purpose["days: sum"]["p_renaming"] == "a circle needs ≤ 0.01: passed"
    assert purpose["days: item"]["p_renaming"] == "shown only"
    assert purpose["days: sum"]["p_holm"].startswith("`supported` needs ≤ 0.05: ")
    assert "Items are asked for their order" in notes["days: item"]["p_renaming"]


def test_the_page_names_the_null_of_items_with_too_few_orders() -> None:
    claims = made_up([(DOMAINS["seasons"], "item", "undetermined", 0.4, "a line")])["verdicts"]
    claim = claims.iloc[0].to_dict() | {"order_null": "words", "p_redrawn": 0.4, "p_redrawn_axes": 0.04}
    assert claim_evidence.purpose(claim, "p_order") == claim_evidence.purpose(claim, "p_axes") == "shown only"
    assert claim_evidence.purpose(claim, "p_redrawn") == "a circle needs ≤ 0.01: not passed"
    assert claim_evidence.purpose(claim, "p_redrawn_axes") == "a circle needs ≤ 0.05: passed"
