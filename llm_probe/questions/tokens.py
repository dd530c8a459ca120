"""From prompts to token ids, and from the characters of a slot to the index of its token.

The probe reads a model at four positions: at the token that holds the last character of the item, of the offset
and of the modulus, and at the last token of the text. They are located by the fast tokenizer's character offsets,
never by comparing token strings, because every family of tokenizers draws the borders elsewhere: byte-level offsets
may or may not include the space before a word (the *last* character is safe from that), several tokens may report one
character outside ASCII (the last token that holds it is taken), and zero-width pieces hold no character at all.

Prompts of equal length are batched without padding (`buckets`): no mask, and a position counts from the left in
every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_probe.questions.prompts import Prompt
from toy.run.errors import InputError


@dataclass(frozen=True)
class Encoded:
    """One prompt as a model reads it."""

    ids: tuple[int, ...]
    """With the special tokens the tokenizer adds by itself."""
    positions: dict[str, int]
    """`last` and every slot of the prompt (`item`, `offset`, `modulus`) to a token index, counted from the left."""
    starts: dict[str, int] = field(default_factory=dict)
    """Every slot to the index of its first token; its last is its position."""


def encode(tokenizer: Any, prompts: Sequence[Prompt], *, chat: bool = False) -> list[Encoded]:
    """Tokenise prompts; with `chat` each becomes a user message in the tokenizer's chat template.

    `last` is the last token of the text (no closing [SEP] or EOS); with `chat` that of the whole rendered message.

    Raises:
        InputError: no fast tokenizer, no chat template, or a slot that no token (or the unknown token) holds.
    """
    if not prompts:
        return []
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{type(tokenizer).__name__} reports no character offsets: load the model with its fast tokenizer"
        )
    texts = rendered(tokenizer, prompts, chat=chat)
    batch = tokenizer(texts, add_special_tokens=not chat, return_offsets_mapping=True, return_special_tokens_mask=True)
    encoded: list[Encoded] = []
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        ids, offsets = batch["input_ids"][row], batch["offset_mapping"][row]
        # In a chat message the template's own marks are part of the text that is read.
        marks = [0] * len(ids) if chat else batch["special_tokens_mask"][row]
        own = [index for index, mark in enumerate(marks) if not mark]
        if not own:
            raise InputError(f"the tokenizer makes no token of the prompt {text!r}: choose another template")
        shift = _shift(prompt, text) if chat else 0
        positions, starts = {"last": own[-1]}, {}
        for slot, (start, end) in prompt.spans.items():
            # A space at the end of a slot may be trimmed from the offsets, and from a chat message.
            character = shift + len(prompt.text[:end].rstrip()) - 1
            holding = [index for index in own if offsets[index][0] <= character < offsets[index][1]]
            if holding and end == len(prompt.text) and not chat:
                holding = own
            if not holding or ids[holding[-1]] == tokenizer.unk_token_id:
                raise InputError(
                    f"the tokenizer cannot place the {slot} {prompt.text[start:end]!r} of the prompt {prompt.text!r}: "
                    f"its tokens are {tokenizer.convert_ids_to_tokens(ids)}; choose another model or rename the {slot}"
                )
            positions[slot] = holding[-1]
            begins = shift + end - len(prompt.text[start:end].lstrip())
            starts[slot] = next(index for index in own if index == holding[-1] or offsets[index][1] > begins)
        encoded.append(Encoded(tuple(ids), positions, starts))
    return encoded


def rendered(tokenizer: Any, prompts: Sequence[Prompt], *, chat: bool) -> list[str]:
    """The texts that are tokenised: the prompts, or their chat messages up to where the model answers.

    Raises:
        InputError: `chat` is given and the tokenizer has no chat template, or one that takes no single message.
    """
    from jinja2 import TemplateError

    if not chat:
        return [prompt.text for prompt in prompts]
    if not getattr(tokenizer, "chat_template", None):
        raise InputError("this tokenizer has no chat template: run without --chat or choose an instruction-tuned model")
    try:
        return [
            # A template without a thinking mode ignores the argument.
            tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt.text}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
            for prompt in prompts
        ]
    except TemplateError as error:
        raise InputError(
            f"the chat template of this tokenizer takes no message of a user alone ({error}): run without --chat, or "
            "correct the template"
        ) from error


def buckets(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Index lists of equal length, longest first, each of at most max(1, batch_tokens // length) prompts."""
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_length.setdefault(length, []).append(index)
    batches: list[list[int]] = []
    for length, indices in sorted(by_length.items(), reverse=True):
        size = max(1, batch_tokens // max(1, length))
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches


def _shift(prompt: Prompt, text: str) -> int:
    """Where the prompt begins in its rendered chat message; templates may trim the message's ends."""
    trimmed = prompt.text.strip()
    start = text.rfind(trimmed)
    if start < 0:
        raise InputError(f"the chat template does not show the prompt {prompt.text!r} unchanged: run without --chat")
    return start - (len(prompt.text) - len(prompt.text.lstrip()))
