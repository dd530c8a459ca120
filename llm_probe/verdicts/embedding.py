"""Is the circle already in the token embedding, before any block has run?

A circle of months follows from which words stand beside which, and an embedding may hold it (Karkada et al. 2026):
what is read behind a block may then be handed on, not computed. So the embedding, layer -1, is searched as the blocks
are - held-out ridge from its d numbers to the circle, largest over frequencies and penalties, renamed labels as its
null - but in a search of its own: it takes no part in the choice of the plane that is judged, and no correction of that
plane pays for it.

    origin   embedding   the embedding has a plane that beats renamed labels too (p <= ALPHA)
             blocks      it has none, but a block has

A sum is in no token's embedding, and at the last token that is the same for every prompt of a template: where a sum is
shown, the blocks computed it. A state of many tokens is read at the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llm_probe.activations.streaming import States
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.vocabulary import ALPHA, EMBEDDING, Origin, Quantity, Weights
from llm_probe.statistics import planes
from llm_probe.statistics.renaming import Renamed
from llm_probe.verdicts.rows import SearchedPlanes, circle_rows, plane_rows
from toy.maths.regression import RidgeSmoother


@dataclass(frozen=True)
class EmbeddingPlane:
    """The best plane of the token embedding, on discovery prompts."""

    r2: float
    """Held out by item."""
    p_renaming: float
    """Of `r2` under the renaming null, corrected over what was searched in the embedding."""
    angle_error: float
    """Median held-out |angle error|, radians."""


SHARED = EmbeddingPlane(r2=0.0, p_renaming=1.0, angle_error=math.pi / 2)
"""What an embedding is that does not tell the items apart."""


def apart(states: States) -> tuple[States, States | None]:
    """The states behind the blocks, and those of the embedding (which stand first), if it was read."""
    first = sum(layer == EMBEDDING for layer, *_ in states.cells)
    return _between(states, first, len(states.cells)), _between(states, 0, first) if first else None


def _between(states: States, start: int, stop: int) -> States:
    """Some neighbouring cells, without a copy of their states."""
    means = states.class_means
    return States(
        states.cells[start:stop],
        states.discovery[:, start:stop],
        states.confirmation[:, start:stop],
        None if means is None else means[start:stop],
    )


def search(
    claim: Claim, weights: Weights, states: States | None, labels: Labels, renamed: Renamed
) -> tuple[EmbeddingPlane | None, Mapping[str, Sequence[Any]]]:
    """The embedding's best plane (None for sums, and where it was not read), and its rows by table."""
    if states is None:
        return None, {"r2_table": [], "circles": []}
    if not _tells_apart(states.discovery, labels.template):
        return None if claim.quantity == "sum" else SHARED, {"r2_table": [], "circles": []}
    smoothers = [RidgeSmoother.of(cell) for cell in states.discovery.unbind(dim=1)]
    result = planes.search(smoothers, labels, renamed, claim.tested_frequencies)
    searched = SearchedPlanes(claim, weights, states, labels, result)
    rows = {"r2_table": list(plane_rows(searched)), "circles": list(circle_rows(searched))}
    if claim.quantity == "sum":
        return None, rows
    cell, column = divmod(int(result.r2.argmax()), result.r2.shape[1])
    best = (float(table[cell, column]) for table in (result.r2, result.p_renaming, result.angle_error))
    return EmbeddingPlane(*best), rows


def _tells_apart(states: Float[Tensor, "n cells d"], template: Int[Tensor, " n"]) -> bool:
    """Whether prompts of one template differ at all; "first grade", "second grade", … end in one token, from which
    nothing can be read but rounding."""
    first = torch.stack([(template == one).nonzero()[0, 0] for one in range(int(template.max()) + 1)])
    return bool((states != states[first[template]]).any())


def origin(quantity: Quantity, p_fwer: float, embedding: EmbeddingPlane | None) -> Origin | None:
    """Where a claim's plane comes from; None where none was shown, or an item's embedding was not read."""
    if p_fwer > ALPHA or (quantity == "item" and embedding is None):
        return None
    return "embedding" if embedding is not None and embedding.p_renaming <= ALPHA else "blocks"
