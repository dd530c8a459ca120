"""Items with too few orders: do they lie better round a circle than random words in their place would?

"C" and "C sharp" share a token that "D" has not, so no name can change places with another, and six items have only 60
orders: other orders (`order`) are no null there. Other *words* are. Every word that the items are made of gives its
place to a random one, the same in all items and templates, so that shared tokens stay shared, and the prompts go
through the same network once more (`activations.redrawn`). The statistics are those of `order`, at k = 1:

    share    of the variance between items that lies at one turn of the circle
    axes     twice that of the worse axis

each standardised at every place by its own redraws, the true words among them; with R redraws, at each place

    p = (1 + #{redraws whose largest standardised statistic over the places >= this place's own}) / (R + 1)

In a network that never learnt, rows of the embedding are exchangeable, so the true words are one more redraw and p is
exact, whatever tokens the items share: "northeast" stands between "north" and "east" by its spelling, and so does what
takes its place. In a trained network the null says what shared tokens alone produce.

Classes of a named partition (seasons, weekend) mean nothing to random words, so this null keeps none of them. That a
circle is more than its partitions then rests on the shapes (`shapes`): it has to be likelier than each as clusters.
Random words do not belong together either, as the items do without any order, so that p is not exact where related
words were learnt (six fruits, four professions): therefore no other order of the items, of those that they have, may
lie better on the circle (`best_order`). Four items have three orders, which is little protection; their second axis is
more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.geometry.code import code_gram, code_nuisances
from llm_probe.geometry.order import ORDERS, circle_scores, corrected, orders_within, standardised
from llm_probe.questions.claims import Labels

FIRST, REDRAWS, PROMISING = 199, 999, 0.02
"""Sets of random words: of the first of two stages, and of both together where the first leaves a chance (`renaming`
says why that biases no p)."""
DECIMALS = 5
"""Of the statistics: the same words in another batch of prompts differ by rounding, and count as equal."""


@dataclass(frozen=True)
class RedrawTest:
    """p of every place against random words, corrected over places."""

    p_share: Float[Tensor, " cells"]
    p_axes: Float[Tensor, " cells"]


def redraw_scores(states: Iterable[Float[Tensor, "n cells d"]], labels: Labels) -> Float[Tensor, "redraws cells two"]:
    """(share, twice that of the worse axis) of every redraw of some prompts, at every place."""
    nuisances, own = code_nuisances(labels), torch.arange(labels.period)[None]
    return torch.stack(
        [
            torch.stack([circle_scores(code_gram(place, labels, nuisances), own, 1)[:, 0] for place in one.unbind(1)])
            for one in states
        ]
    )


def redraw_test(scores: Float[Tensor, "redraws cells two"]) -> RedrawTest:
    """The test of both scores; the first row is of the true words."""
    return RedrawTest(p_redrawn(scores[..., 0]), p_redrawn(scores[..., 1]))


def p_redrawn(scores: Float[Tensor, "redraws cells"]) -> Float[Tensor, " cells"]:
    """p of every place's statistic; the first row is of the true words."""
    return corrected(standardised(scores.double().round(decimals=DECIMALS).T[:, None]))[:, 0]


def best_order(gram: Float[Tensor, "n n"], kinds: Sequence[int]) -> bool:
    """Whether no other order of the items, of those that can change places, has more of its variance on the circle."""
    n = len(gram)
    orders = orders_within((0,) * n, kinds or (0,) * n, ORDERS, torch.Generator().manual_seed(0))
    share = circle_scores(gram, orders, 1)[0].round(decimals=DECIMALS)
    return bool(share[0] >= share.max())
