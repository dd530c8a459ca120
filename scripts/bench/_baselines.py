"""What `bench_probe.py` compares with: the published way to scan a model and to fit its dimensions.

Written from the method's description: each prompt is a forward of the whole model with all hidden states, and each
dimension and frequency is a least-squares call of its own.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from llm_probe.models.loading import DTYPES, LoadedModel, wrap
from llm_probe.questions.tokens import Encoded


@torch.inference_mode()
def one_by_one(loaded: LoadedModel, encoded: list[Encoded], layer: int | None) -> list[Tensor]:
    """The last token's state after one layer, or after each of them, one prompt per forward of the whole model."""
    kept: list[Tensor] = []
    for prompt in encoded:
        ids = torch.tensor([prompt.ids], device=loaded.device)
        states = loaded.model(input_ids=ids, output_hidden_states=True).hidden_states[1:]
        kept.append(torch.stack([state[0, -1] for state in states]) if layer is None else states[layer][0, -1])
    return kept


def looped_r2(means: np.ndarray) -> np.ndarray:
    """R² of c0 + c1 cos(2πks/n) + c2 sin(2πks/n), one least-squares call per frequency and dimension."""
    n, columns = means.shape
    r2 = np.empty((n // 2, columns))
    for k in range(1, n // 2 + 1):
        angle = 2 * np.pi * k * np.arange(n) / n
        design = np.stack([np.cos(angle), np.sin(angle), np.ones(n)], axis=1)
        for column in range(columns):
            squares = np.linalg.lstsq(design, means[:, column], rcond=None)[1][0]
            r2[k - 1, column] = 1 - squares / (n * means[:, column].var())
    return r2


def random_qwen3(full: bool, device: str, dtype: str) -> LoadedModel:
    """Weights that were never trained cost as much to run as trained ones."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    vocabulary, width, layers, heads = (151936, 1024, 28, 16) if full else (27648, 256, 24, 4)
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads // 2, head_dim=128 if full else 64,
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = Qwen3ForCausalLM(config)
    # Splits these prompts as Qwen's tokenizer does: each digit alone, a sign or word with the space before it.
    pieces = ["<unk>", *"0123456789", " ", " +", " mod", " ="]
    backend: Any = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d| [^\s\d]+| "), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    return wrap(model.to(device, DTYPES[dtype]).requires_grad_(False).eval(), tokenizer, name="random Qwen3")
