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

import _root
import _command

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from _bench_lines import show


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
    bench = tyro.cli(Bench, description=__doc__, prog="python scripts/bench/bench_probe.py")
    import torch

    from _probe_lines import probe_lines

    device = "cuda" if torch.cuda.is_available() else "cpu"
    show(probe_lines(bench, device), bench.out, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
