"""Analogies among the items of a domain: a is to b as c is to d, with b - a = d - c steps.

Two ways to predict d among all items but a, b and c, from their states x:

    parallelogram   nearest to x_b - x_a + x_c          (exact on a line; on a circle wrong unless c is near a)
    rotation        nearest angle to φ_b - φ_a + φ_c    (exact on a circle)

φ_i is the angle of item i on the domain's plane, predicted by a ridge that never saw item i, less what predicting
without any activation gives - which for a circle is the *opposite* point, and would let a random network solve all
analogies. In the parallelogram a, b, c are means over some sentences and the candidates over others.

    beaten = share of the other candidates that are farther from the prediction than d         (chance ½, perfect 1)

A rank needs its null: under renamings that an untrained network cannot notice (`nulls`) the whole is done again; the
largest layer of each gives the corrected p. `published sign` is a - b + c, what unixsysdev/grokking-fourier computes.

The published fourteen quadruples of words are scored too, with their prompt (emergent_structures, commit 536610f, which
has no null). There d would often be near the top without any analogy, because d lies near c whatever a and b are. So
the null keeps (c, d) and takes (a, b) from another quadruple: p is the share of trades that do as well.

n items, q quadruples, G = X Yᵀ: distances to x_b - x_a + x_c are ||y_e||² - 2 (G_be - G_ae + G_ce) and a constant.
R orders of the items are scored at once, the true one first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import layer_states
from llm_probe.circuits.table import AnalogyRow, CircuitsConfig, Method
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import Prompt, render, statement
from llm_probe.questions.tokens import encode
from llm_probe.statistics.invariants import class_means
from llm_probe.statistics.planes import renamed_circles
from llm_probe.statistics.renaming import claim_item_kinds, corrected_p, rename, undecidable
from toy.maths.intervals import band
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals

MOST = 300
"""Quadruples that are scored; where there are more, a random sample of this size is."""
PENALTY = 1.0
"""Of the ridge, relative to the median squared singular value: the middle one of `planes.PENALTIES`; none is chosen."""
SIGNS: dict[Method, tuple[int, int, int]] = {"parallelogram": (-1, 1, 1), "published sign": (1, -1, 1)}
"""Method to the signs of a, b, c."""
METHODS: tuple[Method, ...] = ("parallelogram", "rotation", "published sign")
PUBLISHED_PROMPT = "The word '{item}' means"
PUBLISHED_QUADRUPLES = tuple(
    tuple(text.split())
    for text in (
        "king queen man woman", "brother sister boy girl", "father mother son daughter", "husband wife uncle aunt",
        "France Paris Japan Tokyo", "Germany Berlin Italy Rome", "Spain Madrid China Beijing",
        "walk walked run ran", "see saw eat ate", "go went come came", "big bigger small smaller",
        "good better bad worse", "doctor hospital teacher school", "chef kitchen pilot cockpit",
    )
)  # fmt: skip


@dataclass(frozen=True)
class ItemStates:
    """The states of a domain's items at one layer, centred so that sums of states and states have the same origin."""

    first: Float[Tensor, "n d"]
    """Means over some sentences."""
    second: Float[Tensor, "n d"]
    """Means over the others."""
    prompts: Float[Tensor, "m d"]
    item: Int[Tensor, " m"]
    """Which item each prompt names."""

    @staticmethod
    def of(states: Float[Tensor, "m d"], labels: Labels) -> ItemStates:
        """The sentences are split into halves."""
        centred = states.double() - states.double().mean(dim=0)
        half = labels.template < (int(labels.template.max()) + 1) // 2
        first, second = (class_means(centred[part], labels.label[part], labels.period) for part in (half, ~half))
        return ItemStates(first, second, centred, labels.label)


def analogy_rows(loaded: LoadedModel, claim: Claim, config: CircuitsConfig) -> list[AnalogyRow]:
    """All layers and methods of one domain's items, over all its sentences."""
    domain, n = claim.domain, claim.period
    prompts = [statement(domain, name, index) for name in domain.statements for index in range(n)]
    labels = Labels.of(claim, prompts)
    states = layer_states(loaded, encode(loaded.tokenizer, prompts), ("item",))[:, :, 0]
    layers = [ItemStates.of(layer, labels) for layer in states.unbind(dim=1)]
    kinds = [] if claim.renames_digits else claim_item_kinds(claim, loaded.tokenizer)
    renamed = rename(claim, labels, kinds, config.renamings, config.seed).total[:, :n]
    orders = torch.cat([torch.arange(n)[None], renamed])
    quadruples = item_quadruples(n, domain.cyclic, config.seed)
    testable = undecidable(claim, kinds, config.renamings) is None
    table: list[AnalogyRow] = []
    for method in METHODS:
        scores = torch.stack([score(one, method, orders, quadruples) for one in layers])  # (layers, orders, q)
        intervals = [jackknife(layer[0], quadruples, n) for layer in scores]
        table += _layer_rows((loaded.weights, domain.name, domain.cyclic), method, scores, intervals, n - 3, testable)
    return table


def word_rows(loaded: LoadedModel, config: CircuitsConfig) -> list[AnalogyRow]:
    """The published words: all layers, the right and the published sign, at the word and, as published, at the end."""
    words = sorted({word for quadruple in PUBLISHED_QUADRUPLES for word in quadruple})
    quadruples = torch.tensor([[words.index(word) for word in quadruple] for quadruple in PUBLISHED_QUADRUPLES])
    prompts = [Prompt(*render(PUBLISHED_PROMPT, {"item": word}), "published", 0, 0, 0, 0, None) for word in words]
    states = layer_states(loaded, encode(loaded.tokenizer, prompts), ("item", "last")).double()
    centred = states - states.mean(dim=0)
    items = trade_pairs(quadruples, config.renamings, config.seed)
    table: list[AnalogyRow] = []
    for position, place in enumerate(("at the word", "at the end")):
        for method, signs in SIGNS.items():
            layers = centred[:, :, position].unbind(dim=1)
            scores = torch.stack(
                [beaten(parallelogram_distance(layer, layer, items, signs), items) for layer in layers]
            )
            mean, half = band(scores[:, 0].T, torch.arange(len(quadruples)), config.seed)
            low, high = (mean - half).clamp_min(0).tolist(), (mean + half).clamp_max(1).tolist()
            where = (loaded.weights, f"published words, {place}", False)
            table += _layer_rows(where, method, scores, list(zip(low, high, strict=True)), len(words) - 3, True)
    return table


def _layer_rows(
    where: tuple[str, str, bool],
    method: Method,
    scores: Float[Tensor, "layers r q"],
    intervals: Sequence[tuple[float, float]],
    candidates: int,
    testable: bool,
) -> Iterator[AnalogyRow]:
    """One row a layer; the first of the R scores is the true one, the others are the null."""
    null = scores[:, 1:].mean(dim=-1)
    p = corrected_p(scores[:, 0].mean(dim=-1), null.amax(dim=0))
    for layer, true in enumerate(scores[:, 0]):
        yield AnalogyRow(
            *where,  # type: ignore[arg-type]
            layer,
            method,
            float(true.mean()),
            *intervals[layer],
            float((true == 1).double().mean()),
            1 / candidates,
            float(null[layer].mean()),
            float(null.amax(dim=0).quantile(0.95)),
            float(p[layer]) if testable else None,
            len(true),
        )


def item_quadruples(n: int, cyclic: bool, seed: int) -> Int[Tensor, "q 4"]:
    """(a, b, c, d), all different, with b - a = d - c: modulo n on a circle, without wrapping on a line."""
    a, b, c = torch.cartesian_prod(*[torch.arange(n)] * 3).T
    d = (c + b - a) % n if cyclic else c + b - a
    quadruples = torch.stack([a, b, c, d], dim=1)
    different = (quadruples[:, :, None] == quadruples[:, None, :]).sum(dim=(1, 2)) == 4
    quadruples = quadruples[different & (d >= 0) & (d < n)]
    return quadruples[torch.randperm(len(quadruples), generator=torch.Generator().manual_seed(seed))[:MOST]]


def trade_pairs(quadruples: Int[Tensor, "q 4"], count: int, seed: int) -> Int[Tensor, "r q 4"]:
    """The quadruples, then `count` times with their first pairs in another order, none of them where it was."""
    generator, traded = torch.Generator().manual_seed(seed), [quadruples]
    here = torch.arange(len(quadruples))
    while len(traded) <= count:
        order = torch.randperm(len(quadruples), generator=generator)
        if not (order == here).any():
            traded.append(torch.cat([quadruples[order, :2], quadruples[:, 2:]], dim=1))
    return torch.stack(traded)


def score(
    states: ItemStates, method: Method, orders: Int[Tensor, "r n"], quadruples: Int[Tensor, "q 4"]
) -> Float[Tensor, "r q"]:
    """`beaten` of every quadruple under every order: `orders[r, i]` is the place of item i on the circle or line."""
    items = orders.argsort(dim=1)[:, quadruples]  # places to items: (r, q, 4)
    if method == "rotation":
        return beaten(rotation_distance(item_angles(states, orders), items), items)
    return beaten(parallelogram_distance(states.first, states.second, items, SIGNS[method]), items)


def parallelogram_distance(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], items: Int[Tensor, "r q 4"], signs: tuple[int, int, int]
) -> Float[Tensor, "r q n"]:
    """Squared distance of every item to the signed sum of a, b, c, up to a constant of the quadruple."""
    gram = first @ second.T
    summed = sum(sign * gram[items[..., place]] for place, sign in enumerate(signs))
    return second.square().sum(dim=1) - 2 * summed


def item_angles(states: ItemStates, orders: Int[Tensor, "r n"]) -> Float[Tensor, "r n"]:
    """Angle of every item on the plane of each order, from a ridge that never saw the item."""
    targets = renamed_circles(orders[:, states.item], (1,), orders.shape[1]).double()
    groups = Groups.of(states.item)
    residuals = RidgeSmoother.of(states.prompts).heldout_residuals(targets, groups, PENALTY)
    points = baseline_residuals(targets, groups) - residuals
    means = class_means(points, states.item, orders.shape[1]).unflatten(1, (-1, 2))  # (n, r, 2)
    return torch.atan2(means[..., 1], means[..., 0]).T


def rotation_distance(angle: Float[Tensor, "r n"], items: Int[Tensor, "r q 4"]) -> Float[Tensor, "r q n"]:
    """1 - cos of the angle between every item and the prediction."""
    a, b, c = (angle.gather(1, items[..., place]) for place in range(3))
    return 1 - torch.cos(angle[:, None, :] - (b - a + c)[..., None])


def beaten(distance: Float[Tensor, "*r q n"], items: Int[Tensor, "*r q 4"]) -> Float[Tensor, "*r q"]:
    """Share of the candidates other than a, b, c and d that are farther than d; a tie counts half."""
    own = distance.gather(-1, items[..., 3:])
    worth = (distance > own).double() + 0.5 * (distance == own).double()
    return worth.scatter(-1, items, 0.0).sum(dim=-1) / (distance.shape[-1] - 4)


def jackknife(scores: Float[Tensor, " q"], quadruples: Int[Tensor, "q 4"], n: int) -> tuple[float, float]:
    """95 % interval of the mean: one item after the other is left out, with all its quadruples."""
    parts = [scores[~(quadruples == item).any(dim=1)] for item in range(n)]
    means = np.array([float(part.mean()) for part in parts if len(part)])
    half = 1.96 * float(np.sqrt((len(means) - 1) * means.var()))
    mean = float(scores.mean())
    return max(0.0, mean - half), min(1.0, mean + half)
