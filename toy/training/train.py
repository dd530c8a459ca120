"""Training: many seeds at once, any number of interruptions, one result.

    for step in …:  evaluate (loss and accuracy on training and test rows), keep a checkpoint, update

Everything random is a function of (seed, step), and the state that is kept holds all the rest, so a run that was
killed goes on to the weights it would have had. A network has *memorised* at the first evaluation with 99 % of the
training rows right and *grokked* at the first with 99 % of the test rows. With `after_grokking` its rate falls from the
later of that step and `decay_start` on: lowered before, it would stay where it is.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from toy.config import ToyConfig, check_counts, differing_fields, read_config
from toy.networks.scores import MEASURED
from toy.networks.tasks import split, table
from toy.run.cells import check_writable
from toy.run.device import chosen_device, keep_freed_memory, without_denormals
from toy.run.errors import Diverged, InputError
from toy.run.files import replace_with, write_atomic, writing_to
from toy.training.runs import Run, read_content, reading_state
from toy.training.seed_batch import AdamW, SeedBatch, Stepper, rate

THRESHOLD = 0.99
"""Accuracy at which rows count as memorised or grokked."""
ROWS_EVALUATED = 50_000
"""Most training and test rows of an evaluation: a random sample, as the split is."""
MOST_SEEDS = 10_000
"""Networks of one batch."""
FULL_DISK = "free some space and give the same command, it goes on from the last checkpoint"


@dataclass
class Milestones:
    """When one network did what; None while it has not."""

    memorised_at: int | None = None
    grokked_at: int | None = None

    def see(self, step: int, train_accuracy: float, test_accuracy: float) -> None:
        """Note the first evaluation at which a threshold was passed."""
        if self.memorised_at is None and train_accuracy >= THRESHOLD:
            self.memorised_at = step
        if self.grokked_at is None and test_accuracy >= THRESHOLD:
            self.grokked_at = step


@dataclass(frozen=True)
class Finished:
    """What a call of `train` left behind."""

    runs: tuple[Run, ...]
    milestones: tuple[Milestones, ...]
    step: int
    seconds: float
    """Of this call alone."""
    reason: str
    """Why it ended: all steps done, time is up, or stop marker."""


Line = dict[str, int | float]
Report = Callable[[int, Sequence[Line]], object]
"""Called after each evaluation: the step and one line of metrics per seed."""


class Training:
    """The networks of one call, their rows, and how they move."""

    def __init__(self, config: ToyConfig, seeds: Sequence[int]) -> None:
        keep_freed_memory()
        self.config, self.seeds = config, tuple(seeds)
        device = chosen_device(config.device)
        rows = table(config.task, config.modulus)
        parts = [split(len(rows.answers), config.train_fraction, seed, config.split) for seed in seeds]
        operands, answers = rows.operands.to(device), rows.answers.to(device)
        self.operands, self.answers = operands, answers
        self.train = torch.stack([train for train, _ in parts]).to(device)
        self.test = torch.stack([test for _, test in parts]).to(device)
        size = self.train.shape[1]
        self.batch_size = size if config.batch_size is None else min(config.batch_size, size)
        self.seed_batch = SeedBatch(config, seeds, device)
        self.stepper = Stepper(config, self.seed_batch)
        self.optimiser = AdamW(config, self.seed_batch.flat)
        self.milestones = [Milestones() for _ in seeds]
        self.step = 0
        self.epoch, self.order = -1, self.train
        self.rate = torch.zeros(len(self.seeds), 1, device=device)
        self.loss = torch.zeros(len(self.seeds), device=device)
        first = self.train[:, : self.batch_size]
        self.questions, self.targets = self.operands[first], self.answers[first]
        self.graph: torch.cuda.CUDAGraph | None = None

    def update(self) -> Float[Tensor, " S"]:
        """One optimiser step; the losses it started from."""
        if self.batch_size < self.train.shape[1]:
            # Copied into memory that stays where a CUDA graph knows it.
            rows = self._batch()
            self.questions.copy_(self.operands[rows])
            self.targets.copy_(self.answers[rows])
        grokked = [each.grokked_at for each in self.milestones]
        starts = [None if step is None else max(step, self.config.decay_start) for step in grokked]
        rates = [rate(self.config, self.step, start) for start in starts]
        self.rate.copy_(torch.tensor(rates)[:, None])
        if self.seed_batch.flat.is_cuda:
            self._replay()
        else:
            self._move()
        self.step += 1
        return self.loss

    def evaluate(self) -> list[Line]:
        """One line of metrics per seed, and its milestones."""
        train_loss, train_accuracy = self._evaluate(self.train)
        test_loss, test_accuracy = self._evaluate(self.test)
        columns = torch.stack([part.double() for part in (train_loss, test_loss, train_accuracy, test_accuracy)])
        lines: list[Line] = [
            {"step": self.step, **dict(zip(MEASURED, values, strict=True))} for values in columns.T.tolist()
        ]
        for milestones, line in zip(self.milestones, lines, strict=True):
            milestones.see(self.step, line["train_accuracy"], line["test_accuracy"])
        return lines

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        moments = {name: value.cpu() for name, value in self.optimiser.state().items()}
        return {
            "step": self.step,
            "weights": self.seed_batch.flat.cpu(),
            "optimiser": moments,
            "milestones": [asdict(each) for each in self.milestones],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.step = state["step"]
        self.seed_batch.flat.copy_(state["weights"])
        self.optimiser.restore(state["optimiser"])
        self.milestones = [Milestones(**each) for each in state["milestones"]]

    def _move(self) -> None:
        self.loss.copy_(self.stepper.gradient(self.questions, self.targets))
        self.optimiser.update(self.seed_batch.gradient, self.rate)

    def _replay(self) -> None:
        """The same step as one CUDA graph: a small network's kernels cost less than their launches."""
        if self.graph is None:
            kept = {name: value.clone() for name, value in self.optimiser.state().items()}
            weights = self.seed_batch.flat.clone()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):  # a capture needs every kernel's workspace to be there
                    self._move()
            torch.cuda.current_stream().wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._move()
            self.optimiser.restore(kept)
            self.seed_batch.flat.copy_(weights)
        self.graph.replay()

    def _batch(self) -> Tensor:
        """Rows of the update after `step`: epochs of a permutation each, the incomplete last batch left out."""
        per_epoch = self.train.shape[1] // self.batch_size
        epoch, place = divmod(self.step, per_epoch)
        if epoch != self.epoch:
            orders = []
            for seed in self.seeds:
                generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + epoch)
                orders.append(torch.randperm(self.train.shape[1], generator=generator))
            self.epoch, self.order = epoch, self.train.gather(1, torch.stack(orders).to(self.train.device))
        return self.order[:, place * self.batch_size : (place + 1) * self.batch_size]

    def _evaluate(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        some = rows[:, :ROWS_EVALUATED]
        return self.stepper.evaluate(self.operands[some], self.answers[some])


def train(
    config: ToyConfig, folder: Path, *, seeds: int = 1, minutes: float = math.inf, report: Report | None = None
) -> Finished:
    """Train the seeds `config.seed`, `config.seed + 1`, … and leave a run directory for each.

    One seed's run directory is `folder`; several lie in it as seed0, seed1, …. If `folder` holds a part of the same
    run, it goes on from there; `steps` may have grown. After `minutes` it stops where it can be resumed.

    Raises InputError if `folder` holds another run or cannot be written, or the loss became NaN.
    """
    started = time.monotonic()
    check_seeds(seeds)
    check_counts(config)
    numbers = range(config.seed, config.seed + seeds)
    training = Training(config, numbers)
    runs = tuple(Run(folder if seeds == 1 else folder / f"seed{seed}", replace(config, seed=seed)) for seed in numbers)
    metrics = _resume(folder, runs, training)
    with without_denormals():
        reason = _until_done(folder, runs, training, metrics, started + 60 * minutes, report)
    return Finished(runs, tuple(training.milestones), training.step, time.monotonic() - started, reason)


def check_seeds(seeds: int) -> None:
    """Raises InputError if so many seeds cannot be trained together."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"{seeds} seeds cannot be trained: give 1 or more, and at most {MOST_SEEDS:,}")


def _until_done(
    folder: Path,
    runs: Sequence[Run],
    training: Training,
    metrics: list[list[dict[str, Any]]],
    deadline: float,
    report: Report | None,
) -> str:
    config = training.config
    while True:
        done, reason = training.step >= config.steps, ""
        seen = bool(metrics[0]) and metrics[0][-1]["step"] == training.step
        if (done or training.step % config.log_every == 0) and not seen:
            lines = training.evaluate()
            _refuse_nan(training, [line["train_loss"] + line["test_loss"] for line in lines])
            with writing_to(folder, FULL_DISK, RuntimeError):
                for run, rows, line in zip(runs, metrics, lines, strict=True):
                    rows.append(line)
                    run.write_metrics(rows)
            if report:
                report(training.step, lines)
            # An evaluation is rare enough to read the disk and the clock.
            reason = "stop marker" if (folder / "STOP").exists() else reason
            reason = "time is up" if time.monotonic() > deadline else reason
        reason = "all steps done" if done else reason
        if reason or training.step % config.checkpoint_every == 0:
            _refuse_nan(training, training.seed_batch.flat.sum(1).tolist())
            _keep(folder, runs, training)
        if reason:
            if done:
                with writing_to(folder, FULL_DISK, RuntimeError):
                    write_atomic(folder / "STOP", json.dumps({"step": training.step, "reason": reason}) + "\n")
            return reason
        training.update()


def _resume(folder: Path, runs: Sequence[Run], training: Training) -> list[list[dict[str, Any]]]:
    """Load what is there, or begin; the metrics so far, per seed."""
    check_writable(folder)
    for run in runs:
        path = run.folder / "config.json"
        if path.exists() and (fields := differing_fields(run.config, stored := read_config(path))):
            name = fields[0]
            raise InputError(
                f"{run.folder} holds a run with another {', '.join(fields)} ({name} {getattr(stored, name)}, asked for "
                f"{getattr(run.config, name)}): give another --out, or the same configuration to go on with it"
            )
    state_path = folder / "state.pt"
    if state_path.exists():
        state = read_state(state_path)
        with reading_state(state_path):
            seeds = len(state["milestones"])
        if seeds != len(runs):
            raise InputError(
                f"{folder} holds {seeds} seeds, asked for {len(runs)}: give another --out or the same number"
            )
        with reading_state(state_path):
            training.restore(state)
        marker = folder / "STOP"
        # A marker that says that an earlier, shorter run was done; one that a user made stays.
        is_ours = marker.exists() and "all steps done" in marker.read_text(encoding="utf-8", errors="replace")
        if training.step < training.config.steps and is_ours:
            marker.unlink()
    for run in runs:
        write_atomic(run.folder / "config.json", json.dumps(asdict(run.config), indent=1) + "\n")
    return [[row for row in run.metrics() if row["step"] <= training.step] if training.step else [] for run in runs]


def _keep(folder: Path, runs: Sequence[Run], training: Training) -> None:
    """Checkpoints, then the state: a kill between them repeats steps, and loses none."""
    with writing_to(folder, FULL_DISK, RuntimeError):
        for index, run in enumerate(runs):
            run.write_checkpoint(training.step, training.seed_batch.of(index))
        state = training.state()
        replace_with(folder / "state.pt", lambda temporary: torch.save(state, temporary))


def read_state(path: Path) -> dict[str, Any]:
    """What `Training.state` was when it was kept. Raises InputError if the file is damaged."""
    with reading_state(path):
        state = read_content(path)
        if lacking := {"step", "weights", "optimiser", "milestones"} - state.keys():
            raise LookupError(min(lacking))
        return state


def state_of_one(state: dict[str, Any], index: int) -> dict[str, Any]:
    """What one network of several needs to go on by itself: its rows of `Training.state`."""
    own = slice(index, index + 1)
    moments = {name: value[own].clone() if value.ndim else value for name, value in state["optimiser"].items()}
    return state | {
        "weights": state["weights"][own].clone(),
        "optimiser": moments,
        "milestones": state["milestones"][own],
    }


def _refuse_nan(training: Training, values: Sequence[float]) -> None:
    """One number per seed, each of which must be finite; nothing has been written since they were."""
    for seed, value in zip(training.seeds, values, strict=True):
        if not math.isfinite(value):
            raise Diverged(
                f"the loss of seed {seed} is no longer a number at step {training.step}: the checkpoints before it "
                "are kept; start again elsewhere with a lower --learning-rate",
                training.step,
            )
