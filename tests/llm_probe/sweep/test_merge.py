"""Merging: types, order, gaps, and what is refused; the page: what is missing first, then every finished cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from llm_probe.run.config import ProbeConfig
from llm_probe.run.table import TABLES
from llm_probe.sweep.folder import Sweep, plan
from llm_probe.sweep.grid import Grid, Kind
from llm_probe.sweep.merge import merge, page
from llm_probe.sweep.workers import work
from tests.llm_probe.made_up import CLAIMS, RUN, made_up
from toy.run.errors import InputError

MARKUP = "<script>alert(1)</script>"
TABLES_OF_A_CELL = made_up([claim for claim in CLAIMS if claim[0].name in ("days", "numbers")], layers=2)


def test_rows_stand_in_the_plans_order_with_what_was_swept(planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[3, 1, 2], words=["a", ["b", "c"]])
    work(sweep, sweep.cells[::-1])
    result = merge(sweep)
    assert result.rows == {"rows": 6} and result.gaps == ()
    table = pd.read_parquet(result.folder / "rows.parquet")
    assert list(table) == ["cell", "swept_number", "words", "number", "square", "half", "note"]
    assert table["swept_number"].tolist() == table["number"].tolist() == [3, 3, 1, 1, 2, 2]
    assert table["words"].tolist() == ["a", "b+c"] * 3
    assert table["square"].dtype == "int64" and table["half"].tolist() == [1.5, 1.5, 0.5, 0.5, 1.0, 1.0]
    assert table["note"].isna().tolist() == [True, True, True, True, False, False]
    assert table["note"].iloc[-1] == '"odd, isn\'t it"\n2'
    text = pd.read_csv(result.folder / "rows.csv")
    pd.testing.assert_frame_equal(text, table, check_dtype=False)


def test_cells_that_are_not_there_are_named(planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[1, 2])
    work(sweep, sweep.cells[:1])
    result = merge(sweep)
    gaps = pd.read_csv(result.folder / "gaps.csv")
    assert gaps[["name", "state"]].to_numpy().tolist() == [["number=2", "to do"]]
    assert "merged 1 of 2 cells" in str(result) and "missing (to do) number=2" in str(result)


def test_another_schema_is_refused_and_named(planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[1, 2])
    work(sweep, sweep.cells)
    path = sweep.run_folder(sweep.cells[1]) / "rows.csv"
    path.write_text(path.read_text().replace("half", "third"))
    with pytest.raises(InputError, match=r"has other columns than this version writes \(half, third\): remove"):
        merge(sweep)
    path.write_text("number,square,half,note\n1,many,2,x\n")
    with pytest.raises(InputError, match=r"cannot be read as this version's rows"):
        merge(sweep)
    path.unlink()
    with pytest.raises(InputError, match=r"rows.csv cannot be read as this version's rows: .*No such file"):
        merge(sweep)


def test_two_models_under_one_name_are_refused(planned: Callable[..., Sweep]) -> None:
    sweep = planned({"model": "x"}, number=[1, 2])
    work(sweep, sweep.cells)
    with pytest.raises(InputError, match=r"two different models are called x: the weights of cell \w+ \(number=1\)"):
        merge(sweep)


def compute(config: ProbeConfig, folder: Path, command: str) -> None:
    """A made-up run; that of seed 2 fails."""
    if config.seed == 2:
        raise InputError(f"the disk of {MARKUP} is full")
    for name, frame in TABLES_OF_A_CELL.items():
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    (folder / "run.json").write_text(json.dumps({**RUN, "layers": 2}), encoding="utf-8")
    (folder / "report.html").touch()


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    kind = Kind(ProbeConfig, "scripts/probe_llm.py", compute, lambda: TABLES)
    return plan(tmp_path, "probe", kind, Grid("probe", {}, {"seed": [0, 1, 2, 3]}).cells(kind, 10), "a test")


def test_what_is_missing_comes_first(sweep: Sweep) -> None:
    work(sweep, sweep.cells[:3])
    content = page(sweep, "make it", sweep.folder)
    gaps = merge(sweep).gaps
    assert [(gap["name"], gap["state"]) for gap in gaps] == [("seed=2", "failed"), ("seed=3", "to do")]
    assert content.index("2 of 4 cells are not in what follows") < content.index('id="h-runs"')
    section = content[content.index('id="h-missing"') : content.index('id="h-runs"')]
    for gap in gaps:
        assert gap["name"] in section and gap["command"] in section
    assert "the disk of &lt;script&gt;alert(1)&lt;/script&gt; is full" in section
    assert "InputError: the disk of &lt;script&gt;" in section and MARKUP not in content  # the end of its log
    rows = [f'<th scope="row">seed={seed}</th>' in content[content.index('id="h-runs"') :] for seed in range(4)]
    assert rows == [True, True, False, False]
    assert f'href="runs/{sweep.cells[0].key}/report.html"' in content


def test_a_whole_sweep_says_so(sweep: Sweep) -> None:
    work(sweep, sweep.cells[:2])
    whole = Sweep(sweep.folder, sweep.name, sweep.kind, sweep.cells[:2])
    content = page(whole)
    assert "All 2 cells of the sweep are here." in content and 'id="h-missing"' not in content


def test_no_finished_cell_and_another_kind_are_said(sweep: Sweep, planned) -> None:
    with pytest.raises(InputError, match=r"no cell of .* is done: see python scripts/sweep.py status"):
        page(sweep)
    with pytest.raises(InputError, match="is a sweep of trivial jobs"):
        page(planned(number=[1]))


@pytest.mark.parametrize(("weights", "alike"), [("trained", True), ("random", False)])
def test_weights_that_are_sampled_are_another_model_for_every_seed(weights: str, alike: bool) -> None:
    kind = Kind(ProbeConfig, "scripts/probe_llm.py", compute, lambda: TABLES)
    first, second = Grid("probe", {"weights": weights}, {"seed": [0, 1]}).cells(kind, 10)
    assert (kind.weights(first) == kind.weights(second)) is alike
