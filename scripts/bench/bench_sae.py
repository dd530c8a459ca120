"""How fast SAEs train, against SAELens' own trainer fed from memory, and what several layers cost, in one run.

    python scripts/bench/bench_sae.py                                        the reference model
    python scripts/bench/bench_sae.py --full --width 16384 --k 64            a random Qwen3-0.6B, for a GPU

    SAELens       `SAETrainer.fit` on states that are in memory
    ours          `sae.training.train.fit` on the same states: the same steps, several SAEs side by side
    collecting    `Stream`: forwards, hooks, shuffling
    L layers      one SAE in each of the last L blocks, states made as it goes

Tokens are random: the cost does not depend on them. The six are timed in turn, and ratios are medians of the ratios of
runs that followed each other.
"""

from __future__ import annotations

import _root
from _command import run

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench._bench import Line, line, random_qwen3, show, timed
from sae.config import SaeConfig

if TYPE_CHECKING:
    from llm_probe.models.loading import LoadedModel
    from sae.source.sources import Source


@dataclass(frozen=True)
class Bench:
    """What is timed."""

    full: bool = False
    """Time a model of Qwen3-0.6B's shape with random weights instead of the reference model."""
    layers: int = 3
    """Number of layers L."""
    width: int = 1024
    k: int = 16
    batch: int = 1024
    steps: int = 32
    """Steps of one timing, which are one block of the stream."""
    context: int = 64
    repeats: int = 5
    out: Path | None = None
    """CSV file of the table; none given: it is only printed."""


def main() -> int:
    return run(__file__, Bench, __doc__, _bench, "nothing was written, the same command starts again")


def _bench(bench: Bench, _: str) -> None:
    import torch

    show(measure(bench), bench.out, torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")


def measure(bench: Bench) -> list[Line]:
    """Every line of the table."""
    import torch

    from llm_probe.models.loading import load
    from sae.source.stream import Place, Stream

    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = random_qwen3(True, device, "float32") if bench.full else load("reference")
    deepest = len(loaded.layers)
    places: list[Place] = [(layer, "resid_post") for layer in range(deepest - bench.layers, deepest)]
    config = SaeConfig(
        width=bench.width, k=bench.k, batch=bench.batch, tokens=bench.steps * bench.batch, context=bench.context,
        buffer_tokens=bench.steps * bench.batch, undertrained=True,
    )  # fmt: skip
    source = random_source(len(loaded.tokenizer), bench)

    def stream(count: int) -> Stream:
        return Stream(loaded, source, places[-count:], config.batch, config.buffer_tokens)

    first = stream(1)
    held = [first(step)[places[-1]] for step in range(bench.steps)]
    runs: dict[str, Callable[[], object]] = {
        "SAELens": saelens_loop(config, loaded, held),
        "ours": own_loop(config, loaded, lambda: lambda step: {places[-1]: held[step]}, places[-1:]),
        "collecting, 1 layer": lambda: stream(1)(0),
        f"collecting, {bench.layers} layers": lambda: stream(bench.layers)(0),
        "1 layer": own_loop(config, loaded, lambda: stream(1), places[-1:]),
        f"{bench.layers} layers": own_loop(config, loaded, lambda: stream(bench.layers), places),
    }
    for one in runs.values():
        one()
    rounds = [{name: timed(run, device) for name, run in runs.items()} for _ in range(bench.repeats)]
    samples = {name: [times[name] for times in rounds] for name in runs}
    forwards = [passes(loaded, lambda count=count: stream(count)(0)) for count in (1, bench.layers)]
    return lines(bench, samples, *forwards)


def lines(bench: Bench, samples: dict[str, list[float]], one: int, several: int) -> list[Line]:
    """The table; bars where there are any."""
    tokens, name = bench.steps * bench.batch, f"{bench.layers} layers"
    collecting = f"collecting, {name}"

    def ratio(above: str, below: str) -> float:
        return median(a / b for a, b in zip(samples[above], samples[below], strict=True))

    return [
        *(line("sae", run, tokens / median(times), "tokens/s") for run, times in samples.items()),
        line("sae", "ours against SAELens", ratio("SAELens", "ours"), "x", low=0.9),
        line("sae", "forwards of a block, 1 layer", one, ""),
        ("sae", f"forwards of a block, {name}", several, "", f"= {one}", "met" if several == one else "missed"),
        line("sae", f"{collecting}, against 1", ratio(collecting, "collecting, 1 layer"), "x", high=1.25),
        line("sae", f"{name} against 1 layer", ratio(name, "1 layer"), "x"),
    ]


def random_source(vocabulary: int, bench: Bench) -> Source:
    """Passages of random tokens, as many as one block needs."""
    import numpy as np

    from sae.source.sources import UNSCORED, Passage, Source

    size = (bench.steps * bench.batch // bench.context, bench.context)
    rows = np.random.default_rng(0).integers(0, vocabulary, size).tolist()
    pool = [Passage(tuple(row), (UNSCORED,) * bench.context, task=True) for row in rows]
    return Source(None, [pool], [], 1.0, bench.context, 0)


def saelens_loop(config: SaeConfig, loaded: LoadedModel, held: list) -> Callable[[], object]:
    """SAELens' own loop; its progress bar goes nowhere."""
    from contextlib import redirect_stderr
    from io import StringIO

    from sae.training.train import new_run

    def run() -> None:
        trainer = new_run(config, (0, "resid_post"), 0, loaded.d_model, loaded.device).trainer
        trainer.activation_scaler.scaling_factor = 1.0
        trainer.data_provider = iter(held)
        with redirect_stderr(StringIO()):
            trainer.fit()

    return run


def own_loop(config: SaeConfig, loaded: LoadedModel, stream: Callable[[], Any], places: list) -> Callable[[], object]:
    """This package's loop, one SAE at each place, on a stream that is made anew each time."""
    from sae.training.train import fit, new_run

    def run() -> None:
        runs = [new_run(config, place, 0, loaded.d_model, loaded.device) for place in places]
        fit(config, runs, stream(), every=float("inf"))

    return run


def passes(loaded: LoadedModel, run: Callable[[], object]) -> int:
    """How often the first block runs."""
    calls = []
    handle = loaded.layers[0].register_forward_hook(lambda *_: calls.append(1))
    run()
    handle.remove()
    return len(calls)


if __name__ == "__main__":
    sys.exit(main())
