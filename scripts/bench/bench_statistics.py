"""What a run costs beside its forward passes, and what its statistics cost beside an earlier commit.

python scripts/bench/bench_statistics.py --out results/bench/statistics.csv
python scripts/bench/bench_statistics.py --before 0dad881 --places 6 --shapes

whole run    `probe_llm.py` without behaviour on a Qwen3 of random weights in each of `--shapes`: sums of days and
             months, both as items, and sums mod 7, 11, 13, 17 and 23, under trained weights and both kinds of random
             ones. `forward` is the same prompts in batches through the blocks, three times, nothing kept and nothing
             shared; the forwards are timed before and after the run, which shares what prompts have in common.
a place      made-up states of 800 discovery and 400 confirmation prompts, d 576, at `--places` places, noise or with a
             circle, through the whole analysis: processor seconds of one thread by this code and by `--before`, each
             in a process of its own in turn; every number of float64 in the R² table of both is compared, and the
             verdict. Without `--before` no other commit is run.
"""

from __future__ import annotations

import _root
from _command import ROOT, run

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench._bench import Line, line, qwen3_of, show, timed
from bench.bench_probe import bare

if TYPE_CHECKING:
    from llm_probe.models.loading import LoadedModel
    from llm_probe.questions.tokens import Encoded

PLACE_CLAIMS = ("7", "13", "23", "days:sum", "days:item", "months:item")
MOST = {(30, 576): 1.6, (28, 1024): 1.35}
"""Bar of a whole run, in three forwards, by (layers, d)."""
WIDTH = 576


@dataclass(frozen=True)
class Bench:
    """What is measured."""

    shapes: tuple[str, ...] = ("30x576", "28x1024")
    """Layers and width of the models of random weights."""
    device: str = "cpu"
    """cpu or cuda."""
    dtype: str = "float32"
    """float32 or bfloat16."""
    before: str = ""
    """An earlier commit, whose statistics are timed beside."""
    places: int = 6
    """Places of the made-up states."""
    repeats: int = 2
    """Runs of the statistics of each commit."""
    out: Path | None = None
    """CSV file to write."""


def main() -> int:
    return run(__file__, Bench, __doc__, measure, "nothing was written, the same command starts again")


def measure(bench: Bench, _: str) -> None:
    """Run both parts and show the table."""
    shapes = [tuple(int(number) for number in shape.split("x")) for shape in bench.shapes]
    lines = [row for layers, width in shapes for row in run_lines(bench, layers, width)]
    if bench.before:
        lines += place_lines(bench)
    show(lines, bench.out, bench.device)


def run_lines(bench: Bench, layers: int, width: int) -> Iterator[Line]:
    """A whole run between two timings of its forwards."""
    from llm_probe.models.loading import REFERENCE_FOLDER, load
    from llm_probe.run.config import ProbeConfig
    from llm_probe.run.probe import plan_of
    from llm_probe.run.probe import run as probe

    tokenizer = load(str(REFERENCE_FOLDER)).tokenizer
    loaded = qwen3_of(layers, width, len(tokenizer), tokenizer, bench.device, bench.dtype)
    config = ProbeConfig(domains=("days", "months"), moduli=(7, 11, 13, 17, 23), behaviour=False)
    plan = plan_of(config, lambda: loaded)
    with every_read() as reads:
        whole = timed(lambda: probe(plan, None), bench.device)
    encoded, reading, each = reads.encoded[: len(reads.encoded) // 3], reads.seconds, []
    for _ in range(3):
        each.append(timed(lambda: bare(loaded, encoded), bench.device))
    forward, part = 3 * median(each), f"whole run, {layers} x {width}, {bench.dtype}"
    tokens = 3 * sum(len(prompt.ids) for prompt in encoded)
    yield line(part, "prompts of each kind of weights", len(encoded), "")
    yield line(part, "three forwards", forward, "s")
    yield line(part, "reading", reading, "s")
    yield line(part, "whole run", whole, "s", high=120 if bench.device == "cuda" else None)
    yield line(part, "whole run / three forwards", whole / forward, "x", high=MOST.get((layers, width)))
    yield line(part, "statistics, a claim and place", (whole - reading) / (3 * 9 * layers), "s")
    yield line(part, "reading", tokens / reading, "tokens/s")
    yield line(part, "three forwards / reading", forward / reading, "x")


@dataclass
class Reads:
    """What was read of a model, and how long it took."""

    encoded: list[Encoded]
    seconds: float = 0.0


@contextmanager
def every_read() -> Iterator[Reads]:
    """Watch every pass over prompts: what it encodes and how long it takes."""
    from llm_probe.activations import streaming

    reads, read, encode = Reads([]), streaming.read, streaming.encode

    def timed_read(loaded: LoadedModel, *rest: Any, **options: Any) -> Any:
        kept: list[Any] = []
        reads.seconds += timed(lambda: kept.append(read(loaded, *rest, **options)), loaded.device.type)
        return kept[0]

    def kept_encode(*rest: Any, **options: Any) -> list[Encoded]:
        reads.encoded += (encoded := encode(*rest, **options))
        return encoded

    streaming.read, streaming.encode = timed_read, kept_encode
    try:
        yield reads
    finally:
        streaming.read, streaming.encode = read, encode


def place_lines(bench: Bench) -> Iterator[Line]:
    """Both commits in turn, and whether their numbers agree."""
    commit, there = _checkout(bench.before)
    samples = [[_analysed(folder, bench.places) for folder in (there, ROOT)] for _ in range(bench.repeats)]
    for name in samples[0][0]:
        part = f"a place, {name}, {bench.places} places of {WIDTH}"
        old, now = (median(pair[index][name]["seconds"] for pair in samples) / bench.places for index in (0, 1))
        one, other = (samples[0][index][name] for index in (0, 1))
        shared = [key for key in one["numbers"] if key in other["numbers"] and one["numbers"][key] is not None]
        error = max(abs(one["numbers"][key] - other["numbers"][key]) for key in shared)
        yield line(part, f"before ({commit[:7]})", old, "s")
        yield line(part, "now", now, "s")
        yield line(part, "before / now", old / now, "x", low=8)
        yield line(part, f"difference of {len(shared)} numbers", error, "", high=1e-6)
        another = any(one[key] != other[key] for key in ("verdict", "place"))
        yield line(part, "another place or verdict", another, "", high=0)


def _analysed(folder: Path, places: int) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("_statistics_of.py")), str(places), str(WIDTH)]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *PLACE_CLAIMS], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _checkout(base: str) -> tuple[str, Path]:
    from repository.same_tables import checkout, commit_of

    commit = commit_of(base)
    return commit, checkout(commit)


if __name__ == "__main__":
    sys.exit(main())
