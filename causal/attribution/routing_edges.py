"""Path patching from the modulus' tokens to every head that reads them, and to all tokens behind them at once
(Goldowsky-Dill et al. 2023, 2304.05969; Wang et al. 2022, 2211.00593).

With the donors d and m_d of `donors.triples`:

    sent(l, d)   what the heads of block l hold when the stream in front of block l is donor d's at the modulus' tokens:
                 keys and values change; what stands elsewhere, queries too, is the prompt's own
    edge (l, h)  head h of block l is given its part of sent(l, d) at the destination, in the prompt's own forward:
                 total    the blocks behind react: m moves by Δm
                 direct   all else frozen: logits of the final stream + O_h (z' - z)
    straight     the stream in front of every block is the donor's at the modulus' tokens, and the prompt's own at the
                 tokens between: all that the last token reads of the modulus itself
    through      the other way round
    modulus      both are the donor's, which is the donor's whole prompt

Effects (2 n): the mean over d of Δm_d under the edge of donor d, and under that of the other donor.
Logits (n k): of every token with which an answer may go on; changes (two n k) of them under the edge of each donor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.attribution.components import Point, adds_heads, points, rewriting
from causal.attribution.donors import Triples
from causal.attribution.tables import Destination, Route
from causal.experiments.experiment import Tick
from causal.interventions.engine import filled_cache
from llm_probe.activations.prefixes import agree, can_share
from llm_probe.models.loading import LoadedModel, evaluating

Seen = dict[str, Tensor]


class Edge(NamedTuple):
    """One way from the modulus to the answer, as in `RoutingRow`."""

    route: Route
    layer: int | None = None
    head: int | None = None
    destination: Destination = "last"


Changes = dict[Edge, Float[Tensor, "two n k"]]
"""Logits under the edge of each donor less those without it."""
Logits = dict[Edge, Float[Tensor, "n k"]]
Given = Mapping[str, tuple[Bool[Tensor, "n columns #w"], Float[Tensor, "n columns w"]]]
"""Point to which of its last columns' numbers are replaced, and by what."""
Cache = Sequence[tuple[Tensor, Tensor]] | None
"""Keys and values of the own prompt before its last token; None where a model cannot be given them."""


@torch.no_grad()
def measure(loaded: LoadedModel, batch: Triples, tick: Tick = lambda count: None) -> tuple[Changes, Changes]:
    """What every edge changes (with the blocks behind reacting, straight to the logits).

    `tick` is told of forwarded prompts.
    """
    heads = [point for point in points(loaded)[0] if point.kind == "head"]
    streams = [Point(layer, "stream", block, 1) for layer, block in enumerate(loaded.layers)]
    end = [] if loaded.final_norm is None else [Point(len(loaded.layers), "end", loaded.final_norm, 1)]
    totals: list[Logits] = []
    directs: list[Logits] = []
    with evaluating(loaded.model):
        own, clean = read(loaded, batch, [*heads, *streams, *end])
        cache, alone = _prefix(loaded, batch, clean)
        for donor in (1, 2):
            streams_of_donor, _ = read(loaded, batch, streams, donor=donor)
            sent = {head.name: _sent(loaded, batch, head, streams[head.layer], streams_of_donor) for head in heads}
            directs.append(_direct(loaded, batch, heads, own, clean, sent) if end else {})
            totals.append({})
            for edge, given in _to_last(batch, heads, sent):
                totals[-1][edge] = (read(loaded, batch, heads, given, cache=cache)[1] - alone).cpu()
                tick(len(batch.modulus))
            for edge, given in _to_many(batch, heads, streams, own, streams_of_donor, sent):
                totals[-1][edge] = (read(loaded, batch, [*heads, *streams], given)[1] - clean).cpu()
                tick(len(batch.modulus))
    return _stacked(totals), _stacked(directs)


def effects(change: Float[Tensor, "two n k"], answers: Int[Tensor, "three n"]) -> Float[Tensor, "2 n"]:
    """Changes of logits as effects on the two logit differences: under the own donor, under the other."""
    of = change.double().gather(2, answers.cpu().T.expand(2, -1, -1))  # (donor, n, answer)
    moved = of[..., 1:] - of[..., :1]
    return torch.stack([moved[0, :, 0] + moved[1, :, 1], moved[0, :, 1] + moved[1, :, 0]]) / 2


def read(
    loaded: LoadedModel,
    batch: Triples,
    at: Sequence[Point],
    given: Given | None = None,
    *,
    donor: int = 0,
    cache: Cache = None,
) -> tuple[Seen, Float[Tensor, "n k"]]:
    """What points hold, and the logits; some points are `given` other numbers.

    `donor`: whose prompt is read, 0 the own. With a cache only its last token is.
    """
    seen: Seen = {}

    def edit(name: str, values: Tensor) -> Tensor:
        seen[name] = values
        if given and name in given:
            where, new = given[name]
            kept = values.shape[1] - where.shape[1]
            seen[name] = torch.cat([values[:, :kept], torch.where(where, new, values[:, kept:])], dim=1)
        return seen[name]

    ids, more = batch.ids[donor], {}
    if cache is not None:
        ids, more = ids[:, -1:], {"past_key_values": filled_cache(cache), "use_cache": True}
    with rewriting({point.name: point for point in at}, edit):
        logits = loaded.model(input_ids=ids, logits_to_keep=1, **more).logits[:, -1]  # type: ignore[operator]
    return seen, logits[:, batch.tokens].float()


def _prefix(loaded: LoadedModel, batch: Triples, clean: Tensor) -> tuple[Cache, Float[Tensor, "n k"]]:
    """The cache for edges that end at the last token, and the logits behind it; none where it is not as good."""
    if not can_share(loaded):
        return None, clean
    stored: Any = loaded.model(input_ids=batch.ids[0, :, :-1], use_cache=True, logits_to_keep=1).past_key_values  # type: ignore[operator]
    cache = [(layer.keys, layer.values) for layer in stored.layers]
    alone = read(loaded, batch, [], cache=cache)[1]
    return (cache, alone) if agree(alone[None], clean[None], loaded.dtype) else (None, clean)


def _sent(loaded: LoadedModel, batch: Triples, head: Point, stream: Point, donor: Seen) -> Float[Tensor, "n length w"]:
    """What the heads of a block hold when the modulus in front of it is the donor's."""
    given = {stream.name: (batch.modulus[..., None], donor[stream.name])}
    return read(loaded, batch, [head, stream], given)[0][head.name]


def _to_last(batch: Triples, heads: Sequence[Point], sent: Seen) -> Iterator[tuple[Edge, Given]]:
    """What the last token reads: each head and all of a block."""
    where = batch.last[:, -1:, None]
    for head in heads:
        for edge, given in _parts(head, where, sent[head.name][:, -1:]).items():
            yield edge, {head.name: given}


def _to_many(
    batch: Triples, heads: Sequence[Point], streams: Sequence[Point], own: Seen, donor: Seen, sent: Seen
) -> Iterator[tuple[Edge, Given]]:
    """What the tokens between read, block by block; and everything at once."""
    for head in heads:
        edge = Edge("layer", head.layer, destination="between")
        yield edge, {head.name: (batch.between[..., None], sent[head.name])}
    behind, modulus = (batch.modulus | batch.between)[..., None], batch.modulus[..., None]
    sources: dict[Route, tuple[Seen, Seen]] = {
        "straight": (donor, own),
        "through": (own, donor),
        "modulus": (donor, donor),
    }
    for route, (source, rest) in sources.items():
        mixed = {stream.name: torch.where(modulus, source[stream.name], rest[stream.name]) for stream in streams}
        yield Edge(route), {name: (behind, values) for name, values in mixed.items()}


def _parts(
    head: Point, where: Bool[Tensor, "n 1 1"], values: Float[Tensor, "n 1 w"]
) -> dict[Edge, tuple[Bool[Tensor, "n 1 w"], Float[Tensor, "n 1 w"]]]:
    """The edges of a block's heads, and of all of them at once, with the numbers that each replaces."""
    owner = torch.arange(values.shape[-1], device=values.device) // (values.shape[-1] // head.parts)
    parts = {Edge("head", head.layer, part): (where & (owner == part), values) for part in range(head.parts)}
    return parts | {Edge("layer", head.layer): (where.expand_as(values), values)}


def _direct(
    loaded: LoadedModel, batch: Triples, heads: Sequence[Point], own: Seen, clean: Tensor, sent: Seen
) -> Logits:
    """What changes when a head's output at the last token reaches nothing but the final norm and the vocabulary.

    Left out: heads whose output is normed first, and models whose logits are more than norm and matrix.
    """
    model: Any = loaded.model
    end, vocabulary = own[f"{len(loaded.layers)}.end"][:, -1], model.get_output_embeddings()

    def logits(states: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return vocabulary(loaded.final_norm(states))[:, batch.tokens].float()  # type: ignore[misc]

    changes: Logits = {}
    if vocabulary is None or not agree(logits(end)[None], clean[None], loaded.dtype):
        return changes
    for head in heads:
        if not adds_heads(loaded.layers[head.layer]):
            continue
        before = own[head.name][:, -1]
        for edge, (where, values) in _parts(head, batch.last[:, -1:, None], sent[head.name][:, -1:]).items():
            after = torch.where(where[:, 0], values[:, 0], before)
            changes[edge] = (logits(end + head.module(after) - head.module(before)) - logits(end)).cpu()
    return changes


def _stacked(both: Sequence[Logits]) -> Changes:
    return {edge: torch.stack([one[edge] for one in both]) for edge in both[0]}
