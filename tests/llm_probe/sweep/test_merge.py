"""Merging: types, order, gaps, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from llm_probe.sweep.folder import Sweep
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import work
from toy.run.errors import InputError


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
