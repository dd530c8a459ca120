"""The page of a sweep: what is missing comes first, with its reason and its log, then every finished cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_probe.run.config import ProbeConfig
from llm_probe.run.table import TABLES
from llm_probe.sweep import page
from llm_probe.sweep.folder import Sweep, plan
from llm_probe.sweep.grid import Grid, Kind
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import work
from tests.llm_probe.made_up import CLAIMS, RUN, made_up
from toy.run.errors import InputError

MARKUP = "<script>alert(1)</script>"
TABLES_OF_A_CELL = made_up([claim for claim in CLAIMS if claim[0].name in ("days", "numbers")], layers=2)


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
    content = page.render(sweep, "make it", sweep.folder)
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
    content = page.render(whole)
    assert "All 2 cells of the sweep are here." in content and 'id="h-missing"' not in content


def test_no_finished_cell_and_another_kind_are_said(sweep: Sweep, planned) -> None:
    with pytest.raises(InputError, match=r"no cell of .* is done: see python scripts/sweep.py status"):
        page.render(sweep)
    with pytest.raises(InputError, match="is a sweep of trivial jobs"):
        page.render(planned(number=[1]))
