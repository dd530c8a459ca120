"""The tokenizer of a model: loaded, and checked before a prompt is read.

It must be a fast one, because operands are located by character offsets, and it must be the one that the model was
trained with. transformers makes some tokenizers from a vocabulary and the rules of a class that it chooses by the
model's type; where that class is not the right one, texts are split otherwise than by the model's own tokenizer.json,
or not at all. Then the file is followed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from llm_probe.models.hub import explained, folder_of
from toy.run.errors import InputError

SAMPLES = ("What is 12 + 5 mod 7?", "3 days after Monday is", " December", "It's 11:30 in C sharp,\n  10,000 times")


def load_tokenizer(path: str, name: str, **options: Any) -> Any:
    """The fast tokenizer of a model; `path` and `options` are those of `from_pretrained`.

    Raises:
        InputError: there is none, or its files are damaged.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = folder_of(path, options.get("revision"))
    file = folder / "tokenizer.json" if folder and (folder / "tokenizer.json").is_file() else None
    tokenizer: Any = None
    with explained(name, options.get("revision"), "the tokenizer"):
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, **options)
            follows = file is None or _follows(tokenizer, file)
        except Exception:
            if file is None:
                raise
            follows = False
        if not follows:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(path, **options)
            print(
                f"{name}: its tokenizer is the one of its tokenizer.json, not a class of transformers", file=sys.stderr
            )
    check_tokenizer(tokenizer, name)
    return tokenizer


def check_tokenizer(tokenizer: Any, name: str) -> None:
    """Raises InputError without a fast tokenizer: operands are located by its character offsets."""
    # Where its files are missing, transformers makes a fast tokenizer that knows special tokens only, and says nothing.
    if not getattr(tokenizer, "is_fast", False) or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(
            f"{name} has no fast tokenizer (tokenizer.json), whose character offsets locate the operands; "
            f"{type(tokenizer).__name__} was found: choose a model that has one"
        )


def _follows(tokenizer: Any, file: Path) -> bool:
    """Whether a tokenizer does what its file says; the code of somebody else may do more."""
    from tokenizers import Tokenizer

    if not getattr(tokenizer, "is_fast", False) or not type(tokenizer).__module__.startswith("transformers."):
        return True
    saved = Tokenizer.from_file(str(file))
    # Settings of how whole batches are given, and not of how a text is split.
    saved.no_padding()
    saved.no_truncation()
    return all(
        tokenizer(text, add_special_tokens=False)["input_ids"] == saved.encode(text, add_special_tokens=False).ids
        for text in SAMPLES
    )
