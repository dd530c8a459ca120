"""Which heads route the modulus: does the answer follow what a head reads of the modulus' tokens?

Attention says where a head may read from, not that the answer depends on it; and what the answer depends on may come
from heads that look elsewhere. `routing_edges` puts another modulus into single heads. As rows:

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from causal.attribution.components import points
from causal.attribution.donors import Triples, triples
from causal.attribution.routing_edges import Edge, effects, measure
from causal.attribution.tables import RoutingRow
from causal.experiments.experiment import Tick
from llm_probe.circuits.attention import attention
from llm_probe.models.loading import LoadedModel, randomised
from llm_probe.questions.claims import Claim
from toy.maths.intervals import mean_interval, ratio_interval

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
    if len(heads) < 3 or min(heads["total"].nunique(), heads["attention"].nunique()) < 2:
        return None
    return float(heads["total"].corr(heads["attention"], method="spearman"))
