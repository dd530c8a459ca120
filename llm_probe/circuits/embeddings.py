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

from llm_probe.circuits.table import CircuitsConfig, EmbeddingRow, PointRow
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Labels
from llm_probe.questions.domains import resolve
from llm_probe.questions.toy_domain import toy_domain
from llm_probe.run.vocabulary import Weights
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
    """Tokens in order, and the frequencies at which their circle is searched."""

    name: str
    items: tuple[str, ...]
    tokens: tuple[int, ...]
    frequencies: tuple[int, ...]
    cyclic: bool


def embedding_rows(loaded: LoadedModel, config: CircuitsConfig) -> Iterator[EmbeddingRow | PointRow]:
    """Every set of tokens that this tokenizer has: the search over its rows, and where they lie on its best circle."""
    model: Any = loaded.model
    matrix = model.get_input_embeddings().weight.detach().cpu().double()
    for tokens in token_sets(loaded, config):
        yield from circle_rows(loaded, tokens, matrix[list(tokens.tokens)], config)


def circle_rows(
    loaded: LoadedModel, tokens: TokenSet, states: Float[Tensor, "n d"], config: CircuitsConfig
) -> Iterator[EmbeddingRow | PointRow]:
    """One row a frequency, then one point a token."""
    n = len(tokens.items)
    place, zero = torch.arange(n), torch.zeros(n, dtype=torch.long)
    labels = Labels("item", n, place, place, place, zero, zero)
    generator = torch.Generator().manual_seed(config.seed)
    orders = item_orders([0] * n, (), config.renamings, generator, mirrored=True)
    renamed = Renamed(orders, torch.zeros_like(orders, dtype=torch.bool))
    result = search([RidgeSmoother.of(states)], labels, renamed, tokens.frequencies)
    where: tuple[Weights, str] = (loaded.weights, tokens.name)
    quadratic = float(result.rivals["quadratic"][0])
    for k, r2, p in zip(tokens.frequencies, result.r2[0].tolist(), result.p_renaming[0].tolist(), strict=True):
        yield EmbeddingRow(*where, tokens.cyclic, n, k, r2, quadratic, result.null_r2, p)
    best = tokens.frequencies[int(result.r2[0].argmax())]
    for index, (item, point) in enumerate(zip(tokens.items, result.points[0].tolist(), strict=True)):
        yield PointRow(*where, best, index, item, *point)


def token_sets(loaded: LoadedModel, config: CircuitsConfig) -> Iterator[TokenSet]:
    """The sets of items that are one token each in this tokenizer."""
    toy = getattr(loaded.model.config, "toy", None)
    if toy is not None:
        items = toy_domain(toy).items
        tokens = tuple(loaded.tokenizer.convert_tokens_to_ids(list(items)))
        yield TokenSet(f"tokens of {toy.task}", items, tokens, tuple(fourier.frequencies(len(items))), True)
        return
    for domain in resolve(list(config.items), []):
        tokens = one_token_each(loaded.tokenizer, domain.items)
        if tokens and len(tokens) >= FEWEST and not domain.items[0].isdigit():
            yield TokenSet(domain.name, domain.items, tokens, (1,), domain.cyclic)
    for n in (LARGEST, 10):
        integers = tuple(str(value) for value in range(n))
        if tokens := one_token_each(loaded.tokenizer, integers):
            turns = sorted({round(n / period) for period in config.periods if n / period == n // period})
            yield TokenSet("digits" if n == 10 else "numbers", integers, tokens, tuple(turns), False)
            return


def one_token_each(tokenizer: Any, items: tuple[str, ...]) -> tuple[int, ...] | None:
    """The items' tokens after a space, or else at the start of a text; None where one has several or shares its own."""
    for lead in (" ", ""):
        spellings = [tokenizer.encode(lead + item, add_special_tokens=False) for item in items]
        tokens = tuple(spelling[-1] for spelling in spellings if len(spelling) == 1)
        if len(tokens) == len(set(tokens)) == len(items) and tokenizer.unk_token_id not in tokens:
            return tokens
    return None
