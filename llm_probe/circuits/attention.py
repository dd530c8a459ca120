"""What the answer position attends to, and whether for the content of that place or for the place itself.

For a prompt of T tokens, head h of block l gives position j the weight A_h[T, j]. A *role* is a set of positions:
every token of the first operand, of the second, of the modulus ("23" is two tokens), and token 0. Its attention is
the sum over them. Attention falls with distance and pools on a *sink* (token 0 where nothing marks the beginning), so
the control is position-matched: the same prompt, the same places, but with other tokens there - tokens that this
domain's questions have outside their operands. What remains is due to the content:

    difference = Σ_{j in role} A[T, j]  -  the same with the role's tokens replaced          (prompt by prompt)

A sink keeps its attention, an operand that is looked for loses it. Attention is where information may come from, not
proof that it does: `causal` moves it. Published: one layer, the mean of its heads, five prompts, the last digit of the
modulus (unixsysdev/grokking-fourier, investigate_circuits.py).

Shapes: attention (n, layers, heads, roles).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.circuits.table import AttentionRow, Role
from llm_probe.models.loading import LoadedModel, evaluating
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Prompt
from llm_probe.questions.tokens import Encoded, buckets, encode
from llm_probe.run.vocabulary import Weights
from toy.maths.intervals import band

SLOTS: tuple[Role, ...] = ("item", "offset", "modulus")
BATCH_TOKENS = 4096
Places = dict[Role, list[int]]


def attention_rows(loaded: LoadedModel, claim: Claim, size: int, seed: int) -> list[AttentionRow]:
    """Every head and role of one domain's questions (discovery part)."""
    prompts = claim.prompts("discovery", size, seed)
    encoded = encode(loaded.tokenizer, prompts)
    places = [places_of(loaded.tokenizer, prompt, row) for prompt, row in zip(prompts, encoded, strict=True)]
    roles: list[Role] = list(places[0])
    ids = [row.ids[: row.positions["last"] + 1] for row in encoded]
    operands = [{place for of_role in where.values() for place in of_role} for where in places]
    weights, top = attention(loaded, ids, [[where[role] for role in roles] for where in places])
    controls, uniform, distance = torch.empty_like(weights), [], []
    for index, role in enumerate(roles):
        tokens = [one[role] for one in places]
        others = replaced(ids, tokens, operands, seed)
        controls[..., index] = attention(loaded, others, [[one] for one in tokens])[0][..., 0]
        uniform.append(float(np.mean([len(one) / len(row) for one, row in zip(tokens, ids, strict=True)])))
        distance.append(float(np.mean([len(row) - 1 - one[-1] for one, row in zip(tokens, ids, strict=True)])))
    bands = band((weights - controls).flatten(1), Labels.of(claim, prompts).unit, seed)
    difference, half = (values.view(weights.shape[1:]) for values in bands)
    names = [_names(loaded.tokenizer, *pair) for pair in zip(ids, places, strict=True)]
    n, table = len(prompts), []
    for layer, head in np.ndindex(*weights.shape[1:3]):
        attended = Counter(names[row][place] for row, place in enumerate(top[:, layer, head].tolist()))
        most, count = attended.most_common(1)[0]
        for index, role in enumerate(roles):
            at = (layer, head, index)
            own, control = float(weights[:, *at].mean()), float(controls[:, *at].mean())
            where: tuple[Weights, str, int, int, Role] = (loaded.weights, claim.domain.name, layer, head, role)
            numbers = (own, control, float(difference[at]), float(half[at]), uniform[index], distance[index])
            table.append(AttentionRow(*where, *numbers, most, count / n, n))
    return table


def places_of(tokenizer: Any, prompt: Prompt, row: Encoded) -> Places:
    """The tokens of every slot, and token 0.

    A byte-level tokenizer may count the space before a word as the word's; a token of the space alone is not.
    """
    offsets = tokenizer(prompt.text, return_offsets_mapping=True)["offset_mapping"]
    places: Places = {}
    for slot in SLOTS:
        if slot in prompt.spans:
            start, end = prompt.spans[slot]
            holding = [index for index, (a, b) in enumerate(offsets) if a < end and b > start and b > a]
            places[slot] = sorted({*holding, row.positions[slot]})
    return {**places, "first": [0]}


def replaced(
    ids: Sequence[Sequence[int]], where: Sequence[Sequence[int]], operands: Sequence[set[int]], seed: int
) -> list[list[int]]:
    """The prompts with other tokens at some places, sampled from those that the prompts have outside their operands."""
    outside = sorted(
        {token for row, held in zip(ids, operands, strict=True) for j, token in enumerate(row[:-1]) if j not in held}
    )
    rng = np.random.default_rng(seed)
    changed = [list(row) for row in ids]
    for row, at in zip(changed, where, strict=True):
        for place in at:
            row[place] = int(rng.choice([token for token in outside if token != row[place]] or outside))
    return changed


def attention(
    loaded: LoadedModel, ids: Sequence[Sequence[int]], places: Sequence[Sequence[Sequence[int]]]
) -> tuple[Float[Tensor, "n layers heads roles"], Tensor]:
    """(attention from the last token to each set of places, the place that gets most (n, layers, heads))."""
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    with torch.inference_mode(), evaluating(loaded.model), eager(loaded.model):
        for batch in buckets([len(row) for row in ids], BATCH_TOKENS):
            tokens = torch.tensor([list(ids[index]) for index in batch], device=loaded.device)
            maps = loaded.backbone(input_ids=tokens, use_cache=False, output_attentions=True).attentions
            last = torch.stack([one[:, :, -1].float().cpu() for one in maps], dim=1)  # (rows, layers, heads, T)
            for row, index in enumerate(batch):
                sums = torch.stack([last[row, ..., list(where)].sum(dim=-1) for where in places[index]], dim=-1)
                kept[index] = (sums, last[row].argmax(dim=-1))
    order = range(len(ids))
    return torch.stack([kept[index][0] for index in order]), torch.stack([kept[index][1] for index in order])


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Attention that is computed step by step inside the block: fused kernels keep no weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _names(tokenizer: Any, ids: Sequence[int], places: Places) -> list[str]:
    """A name for each token of a prompt: its operand, or its text; the first and the last say so."""
    slots = {place: role for role in SLOTS for place in places.get(role, [])}
    words = [slots.get(place) or repr(tokenizer.decode([token]).strip()) for place, token in enumerate(ids)]
    words[0], words[-1] = f"{words[0]} (first token)", f"{words[-1]} (itself)"
    return words
