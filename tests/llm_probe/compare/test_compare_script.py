"""The scripts as a user meets them: exit codes, one line for every mistake, files where they are promised."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import compare_results
import doctor
import pytest
import report

from tests.llm_probe.written import Write


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs a script's main with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(script, *arguments: object) -> int:  # type: ignore[no-untyped-def]
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, arguments)])
        return script.main()

    return call


def changed(frames) -> None:  # type: ignore[no-untyped-def]
    frames["verdicts"].loc[0, "verdict"] = "refuted"


def test_the_exit_code_says_whether_a_verdict_changed(called, write_run: Write, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    a, b, c = write_run("a"), write_run("b"), write_run("c", changed)
    monkeypatch.setattr("llm_probe.compare.output.write", lambda comparison, folder: [])
    assert called(compare_results, a, b, "--fail-if-verdict-changes") == 0
    assert called(compare_results, a, c) == 0
    assert called(compare_results, a, b, c, "--fail-if-verdict-changes") == 1
    out, err = capsys.readouterr()
    assert "1 verdicts changed" in err and "differs" in out


def test_tables_and_figure_lie_where_it_says(called, write_run: Write, capsys) -> None:  # type: ignore[no-untyped-def]
    assert called(compare_results, write_run("a"), write_run("b"), write_run("c")) == 0
    folder = Path("results/compare/b-and-c-against-a")
    assert f"tables  {folder}/compare.csv" in capsys.readouterr().out
    assert (folder / "compare.csv").is_file() and (folder / "compare.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "published"), "nowhere is no folder"),
        (("published",), "two different runs"),
        (("{a}", "{twin}"), "two models under one name"),
        (("{a}", "published", "--out", "{file}"), "cannot write"),
    ],
)
def test_a_mistake_is_one_line(called, write_run: Write, capsys, arguments: Sequence[str], message: str) -> None:  # type: ignore[no-untyped-def]
    Path("file").write_text("mine")
    names = {"a": write_run("a"), "twin": write_run("twin", weights_fingerprint="bad"), "file": "file/out"}
    assert called(compare_results, *(argument.format(**names) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and message in err and err.count("\n") == 1


def test_a_page_is_made_again_for_one_run_and_made_for_several(called, write_run: Write, capsys) -> None:  # type: ignore[no-untyped-def]
    a, b = write_run("a"), write_run("b", model="x/Y", parameters=10_000_000)
    assert called(report, a) == 0
    assert "made/Up-0.6B" in (a / "report.html").read_text()
    assert called(report, a, b, "--out", "pages/all.html") == 0
    page = Path("pages/all.html").read_text()
    assert 'href="../a/report.html"' in page and "b/report.html" not in page
    assert called(report, a, b, "--embed") == 0
    assert 'download="a.html"' in Path("results/ladder.html").read_text()
    assert called(report) == 2 and called(report, "nowhere") == 2
    (a / "r2_table.csv").unlink()
    assert called(report, a) == 2  # the page that is there shows more than one made now
    assert called(report, a, "--out", "less.html") == 0
    err = capsys.readouterr().err
    assert "error: no run to report" in err and "has no r2_table.csv: its page would lose" in err


def test_the_doctor_finds_this_installation_in_order(called, capsys) -> None:  # type: ignore[no-untyped-def]
    assert called(doctor, "--offline") == 0
    out = capsys.readouterr().out
    assert "nothing that is needed is missing" in out and "reference model" in out
