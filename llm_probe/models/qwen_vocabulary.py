"""Qwen's own vocabulary as a fast tokenizer, without a model hub.

The PyPI package `dashscope` carries the byte-pair ranks that Qwen2 and Qwen3 use, as a tiktoken file of 151,643
lines (a base64 token and its rank). Converted with Qwen's pre-tokenization they give the same ids as the released
tokenizer: "Hello" is 9707, every digit is a token of its own, " Thursday" is one token. The chat template is a
minimal ChatML of this project, not Qwen's (no system prompt, tools or thinking).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from llm_probe.models.reference.prompts import QWEN_PRETOKENIZATION
from toy.run.errors import InputError

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
END_OF_TEXT_ID, TURN_START_ID, TURN_END_ID = 151643, 151644, 151645
"""They follow the 151,643 ordinary tokens, in this order."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_ranks() -> Path | None:
    """The file of byte-pair ranks; None where it, or `tiktoken` that reads it, is not installed."""
    # find_spec looks a package up without running it.
    package = find_spec("dashscope")
    if package is None or not package.submodule_search_locations or find_spec("tiktoken") is None:
        return None
    path = Path(package.submodule_search_locations[0]) / "resources" / "qwen.tiktoken"
    return path if path.exists() else None


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, converted anew (some seconds).

    Raises:
        InputError: `dashscope` or `tiktoken` is not installed.
    """
    ranks = qwen_ranks()
    if ranks is None:
        raise InputError("Qwen's vocabulary is not installed: run `pip install dashscope tiktoken`")
    special = [END_OF_TEXT, TURN_START, TURN_END]
    converter = TikTokenConverter(str(ranks), pattern=QWEN_PRETOKENIZATION, extra_special_tokens=special)
    tokenizer = converter.converted()
    tokenizer.normalizer = normalizers.NFC()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
