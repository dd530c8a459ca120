"""Which heads route the modulus: does the answer follow what a head reads of the modulus' tokens?

Attention says where a head may read from, not that the answer depends on it; and what the answer depends on may come
from heads that look elsewhere. So another modulus is put into single heads: path patching from the modulus' tokens to
every head that reads them, and to all tokens behind them at once (Goldowsky-Dill et al. 2023, 2304.05969; Wang et al.
2022, 2211.00593). With the donors d and m_d of `donors.triples`:

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

As rows:

    share         Σ Δm / Σ whole,  whole = m(donor's prompt) - m(prompt)
    total, other  Δm_d under the edge of donor d, and under that of the other donor: what merely breaking does

Is it *this prompt's* answer that an edge moves to? A network that has learnt nothing also says something else of other
moduli's tokens, and answers to large moduli begin with other digits than answers to small ones. So with δ_i the change
of the logits of prompt i under donor 1 less that under donor 2, and a_j, b_j the answers of prompt j under the moduli
of its donors,

    T = Σ_i D_i(i),   D_i(j) = ½ (δ_i[a_j] - δ_i[b_j]),   D_i(i) = total - other

is compared with Σ_i D_i(π(i)) for 999 exchanges π of the answers among prompts with the same moduli: one-sided p, each
head's T in units of its own spread, max-T over heads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.attribution.components import Point, adds_heads, points, rewriting
from causal.attribution.donors import Triples, triples
from causal.attribution.tables import Destination, Route, RoutingRow
from causal.experiments.effects import spearman
from causal.experiments.experiment import Tick
from causal.interventions.engine import filled_cache
from llm_probe.activations.prefixes import agree, can_share
from llm_probe.circuits.attention import attention
from llm_probe.models.loading import LoadedModel, evaluating, randomised
from llm_probe.questions.claims import Claim
from toy.maths.intervals import mean_interval, ratio_interval

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
    if not can_share(loaded, batch.ids.shape[-1]):
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


EXCHANGES = 999
POOLED = "all moduli"
"""Behind the name of the operation."""
WHOLE = Edge("modulus")


@dataclass(frozen=True)
class Measured:
    """What every edge does to n prompts."""

    total: dict[Edge, Float[Tensor, "2 n"]]
    direct: dict[Edge, Float[Tensor, "2 n"]]
    exchanged: Float[Tensor, "edges exchanges"]
    """T of every head under every exchange of answers, the first without any."""
    attention: Float[Tensor, "n layers heads"]
    """From the last token to the modulus."""
    pairs: Int[Tensor, " n"]
    """Operand pairs as numbers."""

    @property
    def heads(self) -> list[Edge]:
        return [edge for edge in self.total if edge.route == "head"]


def routing(
    loaded: LoadedModel, claims: Sequence[Claim], *, size: int, seed: int, tick: Tick = lambda count: None
) -> list[RoutingRow]:
    """Rows of every modulus that has donors, of all of them together, and of random weights beside trained ones.

    `size`: prompts a modulus; `tick` is told of forwarded prompts. No rows where fewer than three moduli are alike.
    """
    if missing := points(loaded)[1]:
        print(missing, file=sys.stderr)
    every = {claim.domain.name: list(triples(loaded, claim, claims, size, seed)) for claim in claims}
    batches = {name: some for name, some in every.items() if some}
    if alone := [name for name in every if name not in batches]:
        print(
            f"which heads route the modulus is not measured for {', '.join(alone)}: of the other moduli no two make "
            "prompts of as many tokens whose answers part at one token",
            file=sys.stderr,
        )
    models = [loaded] if loaded.weights == "random" or not batches else [loaded, randomised(loaded, seed)]
    return [row for model in models for row in rows_of(model, batches, seed, tick)]


def rows_of(
    loaded: LoadedModel, batches: Mapping[str, Sequence[Triples]], seed: int, tick: Tick = lambda count: None
) -> list[RoutingRow]:
    """Rows of one network."""
    effects_of = {name: measured(loaded, some, seed, tick) for name, some in batches.items()}
    if len(effects_of) > 1:
        effects_of[f"{next(iter(effects_of)).split()[0]}, {POOLED}"] = pooled(list(effects_of.values()))
    return [row for name, one in effects_of.items() for row in table(loaded, name, one, seed)]


def measured(loaded: LoadedModel, batches: Sequence[Triples], seed: int, tick: Tick) -> Measured:
    """One modulus."""
    total, direct = (
        concatenated(some) for some in zip(*(measure(loaded, batch, tick) for batch in batches), strict=True)
    )
    answers = torch.cat([batch.answers.cpu() for batch in batches], dim=1)
    heads = [change for edge, change in total.items() if edge.route == "head"]
    exchanged = exchanges(heads, answers[1:], torch.cat([batch.strata for batch in batches]), seed)
    ids = [row for batch in batches for row in batch.ids[0].tolist()]
    places = [[row.nonzero().flatten().tolist()] for batch in batches for row in batch.modulus.cpu()]
    return Measured(
        {edge: effects(change, answers) for edge, change in total.items()},
        {edge: effects(change, answers) for edge, change in direct.items()},
        exchanged, attention(loaded, ids, places)[0][..., 0], torch.cat([batch.pairs for batch in batches]),
    )  # fmt: skip


def concatenated(parts: Sequence[Mapping[Edge, Tensor]]) -> dict[Edge, Tensor]:
    """Prompts (second axis) one after the other, of the edges that all parts have."""
    edges = [edge for edge in parts[0] if all(edge in part for part in parts)]
    return {edge: torch.cat([part[edge] for part in parts], dim=1) for edge in edges}


def pooled(parts: Sequence[Measured]) -> Measured:
    """Several moduli as one."""
    total, direct = concatenated([part.total for part in parts]), concatenated([part.direct for part in parts])
    exchanged = torch.stack([part.exchanged for part in parts]).sum(dim=0)
    rest = (torch.cat([getattr(part, name) for part in parts]) for name in ("attention", "pairs"))
    return Measured(total, direct, exchanged, *rest)


def exchanges(
    heads: Sequence[Float[Tensor, "two n k"]], answers: Int[Tensor, "two n"], strata: Int[Tensor, " n"], seed: int
) -> Float[Tensor, "heads exchanges"]:
    """T of every head; `answers`: those of the two donors."""
    generator = torch.Generator().manual_seed(seed)
    grouped, rows = strata.argsort(stable=True), torch.arange(len(strata))
    delta, sums = torch.stack([(change[0] - change[1]).double() / 2 for change in heads]), []
    for draw in range(1 + EXCHANGES):
        order = rows
        if draw:
            shuffled = torch.randperm(len(strata), generator=generator)
            order = torch.empty_like(rows)
            order[grouped] = shuffled[strata[shuffled].argsort(stable=True)]
        one, other = answers[:, order]
        sums.append((delta[:, rows, one] - delta[:, rows, other]).sum(dim=1))
    return torch.stack(sums, dim=1)


def max_t(exchanged: Float[Tensor, "heads exchanges"]) -> Float[Tensor, " heads"]:
    """One-sided p of every head, corrected over heads."""
    spread = exchanged.std(dim=1, keepdim=True)
    # What no exchange changes is rounding.
    known = spread > 1e-9 * exchanged.abs().amax()
    scaled = torch.where(known, (exchanged - exchanged.mean(dim=1, keepdim=True)) / spread, 0.0)
    return (scaled.amax(dim=0) >= scaled[:, :1] - 1e-9).double().mean(dim=1)


def table(loaded: LoadedModel, name: str, measured: Measured, seed: int) -> list[RoutingRow]:
    """The rows of one domain."""
    whole, units = measured.total[WHOLE][0], measured.pairs.unique(return_inverse=True)[1]
    p = dict(zip(measured.heads, max_t(measured.exchanged).tolist(), strict=True))
    weights = measured.attention.mean(dim=0)
    # A whole that may be nothing has no shares.
    shared = mean_interval(whole, units, seed)[0] > 0
    rows = []
    for edge, (total, other) in measured.total.items():
        direct = measured.direct[edge][0] if shared and edge in measured.direct else None
        rows.append(
            RoutingRow(
                loaded.weights, name, *edge,
                share(total, whole) if shared else None,
                *(share_interval(total, whole, units, seed) if shared else (None, None)),
                share(other, whole) if shared else None,
                None if direct is None else share(direct, whole),
                float(total.mean()), float(whole.mean()), p.get(edge),
                float(weights[edge.layer, edge.head]) if edge in p else None, len(units),
            )
        )  # fmt: skip
    return rows


def share(part: Float[Tensor, " n"], whole: Float[Tensor, " n"]) -> float:
    """Ratio of the means."""
    return float(part.sum() / whole.sum())


def share_interval(
    part: Float[Tensor, " n"], whole: Float[Tensor, " n"], units: Int[Tensor, " n"], seed: int
) -> tuple[float, float]:
    """95 % bootstrap of the ratio over whole units."""
    low, high = ratio_interval(part, whole, units, seed)
    return 1 - high, 1 - low


def agreement(rows: pd.DataFrame) -> float | None:
    """Spearman's correlation of `total` and attention over the heads of one network and domain."""
    heads = rows.loc[rows["route"] == "head"].dropna(subset=["total", "attention"])
    return spearman(heads["total"].tolist(), heads["attention"].tolist())
