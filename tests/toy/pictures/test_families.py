"""Figures: what is drawn where, from arrays and from networks whose content is known; no image is compared."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from toy.analysis.measurements import analyse
from toy.analysis.progress import measure
from toy.config import ToyConfig
from toy.networks.closed_form import gromov
from toy.networks.model import build
from toy.networks.tasks import TASKS
from toy.pictures import causes, circuits, families, style, training, weights
from toy.pictures.material import Material, gather

SMALL = ToyConfig(modulus=7, d_model=8, n_heads=2, d_mlp=24, train_fraction=0.5)
KEYS = [2, 5]


@pytest.fixture
def axes() -> Axes:
    return Figure().subplots()


@cache
def solved(task: str = "add") -> Material:
    """The closed form with two frequencies, and a history of two checkpoints."""
    model, config = gromov(13, KEYS, scale=4.0, task=task)
    looks = [(1, 1.0, 0.2), (10, 1.0, 0.5), (100, 1.0, 1.0)]
    metrics = [
        {"step": step, "train_loss": 1 / step, "test_loss": 2 / step, "train_accuracy": one, "test_accuracy": other}
        for step, one, other in looks
    ]
    progress = [measure(model, config, KEYS, step) for step, _, _ in looks]
    return gather(model, config, analyse(model, config), 100, metrics, progress)


@cache
def untrained(task: str, modulus: int = 7, architecture: str = "transformer") -> Material:
    config = replace(SMALL, task=task, modulus=modulus, architecture=architecture)
    model = build(config).requires_grad_(False)
    return gather(model, config, analyse(model, config))


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]


def dots(axes: Axes, colour: str) -> Line2D:
    return next(line for line in axes.lines if line.get_color() == colour)


# ---------------------------------------------------------------------------------------------------------- drawings


def test_spectrum_bars_are_the_shares_and_keys_are_filled(axes: Axes) -> None:
    weights.draw_spectrum(axes, [0.1, 0.6, 0.05, 0.25], [2, 4], [0.3, 0.2, 0.3, 0.2], "embedding")
    assert heights(axes) == pytest.approx([10, 60, 5, 25])
    filled = [bar.get_facecolor() == to_rgba(style.TRAINED) for bar in axes.patches[:4]]
    assert filled == [False, True, False, True]
    assert {text.get_text() for text in axes.texts} == {"2", "4"}
    stairs = axes.patches[4]
    assert stairs.get_data().values.tolist() == pytest.approx([30, 20, 30, 20])  # type: ignore[attr-defined]
    assert axes.lines[0].get_ydata() == pytest.approx([25, 25])  # the flat level


def test_coefficients_may_be_negative(axes: Axes) -> None:
    weights.draw_coefficients(axes, [0.5, -2.0], [2], None, "")
    assert heights(axes) == [0.5, -2.0]
    assert axes.texts[0].get_verticalalignment() == "top"


def test_gaps_stand_for_what_is_missing_and_for_no_logarithm(axes: Axes) -> None:
    lines = [("loss", [None, 1.0, 0.0, 0.1], style.TRAINED, "-")]
    style.over_steps(axes, [1, 10, 100, 1000], lines, "loss", {"grokked": 100, "never": None}, log=True)
    values = axes.lines[0].get_ydata()
    assert [math.isnan(value) for value in values] == [True, False, True, False]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert list(axes.lines[1].get_xdata()) == [100, 100]
    assert [text.get_text() for text in axes.texts] == ["grokked\n100", "loss"]


def test_neurons_are_sorted_by_frequency_then_share_and_dead_ones_left_out(axes: Axes) -> None:
    shares = np.array([[0.1, 0.9, 0.0, 0.7], [0.8, 0.0, 0.0, 0.2]])
    circuits.draw_neuron_map(axes, shares, np.array([2, 1, 0, 1]), "")
    values = np.asarray(axes.images[0].get_array())
    assert values.tolist() == [[0.9, 0.0], [0.7, 0.2], [0.1, 0.8]]


def test_points_of_a_plane_are_tied_to_the_ideal_circle(axes: Axes) -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    weights.draw_plane(axes, points, 2, "", trained=False)
    assert np.array_equal(np.asarray(axes.lines[0].get_xydata()), points)
    assert axes.lines[0].get_markerfacecolor() == "white"
    segments = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    angle = 2 * math.pi * 2 * 3 / 5
    assert segments[3] == pytest.approx(np.array([points[3], [math.cos(angle), math.sin(angle)]]))


def test_logits_and_what_rebuilds_them(axes: Axes) -> None:
    logits, rebuilt = np.array([1.0, -2.0, 3.0]), np.array([1.5, -2.0, 2.5])
    circuits.draw_logit_line(axes, logits, rebuilt, 2, "c", "")
    assert dots(axes, style.TRAINED).get_ydata() == pytest.approx(logits)
    assert axes.lines[1].get_ydata() == pytest.approx(rebuilt)
    assert (axes.lines[2].get_xdata(), axes.lines[2].get_ydata()) == ([2], [3.0])


def test_all_logits_are_counted(axes: Axes) -> None:
    circuits.draw_logit_density(axes, np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    counts = axes.collections[0].get_array()
    assert np.ma.sum(counts) == 3
    assert np.ma.max(counts) == 2


def test_portraits_join_what_shares_its_frequency() -> None:
    grid = Figure().subplots(2, 2)
    traces = np.random.default_rng(0).normal(size=(7, 3))
    circuits.draw_portraits(grid.tolist(), traces, [4, 5, 6], [2, 2, 3])
    assert [bool(grid[row, column].lines) for row, column in ((0, 0), (1, 0), (1, 1))] == [True, False, False]
    assert not grid[0, 1].get_visible()
    assert np.asarray(grid[1, 0].collections[0].get_offsets()) == pytest.approx(traces[:, [0, 2]])
    polyline = np.asarray(grid[0, 0].lines[0].get_xydata())
    assert polyline[0] == pytest.approx(polyline[-1])
    # 2 a mod 7 = 0, 2, 4, 6, 1, 3, 5: in the order of this phase a is 0, 4, 1, 5, 2, 6, 3.
    assert polyline[:-1] == pytest.approx(traces[[0, 4, 1, 5, 2, 6, 3]][:, [0, 1]])


def test_a_wave_over_its_phase_passes_through_its_points(axes: Axes) -> None:
    n, k = 11, 3
    angle = 2 * math.pi * k * np.arange(n) / n
    activation = 1 + 2 * np.cos(angle) - np.sin(angle)
    circuits.draw_over_phase(axes, activation, k, np.array([1.0, 2.0, -1.0]))
    phases, values = np.asarray(axes.collections[0].get_offsets()).T
    curve_x, curve_y = axes.lines[0].get_data()
    assert np.interp(phases, curve_x, curve_y) == pytest.approx(values, abs=1e-2)


def test_removals_and_their_controls(axes: Axes) -> None:
    causes.draw_drops(axes, ["3", "all"], [40.0, 90.0], [(1.0, 2.5), None])
    assert heights(axes) == [40, 90]
    assert axes.lines[0].get_ydata() == pytest.approx([1.0, 2.5])
    assert [text.get_text() for text in axes.texts] == ["40", "90"]


def test_groups_begin_with_the_whole_network(axes: Axes) -> None:
    cell = {"mean": {"accuracy": 0.4, "mean_drop": 0.0}}
    control = {"mean": {"draws": 5, "mean_drop": 10.0, "max_drop": 20.0, "mean_loss": 1.0}}
    causes.draw_group_ablation(axes, [{"size": 5, "top": cell, "random": control, "matched": None}], 20, 0.9, "mean")
    assert axes.lines[0].get_ydata() == pytest.approx([90, 40])
    assert axes.lines[1].get_ydata() == pytest.approx([90, 80])
    assert [text.get_text() for text in axes.texts] == ["highest ranked", "random"]


# ---------------------------------------------------------------------------------------------------------- families


@pytest.mark.parametrize(
    ("task", "modulus", "architecture"),
    [*((task, 5 if TASKS[task].n_operands > 2 else 7, "transformer") for task in TASKS),
     ("add", 8, "mlp"), ("multiply", 8, "transformer"), ("add", 3, "mlp")],
)  # fmt: skip
def test_every_family_exists_for_every_task(task: str, modulus: int, architecture: str) -> None:
    material = untrained(task, modulus, architecture)
    pictures = families.draw_all(material)
    assert list(pictures) == list(families.FAMILIES)
    absent = {name for name, picture in pictures.items() if picture.figure is None}
    # Untrained: no history and no key; the MLP has no attention. Everything else is drawn.
    missing = {"08_attention"} if architecture == "mlp" else set()
    assert absent == {"01_grokking_curve", "06_logit_reconstruction", "13_progress"} | missing
    for name, picture in pictures.items():
        assert picture.said.endswith("."), name
        assert "nan" not in picture.said.split(), name
        if picture.figure is not None:
            assert picture.figure.get_suptitle(), name


def test_everything_is_drawn_of_a_network_with_keys_and_history() -> None:
    pictures = families.draw_all(solved())
    assert [name for name, picture in pictures.items() if picture.figure is None] == ["08_attention"]


def test_all_type_is_large_enough() -> None:
    for name, picture in families.draw_all(solved()).items():
        if picture.figure is not None:
            sizes = {text.get_text(): text.get_fontsize() for text in picture.figure.findobj(Text)}
            assert not [text for text, size in sizes.items() if text.strip() and float(size) < style.SIZE], name


def test_the_closed_form_lies_on_its_circles() -> None:
    picture = families.FAMILIES["05_circles"].draw(solved())
    assert picture.figure is not None
    above = picture.figure.axes[: len(KEYS)]
    assert [axes.get_title().split("r = ")[1] for axes in above] == ["1.000", "1.000"]
    radii = np.linalg.norm(np.asarray(above[0].lines[0].get_xydata()), axis=1)
    assert radii == pytest.approx(np.ones(13), abs=1e-5)
    assert "correlate 1.00" in picture.figure.get_suptitle()


@pytest.mark.parametrize("task", ["add", "subtract", "multiply"])
def test_the_closed_form_is_rebuilt_by_its_keys(task: str) -> None:
    material = solved(task)
    picture = families.FAMILIES["06_logit_reconstruction"].draw(material)
    assert picture.figure is not None
    assert "rebuild 100 % of the logits' variance" in picture.figure.get_suptitle()
    logits, rebuilt = (picture.figure.axes[0].lines[line].get_ydata() for line in (0, 1))
    assert logits == pytest.approx(rebuilt, abs=1e-4)
    ring = picture.figure.axes[0].lines[2]
    assert float(np.asarray(ring.get_ydata())[0]) == pytest.approx(float(np.max(logits)))


def test_the_closed_form_multiplies_equal_frequencies_only() -> None:
    picture = families.FAMILIES["07_logit_spectrum_2d"].draw(solved())
    assert picture.figure is not None
    assert picture.figure.get_suptitle().startswith("100 %")
    values = np.asarray(picture.figure.axes[0].images[0].get_array())
    inside = np.zeros_like(values, dtype=bool)
    for k in KEYS:
        inside[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1] = True
    assert values[~inside].max() < 1e-3 * values[inside].min()


def test_embedding_bars_are_the_spectrum_of_the_analysis() -> None:
    material = solved()
    picture = families.FAMILIES["02_spectra"].draw(material)
    assert picture.figure is not None
    shares = material.analysis["spectra"]["embedding"]
    assert heights(picture.figure.axes[0]) == pytest.approx([100 * share for share in shares])
    assert "hold 100 % of the embedding's power" in picture.figure.get_suptitle().replace("\n", " ")


def test_milestones_are_the_first_looks() -> None:
    picture = families.FAMILIES["01_grokking_curve"].draw(solved())
    assert picture.figure is not None
    assert picture.figure.get_suptitle().startswith("Memorised at step 1, grokked at step 100;")


def test_keys_that_are_removed_cost_what_the_analysis_says() -> None:
    material = solved()
    picture = families.FAMILIES["14_ablations"].draw(material)
    assert picture.figure is not None
    removed = material.analysis["frequency_ablation"]["embedding"]
    assert heights(picture.figure.axes[0]) == pytest.approx(
        [*(cell["drop"] for cell in removed["each"]), removed["all"]["drop"]]
    )


def test_errors_are_told_apart_by_what_was_trained_on() -> None:
    material = untrained("divide")
    picture = families.FAMILIES["12_error_maps"].draw(material)
    assert picture.figure is not None
    squares = np.asarray(picture.figure.axes[0].images[0].get_array())
    right, train = material.table.scores.right, set(material.table.train.tolist())
    for row, (a, b) in enumerate(material.table.rows.operands.tolist()):
        wanted = {(True, False): 1, (True, True): 2, (False, False): 3, (False, True): 4}
        assert squares[a, b] == wanted[bool(right[row]), row in train]
    assert (squares[:, 0] == training.MISSING).all()  # nothing is divided by 0


def test_three_operands_have_an_accuracy_for_each() -> None:
    material = untrained("addpow", 5)
    picture = families.FAMILIES["12_error_maps"].draw(material)
    assert picture.figure is not None
    values = picture.figure.axes[0].lines[0].get_ydata()
    third, right = material.table.rows.operands[:, 2], material.table.scores.right.double()
    assert values == pytest.approx([100 * float(right[third == c].mean()) for c in range(5)])


def test_subgroups_are_drawn_where_the_circle_has_any() -> None:
    composite = families.FAMILIES["15_clock_or_pizza"].draw(untrained("add", 8, "mlp"))
    prime = families.FAMILIES["15_clock_or_pizza"].draw(untrained("add", 7))
    assert composite.figure is not None
    assert prime.figure is not None
    assert any("order" in axes.get_xlabel() for axes in composite.figure.axes)
    assert not any("order" in axes.get_xlabel() for axes in prime.figure.axes)
    assert "prime" in prime.said


def test_a_network_nearest_to_untrained_is_called_neither() -> None:
    picture = families.FAMILIES["15_clock_or_pizza"].draw(untrained("add"))
    assert picture.said.startswith("Nearest is the untrained network")


def test_figures_of_an_earlier_network_do_not_stay(tmp_path) -> None:
    figure = style.new_figure(1.0, "a message", width=2.0)
    present, gone = families.Picture(figure, "."), families.Picture(None, ".")
    written = families.write(tmp_path, {"01_a": present})
    first = [path.read_bytes() for path in written]
    assert [path.name for path in written] == ["01_a.png", "01_a.svg"]
    assert [path.read_bytes() for path in families.write(tmp_path, {"01_a": present})] == first
    assert families.write(tmp_path, {"01_a": gone}) == []
    assert list(tmp_path.iterdir()) == []


def test_pictures_do_not_change_their_material() -> None:
    material = solved()
    before = material.readout.logits.clone()
    families.draw_all(material)
    assert torch.equal(material.readout.logits, before)


# --------------------------------------------------------------------------------------------------------------- look


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0 %"),
        (1 + 1e-12, "100 %"),
        (1 - 1e-7, "> 99.99 %"),
        (0.0003, "< 0.1 %"),
        (0.0123, "1.2 %"),
        (0.256, "26 %"),
        (0.9951, "99.51 %"),
        (0.99999, "> 99.99 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_never_rounded_to_none_or_all(share: float, shown: str) -> None:
    assert style.percent(share) == shown


def test_labels_are_pushed_apart_and_stay_in_order(axes: Axes) -> None:
    axes.set_ylim(0, 1)
    style.at_end(axes, [("high", 1, 0.95, "k"), ("low", 1, 0.94, "k"), ("middle", 1, 0.945, "k")], apart=0.1)
    places = {text.get_text(): text.xy[1] for text in axes.texts}  # type: ignore[attr-defined]
    assert places["high"] <= 1
    assert places["high"] - places["middle"] >= 0.1 - 1e-9
    assert places["middle"] - places["low"] >= 0.1 - 1e-9


def test_ticks_that_would_meet_are_joined() -> None:
    assert style.ticks_apart([1.5, 3.5, 20.5], ["1", "2", "10"], 3.0) == ([2.5, 20.5], ["1, 2", "10"])


def test_words() -> None:
    assert [style.listed(names) for names in ([], [1], [1, 2], [1, 2, 3])] == ["none", "1", "1 and 2", "1, 2 and 3"]
    assert style.span([0.971, 0.994]) == "0.97 to 0.99"
    assert style.span([-0.5]) == "−0.50"
