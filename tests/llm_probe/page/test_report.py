"""The page and the terminal table: complete, self-contained, and safe with any text a model writes."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest

from llm_probe.page import TEMPLATES, report, terminal
from llm_probe.page.claim_evidence import CONTROL_NAMES
from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.run import table
from llm_probe.run.columns import column_meanings
from llm_probe.verdicts.judgement import selective
from tests.html_page import Page
from tests.llm_probe.made_up import CLAIMS, RUN, Claimed, made_up

SCRIPT = "<script>alert(1)</script>"
DAYS = [claim for claim in CLAIMS if claim[0] is DOMAINS["days"]]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(report.render(made_up(layers=4), RUN))


def test_the_summary_counts_claims_and_controls(page: Page) -> None:
    said = " ".join(page.text)
    assert "5 of 12 cyclic claims are supported, carried on a circle: 3 of 7 sums and 2 of 5 items." in said
    assert "The other 7: 1 a circle" in said  # zodiac, which random weights reach as well
    assert "1 a helix of the integer, 1 clusters, 1 decodable only, 3 nothing. 1 refuted, 6 undetermined." in said
    assert "None of 2 linear controls shows a circle" in said


def test_the_summary_says_what_becomes_of_sums_the_model_cannot_do() -> None:
    frames = made_up(DAYS, layers=1)
    assert "guessing" not in report.summary(frames["verdicts"], RUN)
    frames["verdicts"].loc[frames["verdicts"]["quantity"] == "sum", ["accuracy", "accuracy_low"]] = 0.1
    assert "1 of 1 sum that it answers no better than by guessing is supported" in report.summary(
        frames["verdicts"], RUN
    )
    assert "cannot do it" in " ".join(Page(report.render(frames, RUN)).text)


def test_a_linear_control_on_a_circle_is_a_warning() -> None:
    frames = made_up([(DOMAINS["numbers"], "item", "supported", 0.9, "")], layers=1)
    assert "1 of 1 linear control shows a circle; none should" in report.summary(frames["verdicts"], RUN)


def test_nothing_is_fetched(page: Page) -> None:
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert links
    assert all(value and (value.startswith(("data:", "#")) or re.fullmatch(r"\w+\.csv", value)) for value in links)
    code = page.scripts[1]
    assert not re.search(r"fetch\(|XMLHttpRequest|import\s*\(|innerHTML|\beval\b", code)
    assert "url(" not in (TEMPLATES / "page.css").read_text(encoding="utf-8")


def test_the_policy_names_the_script_by_its_hash(page: Page) -> None:
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta) or ""
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy


def test_every_row_of_the_map_is_a_row_of_the_payload(page: Page) -> None:
    rows = page.payload["rows"]
    cells = [link for link in page.all("a") if "data-row" in link]
    assert len(rows) == len(CLAIMS)
    items = sum(quantity == "item" for _, quantity, *_ in CLAIMS)
    assert len(cells) == 4 * len(CLAIMS) + items  # four layers; of items the embedding too
    assert page.payload["layers"] == [-1, 0, 1, 2, 3]
    assert all(str(link["data-layer"]) in rows[int(link["data-row"] or 0)]["cells"] for link in cells)
    days = next(row for row in rows if row["name"] == "days: sum")
    assert days["items"] == list(DOMAINS["days"].items)
    assert days["frequencies"] == [1, 2, 3]
    cell = days["cells"]["3"]
    assert len(cell["t"]["points"]) == len(cell["r"]["points"]) == 7
    assert len(cell["dims"]) == 5
    assert len(cell["reach"]) == 1


def test_a_scan_is_in_ten_thousandths_from_long_to_short_periods(page: Page) -> None:
    row = next(row for row in page.payload["rows"] if row["name"] == "mod-add 12")
    assert row["periods"] == sorted(row["periods"], reverse=True)
    shares = row["cells"]["3"]["scan"]["t"]
    assert all(isinstance(value, int) and value >= 0 for value in shares)
    assert shares[row["periods"].index(12.0)] > 1500
    assert sorted(shares)[len(shares) // 2] < 100


def test_a_row_says_what_its_name_cannot(page: Page) -> None:
    rows = {row["name"]: row for row in page.payload["rows"]}
    assert rows["numbers: item"]["note"] == "linear control"
    assert rows["days: sum"]["note"] == "accuracy 0.60"
    assert rows["days: item"]["note"] == rows["days: sum"]["closure"] == rows["planets: item"]["closure"] == ""
    assert rows["days: item"]["closure"] == "closure 0.97 [0.91, 1.04]"
    assert rows["days: item"]["confirmed"] == [0.93, 0.87, 0.97]
    assert rows["months: sum"]["cells"]["3"]["t"]["k"] == rows["months: sum"]["k"] == 2


def test_markup_in_names_stays_text() -> None:
    items = (SCRIPT, "two", "three", "four", "five")
    domain = Domain(f"odd {SCRIPT}", items, questions={"plus": "{item} plus {offset} </script><!--"})
    frames = made_up([(domain, "sum", "supported", 0.8, f"because {SCRIPT}")], layers=2)
    frames["examples"]["model_answer"] = "\u2028</script>"
    content = report.render(frames, {**RUN, "model": f"a/{SCRIPT}", "command": f"probe {SCRIPT} \"'"})
    page = Page(content)
    assert SCRIPT not in content
    assert len(page.all("script")) == len(page.scripts) == 2
    assert page.payload["rows"][0]["items"] == list(items)
    assert page.payload["examples"][domain.name][0]["prompt"].endswith("</script><!--")
    assert page.payload["examples"][domain.name][0]["wrote"] == "\u2028</script>" and "\u2028" not in content
    address = next(str(link["href"]) for link in page.all("a") if link.get("class") == "name")
    assert [unquote(part) for part in address.split("/")] == [f"#{domain.name}", "sum", "resid_post", "last", "0"]


def test_the_best_control_label_is_a_mark_of_its_own() -> None:
    frames = made_up(DAYS, layers=1)
    frames["verdicts"].loc[0, ["control", "control_r2"]] = ["latin_square", 0.4]
    frames["verdicts"].loc[1, ["control", "control_r2"]] = [None, None]
    page = Page(report.render(frames, RUN))
    marks = [mark["style"] for mark in page.all("i") if mark.get("class") == "dot control" and mark.get("style")]
    assert marks == ["left:50.0%"]  # 0.4 is half way from the floor, -0.2, to 1
    said = [mark["aria-label"] or "" for mark in page.all("span") if mark.get("class") == "line"]
    assert sum("best control label (Latin square) 0.40" in text for text in said) == 1
    assert sum("control" not in text for text in said) == 1
    assert "best control label" in " ".join(" ".join(page.text).split())


def test_a_row_holds_every_control_of_its_claim_and_no_other() -> None:
    frames = made_up([*DAYS, (modular("add", 7), "sum", "supported", 0.8, "holds")], layers=2)
    known = frames["controls"].iloc[-1].to_dict()
    more = {"no_modulus": 0.51, "wrong_modulus": 0.62, "random_weights": -0.3}
    rows = [{**known, "control": name, "r2": r2, "frequency": None} for name, r2 in more.items()]
    frames["controls"] = report.pd.concat([frames["controls"], report.pd.DataFrame(rows)], ignore_index=True)
    by_name = {row["name"]: row["controls"] for row in Page(report.render(frames, RUN)).payload["rows"]}
    assert [control["name"] for control in by_name["days: item"]] == ["items reordered"]
    kinds = {control["name"]: (control["differs"], control["r2"], control["where"]) for control in by_name["mod-add 7"]}
    assert kinds == {
        "shuffled labels": ("labels", -0.02, "layer 0, k = 1"),
        "no modulus asked": ("prompts", 0.51, "layer 0"),
        "other moduli asked": ("prompts", 0.62, "layer 0"),
        "random weights": ("weights", -0.3, "layer 0"),
    }


def test_every_control_has_a_name() -> None:
    assert set(CONTROL_NAMES) == set(get_args(table.Control))


def test_the_judged_plane_stands_beside_random_weights_and_what_there_is_without_a_circle() -> None:
    frames = made_up(DAYS[:1], layers=2)
    measured = {"circulant_beyond_simplex": 0.7, "circulant_noise": 0.1, "circulant_line": 0.13, "f_ratio": 50.47}
    frames["invariants"].loc[frames["invariants"]["weights"] == "trained", list(measured)] = list(measured.values())
    page = Page(report.render(frames, RUN))
    row = page.payload["rows"][0]
    assert row["measures"] == [
        ["resultant of angle errors", "0.88", "0.05", "0", "resultant"],
        ["decoded to its residue", "0.88", "0.05", "0.14", "decode_accuracy"],
        ["circulant beyond a simplex", "0.70", "–", "noise 0.10, line 0.13", "circulant_beyond_simplex"],
        ["F between residues", "50.5", "–", "1", "f_ratio"],
    ]
    assert row["read"] == [0, 0]
    assert all(page.payload["meanings"]["invariants"][column] for *_, column in row["measures"])


def test_p_values_that_do_not_apply_are_left_out() -> None:
    claims: list[Claimed] = [DAYS[0], (modular("add", 7), "sum", "supported", 0.8, "holds")]
    payload = Page(report.render(made_up(claims, layers=1), RUN)).payload
    rows = {row["name"]: {test[-1]: test for test in row["tests"]} for row in payload["rows"]}
    always = ["p_fwer", "p_renaming", "p_selective", "p_order", "p_axes", "p_shape", "p_integer", "p_holm"]
    assert list(rows["days: sum"]) == [*always[:3], "p_repeats", *always[3:]]
    assert list(rows["mod-add 7"]) == [*always[:3], "p_assignment", "p_contrast", "p_period", *always[3:]]
    assert "+0.70 nats" in rows["mod-add 7"]["p_assignment"][3]


def test_a_p_value_is_explained_by_the_rule_that_computes_it(page: Page) -> None:
    columns = {test[-1] for row in page.payload["rows"] for test in row["tests"]}
    explained = page.payload["meanings"]["verdicts"]
    documented = {column: text.replace("`", "") for column, _, text in column_meanings()["verdicts"]}
    assert columns and all(explained[column] == documented[column] for column in columns)
    weights = re.search(r"p_assignment \(1/(\d)\), p_contrast and p_period \(1/(\d) each", explained["p_selective"])
    assert weights is not None
    assignment, other = map(int, weights.groups())
    for p in ((0.003, 0.4, 0.2), (0.5, 0.004, 0.9), (0.9, 0.8, 0.02)):
        assert selective(p) == pytest.approx(min(1.0, p[0] * assignment, p[1] * other, p[2] * other))


def test_the_foot_says_how_often_nothing_is_called_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "false_positives.csv"
    monkeypatch.setattr(report, "CALIBRATION", path)
    assert report.calibration() == ""
    rows = [
        "statistic,null,n_networks,false_positive_rate,lower,upper",
        "class-mean R² against noise,all,900,0.4,0.368,0.433",
        "class-mean R² against noise,qwen3,230,0.9,0.85,0.94",
        "supported,all,1000,0.002,0.0002,0.0072",
    ]
    path.write_text("\n".join(rows[:3]), encoding="utf-8")
    assert report.calibration() == ""
    path.write_text("\n".join(rows), encoding="utf-8")
    assert "fires on 360 of 900 (36.8 to 43.3 %, 95 % interval) networks" in report.calibration()
    assert "calls 2 of 1,000 (0.0 to 0.7 %, 95 % interval) supported" in report.calibration()
    assert report.calibration() in " ".join(Page(report.render(made_up(DAYS, layers=1), RUN)).text)


@pytest.mark.skipif(shutil.which("node") is None, reason="node reads the script")
def test_the_script_can_be_read(tmp_path: Path, page: Page) -> None:
    (tmp_path / "page.js").write_text(page.scripts[1], encoding="utf-8")
    subprocess.run([str(shutil.which("node")), "--check", "page.js"], cwd=tmp_path, check=True)


def test_without_random_weights_the_page_says_so() -> None:
    frames = made_up(DAYS, layers=2, random=False)
    page = Page(report.render(frames, {**RUN, "control": None}))
    assert "Without a random-weights control" in " ".join(page.text)
    assert page.payload["rows"][0]["cells"]["0"]["r"] is None
    assert not [mark for mark in page.all("i") if mark.get("style") and "dot random" in (mark.get("class") or "")]


def test_a_run_of_random_weights_says_so_wherever_its_weights_are_named() -> None:
    frames, run = made_up(DAYS, layers=2), {**RUN, "untrained": True}
    page = Page(report.render(frames, run))
    said = " ".join(page.text)
    assert "<h1>Up-0.6B with random weights</h1>" in report.render(frames, run)
    assert "Cyclic quantities in Up-0.6B with random weights: a calibrated" in said
    assert "these random weights, 95" in said and "same search, other random weights" in said
    assert "every circle here would be a false one" in report.summary(frames["verdicts"], run)
    assert page.payload["called"] == {"trained": "these random weights", "random": "other random weights"}
    assert "trained weights" not in said
    assert "trained weights, 95" in " ".join(Page(report.render(frames, RUN)).text)


def test_an_encoder_has_no_accuracy_and_no_examples() -> None:
    frames = made_up(DAYS[:1], layers=2, behaviour=False)
    page = Page(report.render(frames, RUN))
    assert page.payload["examples"] == {}
    assert "–" in page.text


def test_a_very_negative_r2_is_an_arrowhead_at_the_left_end() -> None:
    frames = made_up([(modular("add", 7), "sum", "refuted", -3.0, "")], layers=1)
    dots = [mark for mark in Page(report.render(frames, RUN)).all("i") if mark.get("class") == "dot trained below"]
    assert [dot["style"] for dot in dots] == ["left:0.0%"]


def test_two_arrowheads_stand_apart_and_their_numbers_say_less_than_minus_one() -> None:
    frames = made_up([(modular("add", 12), "sum", "refuted", -137157.0, "")], layers=1)
    content = report.render(frames, RUN)
    dots = {mark["class"]: mark["style"] for mark in Page(content).all("i") if "below" in (mark.get("class") or "")}
    assert dots == {"dot random below": "left:0.0%;top:25%", "dot trained below": "left:0.0%;top:75%"}
    assert "<b>&lt; −1</b>" in content
    assert "< -1" in terminal.terminal_table(frames["verdicts"], RUN)
    assert "137157" not in content.replace(Page(content).scripts[0], "")


@pytest.mark.parametrize("frames", [{}, made_up([])])
def test_an_empty_run_is_a_page_too(frames: dict[str, Any]) -> None:
    page = Page(report.render(frames, RUN))
    assert page.payload["rows"] == []
    assert "No claim was tested." in page.text


def test_tables_read_back_from_csv_give_the_same_page(tmp_path: Path) -> None:
    frames = made_up(layers=2)
    for name, rows in frames.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    again = {name: report.pd.read_csv(tmp_path / f"{name}.csv") for name in frames}
    assert Page(report.render(again, RUN)).payload["rows"] == Page(report.render(frames, RUN)).payload["rows"]


def test_every_table_can_be_downloaded(page: Page) -> None:
    frames = made_up(layers=4)
    links = {link["download"]: link["href"] or "" for link in page.all("a") if "download" in link}
    assert {str(name).split(".")[0] for name in links} == set(table.TABLES)
    for file, address in links.items():
        content = base64.b64decode(address.partition(",")[2])
        text = (gzip.decompress(content) if str(file).endswith(".gz") else content).decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == len(frames[str(file).split(".")[0]])


def test_a_table_too_large_for_the_page_is_linked_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = made_up(DAYS, layers=8)
    monkeypatch.setattr(report, "PAGE_LIMIT", 0)
    without = report.render(frames, RUN)
    assert not any(str(link["href"]).startswith("data:") for link in Page(without).all("a"))
    monkeypatch.setattr(report, "PAGE_LIMIT", len(without.encode()) + 10_000)
    content = report.render(frames, RUN)
    assert len(content.encode()) <= report.PAGE_LIMIT
    links = {link["href"]: link for link in Page(content).all("a")}
    assert "download" not in links["r2_table.csv"]
    assert any(str(address).startswith("data:") for address in links)


def test_an_empty_table_is_no_link_to_a_file_that_may_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = made_up(DAYS, layers=1)
    frames["points"] = frames["points"].iloc[:0]
    assert "points.csv" in {link.get("download") for link in Page(report.render(frames, RUN)).all("a")}
    monkeypatch.setattr(report, "PAGE_LIMIT", 0)
    links = {link["href"] for link in Page(report.render(frames, RUN)).all("a")}
    assert "circles.csv" in links and "points.csv" not in links


def test_column_meanings_are_the_docstrings_of_the_fields() -> None:
    meanings = column_meanings()
    for name, row_type in table.TABLES.items():
        assert [column for column, _, _ in meanings[name]] == list(table.columns_of(row_type))
    said = {column: text for column, _, text in meanings["r2_table"]}
    assert said["r2_class_means"].startswith("The published statistic")
    assert all(meaning for rows in meanings.values() for _, _, meaning in rows)


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    report.write(tmp_path / "new" / "report.html", made_up(DAYS, layers=1), RUN)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
