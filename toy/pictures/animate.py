"""The phase transition as a film: a circle appears in the embedding while one neuron becomes a wave.

What is watched is fixed by the last checkpoint and then followed back through all of them, on axes that do not move:

    left     all numbers on the plane of the frequency k that holds most of the final embedding, each coloured by its
             phase k t / n and joined in the order of that phase
    right    the neuron whose activation along a (b at its first position) is the purest wave in the end, over the
             phase k a / n of its final frequency, in which a wave is one period; the cosine that fits best now, R²
    below    accuracies of metrics.jsonl, or of the progress rows, and the restricted loss, with a mark at the step

mp4 (H.264, 4:2:0, even sizes) is encoded by PyAV, gif by Pillow; no other program is needed. The same checkpoints give
the same bytes. Every frame is a checkpoint: none is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from toy.analysis import planes, spectra
from toy.analysis.readout import in_chunks
from toy.config import ToyConfig
from toy.maths import fourier, regression
from toy.networks.model import Toy
from toy.networks.tasks import circle_order, named
from toy.pictures.style import BAND, GREY, INK, SIZE, TRAINED, at_end, frame, log_steps, log_values, phase_dots
from toy.run.errors import InputError
from toy.run.files import replace_with
from toy.training.runs import Run

FRAMES_PER_SECOND = 12
MOST_STEPS, FRAMES_WANTED, HOLD = 120, 72, 18
"""At most so many checkpoints, each repeated until there are about so many frames; the last is held so much longer."""
INCHES, DPI = (9.6, 6.08), 100
"""960 x 608: whole blocks of 16 pixels."""
ENCODER = {"crf": "20", "preset": "medium", "x264-params": "mbtree=0"}
"""With mbtree x264 gives other bytes in some runs when the last row of blocks is not whole."""
GIF_SHARE = 0.75
"""Of the mp4's width."""

Frame = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Scene:
    """What is drawn of one checkpoint."""

    step: int
    points: Float[np.ndarray, "n 2"]
    activation: Float[np.ndarray, " n"]
    wave: tuple[float, float, float]
    """Constant, cosine and sine that fit best at the neuron's final frequency."""
    r2: float


@dataclass(frozen=True)
class Subject:
    """What the film follows, chosen on the last checkpoint."""

    frequency: int
    plane: Float[Tensor, "d 2"]
    neuron: int
    neuron_frequency: int


def film(
    run: Run,
    mp4: Path | None,
    gif: Path | None,
    progress: Sequence[Mapping[str, Any]] = (),
    *,
    steps: Sequence[int] = (),
) -> Subject:
    """Film the run's checkpoints, or those of some steps; either file may be left out. What the film follows.

    `progress` are the rows of `analysis.progress.progress`, for the restricted loss; without them that line is missing.

    Raises InputError if the run has fewer than two checkpoints.
    """
    steps = chosen_steps(sorted(steps) or list(run.checkpoints()))
    if len(steps) < 2:
        raise InputError(f"{run.folder} has {len(steps)} checkpoint(s), a film needs two: lower --checkpoint-every")
    subject = choose(run.model(steps[-1]), run.config)
    scenes = [scene(run.model(step), run.config, subject, step) for step in steps]
    canvas = Canvas(run, subject, scenes, progress)
    pictures = [canvas.picture(each) for each in scenes]
    repeats = shown_for(len(steps))
    for path, write in ((mp4, write_mp4), (gif, write_gif)):
        if path is not None:
            replace_with(path, lambda temporary, write=write: write(temporary, pictures, repeats))
    return subject


def shown_for(count: int) -> list[int]:
    """How many frames each of some checkpoints is shown."""
    repeats = [max(1, round(FRAMES_WANTED / count))] * count
    repeats[-1] += HOLD
    return repeats


def caption(subject: Subject, n_checkpoints: int) -> str:
    """What the film shows, in words."""
    return (
        f"{min(n_checkpoints, MOST_STEPS)} checkpoints, none interpolated. Left, all numbers on the plane of "
        f"k = {subject.frequency}, fixed by the last checkpoint, coloured and joined by their phase; right, neuron "
        f"{subject.neuron} over the phase of a at k = {subject.neuron_frequency} with the cosine that fits best."
    )


def chosen_steps(steps: Sequence[int]) -> list[int]:
    """All steps, or where there are too many as many of them, evenly on a logarithmic scale, the ends included."""
    if len(steps) <= MOST_STEPS:
        return list(steps)
    logs = np.log1p(np.array(steps) - steps[0])
    wanted = np.linspace(0, logs[-1], MOST_STEPS)
    return [steps[index] for index in sorted({int(np.abs(logs - place).argmin()) for place in wanted})]


def choose(model: Toy, config: ToyConfig) -> Subject:
    """Frequency, plane and neuron of the last checkpoint."""
    rows = model.embedding.detach().cpu()[circle_order(config.task, config.modulus)]
    frequency = int(spectra.matrix_shares(rows).argmax()) + 1
    paths = along_a(model, config)
    purity = regression.class_mean_r2(paths)
    variance = paths.var(dim=0)
    own = fourier.dominant_frequency(paths)
    # Of the neurons that vary as much as most, and follow the plane's frequency if any does.
    strong = variance >= variance.median()
    same = strong & (own == frequency)
    scores = torch.where(same if same.any() else strong, purity.amax(dim=0), -1.0)
    # The first of equals: which of them is largest by rounding may change from run to run.
    neuron = int((scores > scores.max() - 1e-6).nonzero()[0])
    return Subject(frequency, planes.basis(rows, frequency), neuron, int(own[neuron]))


def scene(model: Toy, config: ToyConfig, subject: Subject, step: int) -> Scene:
    """The subject at one checkpoint."""
    rows = model.embedding.detach().cpu()[circle_order(config.task, config.modulus)]
    activation = along_a(model, config)[:, subject.neuron]
    n, k = len(rows), subject.neuron_frequency
    r2 = float(regression.class_mean_r2(activation[:, None])[k - 1, 0])
    cosine, sine = (2 / n * fourier.circle(torch.arange(n), k, n).T @ activation).tolist()
    # At the Nyquist frequency of an even n the cosine is ±1 everywhere.
    wave = (float(activation.mean()), cosine / (1 + (2 * k == n)), sine)
    return Scene(step, planes.points(rows, subject.plane).numpy(), activation.numpy(), wave, r2)


@torch.no_grad()
def along_a(model: Toy, config: ToyConfig) -> Float[Tensor, "n m"]:
    """Every neuron for a round the circle, b at its first position and a third operand at the task's slice."""
    tokens, task = circle_order(config.task, config.modulus), named(config.task)
    b = tokens[:1].expand(len(tokens))
    third = torch.full((len(tokens), task.n_operands - 2), task.slice_at)
    return in_chunks(model.neurons, torch.cat([torch.stack([tokens, b], dim=1), third], dim=1)).double()


class Canvas:
    """The figure, drawn once; for each picture its lines are moved."""

    def __init__(
        self, run: Run, subject: Subject, scenes: Sequence[Scene], progress: Sequence[Mapping[str, Any]]
    ) -> None:
        self.subject = subject
        self.figure = Figure(INCHES, dpi=DPI, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        grid = self.figure.add_gridspec(2, 2, height_ratios=[2, 1])
        left, right = (self.figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1]))
        self.title = self.figure.suptitle(" ", x=0.01, ha="left", fontsize=SIZE + 3, weight="bold", color=INK)
        self._draw_plane(left, scenes)
        self._draw_neuron(right, scenes)
        losses = [(row["step"], row["restricted_loss"]) for row in progress if row["step"] and row["restricted_loss"]]
        below = self.figure.add_subplot(grid[1, 0] if losses else grid[1, :])
        seen = run.metrics() or progress
        self.first = min([*(row["step"] for row in seen if row["step"]), *(each.step for each in scenes if each.step)])
        self.marks = [_draw_accuracy(below, seen, self.first, scenes[-1].step)]
        if losses:
            axes = self.figure.add_subplot(grid[1, 1])
            axes.plot(*zip(*losses, strict=True), color=TRAINED, linewidth=1.4)
            log_values(axes)
            frame(axes, "step (log scale)", "restricted loss (nats)")
            self.marks.append(_mark(axes, self.first, scenes[-1].step))
        self.picture(scenes[-1])
        # Found once, for the last picture: in a film nothing may shift.
        self.figure.set_layout_engine("none")

    def picture(self, one: Scene) -> Frame:
        """The pixels of one checkpoint."""
        k, n = self.subject.frequency, len(one.points)
        turn = k * np.arange(n) % n
        order = np.argsort(turn, kind="stable")
        self.polyline.set_data(*one.points[np.append(order, order[0])].T)
        self.dots.set_offsets(one.points)
        self.activation.set_offsets(np.stack([self.phases, one.activation], axis=1))
        turns = np.linspace(0, 1, 200)
        constant, cosine, sine = one.wave
        angle = 2 * np.pi * turns
        self.wave.set_data(turns, constant + cosine * np.cos(angle) + sine * np.sin(angle))
        agreement = planes.correlation(torch.from_numpy(one.points), k)
        self.title.set_text(f"step {one.step:,}")
        self.plane_title.set_text(f"numbers, plane of k = {k}: r = {agreement:.2f} with a circle")
        self.neuron_title.set_text(f"neuron {self.subject.neuron} over a: R² = {one.r2:.2f} of a cosine")
        for mark in self.marks:
            mark.set_xdata([max(one.step, self.first)])
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()

    def _draw_plane(self, axes: Axes, scenes: Sequence[Scene]) -> None:
        n = len(scenes[-1].points)
        (self.polyline,) = axes.plot([], [], "-", color=BAND, linewidth=1, zorder=1)
        turn = self.subject.frequency * np.arange(n) % n / n
        self.dots = phase_dots(axes, scenes[-1].points, turn, 26, edge=0.4)
        reach = 1.08 * max(float(np.abs(each.points).max()) for each in scenes) or 1.0
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        self.plane_title = axes.set_title(" ", fontsize=SIZE, loc="left", color=INK)
        frame(axes, "cosine direction", "sine direction")

    def _draw_neuron(self, axes: Axes, scenes: Sequence[Scene]) -> None:
        n, k = len(scenes[-1].activation), self.subject.neuron_frequency
        self.phases = k * np.arange(n) % n / n
        activation = np.stack([self.phases, scenes[-1].activation], axis=1)
        self.activation = phase_dots(axes, activation, self.phases, 26, edge=0.4)
        (self.wave,) = axes.plot([], [], "--", color=INK, linewidth=1.2)
        values = np.concatenate([each.activation for each in scenes])
        pad = 0.12 * float(np.ptp(values)) or 1.0
        axes.set(xlim=(-0.01, 1.01), ylim=(values.min() - pad, values.max() + pad))
        self.neuron_title = axes.set_title(" ", fontsize=SIZE, loc="left", color=INK)
        frame(axes, f"phase of a at k = {k}, in turns", "activation")


def _draw_accuracy(axes: Axes, rows: Sequence[Mapping[str, Any]], first: int, last: int) -> Line2D:
    """Accuracies over the run; the mark that moves."""
    seen = [row for row in rows if row["step"] > 0]
    labels = []
    axes.set_ylim(-3, 106)
    for name, colour, style in (("train", GREY, "--"), ("test", TRAINED, "-")) if seen else ():
        values = [100 * row[f"{name}_accuracy"] for row in seen]
        axes.plot([row["step"] for row in seen], values, style, color=colour, linewidth=1.4)
        labels.append((name, max(last, 2), values[-1], colour))
    frame(axes, "step (log scale)", "accuracy (%)")
    at_end(axes, labels, apart=0.16)
    return _mark(axes, first, last)


def _mark(axes: Axes, first: int, last: int) -> Line2D:
    log_steps(axes, first, last)
    # Room for the mark at both ends; the first may stand for step 0.
    axes.set_xlim(0.93 * first, 1.03 * last)
    return axes.axvline(first, color=INK, linewidth=1.8)


def write_mp4(path: Path, pictures: Sequence[Frame], repeats: Sequence[int]) -> None:
    """H.264 in 4:2:0, which every browser plays; odd sizes lose their last row or column."""
    import av

    height, width = (size - size % 2 for size in pictures[0].shape[:2])
    with av.open(str(path), "w", options={"movflags": "faststart", "fflags": "bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        # One thread: the number of threads changes the bytes.
        stream.codec_context.thread_count = 1
        for picture, count in zip(pictures, repeats, strict=True):
            for _ in range(count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture[:height, :width].copy(), "rgb24")))
        container.mux(stream.encode())


def write_gif(path: Path, pictures: Sequence[Frame], repeats: Sequence[int]) -> None:
    """One gif frame per checkpoint, shown as long as its repeats last, in the colours of the last picture."""
    from PIL import Image

    height, width = pictures[0].shape[:2]
    size = (round(width * GIF_SHARE), round(height * GIF_SHARE))
    images = [Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS) for picture in pictures]
    palette = images[-1].quantize(96, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    # Hundredths of a second are what the format knows.
    durations = [10 * math.ceil(100 * count / FRAMES_PER_SECOND) for count in repeats]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False)
