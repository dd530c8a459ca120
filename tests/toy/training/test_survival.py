"""Curves worked out by hand, and the tables that hold them."""

from __future__ import annotations

import csv
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import CensoredData, ecdf

from toy.config import ToyConfig
from toy.pictures.sweeps import LINES_NAMED, message, survival_figure
from toy.training.axes import Plan, SweepPoint, parse_axes
from toy.training.survival import (
    Row,
    curve,
    printed,
    seed_rows,
    summary_rows,
    survival,
    survival_rows,
    write_tables,
)

BASE = ToyConfig(steps=400, log_every=25)


def outcome(seed: int, grokked_at: int | None, **changed: Any) -> Row:
    """What `toy.training.sweep.outcomes` says of a seed; unless changed, it was trained to step 400."""
    fixed = {"seed": seed, "memorised_at": 50, "grokked_at": grokked_at, "diverged_at": None, "steps_trained": 400}
    measured = {"train_loss": 0.1, "test_loss": 0.2, "train_accuracy": 1.0, "test_accuracy": 0.5, "seconds": 2.0}
    return fixed | measured | changed


def planted(*axes: str, outcomes: list[list[Row]]) -> list[tuple[SweepPoint, Row]]:
    """Cells that nobody trained."""
    cells = Plan(BASE, parse_axes(axes), len(outcomes[0])).cells()
    return [(cell, {"device": "cpu", "outcomes": each}) for cell, each in zip(cells, outcomes, strict=True)]


def test_a_curve_without_early_ends_is_the_share_itself() -> None:
    curve = survival([100, 300, None, 300], [400] * 4)
    assert curve.steps == (0, 100, 300, 400)
    assert curve.shares == (1, Fraction(3, 4), Fraction(1, 4), Fraction(1, 4))
    assert curve.at_risk == (4, 4, 3, 1)
    assert curve.median == 300
    assert curve.mean == 100 + 200 * 3 / 4 + 100 / 4


def test_a_seed_that_ended_early_leaves_the_others_their_share() -> None:
    # One of four ends at 150: the two left at 200 share what is left, so one of them takes half of 3/4.
    curve = survival([100, 200, None, 300], [400, 400, 150, 400])
    assert curve.steps == (0, 100, 200, 300, 400)
    assert curve.shares == (1, Fraction(3, 4), Fraction(3, 8), 0, 0)
    assert curve.at_risk == (4, 4, 2, 1, 0)
    assert curve.median == 200 and curve.mean == 100 + 75 + 37.5


def test_a_seed_that_ends_where_another_groks_was_still_watched() -> None:
    assert survival([200, None], [400, 200]).shares == (1, Fraction(1, 2), Fraction(1, 2))


@pytest.mark.parametrize(("grokked_at", "median", "shares"), [([None, None], None, (1, 1)), ([0, 0], 0, (0, 0))])
def test_none_and_all(grokked_at: list[int | None], median: int | None, shares: tuple[int, ...]) -> None:
    curve = survival(grokked_at, [400, 400])
    assert (curve.steps, curve.median, curve.shares) == ((0, 400), median, shares)
    assert curve.mean == 400 * shares[0]


def test_random_milestones_are_scipys() -> None:
    draw = random.Random(0)
    for _ in range(50):
        grokked_at = [draw.choice([None, draw.randrange(1, 20)]) for _ in range(9)]
        ends = [draw.randrange(1, 25) if each is None else 25 for each in grokked_at]
        curve = survival(grokked_at, ends)
        last = [end if each is None else each for each, end in zip(grokked_at, ends, strict=True)]
        expected = ecdf(CensoredData.right_censored(last, [each is None for each in grokked_at])).sf
        assert [float(share) for share in curve.shares] == pytest.approx(expected.evaluate(curve.steps))


def test_a_seed_that_diverged_counts_as_not_grokked_to_the_end() -> None:
    diverged = outcome(0, None, diverged_at=75, steps_trained=50)
    ((cell, content),) = planted(outcomes=[[diverged, outcome(1, 200)]])
    assert curve(cell, content).shares == (1, Fraction(1, 2), Fraction(1, 2))
    stopped = outcome(0, None, steps_trained=75)
    assert curve(cell, {"outcomes": [stopped, outcome(1, 200)]}).shares == (1, 0, 0)


def test_the_tables(tmp_path: Path) -> None:
    results = planted(
        "weight_decay=1,2",
        outcomes=[
            [outcome(0, 100), outcome(1, 300, test_accuracy=0.25), outcome(2, 200, seconds=None)],
            [outcome(0, None), outcome(1, 300), outcome(2, None, diverged_at=50, steps_trained=25, test_accuracy=None)],
        ],
    )
    write_tables(tmp_path, results, {"cells": 2})
    read = {name: list(csv.DictReader((tmp_path / f"{name}.csv").open())) for name in ("sweep", "summary", "survival")}
    assert [(row["weight_decay"], row["run_seed"], row["grokked_at"], row["diverged_at"]) for row in read["sweep"]] == [
        ("1.0", "0", "100", ""), ("1.0", "1", "300", ""), ("1.0", "2", "200", ""),
        ("2.0", "0", "", ""), ("2.0", "1", "300", ""), ("2.0", "2", "", "50"),
    ]  # fmt: skip
    assert all(next(iter(rows[0])) == "weight_decay" for rows in read.values())
    first, second = summary_rows(results)
    assert (first["seeds"], first["grokked"], first["diverged"], first["share_grokked"]) == (3, 3, 0, 1)
    assert (first["median_grokked_at"], first["first_grokked_at"], first["last_grokked_at"]) == (200, 100, 300)
    assert (first["mean_steps_not_grokked"], first["test_accuracy_worst"], first["seconds_per_seed"]) == (200, 0.25, 2)
    assert (second["grokked"], second["diverged"], second["memorised"]) == (1, 1, 3)
    assert (second["median_grokked_at"], second["watched_to"]) == (None, 400)
    assert [(row["step"], row["share_not_grokked"]) for row in read["survival"][5:]] == [
        ("0", "1.0"), ("300", str(2 / 3)), ("400", str(2 / 3))
    ]  # fmt: skip
    assert json.loads((tmp_path / "sweep.json").read_text()) == {"cells": 2}
    assert len(seed_rows(results)) == 6 and len(survival_rows(results)) == 8
    lines = printed(results).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert lines[1].split()[:2] == ["1.0", "3/3"] and "100-300" in lines[1] and lines[2].split()[1] == "1/3"


def test_axes_named_like_a_seeds_own_columns_stay_apart() -> None:
    results = planted("seed=4", "steps=30", outcomes=[[outcome(4, None, steps_trained=30), outcome(5, None)]])
    rows = seed_rows(results)
    assert [(row["seed"], row["run_seed"], row["steps"], row["steps_trained"]) for row in rows] == [
        (4, 4, 30, 30), (4, 5, 30, 400)
    ]  # fmt: skip


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes if axes.get_visible() for text in axes.texts]


def test_the_picture_draws_the_curves_and_names_each() -> None:
    both, one, none = (
        [outcome(0, first), outcome(1, second)] for first, second in ((100, 200), (100, None), (None, None))
    )
    results = planted("modulus=11,13", "weight_decay=1,2", outcomes=[none, one, none, both])
    figure = survival_figure(results)
    left, right = figure.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("modulus 11", "modulus 13")
    assert texts(figure) == ["2: 1/2", "1: 0/2", "2: 2/2", "1: 0/2"]
    line = right.lines[-1]
    assert np.asarray(line.get_xydata()).tolist() == [[25, 100], [100, 50], [200, 0], [400, 0]]
    assert line.get_drawstyle() == "steps-post"
    assert message(results) == (
        "First to grok: modulus 11, weight decay 2 (half of 2 seeds by step 100); every seed groks in 1 of 4 cells"
    ).replace("modulus 11", "modulus 13")
    assert figure.get_suptitle().replace("\n", " ") == message(results)


def test_the_message_of_one_cell_and_of_failures() -> None:
    assert message(planted(outcomes=[[outcome(0, 100), outcome(1, None)]])) == (
        "Half of 2 seeds by step 100; 1 of 2 grok"
    )
    assert message(planted("modulus=11", outcomes=[[outcome(0, None), outcome(1, None), outcome(2, 25)]])) == (
        "Nowhere do half of the seeds grok: at most 1 of 3 in a cell"
    )


def test_of_many_lines_some_are_named() -> None:
    values = ",".join(map(str, range(1, 20)))
    figure = survival_figure(planted(f"weight_decay={values}", outcomes=[[outcome(0, 25 * n)] for n in range(1, 20)]))
    assert len(figure.axes[0].lines) == 19 and len(texts(figure)) <= LINES_NAMED
