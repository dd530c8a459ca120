"""How fast the streaming pass and the table of regressions are, against the published way to do both, in one run.

    python scripts/bench/bench_probe.py                                           a Qwen3-0.6B reduced to d 256
    python scripts/bench/bench_probe.py --full --out results/bench/probe.csv      its full shape

Scans over the same prompts (the grid of all pairs mod p, last token, every layer of a random Qwen3):

    published    one prompt per forward of the whole model, one layer kept: a pass over the prompts per layer;
                 every pass is timed on `--subset` prompts and scaled to all of them
    all layers   one prompt per forward of the whole model, all hidden states kept
    bare         the blocks on the batches of `stream`, nothing kept: what a forward of whole prompts costs at least
    whole        `stream(share_prefixes=False)` and `class_sums`: every prompt computed whole
    streaming    `stream` and `class_sums`: what this package does, beginnings that prompts share computed once

They are interleaved; times are medians, and so are ratios, of runs that followed each other. The share of the
matrix-product rate counts two operations per block parameter and token, all of which `whole` computes.
"""

from __future__ import annotations

import _root
from _command import run

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench._bench import Line, line, random_qwen3, show, timed

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from llm_probe.models.loading import LoadedModel
    from llm_probe.questions.tokens import Encoded

DEVICE_DTYPES = {"cpu": ("float32",), "cuda": ("float32", "bfloat16")}
LOOPED = 256
"""Dimensions on which the published regression loop is timed; scaled to 28 layers of 1,024."""


@dataclass(frozen=True)
class Bench:
    """What is measured."""

    full: bool = False
    """The shape of Qwen3-0.6B: 28 layers, d 1024 (otherwise 24 layers, d 256, a head in the same proportion)."""
    period: int = 11
    subset: int = 4
    """Prompts on which each pass of the published scan is timed."""
    repeats: int = 5
    out: Path | None = None
    """CSV file to write."""


def main() -> int:
    return run(__file__, Bench, __doc__, measure, "nothing was written, the same command starts again")


def measure(bench: Bench, _: str) -> None:
    """Run the scans and the regressions, and show the table."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.inference_mode():
        scans = [row for dtype in DEVICE_DTYPES[device] for row in scan_lines(bench, device, dtype)]
        show([*scans, *regression_lines(bench, device)], bench.out, device)


def ratio(samples: dict[str, list[float]], one: str, other: str) -> float:
    """Median over the runs of `one` of its time over that of the next run of `other`, which ran as often or more."""
    every = len(samples[other]) // len(samples[one])
    return median(a / b for a, b in zip(samples[one], samples[other][::every], strict=True))


def scan_lines(bench: Bench, device: str, dtype: str) -> list[Line]:
    """The five scans on one model, interleaved: class means (layers, period, d) of the last token's state."""
    import torch

    from llm_probe.models.loading import DTYPES
    from llm_probe.questions.domains import modular
    from llm_probe.questions.prompts import published_grid
    from llm_probe.questions.tokens import encode

    loaded = random_qwen3(bench.full, device, dtype)
    prompts = published_grid(modular("add", bench.period))
    encoded = encode(loaded.tokenizer, prompts)
    labels = torch.tensor([prompt.label for prompt in prompts])
    few = encoded[:: max(1, len(encoded) // bench.subset)]
    layers, tokens = len(loaded.layers), sum(len(prompt.ids) for prompt in encoded)
    runs: dict[str, Callable[[], object]] = {
        "published (scaled)": lambda: [one_by_one(loaded, few, layer) for layer in range(layers)],
        "all layers": lambda: one_by_one(loaded, encoded, None),
        "bare": lambda: bare(loaded, encoded),
        "whole": lambda: class_means(loaded, encoded, labels, bench.period, share_prefixes=False),
        "streaming": lambda: class_means(loaded, encoded, labels, bench.period),
    }
    error = difference(loaded, encoded, labels, bench.period)  # also warms everything up
    samples: dict[str, list[float]] = {name: [] for name in runs}
    # Those that are closest in time are compared most often.
    for name in ("published (scaled)", "all layers", *("bare", "whole", "streaming") * 4) * bench.repeats:
        samples[name].append(timed(runs[name], device))
    samples["published (scaled)"] = [value * len(encoded) / len(few) for value in samples["published (scaled)"]]
    seconds = {name: median(values) for name, values in samples.items()}
    rate = product_rate(device, DTYPES[dtype])
    operations = 2 * tokens * sum(weight.numel() for block in loaded.layers for weight in block.parameters())
    bars = {"published (scaled)": 100, "all layers": 4, "bare": 0.85, "whole": None}
    part, ours = f"scan {dtype}", seconds["streaming"]
    return [
        line(part, f"prompts ({tokens} tokens, {layers} layers, d {loaded.d_model})", len(encoded), ""),
        *(line(part, name, value, "s") for name, value in seconds.items()),
        *(line(part, f"{name} / streaming", ratio(samples, name, "streaming"), "x", low) for name, low in bars.items()),
        line(part, "bare / whole", ratio(samples, "bare", "whole"), "x", low=0.85),
        # In bfloat16 the two differ by its rounding, whatever is right.
        line(part, "difference of class means", error, "relative", high=1e-5 if dtype == "float32" else None),
        line(part, "streaming", tokens / ours, "tokens/s"),
        line(part, "matrix product", rate / 1e12, "TFLOP/s"),
        line(part, "whole, share of that rate", operations / seconds["whole"] / rate, ""),
    ]


def regression_lines(bench: Bench, device: str) -> list[Line]:
    """Every dimension of 28 layers of 1,024 at p = 23 and every frequency: a loop of fits, and one matrix product."""
    import numpy as np
    import torch

    from toy.maths.regression import class_mean_r2

    columns = 28 * 1024
    means = np.random.default_rng(0).standard_normal((23, columns))
    every, few = torch.from_numpy(means).to(device), means[:, :LOOPED]
    error = float(np.abs(looped_r2(few) - class_mean_r2(every)[:, :LOOPED].cpu().numpy()).max())
    product = median(timed(lambda: class_mean_r2(every), device) for _ in range(bench.repeats))
    loop = median(timed(lambda: looped_r2(few), "cpu") for _ in range(bench.repeats)) * columns / LOOPED
    return [
        line("regression", f"loop over {columns} dimensions (scaled)", loop, "s"),
        line("regression", "one matrix product", product, "s"),
        line("regression", "loop / product", loop / product, "x", low=300),
        line("regression", "difference of R²", error, "", high=1e-9),
    ]


def one_by_one(loaded: LoadedModel, encoded: list[Encoded], layer: int | None) -> list[Tensor]:
    """The last token's state after one layer, or after each of them, one prompt per forward of the whole model.

    Written, as `looped_r2` is, from the description of the published method.
    """
    import torch

    kept: list[Tensor] = []
    for prompt in encoded:
        ids = torch.tensor([prompt.ids], device=loaded.device)
        states = loaded.model(input_ids=ids, output_hidden_states=True).hidden_states[1:]
        kept.append(torch.stack([state[0, -1] for state in states]) if layer is None else states[layer][0, -1])
    return kept


def bare(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    """The batches of `stream` through the blocks."""
    import torch

    from llm_probe.activations.streaming import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS
    from llm_probe.questions.tokens import buckets

    tokens = CPU_BATCH_TOKENS if loaded.device.type == "cpu" else GPU_BATCH_TOKENS
    for batch in buckets([len(prompt.ids) for prompt in encoded], tokens):
        ids = torch.tensor([encoded[index].ids for index in batch], device=loaded.device)
        loaded.backbone(input_ids=ids, use_cache=False)


def class_means(
    loaded: LoadedModel, encoded: list[Encoded], labels: Tensor, period: int, *, share_prefixes: bool = True
) -> Tensor:
    """(layers, period, d) from one streaming pass."""
    from llm_probe.activations.streaming import ReadPlan, class_sums, stream

    batches = stream(loaded, encoded, ReadPlan(tuple(range(len(loaded.layers)))), share_prefixes=share_prefixes)
    sums, counts = class_sums(batches, labels, period)
    return sums / counts.to(sums.device)[:, None]


def difference(loaded: LoadedModel, encoded: list[Encoded], labels: Tensor, period: int) -> float:
    """Largest difference between class means of the streaming pass and of single prompts, over the layer's largest."""
    import torch

    singly = torch.stack(one_by_one(loaded, encoded, None)).double()
    expected = torch.stack([singly[labels == label].mean(dim=0) for label in range(period)], dim=1)
    error = (class_means(loaded, encoded, labels, period) - expected).abs() / expected.abs().amax((1, 2), keepdim=True)
    # The last reported state is after the final norm: another quantity than the last block's output.
    return float(error[:-1].max())


def product_rate(device: str, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product."""
    import torch

    side = 8192 if device == "cuda" else 1024
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / median(timed(lambda: matrix @ matrix, device) for _ in range(10))


def looped_r2(means: np.ndarray) -> np.ndarray:
    """R² of c0 + c1 cos(2πks/n) + c2 sin(2πks/n), one least-squares call per frequency and dimension."""
    import numpy as np

    n, columns = means.shape
    r2 = np.empty((n // 2, columns))
    for k in range(1, n // 2 + 1):
        angle = 2 * np.pi * k * np.arange(n) / n
        design = np.stack([np.cos(angle), np.sin(angle), np.ones(n)], axis=1)
        for column in range(columns):
            squares = np.linalg.lstsq(design, means[:, column], rcond=None)[1][0]
            r2[k - 1, column] = 1 - squares / (n * means[:, column].var())
    return r2


if __name__ == "__main__":
    sys.exit(main())
