"""Of `bench_probe.py`: its scans and its regressions, measured.

A scan reads the last token's state after every block; its result is class means (layers, period, d).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from _baselines import looped_r2, one_by_one, random_qwen3
from _bench_lines import Line, line
from llm_probe.activations import streaming as activations
from llm_probe.questions.domains import modular
from llm_probe.models.loading import DTYPES, LoadedModel
from llm_probe.questions.prompts import published_grid
from llm_probe.questions.tokens import Encoded, buckets, encode
from toy.maths.regression import class_mean_r2

if TYPE_CHECKING:
    from bench_probe import Bench

DEVICE_DTYPES = {"cpu": ("float32",), "cuda": ("float32", "bfloat16")}
LOOPED = 256
"""Dimensions on which the published regression loop is timed; scaled to 28 layers of 1,024."""


def probe_lines(bench: Bench, device: str) -> list[Line]:
    """Every scan in every dtype of the device, and the regressions."""
    scans = [row for dtype in DEVICE_DTYPES[device] for row in scan_lines(bench, device, dtype)]
    return [*scans, *regression_lines(bench, device)]


def ratio(samples: dict[str, list[float]], one: str, other: str) -> float:
    """Median over the runs of `one` of its time over that of the next run of `other`, which ran as often or more."""
    every = len(samples[other]) // len(samples[one])
    return median(a / b for a, b in zip(samples[one], samples[other][::every], strict=True))


def scan_lines(bench: Bench, device: str, dtype: str) -> list[Line]:
    """The five scans on one model, interleaved."""
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


@torch.inference_mode()
def bare(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    """The batches of `stream` through the blocks."""
    tokens = activations.CPU_BATCH_TOKENS if loaded.device.type == "cpu" else activations.GPU_BATCH_TOKENS
    for batch in buckets([len(prompt.ids) for prompt in encoded], tokens):
        ids = torch.tensor([encoded[index].ids for index in batch], device=loaded.device)
        loaded.backbone(input_ids=ids, use_cache=False)


def class_means(
    loaded: LoadedModel, encoded: list[Encoded], labels: Tensor, period: int, *, share_prefixes: bool = True
) -> Tensor:
    """(layers, period, d) from one streaming pass."""
    plan = activations.ReadPlan(tuple(range(len(loaded.layers))))
    batches = activations.stream(loaded, encoded, plan, share_prefixes=share_prefixes)
    sums, counts = activations.class_sums(batches, labels, period)
    return sums / counts.to(sums.device)[:, None]


def difference(loaded: LoadedModel, encoded: list[Encoded], labels: Tensor, period: int) -> float:
    """Largest difference between class means of the streaming pass and of single prompts, over the layer's largest."""
    singly = torch.stack(one_by_one(loaded, encoded, None)).double()
    expected = torch.stack([singly[labels == label].mean(dim=0) for label in range(period)], dim=1)
    error = (class_means(loaded, encoded, labels, period) - expected).abs() / expected.abs().amax((1, 2), keepdim=True)
    # The last reported state is after the final norm: another quantity than the last block's output.
    return float(error[:-1].max())


def product_rate(device: str, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product."""
    side = 8192 if device == "cuda" else 1024
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / median(timed(lambda: matrix @ matrix, device) for _ in range(10))


def timed(run: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
