"""Circles in the input matrix itself, before any block: the rows of tokens that have an order.

An item takes part where it is one token (after a space, or at the start of a text) that no other item shares; a set
needs all of its items. `digits` and `numbers` are the integers 0 … n - 1 as far as each is one token (Qwen: 10; GPT-2,
Llama 3: hundreds). Rows W_E[t] (n, d) are tested like states (`planes.search`): each item's point on the circle is
predicted by a ridge from the others' rows, over frequencies and penalties. In an untrained matrix the rows are
exchangeable, so the same search with the tokens in other places gives an exact corrected p.

Items of a calendar have one frequency. Integers: k = n/T for T = 2, 5, 10, 100 where it is whole. A toy: every k.
One turn over n items (k = 1) is also what a bent line looks like: `quadratic` is a parabola's R² in the same search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.circuits.config import CircuitsConfig
from llm_probe.circuits.table import EmbeddingRow, PointRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Labels
from llm_probe.questions.domains import resolve
from llm_probe.questions.toy_domain import toy_domain
from llm_probe.statistics.planes import search
from llm_probe.statistics.renaming import Renamed, item_orders
from toy.maths import fourier
from toy.maths.regression import RidgeSmoother

FEWEST = 5
"""A circle through fewer points cannot be told from a square wave and a ramp."""
LARGEST = 100
"""Integers: as many as the slowest period of the helix."""


@dataclass(frozen=True)
class TokenSet:
    """Tokens in order and the frequencies that are asked of them."""

    name: str
    items: tuple[str, ...]
    tokens: tuple[int, ...]
    frequencies: tuple[int, ...]
    cyclic: bool


def embedding_rows(loaded: LoadedModel, config: CircuitsConfig) -> tuple[list[EmbeddingRow], list[PointRow]]:
    """Every set of tokens this tokenizer has."""
    model: Any = loaded.model
    matrix = model.get_input_embeddings().weight.detach().cpu().double()
    found, points = [], []
    for tokens in token_sets(loaded, config):
        rows, own = circle_rows(loaded, tokens, matrix[list(tokens.tokens)], config)
        found += rows
        points += own
    return found, points


def circle_rows(
    loaded: LoadedModel, tokens: TokenSet, states: Float[Tensor, "n d"], config: CircuitsConfig
) -> tuple[list[EmbeddingRow], list[PointRow]]:
    """The search over one set's rows, and where they lie on its best circle."""
    n = len(tokens.items)
    place = torch.arange(n)
    zero = torch.zeros_like(place)
    labels = Labels("item", n, place, place, place, zero, zero)
    generator = torch.Generator().manual_seed(config.seed)
    orders = item_orders([0] * n, (), config.renamings, generator, mirrored=True)
    renamed = Renamed(orders, torch.zeros_like(orders, dtype=torch.bool))
    found = search([RidgeSmoother.of(states)], labels, renamed, tokens.frequencies)
    rows = [
        EmbeddingRow(
            loaded.weights,
            tokens.name,
            tokens.cyclic,
            n,
            k,
            float(found.r2[0, index]),
            float(found.rivals["quadratic"][0]),
            found.null_r2,
            float(found.p_renaming[0, index]),
        )
        for index, k in enumerate(tokens.frequencies)
    ]
    best = tokens.frequencies[int(found.r2[0].argmax())]
    points = [
        PointRow(loaded.weights, tokens.name, best, index, item, float(x), float(y))
        for index, (item, (x, y)) in enumerate(zip(tokens.items, found.points[0], strict=True))
    ]
    return rows, points


def token_sets(loaded: LoadedModel, config: CircuitsConfig) -> Iterator[TokenSet]:
    """What can be asked of this tokenizer."""
    toy = getattr(loaded.model.config, "toy", None)
    if toy is not None:
        items = toy_domain(toy).items
        tokens = tuple(loaded.tokenizer.convert_tokens_to_ids(list(items)))
        yield TokenSet(f"tokens of {toy.task}", items, tokens, tuple(fourier.frequencies(len(items))), True)
        return
    for domain in resolve(list(config.items), []):
        found = one_token_each(loaded.tokenizer, domain.items)
        if found and len(found) >= FEWEST and not domain.items[0].isdigit():
            yield TokenSet(domain.name, domain.items, found, (1,), domain.cyclic)
    integers = tuple(str(value) for value in range(LARGEST))
    while integers and not (found := one_token_each(loaded.tokenizer, integers)):
        integers = integers[: 10 if len(integers) > 10 else 0]
    if integers:
        n = len(integers)
        turns = sorted({round(n / period) for period in config.periods if n / period == n // period})
        yield TokenSet("digits" if n == 10 else "numbers", integers, found, tuple(turns), False)  # type: ignore[arg-type]


def one_token_each(tokenizer: Any, items: tuple[str, ...]) -> tuple[int, ...] | None:
    """The items' tokens after a space, or else at the start of a text; None where one has several or shares its own."""
    for lead in (" ", ""):
        spelled = [tokenizer.encode(lead + item, add_special_tokens=False) for item in items]
        tokens = tuple(spelling[-1] for spelling in spelled if len(spelling) == 1)
        if len(tokens) == len(set(tokens)) == len(items) and tokenizer.unk_token_id not in tokens:
            return tokens
    return None
