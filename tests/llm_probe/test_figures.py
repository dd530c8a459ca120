"""Figures: what is drawn where, from a made-up run whose numbers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from llm_probe import figures
from llm_probe.domains import DOMAINS, modular
from llm_probe.errors import InputError
from llm_probe.views import FLOOR, at, best_planes, claim_name, map_places, ordered, p_text, r2_text
from tests.llm_probe.made_up import CLAIMS, RUN, Claimed, made_up

DAYS = [claim for claim in CLAIMS if claim[0] is DOMAINS["days"]]
BELOW: list[Claimed] = [(modular("add", 7), "sum", "refuted", -3.0, "no plane beats renamed labels")]


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.876, "0.88"),
        (-0.084, "−0.08"),
        (-0.004, "0.00"),
        (-1.36, "−1.4"),
        (-136.4, "−136"),
        (None, "–"),
        (1.0, "1.00"),
    ],
)
def test_r2_has_no_more_digits_than_it_deserves(value: float | None, shown: str) -> None:
    assert r2_text(value) == shown


@pytest.mark.parametrize(("p", "shown"), [(0.623, "0.62"), (0.0112, "0.011"), (0.002, "0.002"), (None, "–")])
def test_p_has_one_or_two_digits(p: float | None, shown: str) -> None:
    assert p_text(p) == shown


def test_arithmetic_is_called_by_its_domain() -> None:
    assert claim_name("mod-add 7", "sum") == "mod-add 7"
    assert claim_name("days", "item") == "days: item"


def test_controls_come_last_and_the_strongest_first() -> None:
    names = ordered(made_up(layers=1)["verdicts"])["name"].tolist()
    assert names[:2] == ["days: item", "months: item"]
    assert names[-2:] == ["numbers: item", "planets: item"]


def test_the_best_plane_of_a_layer_is_the_best_frequency() -> None:
    months = [claim for claim in CLAIMS if claim[0].name == "months" and claim[1] == "sum"]
    planes = best_planes(made_up(months, layers=3)["r2_table"])
    assert planes["layer"].tolist() == [0, 1, 2]
    assert planes["frequency"].iloc[-1] == 2


def test_a_claim_read_at_two_places_has_two_rows_with_their_names() -> None:
    frames = made_up(DAYS[:1], layers=2)
    second = frames["r2_table"].assign(site="mlp_out")
    planes = best_planes(frames["r2_table"]).assign(site="mlp_out")
    places = map_places(frames["verdicts"], figures.pd.concat([best_planes(frames["r2_table"]), planes]))
    assert places["name"].tolist() == ["days: sum · resid_post · last", "days: sum · mlp_out · last"]
    assert len(map_places(frames["verdicts"], best_planes(second))) == 1


def test_the_strip_says_name_and_verdict_of_every_claim(axes: Axes) -> None:
    figures.verdict_strip(axes, made_up(layers=1)["verdicts"])
    said = texts(axes)
    assert {"days: item", "mod-add 23", "linear controls: no circle expected"} <= set(said)
    assert said.count("refuted") == sum(claim[2] == "refuted" for claim in CLAIMS)


def test_a_very_negative_r2_is_a_triangle_at_the_floor(axes: Axes) -> None:
    figures.verdict_strip(axes, made_up(BELOW, layers=1)["verdicts"])
    marks = [line for line in axes.lines if line.get_marker() == "<"]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[FLOOR]]


def test_the_map_hatches_what_does_not_beat_the_null(axes: Axes) -> None:
    frames = made_up(DAYS, layers=8)
    figures.layer_map(axes, frames["verdicts"], frames["r2_table"])
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    fails = (best_planes(frames["r2_table"])["p_fwer"] > 0.01).sum()
    assert len(cells) == 16
    assert sum(bool(cell.get_hatch()) for cell in cells) == fails > 0


def test_trained_and_random_circles_share_a_scale() -> None:
    frames = made_up(DAYS[:1], layers=2)
    left, right = Figure().subplots(1, 2)
    figures.circle_pair([left, right], at(frames["circles"], layer=1), (0.4, 1.5))
    assert left.get_xlim() == right.get_xlim() == left.get_ylim()
    assert set(texts(left)) == set(DOMAINS["days"].items)
    assert "0.40 rad" in left.get_title()


def test_labels_do_not_stand_on_each_other() -> None:
    points = made_up([(DOMAINS["months"], "item", "refuted", 0.0, "")], layers=1)["circles"]
    angles = np.sort(np.mod(figures._label_angles(at(points, weights="random")), 2 * np.pi))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    assert gaps.min() > 0.1


def test_a_missing_control_leaves_an_empty_frame() -> None:
    frames = made_up(DAYS[:1], layers=1, random=False)
    left, right = Figure().subplots(1, 2)
    figures.circle_pair([left, right], frames["circles"])
    assert texts(right) == ["not run"]


def test_circle_of_draws_a_claim_by_name(axes: Axes) -> None:
    frames = made_up(DAYS, layers=2)
    figures.circle_of(axes, frames, "days", "item")
    assert "trained weights, k = 1" in axes.get_title()
    with pytest.raises(InputError, match="choose from days: sum, days: item"):
        figures.circle_of(axes, frames, "weeks")


def test_frequency_bars_stop_at_the_floor(axes: Axes) -> None:
    figures.frequency_bars(axes, [1, 2, 3], [0.8, -4.0, 0.1], None, 0.12)
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_width() == pytest.approx(0.6)]
    assert [bar.get_height() for bar in bars] == [0.8, FLOOR, 0.1]
    assert sum(line.get_marker() == "v" for line in axes.lines) == 1


def test_the_scan_marks_the_own_period(axes: Axes) -> None:
    frames = made_up([(modular("add", 7), "sum", "refuted", 0.1, "")], layers=1)
    figures.period_scan(axes, frames["scan"], 7)
    assert "own period 7" in texts(axes)


def test_dimension_bars_say_what_random_weights_reach(axes: Axes) -> None:
    table = made_up(DAYS[:1], layers=1)["r2_table"]
    figures.dimension_bars(axes, at(table, weights="trained"), at(table, weights="random"))
    legend = axes.get_legend()
    assert legend is not None
    assert any(text.get_text().startswith("random weights reach 0.9") for text in legend.get_texts())


def test_every_figure_is_saved_as_svg_and_png(tmp_path: Path) -> None:
    written = figures.save_all(tmp_path, made_up(DAYS[:1], layers=1), RUN)
    assert {path.name for path in written} == {
        f"{name}.{kind}"
        for name in (
            "verdicts",
            "layer_map",
            "layers",
            "days_sum_circle",
            "days_sum_frequencies",
            "days_sum_dimensions",
        )
        for kind in ("svg", "png")
    }
    assert all(path.stat().st_size > 2000 for path in written)


def test_a_run_without_verdicts_has_no_figures(tmp_path: Path) -> None:
    assert figures.save_all(tmp_path, made_up([]), RUN) == []
