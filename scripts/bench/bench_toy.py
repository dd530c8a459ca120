"""How fast the toy trains: the factored step against the plain one, both in one run, and against the machine.

python scripts/bench/bench_toy.py                 one table on the terminal; --out results/bench/toy.csv keeps it

Every pair is timed in turn, so that a busy machine slows both; ratios are of the medians. The machine's matrix rate
is the best of several products of 2,048 x 2,048 matrices; a step's rate counts the floating-point operations of its
matrix products alone, forward and backward.
"""

from __future__ import annotations

import _root
from _command import run

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench._bench import keep, timed

from toy.config import ToyConfig

if TYPE_CHECKING:
    from toy.training.train import Training


LIMITS = {
    "plain / factored": (5.0, None),
    "share of the machine's rate": (0.6, None),
    "400 steps with looks, 1 seed": (None, 15.0),
    "400 steps with looks, of several, per seed": (None, 15.0),
    "several / 1 seed": (None, 1.0),
    "last 300 steps / first 300": (None, 1.1),
}
"""Bars: a measure and the (least, largest) value it may have."""


@dataclass(frozen=True)
class Bench:
    """What to time."""

    modulus: int = 113
    """p of the addition task."""
    repeats: int = 15
    """Timings of each step."""
    seeds: int = 8
    """Networks that train together."""
    late: int = 3000
    """Length of the training whose last 300 steps are compared with its first 300; 0: none."""
    steps: int = 400
    """Length of the timed training (a GPU: 25000)."""
    device: str = "auto"
    """cuda, mps, cpu or auto."""
    out: Path | None = None
    """Where to keep the table."""


def main() -> int:
    def work(bench: Bench, _: str) -> None:
        keep(measure(bench), ["measure", "value", "unit"], bench.out)

    return run(__file__, Bench, __doc__, work, "nothing was written, the same command starts again")


def measure(bench: Bench) -> list[tuple[str, float, str]]:
    """(measure, value, unit) of steps and of whole trainings."""
    import torch

    from toy.training.train import Training

    late = _late(bench)  # first: threads that exist before descent keep denormal numbers
    config = ToyConfig(modulus=bench.modulus, device=bench.device)
    single, plain = Training(config, [0]), Training(replace(config, forward="plain"), [0])
    left = torch.randn(2048, 2048, device=single.seed_batch.flat.device)

    device = left.device.type
    works = {"single": single.update, "plain": plain.update, "product": lambda: left @ left}
    # Each in turn; the first round warms up and does not count.
    rounds = [{name: timed(work, device) for name, work in works.items()} for _ in range(bench.repeats + 1)][1:]
    times = {name: [each[name] for each in rounds] for name in works}
    median = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in times.items()}
    machine = 2 * 2048**3 / min(times["product"])
    rate = _operations(config, single.train.shape[1]) / median["single"]
    # Trained in turn and in slices, so that a machine that is busy for a while slows both alike.
    trainings = {"1 seed": Training(config, [0]), "several": Training(config, range(bench.seeds))}
    taken = dict.fromkeys(trainings, 0.0)
    for start in range(0, bench.steps, config.log_every):
        for name, training in trainings.items():
            steps = min(config.log_every, bench.steps - start)
            taken[name] += timed(lambda t=training, n=steps: _train(t, n), device)
    several = taken["several"] / bench.seeds
    return [
        *late,
        ("plain step", 1e3 * median["plain"], "ms"),
        ("factored step", 1e3 * median["single"], "ms"),
        ("plain / factored", median["plain"] / median["single"], "ratio"),
        ("machine's matrix rate", machine / 1e9, "GFLOP/s"),
        ("factored step's matrix rate", rate / 1e9, "GFLOP/s"),
        ("share of the machine's rate", rate / machine, "ratio"),
        (f"{bench.steps} steps with looks, 1 seed", taken["1 seed"], "s"),
        (f"{bench.steps} steps with looks, of several, per seed", several, "s"),
        ("several / 1 seed", several / taken["1 seed"], "ratio"),
        ("threads", float(torch.get_num_threads()), "count"),
    ]


def _late(bench: Bench) -> list[tuple[str, float, str]]:
    """Do late steps cost what early ones do? Weights of dead neurons decay into denormal numbers if they may."""
    if not bench.late:
        return []
    from toy.run.device import without_denormals
    from toy.training.train import Training

    with without_denormals():
        training = Training(ToyConfig(modulus=bench.modulus, device=bench.device), [0])
        training.update()  # warms up
        device = training.seed_batch.flat.device.type
        first = timed(lambda: _train(training, 300), device)
        _train(training, bench.late - 600)
        last = timed(lambda: _train(training, 300), device)
    return [
        ("first 300 steps", first, "s"),
        (f"last 300 of {bench.late:,} steps", last, "s"),
        ("last 300 steps / first 300", last / first, "ratio"),
    ]


def _train(training: Training, steps: int) -> None:
    training.evaluate()
    for _ in range(steps):
        training.update()


def _operations(config: ToyConfig, rows: int) -> float:
    """Of the factored step's matrix products: forward, and twice as many backward."""
    d, m, v = config.d_model, config.d_mlp, config.modulus
    per_row = d * m + m * v + d * v
    per_step = d * d * m + d * m * v + d * d * v + 2 * v * d * d
    return 3 * 2 * (rows * per_row + per_step)


if __name__ == "__main__":
    sys.exit(main())
