"""Analogies among the items of a domain: a is to b as c is to d, with b - a = d - c steps.

Two ways to find d among all items but a, b and c, from their states x:

    parallelogram   nearest to x_b - x_a + x_c          (exact on a line; on a circle wrong unless c is near a)
    rotation        nearest angle to φ_b - φ_a + φ_c    (exact on a circle)

φ_i is the angle of item i on the domain's plane, predicted by a ridge that never saw item i, less what predicting
without any activation gives - which for a circle is the *opposite* point, and would let a random network solve all
analogies. In the parallelogram a, b, c are means over some sentences and the candidates over others.

    beaten = share of the other candidates that are farther from the prediction than d         (chance ½, perfect 1)

A rank needs its null: under renamings that an untrained network cannot notice (`nulls`) the whole is done again; the
largest layer of each gives the corrected p. `published sign` is a - b + c, what unixsysdev/grokking-fourier computes.

n items, q quadruples, G = X Yᵀ: distances to x_b - x_a + x_c are ||y_e||² - 2 (G_be - G_ae + G_ce) and a constant.
R orders of the items are scored at once, the true one first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import ReadPlan, rows, stream
from llm_probe.circuits.config import CircuitsConfig
from llm_probe.circuits.table import AnalogyRow, Method
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.prompts import statement
from llm_probe.questions.tokens import encode
from llm_probe.statistics.invariants import class_means
from llm_probe.statistics.planes import renamed_circles
from llm_probe.statistics.renaming import claim_item_kinds, corrected_p, rename, undecidable
from toy.maths.regression import Groups, RidgeSmoother, baseline_residuals

MOST = 300
"""Quadruples that are asked; where there are more they are drawn."""
PENALTY = 1.0
"""Of the ridge, relative to the median squared singular value: the middle one of `planes.PENALTIES`; none is chosen."""
SIGNS: dict[Method, tuple[int, int, int]] = {"parallelogram": (-1, 1, 1), "published sign": (1, -1, 1)}
"""Method to the signs of a, b, c."""


@dataclass(frozen=True)
class ItemStates:
    """The items of a domain at one layer."""

    first: Float[Tensor, "n d"]
    """Means over some sentences."""
    second: Float[Tensor, "n d"]
    """Means over the others."""
    prompts: Float[Tensor, "m d"]
    item: Int[Tensor, " m"]

    @staticmethod
    def of(states: Float[Tensor, "m d"], labels: Labels) -> ItemStates:
        """Centred, so that a sum of three states and one state have the same origin."""
        centred = states.double() - states.double().mean(dim=0)
        half = labels.template < (int(labels.template.max()) + 1) // 2
        first, second = (class_means(centred[part], labels.label[part], labels.period) for part in (half, ~half))
        return ItemStates(first, second, centred, labels.label)


def analogy_rows(loaded: LoadedModel, claim: Claim, config: CircuitsConfig) -> list[AnalogyRow]:
    """All layers and methods of one domain's items, over all its sentences."""
    domain, n = claim.domain, claim.period
    prompts = [statement(domain, name, index) for name in domain.statements for index in range(n)]
    encoded = encode(loaded.tokenizer, prompts)
    plan = ReadPlan(layers=tuple(range(len(loaded.layers))), positions=("item",))
    states = rows(stream(loaded, encoded, plan), len(encoded))
    labels = Labels.of(claim, prompts)
    layers = [ItemStates.of(states[:, layer], labels) for layer in range(states.shape[1])]
    kinds = [] if claim.renames_digits else claim_item_kinds(claim, loaded.tokenizer)
    renamed = rename(claim, labels, kinds, config.renamings, config.seed).total[:, :n]
    orders = torch.cat([torch.arange(n)[None], renamed])
    asked = quadruples(n, domain.cyclic, config.seed)
    decidable = undecidable(claim, kinds, config.renamings) is None
    methods: tuple[Method, ...] = ("parallelogram", "rotation", "published sign")
    found = []
    for method in methods:
        scores = torch.stack([scored(one, method, orders, asked) for one in layers])  # (layers, orders, q)
        null = scores[:, 1:].mean(dim=-1)
        p = corrected_p(scores[:, 0].mean(dim=-1), null.amax(dim=0))
        for layer, score in enumerate(scores[:, 0]):
            found.append(
                AnalogyRow(
                    loaded.weights,
                    domain.name,
                    domain.cyclic,
                    layer,
                    method,
                    float(score.mean()),
                    *jackknife(score, asked, n),
                    float((score == 1).double().mean()),
                    1 / (n - 3),
                    float(null[layer].mean()),
                    float(null.amax(dim=0).quantile(0.95)),
                    float(p[layer]) if decidable else None,
                    len(asked),
                )
            )
    return found


def quadruples(n: int, cyclic: bool, seed: int) -> Int[Tensor, "q 4"]:
    """(a, b, c, d), all different, with b - a = d - c: modulo n on a circle, without wrapping on a line."""
    a, b, c = torch.cartesian_prod(*[torch.arange(n)] * 3).T
    d = c + b - a
    d = d % n if cyclic else d
    found = torch.stack([a, b, c, d], dim=1)
    different = (found[:, :, None] == found[:, None, :]).sum(dim=(1, 2)) == 4
    found = found[different & (d >= 0) & (d < n)]
    picks = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:MOST]
    return found[picks]


def scored(
    states: ItemStates, method: Method, orders: Int[Tensor, "r n"], asked: Int[Tensor, "q 4"]
) -> Float[Tensor, "r q"]:
    """`beaten` of every quadruple under every order: `orders[r, i]` is the place of item i on the circle or line."""
    items = orders.argsort(dim=1)[:, asked]  # places to items: (r, q, 4)
    if method == "rotation":
        distance = rotated(angles(states, orders), items)
    else:
        distance = parallelogram(states.first, states.second, items, SIGNS[method])
    return beaten(distance, items)


def parallelogram(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], items: Int[Tensor, "r q 4"], signs: tuple[int, int, int]
) -> Float[Tensor, "r q n"]:
    """Squared distance of every item to the signed sum of a, b, c, up to a constant of the quadruple."""
    gram = first @ second.T
    summed = sum(sign * gram[items[..., place]] for place, sign in enumerate(signs))
    return second.square().sum(dim=1) - 2 * summed


def angles(states: ItemStates, orders: Int[Tensor, "r n"]) -> Float[Tensor, "r n"]:
    """Angle of every item on the plane of each order, from a ridge that never saw the item."""
    targets = renamed_circles(orders[:, states.item], (1,), orders.shape[1]).double()
    groups = Groups.of(states.item)
    left = RidgeSmoother.of(states.prompts).heldout_residuals(targets, groups, PENALTY)
    points = baseline_residuals(targets, groups) - left
    means = class_means(points, states.item, orders.shape[1]).unflatten(1, (-1, 2))  # (n, r, 2)
    return torch.atan2(means[..., 1], means[..., 0]).T


def rotated(angle: Float[Tensor, "r n"], items: Int[Tensor, "r q 4"]) -> Float[Tensor, "r q n"]:
    """1 - cos of the angle between every item and the prediction."""
    a, b, c = (angle.gather(1, items[..., place]) for place in range(3))
    return 1 - torch.cos(angle[:, None, :] - (b - a + c)[..., None])


def beaten(distance: Float[Tensor, "*r q n"], items: Int[Tensor, "*r q 4"]) -> Float[Tensor, "*r q"]:
    """Share of the candidates other than a, b, c and d that are farther than d; a tie counts half."""
    own = distance.gather(-1, items[..., 3:])
    worth = (distance > own).double() + 0.5 * (distance == own).double()
    worth = worth.scatter(-1, items, 0.0)
    return worth.sum(dim=-1) / (distance.shape[-1] - 4)


def jackknife(score: Float[Tensor, " q"], asked: Int[Tensor, "q 4"], n: int) -> tuple[float, float]:
    """95 % interval of the mean: one item after the other is left out, with all its quadruples."""
    left = [score[~(asked == item).any(dim=1)] for item in range(n)]
    means = np.array([float(part.mean()) for part in left if len(part)])
    half = 1.96 * float(np.sqrt((len(means) - 1) * means.var()))
    mean = float(score.mean())
    return max(0.0, mean - half), min(1.0, mean + half)
