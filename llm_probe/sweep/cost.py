"""What a probe, or a sweep of them, will take before it runs: prompts, FLOPs, memory and time.

    FLOPs     passes x tokens x 2 P,  P the parameters of the blocks (a multiply and an add each), and 2 d V more
              where an answer is read; attention over a prompt's few tokens is below a hundredth of it
    tokens    digits, words and marks of the very prompts, as tokenizers of this family split them
    weights   parameters x bytes of the dtype, one copy: a second model is only kept where it fits easily
    states    (discovery + confirmation prompts) x places x d x 4 bytes, in main memory, of the largest claim
    time      FLOPs / speed, and the statistics: one place of noise of the model's width through the same analysis,
              timed here on one core, times the places

The speed is measured here by a matrix product, or given for the machine that will do it. Sizes of models that are not
in the cache are known for the Qwen3 series only (config.json of their hub repositories).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from llm_probe.activations.streaming import ReadPlan
from llm_probe.questions.claims import Claim, Labels, families
from llm_probe.questions.prompts import PARTS, Part, Prompt, published_grid, question_set
from llm_probe.run.config import ProbeConfig
from llm_probe.sweep.folder import VERSION, in_time
from llm_probe.sweep.grid import Kind, SweepPoint
from toy.run.cells import Cells
from toy.run.errors import InputError

PIECES = re.compile(r"\d|[^\W\d]+|[^\w\s]")
GB, MB = 1e9, 1e6
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
QWEN3 = {
    "Qwen/Qwen3-0.6B": (1024, 3072, 28, 16, True),
    "Qwen/Qwen3-1.7B": (2048, 6144, 28, 16, True),
    "Qwen/Qwen3-4B": (2560, 9728, 36, 32, True),
    "Qwen/Qwen3-8B": (4096, 12288, 36, 32, False),
    "Qwen/Qwen3-14B": (5120, 17408, 40, 40, False),
    "Qwen/Qwen3-32B": (5120, 25600, 64, 64, False),
}
"""d_model, width of the MLP, blocks, heads, whether the embedding is also the vocabulary head; all have 8
key-value heads of 128 and 151,936 tokens."""


@dataclass(frozen=True)
class Size:
    """A model in numbers."""

    blocks: int
    """Parameters of the blocks."""
    vocabulary: int
    """Parameters of the embedding, and of the vocabulary head if it has its own."""
    head: int
    """Parameters of the vocabulary head, d_model x tokens."""
    layers: int
    d_model: int


@dataclass(frozen=True)
class Work:
    """The prompts of a cell."""

    prompts: int
    """Prompts read for states or answers, over all kinds of weights."""
    tokens: int
    """Tokens of those prompts."""
    answer_tokens: int
    """Tokens among them at which the next token is predicted."""
    most_kept: int
    """Discovery and confirmation prompts of the largest claim."""
    places: int
    """Claims x layers x sites x positions x kinds of weights that are analysed, and the embeddings of operands."""


@dataclass(frozen=True)
class Cost:
    """The cost of a cell."""

    prompts: int
    tokens: int
    flops: float
    weights: float
    """Bytes of the model's weights."""
    states: float
    """Bytes of the states that are kept."""
    forward: float
    """Seconds of the passes of the model."""
    statistics: float
    """Seconds of the statistics, on one core."""

    @property
    def seconds(self) -> float:
        return self.forward + self.statistics

    @staticmethod
    def of(config: ProbeConfig, tflops: float) -> Cost:
        """The cost of one cell on a machine of that speed.

        Raises:
            InputError: the model's size or a domain is not known.
        """
        from llm_probe.questions.selection import named_claims

        size, claims = size_of(config.model, config.revision), named_claims(config)
        work = work_of(config, claims, size.layers)
        flops = 2.0 * size.blocks * work.tokens + 2.0 * size.head * work.answer_tokens
        places = work.places // len(claims)
        seconds = sum(
            statistics_seconds(_timed_instead(claim, claims), config.prompts, size.d_model, config.renamings)
            for claim in claims
        )
        return Cost(
            work.prompts,
            work.tokens,
            flops,
            weights=float(BYTES[config.dtype] * (size.blocks + size.vocabulary)),
            states=4.0 * work.most_kept * (places // passes(config)) * size.d_model,
            forward=flops / (tflops * 1e12),
            statistics=seconds * places,
        )


def preview(kind: Kind, cells: Sequence[SweepPoint], folder: Path, most: int, tflops: float | None) -> str:
    """The plan in words: a line for each model, and the sum of what is missing; `most`: cells of a task."""
    kept = Cells(folder if folder.is_dir() else None, VERSION)
    missing = [cell for cell in cells if kept.read(cell.key) is None]
    counted = f"{len(cells)} cells, {len(cells) - len(missing)} done, {len(missing)} to do"
    if kind.config is not ProbeConfig or not missing:
        return f"{counted}\n" + "\n".join(f"  {cell.name}" for cell in missing)
    speed = tflops or measured_tflops(missing[0].config.device, missing[0].config.dtype)
    lines = ["model                              cells  tasks    prompts    FLOPs   weights    states       time"]
    total = 0.0
    for weights, group in groupby(missing, kind.weights):
        costs = [Cost.of(cell.config, speed) for cell in group]
        seconds = sum(cost.seconds for cost in costs)
        total += seconds
        name = " ".join(str(part) for part in weights if part not in (None, "trained"))
        lines.append(
            f"{name:<34} {len(costs):5}  {-(-len(costs) // most):5}  {sum(cost.prompts for cost in costs):9,}  "
            f"{sum(cost.flops for cost in costs):7.1e}  {max(cost.weights for cost in costs) / GB:5.1f} GB  "
            f"{max(cost.states for cost in costs) / GB:5.1f} GB  {in_time(seconds):>9}"
        )
    where = "given" if tflops else "measured here"
    lines.append(f"{counted}: about {in_time(total)} of work, one after the other, at {speed:.3g} TFLOP/s ({where})")
    return "\n".join(lines)


def plan_text(config: ProbeConfig) -> str:
    """What one probe will take on this machine, whose speed is measured for it, in a few lines.

    Raises:
        InputError: the model's size or a domain is not known.
    """
    speed = measured_tflops(config.device, config.dtype)
    cost = Cost.of(config, speed)
    kinds = ("trained weights", "random weights", "random blocks behind trained embeddings")[: passes(config)]
    model, rest = in_time(cost.forward), in_time(cost.statistics)
    lines = (
        f"prompts  {cost.prompts:,} with {', '.join(kinds)}",
        f"tokens   {cost.tokens:,}; {cost.flops:.1e} FLOPs",
        f"memory   weights {cost.weights / MB:,.0f} MB, states {cost.states / MB:,.0f} MB",
        f"time     about {in_time(cost.seconds)}: the model {model}, statistics {rest} on one core",
        f"speed    {speed:.3g} TFLOP/s and one place's statistics, measured here",
    )
    return "\n".join(lines)


def series_text(config: ProbeConfig, checkpoints: int) -> str:
    """What a series of checkpoints will take: the trained weights of each, one random twin for all of them.

    Raises:
        InputError: as `plan_text`.
    """
    speed = measured_tflops(config.device, config.dtype)
    alone = Cost.of(replace(config, random_control=False), speed)
    twin = Cost.of(replace(config, blocks_control=False), speed).seconds - alone.seconds
    lines = (
        f"prompts  {alone.prompts:,} with the weights of each of {checkpoints} checkpoints, random weights once",
        f"memory   weights {alone.weights / MB:,.0f} MB, states {alone.states / MB:,.0f} MB",
        f"time     about {in_time(checkpoints * alone.seconds + twin)}: {in_time(alone.seconds)} a checkpoint",
        f"speed    {speed:.3g} TFLOP/s and one place's statistics, measured here",
    )
    return "\n".join(lines)


def passes(config: ProbeConfig) -> int:
    """Kinds of weights that read every prompt: trained, random, random blocks."""
    return 1 + config.random_control + (config.random_control and config.blocks_control)


def work_of(config: ProbeConfig, claims: Sequence[Claim], layers: int) -> Work:
    """The prompts of a run: claims under each kind of weights, companions under two of them, questions once."""

    def part(claim: Claim, name: Part) -> list[Prompt]:
        count = config.prompts if name == "discovery" else config.prompts // 2
        return claim.prompts(name, count, config.seed)

    read: list[Prompt] = []
    most_kept = 0
    for claim in claims:
        own = part(claim, "discovery") + part(claim, "confirmation")
        most_kept = max(most_kept, len(own))
        grid = published_grid(claim.domain) if claim.quantity == "sum" and claim.domain.has_grid else []
        read += (own + grid) * passes(config)
    for family in families(claims):
        others = (*family.companions, family.plain)
        read += [prompt for claim in others for prompt in part(claim, "discovery")] * min(2, passes(config))
    questions: list[Prompt] = []
    answers = 0
    for domain in {claim.domain.name: claim.domain for claim in claims if claim.quantity == "sum"}.values():
        if config.behaviour and domain.questions:
            own = [one for part in PARTS for one in question_set(domain, part, config.behaviour_prompts, config.seed)]
            own += published_grid(domain)[: config.behaviour_prompts] if domain.has_grid else []
            questions += own
            answers += len(own) * domain.period
    plans = [ReadPlan((0,), positions=config.position or claim.default_positions).with_embedding() for claim in claims]
    positions, embeddings = (sum(len(getattr(plan, name)) for plan in plans) for name in ("positions", "embedding"))
    tokens = sum(len(PIECES.findall(prompt.text)) for prompt in (*read, *questions)) + answers
    places = (positions * (len(config.layers) or layers) * len(config.site) + embeddings) * passes(config)
    return Work(len(read) + len(questions), tokens, len(questions) + answers, most_kept, places)


def size_of(name: str, revision: str | None = None) -> Size:
    """A model's size from its configuration, without its weights.

    Raises:
        InputError: it is not in the cache, cannot be fetched and is not of the Qwen3 series.
    """
    from transformers import AutoModel, Qwen3Config

    from llm_probe.models.hub import configuration, explained, is_toy

    config: Any
    if is_toy(name):
        raise InputError(f"{name} is a toy: its cells take seconds and are not planned")
    if name in QWEN3:
        width, mlp, blocks, heads, tied = QWEN3[name]
        config = Qwen3Config(
            vocab_size=151936, hidden_size=width, intermediate_size=mlp, num_hidden_layers=blocks,
            num_attention_heads=heads, num_key_value_heads=8, head_dim=128, tie_word_embeddings=tied,
        )  # fmt: skip
    else:
        config = configuration(name, revision)[1]
    text = config.get_text_config()
    with explained(name, revision, "the config.json"), torch.device("meta"):
        every = sum(weight.numel() for weight in AutoModel.from_config(config).parameters())
    head = text.vocab_size * text.hidden_size
    tied = getattr(config, "tie_word_embeddings", True)
    return Size(every - head, head if tied else 2 * head, head, text.num_hidden_layers, text.hidden_size)


@cache
def measured_tflops(device: str, dtype: str) -> float:
    """10¹² operations a second of this machine, in a matrix product of a block's size."""
    from toy.run.device import chosen_device

    place, kind = chosen_device(device), getattr(torch, dtype)
    first, second = (torch.ones(1024, 2048, device=place, dtype=kind) for _ in range(2))
    _ = float((first @ second.T).sum())
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        _ = float((first @ second.T)[0, 0])
        seconds.append(time.perf_counter() - started)
    # The fastest, because other work on the machine only slows it down.
    return 2 * 1024 * 1024 * 2048 / min(seconds) / 1e12


_TIMED: dict[tuple[str, int, int, int], float] = {}


def statistics_seconds(claim: Claim, prompts: int, d_model: int, renamings: int) -> float:
    """Core seconds of the statistics of a claim at one place: the analysis of noise, timed once."""
    from llm_probe.activations.streaming import States
    from llm_probe.statistics import renaming
    from llm_probe.verdicts.evidence import gather

    key = (claim.name, prompts, d_model, renamings)
    if key in _TIMED:
        return _TIMED[key]
    parts = [claim.prompts("discovery", prompts, 0), claim.prompts("confirmation", prompts // 2, 0)]
    labels, new = (Labels.of(claim, part) for part in parts)
    kinds = [0] * claim.period
    renamed = renaming.rename(claim, labels, kinds, renamings, 0)
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(len(part), 1, d_model, generator=generator) for part in parts]
    means = torch.randn(1, claim.period, d_model, generator=generator)
    states = States(((0, "resid_post", claim.default_positions[0]),), noise[0], noise[1], means)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.process_time()
    gather(claim, "random", states, labels, new, renamed, kinds, 0)
    _TIMED[key] = time.process_time() - started
    torch.set_num_threads(threads)
    return _TIMED[key]


def _timed_instead(claim: Claim, claims: Sequence[Claim]) -> Claim:
    """The claim of the same kind and of middling period, which is timed in this one's place."""
    alike = [one for one in claims if (one.is_arithmetic, one.quantity) == (claim.is_arithmetic, claim.quantity)]
    return sorted(alike, key=lambda one: one.period)[len(alike) // 2]
