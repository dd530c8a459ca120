"""How fast the toy trains: the factored step against the plain one, both in one run, and against the machine.

python scripts/bench_toy.py                 one table on the terminal; --out results/bench/toy.csv keeps it

Every pair is timed in turn, so that a busy machine slows both; ratios are of the medians. The machine's matrix rate
is the best of several products of 2,048 x 2,048 matrices; a step's rate counts the floating-point operations of its
matrix products alone, forward and backward.
"""

import _root

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from toy.config import ToyConfig
from toy.errors import InputError


@dataclass(frozen=True)
class Bench:
    """What to time."""

    modulus: int = 113
    """p of the addition task."""
    repeats: int = 15
    """Timings of each way."""
    seeds: int = 8
    """Networks in the batched step."""
    steps: int = 0
    """If set, also train this many steps and say how long that took (a GPU: 25000)."""
    device: str = "auto"
    """cuda, mps, cpu or auto."""
    out: Path | None = None
    """Where to keep the table."""


def main() -> int:
    bench = tyro.cli(Bench, description=__doc__, prog="python scripts/bench_toy.py")
    try:
        rows = _measure(bench)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    import pandas as pd

    from toy.files import write_atomic

    table = pd.DataFrame(rows, columns=["measure", "value", "unit"])
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    if bench.out:
        write_atomic(bench.out, table.to_csv(index=False, float_format="%.6g"))
    return 0


def _measure(bench: Bench) -> list[tuple[str, float, str]]:
    import torch

    from toy.train import Training

    config = ToyConfig(modulus=bench.modulus, device=bench.device)
    single, plain = Training(config, [0]), Training(replace(config, forward="plain"), [0])
    batched = Training(config, range(bench.seeds))
    left = torch.randn(2048, 2048, device=single.stack.flat.device)

    def waiting(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            work()
            if left.is_cuda:
                torch.cuda.synchronize()

        return run

    works = {"single": single.update, "plain": plain.update, "batched": batched.update, "product": lambda: left @ left}
    times = _timed({name: waiting(work) for name, work in works.items()}, bench.repeats)
    median = {name: sorted(seen)[len(seen) // 2] for name, seen in times.items()}
    machine = 2 * 2048**3 / min(times["product"])
    rate = _operations(config, single.train.shape[1]) / median["single"]
    rows = [
        ("plain step", 1e3 * median["plain"], "ms"),
        ("factored step", 1e3 * median["single"], "ms"),
        ("plain / factored", median["plain"] / median["single"], "ratio"),
        ("machine's matrix rate", machine / 1e9, "GFLOP/s"),
        ("factored step's matrix rate", rate / 1e9, "GFLOP/s"),
        ("share of the machine's rate", rate / machine, "ratio"),
        (f"step of {bench.seeds} seeds, per seed", 1e3 * median["batched"] / bench.seeds, "ms"),
        ("batched per seed / single", median["batched"] / bench.seeds / median["single"], "ratio"),
        ("threads", float(torch.get_num_threads()), "count"),
    ]
    if bench.steps:
        for name, training, seeds in (("1 seed", single, 1), (f"{bench.seeds} seeds", batched, bench.seeds)):
            taken = _timed({name: waiting(lambda t=training: [t.update() for _ in range(bench.steps)])}, 1)[name][0]
            rows += [
                (f"{bench.steps} steps of {name}", taken, "s"),
                (f"the same, per seed of {seeds}", taken / seeds, "s"),
            ]
    return rows


def _timed(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each work, in turn, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn or repeats == 1:
                times[name].append(time.perf_counter() - started)
    return times


def _operations(config: ToyConfig, rows: int) -> float:
    """Of the factored step's matrix products: forward, and twice as many backward."""
    d, m, v = config.d_model, config.d_mlp, config.modulus
    per_row = d * m + m * v + d * v
    per_step = d * d * m + d * m * v + d * d * v + 2 * v * d * d
    return 3 * 2 * (rows * per_row + per_step)


if __name__ == "__main__":
    sys.exit(main())
