"""The geometry of one claim's code: what the tests of `llm_probe.geometry` say at every place, and at the judged one.

Discovery and confirmation prompts are taken together: nothing is fitted here that could be tested on them again, each
test is corrected for its own search over places and frequencies, and the place itself was chosen on discovery prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.geometry.code import code_gram, code_nuisances
from llm_probe.geometry.integer import integer_code, repeats
from llm_probe.geometry.order import OrderTest, divisor_partitions, order_test
from llm_probe.geometry.shapes import Family, shapes
from llm_probe.questions.claims import Claim, Labels
from llm_probe.run.vocabulary import ALPHA, OrderNull
from llm_probe.statistics.dimensions import adjusted_states
from llm_probe.statistics.planes import shows_circle

HARMONICS = (1, 2, 3)
"""Of a closed ring of items that is not evenly curved."""


@dataclass(frozen=True)
class Geometry:
    """What is known of the shape of a code, at the place and frequency that are judged."""

    share: float
    """Of the variance between labels that lies at the frequency, in [0, 1]."""
    p_order: float
    """Other orders of the labels, beyond each partition; corrected over places and frequencies."""
    p_axes: float
    """The same of the worse axis of the plane."""
    hardest: str
    """The partition that is hardest to tell from a circle; empty where there is none."""
    p_shape: float
    """Of the likeliest shape of any kind under other orders."""
    rival: Family
    """The likeliest family that is no circle."""
    rival_name: str
    ratio: float
    """Log likelihood ratio of the circle to the rival, nats."""
    least_p_order: float = 0.0
    """The smallest `p_order` that a perfect circle of so many labels can have."""
    ring_ratio: float | None = None
    """Items: the same of a closed ring of any curvature. It is no evidence for a circle; but a rival that is no better
    refutes none."""
    families: int = 1
    """Families of shapes that are no circle, of which `rival` is the likeliest."""
    p_repeats: float | None = None
    """Sums that begin with a word: that the integer's code repeats with the period; None where too few occur."""
    p_integer: float | None = None
    """Sums: that integers of one residue differ."""
    integer_alone: bool = True
    """Whether that shows anything by itself: not of sums of numbers (`geometry.integer`), whose period has to be read,
    and one of the integer to stand out."""
    periods: tuple[float, ...] = ()
    """Sums: the periods of the integer that stand out, largest share first."""
    null: OrderNull = "orders"
    """What a circle is compared with: other orders, or where items have too few, random words (`geometry.redrawn`)."""
    p_redrawn: float | None = None
    """Random words in the place of the items' own; corrected over places. None where it was not asked, because
    something else that a circle needs was not passed."""
    p_redrawn_axes: float | None = None
    """The same of the worse axis of the plane."""


def both(labels: Labels, more: Labels) -> Labels:
    """Discovery and confirmation prompts as one: where their templates differ they stay apart."""
    names = ("label", "total", "first", "offset")
    joint = {name: torch.cat([getattr(labels, name), getattr(more, name)]) for name in names}
    template = torch.cat([labels.template, more.template + int(labels.template.max()) + 1])
    return replace(labels, template=template, **joint)


@dataclass(frozen=True)
class Code:
    """What the labels' vectors are at every place, and which orders they are compared with."""

    grams: Sequence[Float[Tensor, "labels labels"]]
    """One for each place."""
    frequencies: tuple[int, ...]
    """Those that can show a circle (`statistics.planes.shows_circle`)."""
    partitions: Mapping[str, Sequence[int]]
    kinds: tuple[int, ...]
    """Which items can change places; empty where all labels can."""
    seed: int

    @staticmethod
    def of(claim: Claim, states: Float[Tensor, "n cells d"], labels: Labels, kinds: Sequence[int], seed: int) -> Code:
        """The code of a claim; `kinds` of its items, which for sums do not matter."""
        is_sum = claim.quantity == "sum"
        able = shows_circle(claim.tested_frequencies, labels).tolist()
        nuisances = code_nuisances(labels)
        return Code(
            [code_gram(place, labels, nuisances) for place in states.unbind(dim=1)],
            tuple(itertools.compress(claim.tested_frequencies, able)),
            dict(claim.domain.partitions) | (divisor_partitions(claim.period) if is_sum else {}),
            () if is_sum else tuple(kinds),
            seed,
        )

    def order(self) -> OrderTest:
        """The test of order at every place and frequency."""
        return order_test(self.grams, self.frequencies, self.partitions, self.kinds, self.seed)


def geometry_of(
    claim: Claim, states: Float[Tensor, "n cells d"], labels: Labels, code: Code, cell: int, frequency: int
) -> Geometry:
    """All tests of one claim. Where the judged frequency leaves several labels on one point there is no order to test
    (p 1), and the shapes are those of the labels' own order.

    `states`, `labels`: of discovery and confirmation prompts.
    """
    test, column = code.order(), None
    if frequency in code.frequencies:
        column = code.frequencies.index(frequency)
    is_item, tried = claim.quantity == "item", 1 if column is None else frequency
    several = [k for k, p in zip(code.frequencies, test.p_order[cell].tolist(), strict=True) if p <= ALPHA]
    if is_item:
        several = [k for k in HARMONICS if 2 * k <= claim.period]
    shape = shapes(code.grams[cell], tried, code.frequencies, code.partitions, code.kinds, code.seed, several)
    share, p_order, p_axes = (
        1.0 if column is None else float(table[cell, column]) for table in (test.share, test.p_order, test.p_axes)
    )
    result = Geometry(
        share=share,
        p_order=p_order,
        p_axes=p_axes,
        hardest=test.hardest[cell],
        p_shape=shape.p,
        rival=shape.rival,
        rival_name=shape.name,
        ratio=shape.ratio if is_item else shape.together,
        least_p_order=test.least,
        ring_ratio=shape.together if is_item else None,
        families=shape.families,
    )
    if is_item:
        return result
    responses = adjusted_states(states, labels)
    integer = integer_code(responses, labels, code.seed)
    return replace(
        result,
        p_repeats=None if claim.adds_numbers else repeats(responses, labels, code.frequencies, code.seed),
        p_integer=integer.p,
        integer_alone=not claim.adds_numbers,
        periods=integer.periods,
    )
