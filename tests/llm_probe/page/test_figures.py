"""Figures: what is drawn where, from a made-up run whose numbers are known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from llm_probe.page import figures
from llm_probe.page.circles import label_angles
from llm_probe.page.style import as_svg
from llm_probe.page.views import (
    FLOOR,
    angle_error,
    at,
    best_planes,
    claim_name,
    closure_text,
    map_places,
    ordered,
    p_text,
    r2_text,
    step_round,
)
from llm_probe.questions.domains import DOMAINS, modular
from tests.llm_probe.made_up import CLAIMS, Claimed, made_up
from toy.run.errors import InputError

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
        (-0.996, "−1.00"),
        (-1.36, "< −1"),
        (-137157.0, "< −1"),
        (None, "–"),
        (1.0, "1.00"),
    ],
)
def test_r2_has_no_more_digits_than_it_deserves(value: float | None, shown: str) -> None:
    assert r2_text(value) == shown


@pytest.mark.parametrize(
    ("p", "shown"), [(0.623, "0.62"), (0.0112, "0.011"), (0.002, "0.002"), (0.00002, "2e-5"), (None, "–")]
)
def test_p_has_one_or_two_digits(p: float | None, shown: str) -> None:
    assert p_text(p) == shown


@pytest.mark.parametrize(
    ("closure", "p", "ends", "shown"),
    [
        (0.971, 0.002, (0.9, 1.04), "closure 0.97 [0.90, 1.04]"),
        (0.971, 0.002, (None, None), "closure 0.97"),
        (-17.8, 0.002, (-25, -0.3), "closure < −1 [< −1, −0.30]"),
        (6.8, 0.48, (2, 8), ""),
        (None, 0.002, (None, None), ""),
    ],
)
def test_only_an_order_that_beats_the_null_has_a_closure(
    closure: float | None, p: float, ends: tuple[float | None, float | None], shown: str
) -> None:
    claim = {"closure": closure, "p_fwer": p, "closure_low": ends[0], "closure_high": ends[1]}
    assert closure_text(claim) == shown


@pytest.mark.parametrize(("period", "frequency", "step"), [(7, 1, 1), (24, 5, 5), (17, 7, 5), (12, 2, 1)])
def test_neighbours_on_a_circle_are_one_step_of_it_apart(period: int, frequency: int, step: int) -> None:
    assert step_round(period, frequency) == step


def test_half_the_period_has_no_angle() -> None:
    assert angle_error({"frequency": 6, "period": 12, "angle_error": 0.0}) is None
    assert angle_error({"frequency": 5, "period": 12, "angle_error": 0.5}) == 0.5


def test_arithmetic_is_called_by_its_domain() -> None:
    assert claim_name("mod-add 7", "sum") == "mod-add 7"
    assert claim_name("days", "item") == "days: item"


def test_controls_come_last_and_the_strongest_first() -> None:
    names = ordered(made_up(layers=1)["verdicts"])["name"].tolist()
    assert names[:2] == ["days: item", "months: item"]
    assert names[-2:] == ["planets: item", "numbers: item"]


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
    levels = made_up(layers=1)["verdicts"]["level"]
    assert said.count("circle") == (levels == "circle").sum() > 0 and "level" in said


def test_a_very_negative_r2_is_a_triangle_at_the_floor(axes: Axes) -> None:
    figures.verdict_strip(axes, made_up(BELOW, layers=1)["verdicts"])
    marks = [line for line in axes.lines if line.get_marker() == "<"]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[FLOOR]]


def test_the_strip_marks_the_best_control_label_with_a_diamond(axes: Axes) -> None:
    frames = made_up(DAYS, layers=1)
    frames["verdicts"]["control_r2"] = [0.3, None]
    figures.verdict_strip(axes, frames["verdicts"])
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[0.3]]


def test_the_map_hatches_what_does_not_beat_the_null(axes: Axes) -> None:
    frames = made_up(DAYS, layers=8)
    figures.layer_map(axes, frames["verdicts"], frames["r2_table"])
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    fails = (best_planes(frames["r2_table"])["p_fwer"] > 0.01).sum()
    assert len(cells) == 17  # eight layers of two claims, and the embedding of the items
    assert sum(bool(cell.get_hatch()) for cell in cells) == fails > 0


def test_trained_and_random_circles_share_a_scale() -> None:
    frames = made_up(DAYS[:1], layers=2)
    left, right = Figure().subplots(1, 2)
    figures.circle_pair([left, right], at(frames["circles"], layer=1), (0.4, 1.5))
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert set(texts(left)) == set(DOMAINS["days"].items)
    assert "0.40 rad" in left.get_title()


def test_labels_do_not_stand_on_each_other() -> None:
    points = made_up([(DOMAINS["months"], "item", "refuted", 0.0, "")], layers=1)["circles"]
    angles = np.sort(np.mod(label_angles(at(points, weights="random")), 2 * np.pi))
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


def test_a_circle_is_a_ring_whatever_its_frequency(axes: Axes) -> None:
    frames = made_up([(modular("add", 17), "sum", "supported", 0.9, "holds on new prompts")], layers=1)
    turn = 2 * np.pi * 7 * frames["circles"]["label"] / 17
    frames["circles"] = frames["circles"].assign(frequency=7, x=np.cos(turn), y=np.sin(turn))
    figures.circle_of(axes, frames, "mod-add 17")
    ring = next(line for line in axes.lines if len(np.asarray(line.get_xdata())) == 18)
    steps = np.hypot(np.diff(np.asarray(ring.get_xdata())), np.diff(np.asarray(ring.get_ydata())))
    assert steps == pytest.approx(2 * np.sin(np.pi / 17))  # the chord between neighbours
    assert "k = 7" in axes.get_title()
    figure = axes.figure
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "mod-add 17, layer 0 (judged at k = 1)"


def test_what_is_no_circle_is_not_called_one(axes: Axes) -> None:
    frames = made_up([(DOMAINS["numbers"], "item", "refuted", 0.4, "a line instead: likelier")], layers=1)
    figures.circle_of(axes, frames, "numbers", "item")
    figure = axes.figure
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "numbers: item, layer 0: ordered: line"


def test_the_scan_marks_the_own_period(axes: Axes) -> None:
    frames = made_up([(modular("add", 7), "sum", "refuted", 0.1, "")], layers=1)
    figures.period_scan(axes, frames["scan"], 7)
    assert "own period 7" in texts(axes)
    assert axes.get_ylim()[0] == 0
    shown = max(
        float(np.max(np.asarray(line.get_ydata()))) for line in axes.lines if line.get_label() in ("trained", "random")
    )
    assert shown == pytest.approx(100 * frames["scan"]["share"].max())
    assert axes.get_ylim()[1] > shown


def test_every_figure_is_saved_as_svg_and_png(tmp_path: Path) -> None:
    claims = [claim for claim in CLAIMS if claim[2] == "supported"]
    written = figures.save_all(tmp_path, made_up(claims, layers=1))
    names = ("verdicts", "layer_map", "layers", "circles", "periods")
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert all(path.stat().st_size > 2000 for path in written)


def test_pictures_of_claims_no_longer_supported_go_and_other_files_stay(tmp_path: Path) -> None:
    for name in ("circles.png", "periods.svg", "mine.png"):
        (tmp_path / name).touch()
    figures.save_all(tmp_path, made_up(BELOW, layers=1))
    names = {"verdicts", "layer_map", "layers", "mine"}
    assert {path.stem for path in tmp_path.iterdir()} == names


def test_a_run_without_verdicts_has_no_figures(tmp_path: Path) -> None:
    assert figures.save_all(tmp_path, made_up([])) == []


def test_a_figure_on_a_page_has_the_colours_and_the_type_of_the_page() -> None:
    figure = Figure()
    figures.circle_of(figure.subplots(), made_up(DAYS, layers=2), "days", "item")
    on_page = as_svg(figure, "test")
    assert "var(--trained)" in on_page and "var(--ink)" in on_page
    assert not re.search(r"(?:fill|stroke): #", on_page)
    assert "font-family" not in on_page and not re.search(r' d="[^"]*\d\.\d{3}', on_page)
