"""The class-mean R² of networks that were never trained: Qwen3's shape with weights drawn from a seed.

Every residual dimension of every block is reduced to class means over the published prompts and scored with the
published statistic, the R² of the best frequency (`toy.maths.regression.class_mean_r2`); `alphabet position`, published
with a straight line, is scored with the line. One row of the table is one network, one domain, one layer: how large
the statistic is among its d_model dimensions.

The network has Qwen3-0.6B's width, heads and feed-forward size; the number of blocks is a choice (28 in the
original) and the vocabulary is the reference model's, which splits numbers into digits as Qwen's does. Read at the
last token, float32, weights from transformers' own initialisation (normal, sd 0.02).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toy.run.cells import Cells, key_of
from toy.run.errors import InputError

if TYPE_CHECKING:
    from llm_probe.models.loading import LoadedModel
    from llm_probe.questions.prompts import Prompt

CELL_VERSION = 1
QUANTILES = {"median_r2": 0.5, "q75_r2": 0.75, "q90_r2": 0.9, "q95_r2": 0.95, "q99_r2": 0.99}
"""Quantiles over the dimensions of one layer: the law of a dimension that was not searched for."""
POSITION_DOMAIN = "alphabet position"
POSITION_TEXT = "The {position} letter of the alphabet is "


@dataclass(frozen=True)
class NullRow:
    """The class-mean R² of one layer of one network that was never trained, on one domain."""

    null: str
    """Which kind of network."""
    domain: str
    """`days`, `mod-add 7`, …; `alphabet position` is fitted by a straight line, as it was published."""
    n: int
    """Class means: the period."""
    seed: int
    """Determines the network's weights."""
    layer: int
    """0-based block; its output at the last token was read."""
    dims: int
    """Residual dimensions: what was searched in this layer."""
    max_r2: float
    """Largest R² among them, each at its best frequency …"""
    tenth_r2: float
    """… the tenth largest …"""
    median_r2: float
    """… and quantiles: the law of a dimension that was not searched for."""
    q75_r2: float
    """75 %."""
    q90_r2: float
    """90 %."""
    q95_r2: float
    """95 %."""
    q99_r2: float
    """99 %."""


COLUMNS = tuple(field.name for field in fields(NullRow))
MODULI = (7, 11, 13, 17, 19, 23, 29, 31, 10, 12, 24)
CALENDARS = ("days", "months", "hours", "alphabet", POSITION_DOMAIN)
ALPHABET_STARTS, LETTERS = 13, 26
"""The published alphabet grid starts at A … M only and adds 0 … 25."""


@dataclass(frozen=True)
class NullConfig:
    """Which networks are drawn."""

    out: Path = Path("results/calibration/class_mean_null.csv")
    """The table; the networks already measured are kept beside the folder's other cells."""
    seeds: int = 20
    """Networks, seeds 0, 1, …"""
    layers: int = 3
    """Blocks of each network; Qwen3-0.6B has 28."""
    moduli: tuple[int, ...] = MODULI
    calendars: tuple[str, ...] = CALENDARS
    cells: Path = field(default=Path("work/class_mean_null"))
    """Folder of the finished networks: the same command goes on where it stopped."""

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.layers < 1:
            raise InputError("give --seeds and --layers of at least 1")
        unknown = sorted(set(self.calendars) - set(CALENDARS))
        if unknown:
            raise InputError(f"unknown calendar {unknown[0]!r}: choose from {', '.join(CALENDARS)}")


def grids(config: NullConfig) -> dict[str, tuple[int, list[Prompt]]]:
    """Domain name to (number of classes, the published prompts)."""
    from llm_probe.questions.domains import DOMAINS, modular
    from llm_probe.questions.prompts import published_grid, question

    found: dict[str, tuple[int, list[Prompt]]] = {}
    for name in config.calendars:
        if name == "alphabet":
            pairs = [(start, offset) for start in range(ALPHABET_STARTS) for offset in range(LETTERS)]
            found[name] = LETTERS, [question(DOMAINS[name], "published", *pair) for pair in pairs]
        elif name == POSITION_DOMAIN:
            found[name] = LETTERS, _positions()
        else:
            found[name] = DOMAINS[name].period, published_grid(DOMAINS[name])
    for modulus in config.moduli:
        found[f"mod-add {modulus}"] = modulus, published_grid(modular("add", modulus))
    return found


def _positions() -> list[Prompt]:
    """The 26 prompts "The 1st letter of the alphabet is ", …"""
    from llm_probe.questions.prompts import Prompt

    endings = {1: "st", 2: "nd", 3: "rd"}
    prompts = []
    for index in range(LETTERS):
        number = index + 1
        ending = "th" if number in (11, 12, 13) else endings.get(number % 10, "th")
        text = POSITION_TEXT.format(position=f"{number}{ending}")
        prompts.append(Prompt(text, {}, "published", index, 0, index, index, None))
    return prompts


def random_qwen3(layers: int, seed: int) -> LoadedModel:
    """A network of Qwen3-0.6B's width and heads with `layers` blocks and weights that are a function of the seed."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    from llm_probe.models.loading import REFERENCE_FOLDER, wrap

    tokenizer = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=3072, num_hidden_layers=layers,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(seed)
    return wrap(Qwen3ForCausalLM(config).requires_grad_(False).eval(), tokenizer, name=f"random Qwen3, seed {seed}")


def measure(loaded: LoadedModel, domain: str, period: int, prompts: list[Prompt]) -> list[dict[str, Any]]:
    """One row a layer: the statistic's largest, tenth and quantiles over the dimensions."""
    import torch

    from llm_probe.activations.streaming import ReadPlan, class_sums, stream
    from llm_probe.questions.tokens import encode
    from toy.maths.regression import class_mean_r2, r2_in_sample, rival_columns

    labels = torch.tensor([prompt.label for prompt in prompts])
    layers = tuple(range(len(loaded.layers)))
    sums, counts = class_sums(stream(loaded, encode(loaded.tokenizer, prompts), ReadPlan(layers)), labels, period)
    rows = []
    for layer, total in zip(layers, sums, strict=True):
        means = total / counts[:, None]
        if domain == POSITION_DOMAIN:
            best = r2_in_sample(means, rival_columns(torch.arange(period), period, "linear"))
        else:
            best = class_mean_r2(means).amax(dim=0)
        ordered = best.sort(descending=True).values
        row = {"layer": layer, "dims": len(best), "max_r2": float(ordered[0])}
        row["tenth_r2"] = float(ordered[min(9, len(ordered) - 1)])
        rows.append(row | {name: float(best.quantile(level)) for name, level in QUANTILES.items()})
    return rows


def table(config: NullConfig, on_network: Callable[[int], None] = lambda seed: None) -> Iterator[dict[str, Any]]:
    """Every row; a network is one cell for each domain, and is built only if one is missing.

    Raises:
        InputError: the folder of cells cannot be written.
    """
    cells = Cells(config.cells, CELL_VERSION)
    asked = grids(config)
    for seed in range(config.seeds):
        held: list[LoadedModel] = []

        def network(seed: int = seed, held: list[LoadedModel] = held) -> LoadedModel:
            held[:] = held or [random_qwen3(config.layers, seed)]
            return held[0]

        for domain, (period, prompts) in asked.items():
            key = key_of({"domain": domain, "layers": config.layers, "seed": seed})
            made = cells.get(key, lambda d=domain, n=period, p=prompts: {"rows": measure(network(), d, n, p)})
            for row in made["rows"]:
                yield {"null": "random-init Qwen3", "domain": domain, "n": period, "seed": seed} | row
        on_network(seed)
