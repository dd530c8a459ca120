"""The film: what it follows, what a frame shows, and that both files decode to the frames that were drawn."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from toy.analysis.progress import measure
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.closed_form import gromov
from toy.networks.model import build
from toy.pictures import animate
from toy.run.errors import InputError
from toy.training.runs import Run

STEPS = (0, 10, 100)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Random weights that become the closed form with frequencies 2 and 5 in three checkpoints."""
    model, config = gromov(11, [2, 5])
    config = replace(config, train_fraction=0.5)
    noise = build(config).state_dict()
    run = Run(tmp_path / "run", config)
    for step, share in zip(STEPS, (0.0, 0.7, 1.0), strict=True):
        parts = model.state_dict().items()
        mixed = {name: share * weight.float() + (1 - share) * noise[name] for name, weight in parts}
        run.write_checkpoint(step, mixed)
    lines = [{"step": step, "train_loss": 1.0, "test_loss": 1.0, "train_accuracy": 0.5, "test_accuracy": 0.5}
             for step in STEPS]  # fmt: skip
    run.write_metrics(lines)
    return run


def decoded(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            yield picture.to_ndarray(format="rgb24")


def test_it_follows_the_strongest_frequency_and_the_purest_neuron(run: Run) -> None:
    subject = animate.choose(run.model(), run.config)
    assert subject.frequency == 2  # the amplitudes of the closed form fall from the first frequency on
    # (cos(x + φ) + cos ψ)² = 2 cos ψ cos(x + φ) + cos(2x + 2φ) / 2 + a constant: purest where ψ = 0, and the first of
    # those has φ = 0. Its wave has 2² of the 2² + (1/2)² that vary.
    assert (subject.neuron_frequency, subject.neuron) == (2, 0)
    assert animate.scene(run.model(), run.config, subject, 100).r2 == pytest.approx(16 / 17, abs=1e-5)


def test_a_scene_is_the_projection_and_the_best_wave(run: Run) -> None:
    model, config = run.model(), run.config
    subject = animate.choose(model, config)
    one = animate.scene(model, config, subject, 100)
    circle = 2**0.5 * fourier.circle(torch.arange(11), 2, 11).numpy()
    assert one.points == pytest.approx(circle, abs=1e-5)
    operands = torch.stack([torch.arange(11), torch.zeros(11, dtype=torch.long)], dim=1)
    assert one.activation == pytest.approx(model.neurons(operands)[:, subject.neuron].numpy(), abs=1e-5)
    angle = fourier.angles(torch.arange(11), subject.neuron_frequency, 11).numpy()
    constant, cosine, sine = one.wave
    left = one.activation - (constant + cosine * np.cos(angle) + sine * np.sin(angle))
    assert 1 - (left**2).sum() / ((one.activation - one.activation.mean()) ** 2).sum() == pytest.approx(one.r2)
    # What is left has nothing of the frequency.
    assert abs(left @ np.cos(angle)) + abs(left @ np.sin(angle)) < 1e-4


def test_before_training_there_is_no_circle(run: Run) -> None:
    subject = animate.choose(run.model(), run.config)
    radii = [
        np.linalg.norm(animate.scene(run.model(step), run.config, subject, step).points.mean(axis=0)) for step in STEPS
    ]
    assert radii == pytest.approx([0, 0, 0], abs=1e-5)  # around their mean at every step
    first = animate.scene(run.model(0), run.config, subject, 0).points
    spread = np.linalg.norm(first, axis=1)
    assert spread.std() > 0.1 * spread.mean()


def test_both_files_hold_every_frame(run: Run, tmp_path: Path) -> None:
    rows = [measure(run.model(step), run.config, [2, 5], step) for step in STEPS]
    mp4, gif = tmp_path / "film.mp4", tmp_path / "film.gif"
    animate.film(run, mp4, gif, rows)
    shown = animate.shown_for(len(STEPS))
    frames = list(decoded(mp4))
    assert len(frames) == sum(shown)
    height, width, _ = frames[0].shape
    assert (width, height) == tuple(round(inches * animate.DPI) for inches in animate.INCHES)
    with av.open(str(mp4)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.average_rate == animate.FRAMES_PER_SECOND
    starts = [0, shown[0], shown[0] + shown[1]]
    first, second, last = (frames[start + 2].astype(int) for start in starts)
    assert np.abs(first - second).mean() > 0.5
    assert np.abs(second - last).mean() > 0.5
    assert np.abs(last - frames[-1].astype(int)).mean() < 0.2  # the last one is held
    with Image.open(gif) as picture:
        assert picture.n_frames == len(STEPS)  # type: ignore[attr-defined]
        durations = []
        for index in range(len(STEPS)):
            picture.seek(index)
            durations.append(picture.info["duration"])
    assert durations == [pytest.approx(1000 * count / animate.FRAMES_PER_SECOND, abs=10) for count in shown]
    assert mp4.stat().st_size < 5_000_000
    assert gif.stat().st_size < 5_000_000


def test_the_same_checkpoints_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        paths = tmp_path / f"{name}.mp4", tmp_path / f"{name}.gif"
        animate.film(run, *paths, steps=[0, 100])
        made.append([path.read_bytes() for path in paths])
    assert made[0] == made[1]


def test_the_encoded_picture_is_the_drawn_one(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack([np.tile(ramp, (49, 1))] * 3, axis=2)
    animate.write_mp4(tmp_path / "grey.mp4", [picture, 255 - picture], [1, 2])
    frames = list(decoded(tmp_path / "grey.mp4"))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3  # an odd row is lost
    assert np.abs(frames[0].astype(int) - picture[:48]).mean() < 4
    assert np.abs(frames[2].astype(int) - (255 - picture[:48].astype(int))).mean() < 4


def test_many_checkpoints_are_thinned_evenly_in_the_logarithm() -> None:
    every = list(range(0, 25_001, 50))
    chosen = animate.chosen_steps(every)
    assert len(chosen) <= animate.MOST_STEPS
    assert (chosen[0], chosen[-1]) == (0, 25_000)
    assert chosen[:4] == [0, 50, 100, 150]
    assert chosen[-1] - chosen[-2] > 1000
    assert animate.chosen_steps([3, 5]) == [3, 5]


@pytest.mark.parametrize("task", ["add3", "divide"])
def test_every_task_has_a_path(task: str) -> None:
    config = ToyConfig(task=task, modulus=7, d_model=8, n_heads=2, d_mlp=12)
    model = build(config).requires_grad_(False)
    subject = animate.choose(model, config)
    one = animate.scene(model, config, subject, 0)
    assert len(one.activation) == len(one.points) == (7 if task == "add3" else 6)


def test_one_checkpoint_is_no_film(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 checkpoint\(s\), a film needs two"):
        animate.film(run, tmp_path / "film.mp4", None, steps=[10])
