"""How fast the streaming pass and the table of regressions are, against the published way to do both, in one run.

    python scripts/bench_probe.py                  a random Qwen3 of 24 layers, d 256
    python scripts/bench_probe.py --full --out results/bench/probe.csv        the shape of Qwen3-0.6B

Scans, all over the same prompts (the grid of all pairs mod p, last token, every layer):

    published     one prompt per forward of the whole model, one layer kept, so one pass over the prompts per layer;
                  timed on `--subset` prompts and `--subset` of the passes' share, scaled to all
    all layers    one prompt per forward of the whole model, all hidden states kept
    bare          the blocks on equal-length batches, nothing kept: what a forward costs at least
    streaming     `stream` and `class_sums`: what this package does

They are interleaved, and medians over the repeats are compared. The share of the matrix-product rate counts two
operations per block parameter and token against a large square product on the same device in the same type.
"""

import _root

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
import tyro
from torch import Tensor

from llm_probe.activations import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, ReadPlan, class_sums, stream
from llm_probe.domains import modular
from llm_probe.models import DTYPES, LoadedModel, wrap
from llm_probe.prompts import published_grid
from llm_probe.table import write_atomic
from llm_probe.tokens import Encoded, buckets, encode
from toy.regression import class_mean_r2


@dataclass(frozen=True)
class Bench:
    """What is measured."""

    full: bool = False
    """The shape of Qwen3-0.6B (28 layers, d 1024, 151,936 tokens) instead of 24 layers, d 256, 2,048 tokens."""
    period: int = 23
    subset: int = 16
    """Prompts on which the published scan is timed, in every pass; the time is scaled to all prompts."""
    repeats: int = 5
    columns: int = 1024
    """Dimensions on which the published regression loop is timed; scaled to 28 layers of 1,024."""
    out: Path | None = None
    """CSV file to write."""


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    part: str
    device: str
    dtype: str
    quantity: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None


def main() -> int:
    bench = tyro.cli(Bench, description=__doc__, prog="python scripts/bench_probe.py")
    on_cuda = torch.cuda.is_available()
    lines: list[Measured] = []
    for dtype in ("float32", "bfloat16") if on_cuda else ("float32",):
        lines += scan_lines(bench, "cuda" if on_cuda else "cpu", dtype)
    lines += regression_lines(bench, "cuda" if on_cuda else "cpu")
    for line in lines:
        verdict = "" if line.met is None else f"{line.bar:>10}  {'met' if line.met else 'MISSED'}"
        print(f"{line.part:11} {line.dtype:9} {line.quantity:44} {line.value:12.4g} {line.unit:9}{verdict}")
    if bench.out is not None:
        write_atomic(bench.out, pd.DataFrame([asdict(line) for line in lines]).to_csv(index=False))
    return 0


def scan_lines(bench: Bench, device: str, dtype: str) -> list[Measured]:
    """The four scans on one model, interleaved."""
    loaded = random_qwen3(bench.full, device, dtype)
    prompts = published_grid(modular("add", bench.period))
    encoded = encode(loaded.tokenizer, prompts)
    labels = torch.tensor([prompt.label for prompt in prompts])
    few = encoded[:: max(1, len(encoded) // bench.subset)]
    layers = len(loaded.layers)
    runs: dict[str, Callable[[], object]] = {
        "published": lambda: [one_by_one(loaded, few, layer) for layer in range(layers)],
        "all layers": lambda: one_by_one(loaded, encoded, None),
        "bare": lambda: bare(loaded, encoded),
        "streaming": lambda: streaming(loaded, encoded, labels, bench.period),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    one_by_one(loaded, few, None), bare(loaded, encoded), streaming(loaded, encoded, labels, bench.period)
    for _ in range(bench.repeats):
        for name, run in runs.items():
            seconds[name].append(timed(run, device))
    took = {name: median(values) for name, values in seconds.items()}
    took["published"] *= len(encoded) / len(few)

    singly = torch.stack(one_by_one(loaded, encoded, None))
    means = singly.new_zeros(bench.period, *singly.shape[1:], dtype=torch.float64)
    means.index_add_(0, labels.to(device), singly.double()).div_(bench.period)
    # The last reported state is after the final norm: it is another quantity than the last block's output.
    difference = (streaming(loaded, encoded, labels, bench.period)[:-1] - means.transpose(0, 1)[:-1]).abs()
    relative = float((difference.amax(dim=(1, 2)) / means.abs().amax(dim=(0, 2))[:-1]).max())

    tokens = sum(len(prompt.ids) for prompt in encoded)
    rate = product_rate(device, DTYPES[dtype])
    operations = 2 * sum(weight.numel() for block in loaded.layers for weight in block.parameters())

    def line(quantity: str, value: float, unit: str, low: float = math.nan, high: float = math.nan) -> Measured:
        bar = f">= {low:g}" if low == low else f"<= {high:g}" if high == high else ""
        return Measured(
            "scan", device, dtype, quantity, value, unit, bar, not (value < low or value > high) if bar else None
        )

    return [
        line(f"prompts ({layers} layers, d {loaded.d_model}, p {bench.period})", len(encoded), "prompts"),
        *(line(f"{name}{' (scaled)' if name == 'published' else ''}", value, "s") for name, value in took.items()),
        line("published / streaming", took["published"] / took["streaming"], "x", low=100),
        line("all layers / streaming", took["all layers"] / took["streaming"], "x", low=4),
        line("bare / streaming (share of its throughput)", took["bare"] / took["streaming"], "x", low=0.85),
        # In bfloat16 the two differ by its rounding, whatever is right.
        line("largest difference of class means", relative, "relative", high=1e-5 if dtype == "float32" else math.nan),
        line("streaming", tokens / took["streaming"], "tokens/s"),
        line("matrix-product rate", rate / 1e12, "TFLOP/s"),
        line("streaming, share of that rate", operations * tokens / took["streaming"] / rate, ""),
    ]  # fmt: skip


def regression_lines(bench: Bench, device: str) -> list[Measured]:
    """Every dimension of 28 layers of 1,024 and every frequency: a loop of least squares, and one matrix product."""
    columns = 28 * 1024
    means = np.random.default_rng(0).standard_normal((bench.period, columns))
    product = torch.from_numpy(means).to(device)
    few = means[:, : bench.columns]
    loop, product_s = [], []
    class_mean_r2(product)
    for _ in range(bench.repeats):
        product_s.append(timed(lambda: class_mean_r2(product), device))
        loop.append(timed(lambda: looped_r2(few), "cpu") * columns / bench.columns)
    error = float(np.abs(looped_r2(few) - class_mean_r2(product)[:, : bench.columns].cpu().numpy()).max())
    ratio = median(loop) / median(product_s)
    return [
        Measured("regression", "cpu", "float64", f"published loop, {columns} dimensions (scaled)", median(loop), "s"),
        Measured("regression", device, "float64", "one matrix product", median(product_s), "s"),
        Measured("regression", device, "float64", "loop / product", ratio, "x", ">= 300", ratio >= 300),
        Measured("regression", device, "float64", "largest difference of R²", error, "", "<= 1e-09", error <= 1e-9),
    ]


def random_qwen3(full: bool, device: str, dtype: str) -> LoadedModel:
    """Weights that were never trained cost as much to run as trained ones."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    small = {
        "vocab_size": 2048, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 24,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    }  # fmt: skip
    shape = {
        "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    }  # fmt: skip
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(**(shape if full else small), tie_word_embeddings=True))
    # Splits these prompts as Qwen's tokenizer does: each digit alone, a space with the sign or word behind it.
    pieces = ["<unk>", *"0123456789", " ", " +", " mod", " ="]
    backend = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d| ?[^\s\d]+| "), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    return wrap(model.to(device, DTYPES[dtype]).requires_grad_(False).eval(), tokenizer, name="random Qwen3")


@torch.inference_mode()
def one_by_one(loaded: LoadedModel, encoded: list[Encoded], layer: int | None) -> list[Tensor]:
    """The last token's hidden state after one layer, or after all, one prompt per forward of the whole model."""
    kept: list[Tensor] = []
    for prompt in encoded:
        states = loaded.model(input_ids=torch.tensor([prompt.ids], device=loaded.device), output_hidden_states=True)
        states = states.hidden_states[1:]
        kept.append(torch.stack([state[0, -1] for state in states]) if layer is None else states[layer][0, -1])
    return kept


@torch.inference_mode()
def bare(loaded: LoadedModel, encoded: list[Encoded]) -> None:
    tokens = CPU_BATCH_TOKENS if loaded.device.type == "cpu" else GPU_BATCH_TOKENS
    for batch in buckets([len(prompt.ids) for prompt in encoded], tokens):
        ids = torch.tensor([encoded[index].ids for index in batch], device=loaded.device)
        loaded.stack(input_ids=ids, use_cache=False)


def streaming(loaded: LoadedModel, encoded: list[Encoded], labels: Tensor, period: int) -> Tensor:
    sums, counts = class_sums(stream(loaded, encoded, ReadPlan(tuple(range(len(loaded.layers))))), labels, period)
    return sums / counts[:, None]


def looped_r2(means: np.ndarray) -> np.ndarray:
    """R² of c0 + c1 cos(2πks/n) + c2 sin(2πks/n), one least-squares call per frequency and dimension."""
    n, columns = means.shape
    label = np.arange(n)
    r2 = np.empty((n // 2, columns))
    for k in range(1, n // 2 + 1):
        angle = 2 * np.pi * k * label / n
        design = np.stack([np.cos(angle), np.sin(angle), np.ones(n)], axis=1)
        for column in range(columns):
            y = means[:, column]
            fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
            r2[k - 1, column] = 1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    return r2


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


if __name__ == "__main__":
    sys.exit(main())
