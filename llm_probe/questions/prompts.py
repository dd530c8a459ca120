"""Prompts: every text that is shown to a model, with its label and the characters its operands occupy.

Three sets answer three needs:

- `published_grid`: one template, all pairs (a, b) in [0, n): what the published class-mean R² averages over;
- `question_set`: pairs and templates of a *part*, with operands that run over many periods, so that magnitude
  and residue come apart;
- `statement_set`: sentences that only mention an item.

Parts - `discovery`, `confirmation`, `causal` - share no operand pair and, with three templates or more, no
template. A pair's part is a hash of the pair alone: the same operand pairs serve every modulus, which is what
makes responses under several moduli comparable (the decoupled grid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from llm_probe.questions.domains import Domain
from toy.run.errors import InputError

Part = Literal["discovery", "confirmation", "causal"]
Grid = Literal["published", "decoupled"]
PARTS: tuple[Part, ...] = ("discovery", "confirmation", "causal")
PAIR_SHARE: dict[Part, tuple[float, float]] = {"discovery": (0, 0.5), "confirmation": (0.5, 0.8), "causal": (0.8, 1)}
"""The interval of the pair hash that belongs to each part."""
MOST_OPERANDS = 90
"""Different values an operand takes: as many as there are two-digit numbers."""


@dataclass(frozen=True)
class Prompt:
    """One text and what is known about it."""

    text: str
    spans: dict[str, tuple[int, int]]
    """Slot name (`item`, `offset`, `modulus`) to the characters [start, end) it fills."""
    template: str
    first: int
    """First operand as an integer, or the item's index."""
    offset: int
    """Second operand; 0 for a statement."""
    total: int
    """The integer result before it is reduced mod the period."""
    label: int
    """total mod period (for a linear control: the item's index)."""
    answer: str | None
    """What the model should write next; None for a statement."""


def render(text: str, slots: dict[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """Fill `{slot}` marks from left to right and note the characters each value occupies."""
    spans: dict[str, tuple[int, int]] = {}
    for slot in sorted((slot for slot in slots if "{" + slot + "}" in text), key=lambda s: text.index("{" + s + "}")):
        start = text.index("{" + slot + "}")
        text = text.replace("{" + slot + "}", slots[slot], 1)
        spans[slot] = (start, start + len(slots[slot]))
    return text, spans


def question(domain: Domain, template: str, first: int, offset: int) -> Prompt:
    """The question `first op offset` of a domain in one of its templates."""
    slots = {"item": domain.first_text(first), "offset": domain.offset_text(offset), "modulus": str(domain.period)}
    text, spans = render(domain.questions[template], slots)
    total = domain.total(first, offset)
    label = total % domain.period
    return Prompt(text, spans, template, first, offset, total, label, domain.answer(total))


def behind_examples(domain: Domain, prompts: Sequence[Prompt], shots: int, seed: int = 0) -> list[Prompt]:
    """The questions behind `shots` worked examples each, the same ones for every question of a template.

    Examples are of operand pairs that none of the questions asks about, each on a line of its own with its answer.

    Raises:
        InputError: so many pairs are not left.
    """
    asked_about = {(prompt.first, prompt.offset) for prompt in prompts}
    pairs = [(first, offset) for first in domain.first_operands for offset in domain.offsets]
    left = [pair for pair in pairs if pair not in asked_about and bool(domain.admits(*map(np.array, pair)))]
    if len(left) < shots:
        raise InputError(
            f"{shots} worked examples need as many operand pairs that are not asked about; {domain.name} has "
            f"{len(left)}: give fewer --shots or --behaviour-prompts"
        )
    before, columns = {}, np.array(left).T
    for index, template in enumerate(dict.fromkeys(prompt.template for prompt in prompts)):
        order = np.argsort(pair_hash(columns[0], columns[1], seed + 101 + index), kind="stable")[:shots]
        examples = [question(domain, template, *left[place]) for place in order]
        before[template] = "".join(f"{example.text.rstrip()} {example.answer}\n" for example in examples)
    result = []
    for prompt in prompts:
        prefix = before[prompt.template]
        spans = {slot: (start + len(prefix), end + len(prefix)) for slot, (start, end) in prompt.spans.items()}
        result.append(replace(prompt, text=prefix + prompt.text, spans=spans))
    return result


def statement(domain: Domain, template: str, index: int) -> Prompt:
    """A sentence that mentions item `index`."""
    text, spans = render(domain.statements[template], {"item": domain.items[index]})
    return Prompt(text, spans, template, index, 0, index, index, None)


def published_grid(domain: Domain) -> list[Prompt]:
    """All pairs (a, b) in [0, n) x [0, n) in the domain's first (published) template."""
    template = next(iter(domain.questions))
    n = domain.period
    return [question(domain, template, first, offset) for first in range(n) for offset in range(n)]


def question_set(domain: Domain, part: Part, size: int, seed: int = 0) -> list[Prompt]:
    """At most `size` questions of a part, the same operand pairs for every domain of equal operand ranges."""
    operands = [np.array(values) for values in (domain.first_operands, domain.offsets)]
    if not domain.second_is_item:  # a renaming of the items must map the operands onto themselves
        operands = [_thinned(values, seed) for values in operands]
    first, offset = np.meshgrid(*operands, indexing="ij")
    first, offset = first.ravel(), offset.ravel()
    low, high = PAIR_SHARE[part]
    share = pair_hash(first, offset, seed)
    kept = (share >= low) & (share < high) & domain.admits(first, offset)
    first, offset = first[kept], offset[kept]
    templates = part_templates(tuple(domain.questions), part)
    # One pseudo-random order over (pair, template); its beginning holds each pair at most once when pairs abound.
    order = np.stack([pair_hash(first, offset, seed + 1 + index) for index in range(len(templates))])
    ranked = np.argsort(order, axis=None, kind="stable")[:size]
    return [
        question(domain, templates[which], int(first[pair]), int(offset[pair]))
        for which, pair in zip(*np.unravel_index(ranked, order.shape), strict=True)
    ]


def _thinned(values: np.ndarray, seed: int) -> np.ndarray:
    """At most `MOST_OPERANDS` of the values, chosen by hash: each operand is a nuisance with levels of its own."""
    if len(values) <= MOST_OPERANDS:
        return values
    return np.sort(values[np.argsort(pair_hash(values, np.zeros_like(values), seed), kind="stable")[:MOST_OPERANDS]])


def statement_set(domain: Domain, part: Part) -> list[Prompt]:
    """Every item in every statement template of a part."""
    return [
        statement(domain, template, index)
        for template in part_templates(tuple(domain.statements), part)
        for index in range(domain.period)
    ]


def part_templates(templates: tuple[str, ...], part: Part) -> tuple[str, ...]:
    """Template names of a part in the registry's order, 4 : 3 : 2 of nine; all of them where there are under three."""
    if len(templates) < 3:
        return templates
    first = max(1, round(len(templates) * 4 / 9))
    second = max(first + 1, round(len(templates) * 7 / 9))
    return {"discovery": templates[:first], "confirmation": templates[first:second], "causal": templates[second:]}[part]


def pair_hash(first: np.ndarray, offset: np.ndarray, salt: int) -> np.ndarray:
    """A uniform number in [0, 1) for each operand pair: splitmix64 of (first, offset, salt), the same everywhere."""
    with np.errstate(over="ignore"):
        value = first.astype(np.uint64) * np.uint64(1 << 20) + offset.astype(np.uint64)
        value += np.uint64(salt + 1) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return (value >> np.uint64(11)).astype(np.float64) / float(1 << 53)
