"""Pictures of networks that add: tables as they are, and neurons whose waves are planted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from toy.addition import neurons as addition_neurons
from toy.addition import pictures as addition
from toy.addition.config import AdditionConfig
from toy.addition.network import Addition
from toy.addition.neurons import NUMBERS, published_r2
from toy.addition.pictures_network import SUMS, chosen, neurons, sum_means, wave
from toy.pictures import style
from toy.run.errors import InputError
from toy.run.files import Row, as_csv

TINY = AdditionConfig(d_model=16, d_mlp=8, n_heads=2, n_blocks=1, device="cpu")


def group(by: str, value: str, accuracy: float, beyond: bool = False) -> Row:
    low, high = max(0.0, accuracy - 0.1), min(1.0, accuracy + 0.1)
    return {"by": by, "value": value, "beyond": beyond, "pairs": 20, "accuracy": accuracy, "low": low, "high": high}


ACCURACY = [
    group("category", "1d+1d", 1.0),
    group("category", "6d+6d", 0.25, beyond=True),
    group("category", "small_exhaustive", 0.5),
    *(group("digits", f"{n}d+{n}d", 1 - n / 10, beyond=n > 2) for n in (1, 2, 3, 4)),
    *(group("longest carry", str(n), 1 - n / 4) for n in (0, 1, 2)),
    *(group("place", str(n), 1 - n / 5) for n in (1, 2, 3)),
    *(group("place, longer", str(n), 1 - n / 8, beyond=True) for n in (1, 2, 3, 4)),
]
NEURONS = [
    {"weights": net, "place": "decoder 0 at =", "k": k, "period": 100 / k, "share": s / k, "largest": 2 * s / k,
     "p_fwer": 0.05, "null_95": 0.3, "neurons_above": 3, "neurons": 8}
    for net, s in (("trained", 0.4), ("untrained", 0.1))
    for k in (1, 2)
]  # fmt: skip
LOOKS = [
    {"step": step, "loss": 1.0, "train_accuracy": 1.0, "held_out_accuracy": held, "longer_accuracy": longer}
    for step, held, longer in ((10, 0.5, 0.0), (20, 0.99, 0.7), (30, 1.0, 0.2))
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "accuracy.csv").write_text(as_csv(ACCURACY))
    (tmp_path / "neurons.csv").write_text(as_csv(NEURONS))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOOKS))
    return tmp_path


def points(axes: Axes, index: int = 0) -> list[tuple[float, float]]:
    return [(float(x), round(float(y) / 100, 9)) for x, y in zip(*axes.lines[index].get_data(), strict=True)]


def spans(axes: Axes) -> list[tuple[float, float]]:
    """The ends of vertical bars."""
    return [tuple(np.round(path[:, 1] / 100, 9)) for path in axes.collections[0].get_segments()]


def title(figure: Figure) -> str:
    return " ".join(str(figure.get_suptitle()).split())


def test_every_picture_is_written_with_the_same_bytes(run: Path, tmp_path: Path) -> None:
    names = ["01_categories", "02_digits", "03_carries", "04_training", "05_periodic"]
    first = style.write(tmp_path / "first", addition.draw(run))
    again = style.write(tmp_path / "again", addition.draw(run))
    assert [path.name for path in first] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_categories_stand_beside_what_was_published(run: Path) -> None:
    figure = addition.draw(run)["01_categories"]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1d+1d", "small exhaustive", "6d+6d, longer"]
    accuracies, published = (list(line.get_xdata()) for line in axes.lines)
    assert accuracies == [100, 50, 25] and published == [100, 100, 0]
    assert title(figure) == "2 kinds of sums in range: 75 % right on average, 50 % at worst; 6d+6d 25 %"


def test_digits_and_carries_have_their_intervals(run: Path) -> None:
    figures = addition.draw(run)
    [axes] = figures["02_digits"].axes
    assert points(axes) == [(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)]
    assert spans(axes) == [(0.8, 1.0), (0.7, 0.9), (0.6, 0.8), (0.5, 0.7)]
    assert title(figures["02_digits"]) == "Up to 2 + 2 digits at least 80 % right, 3 + 3: 70 %, 4 + 4: 60 %"
    left, right = figures["03_carries"].axes
    assert points(left) == [(0, 1.0), (1, 0.75), (2, 0.5)] and points(right) == [(1, 0.8), (2, 0.6), (3, 0.4)]
    assert [y for _, y in points(right, 1)] == [0.875, 0.75, 0.625, 0.5]
    assert "one runs through 2 columns 50 %" in title(figures["03_carries"])


def test_training(run: Path) -> None:
    figure = addition.draw(run)["04_training"]
    assert [points(figure.axes[0], line)[1] for line in range(3)] == [(20, 1.0), (20, 0.99), (20, 0.7)]
    assert "are 99 % right from step 20" in title(figure) and title(figure).endswith(
        "20 % to 70 % over the second half"
    )


def test_waves_stand_beside_the_untrained_ones_and_the_null(run: Path) -> None:
    figure = addition.draw(run)["05_periodic"]
    largest, share = figure.axes
    for axes, scale in ((largest, 2), (share, 1)):
        [bars] = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
        assert list(bars.get_data().values) == pytest.approx([0.4 * scale, 0.2 * scale])
        assert list(axes.lines[0].get_ydata()) == pytest.approx([0.1 * scale, 0.05 * scale])
    band = [patch.get_bbox().y1 for patch in largest.patches if not isinstance(patch, StepPatch)]
    assert band == [0.3] and len(share.patches) == 1
    assert "0.80 of its variance at period 100" in title(figure) and "untrained 0.20" in title(figure)


def test_the_comparison_has_a_line_a_run() -> None:
    worse = [{**row, "accuracy": row["accuracy"] / 2, "low": 0.0} for row in ACCURACY]
    figure = addition.compare({"worse": pd.DataFrame(worse), "better": pd.DataFrame(ACCURACY)})
    [axes] = figure.axes
    assert points(axes) == [(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)] and points(axes, 1)[0] == (1, 0.45)
    assert {text.get_text() for text in axes.texts} == {"● better", "■ worse"}
    assert title(figure) == "2 networks that add, right answers of 3 + 3: 35 % to 70 %, 4 + 4: 30 % to 60 %"


@pytest.mark.parametrize("name", ["accuracy.csv", "neurons.csv"])
def test_a_missing_table_is_one_sentence(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=r"No such file or directory\): give the folder of a run"):
        addition.draw(run)


# ---------------------------------------------------------------------------------------------------------- neurons


def planted() -> dict[str, torch.Tensor]:
    """A wave of the ones digit, half of it and a ramp of a, a ramp of a + b, and a neuron that never fires."""
    a, b = NUMBERS[:, None].double(), NUMBERS.double()
    circle = (2 * math.pi * (a + b) / 10).cos()
    ramp = (a - a.mean()).expand(90, 90)
    half = circle + ramp * circle.std() / ramp.std()
    return {"decoder 0 at =": torch.stack([a + b, half, circle, torch.zeros(90, 90).double()], dim=2)}


def test_planted_waves_are_found_and_ramps_are_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition_neurons, "activations", lambda model: planted())
    first, second, _ = chosen(Addition(TINY), 6, published=False)
    assert (first.index, first.k, first.cycles) == (2, 10, pytest.approx(0.1)) and (second.index, second.k) == (1, 10)
    assert first.share == pytest.approx(1, abs=1e-3) and second.share == pytest.approx(0.5, abs=1e-3)
    assert first.r2 == pytest.approx(1)
    ramp = chosen(Addition(TINY), 1, published=True)[0]
    assert ramp.index == 0 and ramp.r2 > 0.98 and ramp.share < 1e-6 and 1 / ramp.cycles == pytest.approx(358)


def test_the_published_statistic_is_that_of_the_table() -> None:
    model = Addition(TINY).requires_grad_(False)
    best = chosen(model, 1, published=True)[0].r2
    assert best == pytest.approx(published_r2(model)["published_r2_largest"], abs=1e-6)


def test_the_wave_of_least_squares() -> None:
    means = 3 + 2 * (2 * math.pi * SUMS.double() / 10 - 0.4).cos()
    at = torch.tensor([20.0, 22.5, 101.25], dtype=torch.float64)
    assert torch.allclose(wave(means, 0.1, at), 3 + 2 * (2 * math.pi * at / 10 - 0.4).cos())
    assert torch.allclose(wave(5 + (-1.0) ** SUMS.double(), 0.5, SUMS.double()), 5 + (-1.0) ** SUMS.double())


def test_means_over_equal_sums() -> None:
    grid = planted()["decoder 0 at ="]
    assert torch.allclose(sum_means(grid)[:, 0], SUMS.double())


def test_maps_and_means_are_those_of_the_neurons(tmp_path: Path) -> None:
    model, fresh = (Addition(config).requires_grad_(False) for config in (TINY, replace(TINY, seed=1)))
    figure = neurons(model, fresh)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    first = chosen(model, 1, published=False)[0]
    assert len(shown) == 2 * (3 + 2)  # one place: three of its neurons, and two untrained ones
    assert torch.equal(torch.from_numpy(np.asarray(shown[0].images[0].get_array())), first.grid)
    x, y = (torch.as_tensor(values) for values in figure.axes[4].lines[0].get_data())
    assert torch.allclose(sum_means(first.grid[:, :, None])[x.long() - SUMS[0], 0], y)
    again = {"one": figure, "two": neurons(model, fresh)}
    one, two = (style.write(tmp_path / name, {"06_neurons": figure}) for name, figure in again.items())
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
