"""Comparisons whose answer is known: a run with itself, planted changes, differences worked out by hand."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llm_probe.compare.comparison import (
    approximate,
    compare,
    compared_claims,
    compared_layers,
    difference,
    layer_pairs,
    read_sides,
)
from llm_probe.compare.output import terminal, write
from llm_probe.replication.audit.judge import VERDICTS
from llm_probe.replication.audit.published_run import published_run
from llm_probe.run.schema import read_run, read_runs
from tests.llm_probe.written import MOST_LAYERS, Write
from tests.root import ROOT
from toy.run.errors import InputError

RESULTS = [ROOT / "results" / name for name in ("reference", "all-MiniLM-L6-v2", "random-Qwen3-0.6B")]


def test_the_interval_of_a_difference_by_hand() -> None:
    # Half widths 3 and 4 on every side: 5 by Pythagoras.
    assert difference((1.0, -2.0, 4.0), (2.0, -2.0, 6.0)) == pytest.approx((1.0, -4.0, 6.0))
    # Lopsided: down by the other's lower and the baseline's upper side.
    assert difference((0.0, -1.0, 3.0), (0.0, -4.0, 1.0)) == pytest.approx((0.0, -5.0, math.sqrt(2)))


def test_the_interval_of_a_difference_covers() -> None:
    """Means of normal samples, 1,000 times: 95 % of the intervals hold the true difference."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1 / 10, 1000), rng.normal(0.5, 2 / 10, 1000)
    held = [
        low <= 0.5 <= high
        for one, other in zip(x.tolist(), y.tolist(), strict=True)
        for _, low, high in [difference((one, one - 0.196, one + 0.196), (other, other - 0.392, other + 0.392))]
    ]
    assert 0.93 <= sum(held) / len(held) <= 0.97


def test_a_layers_interval_by_hand() -> None:
    assert approximate(0.0, 196) == pytest.approx((0.0, -0.14, 0.14))
    assert approximate(0.64, 196) == pytest.approx((0.64, 0.64 - 0.08064, 0.64 + 0.08064))  # 0.36 · 1.6 · 0.14


def test_a_layers_interval_is_hardly_narrower_than_the_bootstrap_of_the_judged_planes() -> None:
    folders = [folder for folder in RESULTS if (folder / "verdicts.csv").is_file()]
    if not folders:
        pytest.skip("no committed runs")
    claims = pd.concat([pd.read_csv(folder / "verdicts.csv") for folder in folders]).to_dict("records")
    ratios = []
    for claim in claims:
        units = claim["n_confirmation"] if claim["quantity"] == "sum" else claim["period"]
        r2, _, high = approximate(float(claim["plane_r2"]), int(units))
        ratios.append(2 * (high - r2) / (claim["plane_r2_high"] - claim["plane_r2_low"]))
    assert min(ratios) > 0.9
    assert sorted(ratios)[len(ratios) // 2] > 1


def test_layers_go_by_their_share_of_the_depth() -> None:
    assert layer_pairs(3, 3) == [(0, 0), (1, 1), (2, 2)]
    assert layer_pairs(3, 6) == [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    assert layer_pairs(28, 3)[-1] == (27, 2) and layer_pairs(28, 3)[0] == (0, 0)


def test_a_run_agrees_with_itself(write_run: Write) -> None:
    baseline, again = read_runs([write_run("a"), write_run("b")])
    comparison = compare([baseline, again])
    assert comparison.changed.empty
    assert comparison.claims["agrees"].eq(True).all() and comparison.claims["difference"].eq(0).all()
    assert not comparison.claims["dim_moved"].any()
    assert comparison.layers["difference"].eq(0).all()
    assert (comparison.layers["difference_low"] < 0).all() and (comparison.layers["difference_high"] > 0).all()
    assert comparison.layers["dims_kept"].equals(comparison.layers["dims_shared"].rename("dims_kept"))
    assert comparison.provenance.empty
    assert "provenance: nothing differs but the time" in terminal(comparison)


def test_planted_changes_are_found_and_nothing_else(write_run: Write) -> None:
    def change(frames: dict[str, pd.DataFrame]) -> None:
        verdicts, rows = frames["verdicts"], frames["r2_table"]
        verdicts.loc[0, ["verdict", "best_dim"]] = ["refuted", 7]
        for column in ("plane_r2", "plane_r2_low", "plane_r2_high"):
            verdicts.loc[0, column] -= 0.5
        chosen = (rows["domain"] == "months") & (rows["unit"] == "plane") & (rows["layer"] == 2)
        rows.loc[chosen & (rows["weights"] == "trained"), "r2_heldout"] = -0.9
        frames["verdicts"] = verdicts.drop(index=3)

    a, b = read_runs([write_run("a"), write_run("b", change, seed=4, versions={"torch": "3.0", "transformers": "5.0"})])
    comparison = compare([a, b])
    assert comparison.changed[["domain", "quantity", "baseline_verdict", "verdict"]].to_numpy().tolist() == [
        ["days", "sum", "supported", "refuted"]
    ]
    row = comparison.claims.iloc[0]
    assert row["difference"] == pytest.approx(-0.5) and row["difference_high"] < 0
    assert (row["baseline_dim"], row["dim"], row["dim_moved"]) == (505, 7, True)
    assert comparison.claims.loc[comparison.claims["agrees"].isna(), "domain"].tolist() == ["months"]
    moved = comparison.layers.loc[comparison.layers["difference"] != 0]
    assert set(zip(moved["domain"], moved["layer"], strict=True)) == {("months", 2)}
    assert (moved["difference_high"] < 0).all()
    assert comparison.provenance[["key", "baseline_value", "value"]].to_numpy().tolist() == [
        ["versions.torch", "2.0", "3.0"],
        ["seed", "0", "4"],
    ]
    said = terminal(comparison)
    assert "6 of 7 shared claims have the same verdict; 1 only in a, 0 only in b" in said
    assert "505 -> 7" in said and "versions.torch 2.0 -> 3.0" in said
    narrow = terminal(comparison, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert re.search(r"compare\.csv also has .*class-mean R², its dimension", " ".join(narrow.split()))


def test_dimensions_of_two_models_are_not_compared(write_run: Write) -> None:
    a, b = read_runs([write_run("a"), write_run("b", model="made/Other", layers=6)])
    assert all(row.dim_moved is row.dim is None for row in compared_claims(a, b))
    layers = compared_layers(a, b)
    assert {row.dims_kept for row in layers} == {None}
    assert {(row.baseline_layer, row.layer) for row in layers} == {(-1, -1), *layer_pairs(3, 6)}
    assert "dimensions are not compared" in terminal(compare([a, b]))


def test_no_common_claim_is_a_mistake(write_run: Write) -> None:
    def only_first(frames: dict[str, pd.DataFrame]) -> None:
        frames["verdicts"] = frames["verdicts"].iloc[:1]

    def without_first(frames: dict[str, pd.DataFrame]) -> None:
        frames["verdicts"] = frames["verdicts"].iloc[1:]

    runs = read_runs([write_run("a", only_first), write_run("b", without_first)])
    with pytest.raises(InputError, match="no claim in common"):
        compare(runs)


def test_one_run_twice_is_a_mistake(write_run: Write) -> None:
    folder = write_run("a")
    for names in ([str(folder)], [str(folder), f"{folder}/"], []):
        with pytest.raises(InputError, match="two different runs"):
            read_sides(names, published_run)


def test_published_numbers_are_the_largest_of_their_claim() -> None:
    run = published_run()
    best = run.frames["verdicts"].set_index("domain")
    # Facts of the source: mod 7's best of 1,024 dimensions at layer 14, and the four calendars'.
    assert (best.loc["mod-add 7", "best_dim"], round(best.loc["mod-add 7", "class_mean_r2"], 4)) == (505, 0.9967)
    assert [round(best.loc[name, "class_mean_r2"], 4) for name in ("days", "months", "hours", "alphabet")] == [
        0.9953, 0.9288, 0.9379, 0.9823,
    ]  # fmt: skip
    assert set(best["verdict"]) <= set(VERDICTS)
    rows = run.frames["r2_table"]
    assert rows["layer"].max() == 27 and rows["dim"].max() < 1024  # no feature of a sparse autoencoder


def test_a_run_beside_the_published_numbers(write_run: Write, tmp_path: Path) -> None:
    mine = read_run(write_run("a", model="Qwen/Qwen3-0.6B", layers=28))
    comparison = compare([mine, published_run()])
    shared = comparison.claims.loc[comparison.claims["agrees"].notna()]
    assert {"days", "mod-add 7", "mod-add 23"} <= set(shared["domain"])
    assert shared["difference"].isna().all() and shared["class_mean_r2"].notna().all()
    assert shared["dim_moved"].notna().all()  # one model: dimensions are compared
    layers = comparison.layers.loc[comparison.layers["domain"] == "mod-add 23"]
    assert layers["layer"].tolist() == layers["baseline_layer"].tolist() == list(range(MOST_LAYERS))
    assert "a published verdict is of the number by itself" in terminal(comparison)
    assert all(path.stat().st_size for path in write(comparison, tmp_path / "out"))


def test_what_is_written_has_no_nan_and_reads_back(write_run: Write, tmp_path: Path) -> None:
    runs = read_runs([write_run("a"), write_run("b", seed=1), write_run("c", model="x/Y", layers=2)])
    comparison = compare(runs)
    paths = write(comparison, tmp_path / "out")
    assert {path.name for path in paths} == {
        "compare.csv", "compare_layers.csv", "compare_provenance.csv", "compare.svg", "compare.png",
    }  # fmt: skip
    for path in paths[:3]:
        assert not any(word in path.read_text().lower().split(",") for word in ("nan", "<na>", "inf"))
    again = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert len(again) == 2 * len(runs[0].frames["verdicts"])
    assert again["agrees"].all() and again["agrees"].dtype == bool
    assert "505,505,False," in (tmp_path / "out" / "compare.csv").read_text()
    picture = (tmp_path / "out" / "compare.svg").read_text()
    assert all(f">{name}<" in picture for name in ("a", "b", "c", "random weights"))
