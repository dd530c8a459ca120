"""What the benches share: the table they print and keep, the clock, and a Qwen3 of random weights.

part   quantity   value   unit   bar (">= 4", "<= 60", or none)   met (met, missed, or nothing)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llm_probe.models.loading import LoadedModel

Line = tuple[str, str, float, str, str, str]


def line(
    part: str, quantity: str, value: float, unit: str, low: float | None = None, high: float | None = None
) -> Line:
    """One row of the table; `low` or `high` is the bar that the value has to meet."""
    if low is None and high is None:
        return part, quantity, value, unit, "", ""
    bar, met = (f">= {low:g}", value >= low) if low is not None else (f"<= {high:g}", value <= (high or 0))
    return part, quantity, value, unit, bar, "met" if met else "missed"


def show(lines: Iterable[Line], out: Path | None, device: str) -> None:
    """Print the table, and write it with what it was measured on."""
    import torch

    columns = ["part", "quantity", "value", "unit", "bar", "met"]
    keep(lines, columns, out, device=device, threads=torch.get_num_threads(), torch=torch.__version__)


def keep(rows: Iterable[Any], columns: list[str] | None, out: Path | None, **measured_on: object) -> None:
    """Print a table of rows, and write it, with columns on what it was measured on, where `out` is given."""
    import pandas as pd

    from toy.run.files import write_atomic

    table = pd.DataFrame(list(rows), columns=columns)
    print(table.to_string(index=False, float_format="{:.4g}".format))
    if out is not None:
        write_atomic(out, table.assign(**measured_on).to_csv(index=False, float_format="%.6g"))


def timed(run: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of one run, until the device has finished it."""
    import torch

    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def random_qwen3(full: bool, device: str, dtype: str) -> LoadedModel:
    """A Qwen3 of random weights, in the shape of Qwen3-0.6B (`full`) or of a quarter of its width.

    Its tokenizer splits sums as Qwen's does: each digit alone, a sign or word with the space before it.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", *"0123456789", " ", " +", " mod", " ="]
    backend: Any = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d| [^\s\d]+| "), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    vocabulary, layers, width = (151936, 28, 1024) if full else (27648, 24, 256)
    return qwen3_of(layers, width, vocabulary, tokenizer, device, dtype)


def qwen3_of(
    layers: int, width: int, vocabulary: int, tokenizer: PreTrainedTokenizerBase, device: str, dtype: str
) -> LoadedModel:
    """A Qwen3 of this many layers and dimensions, which cost as much to run as if its random weights were trained."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from llm_probe.models.loading import DTYPES, wrap

    heads, of_values = width // 64, 2 if width % 128 == 0 else 3
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads // of_values, head_dim=128 if width >= 1024 else 64,
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = Qwen3ForCausalLM(config)
    return wrap(model.to(device, DTYPES[dtype]).requires_grad_(False).eval(), tokenizer, name="random Qwen3")
