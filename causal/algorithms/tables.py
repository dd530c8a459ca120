"""The row types of what is asked of one circle beyond its turns: order, algorithm, mediator and dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Route = Literal["circle", "chord"]


@dataclass(frozen=True)
class AlgorithmRow:
    """One algorithm's account of how answers moved when circles of one kind were turned (`algorithm.Hypothesis`)."""

    domain: str
    """Domain whose sums were answered."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    algorithm: str
    """Algorithm that is compared: `clock`, `base-10 then reduce`, `look-up`, `mixed`."""
    kind: str
    """Circles that were turned: `modulus` or `base 10`."""
    rule: str
    """What a turn does to the answer: `step`, or for base 10 `digit` or `carry`."""
    carries: bool
    """Whether circles of this kind carry the answer under this algorithm."""
    moved: float
    """Estimated share of answers that move as predicted."""
    stayed: float
    """Estimated share of answers that stay."""
    noise: float
    """Estimated share of answers that go anywhere."""
    log_likelihood: float
    """Log-likelihood of the held-out operand pairs, both kinds of circles together."""
    below_best: float
    """How far that is below the best algorithm's."""
    verdict: str
    """The algorithm that won, or `undetermined`."""
    ratio: float
    """Log-likelihood of the likeliest pure algorithm (of `mixed`, if that won) minus that of its best rival."""
    reason: str
    """Reason of the verdict, in numbers."""
    n_pairs: int
    """Number of held-out operand pairs."""


@dataclass(frozen=True)
class OrderRow:
    """One test of whether the answers stand in an order (`causal/algorithms/order_tests.py`): planes of the answer,
    fitted to its mean states, are turned by steps of each prompt's own, and the answers that follow are counted."""

    domain: str
    """Domain whose sums were answered."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    test: str
    """`unseen answer`: turned onto an answer without whose prompts the planes were fitted; `together`: onto an answer
    that they were fitted with; `half a step`: all accepted frequencies by half a step; `k = 3 alone`: one of them."""
    moved: float
    """Probability of the answer that was turned to (half a step: of s and s + 1 together)."""
    low: float | None = None
    """Lower end of the 95 % bootstrap interval of `moved`, clustered on operand pairs."""
    high: float | None = None
    """Upper end of that interval."""
    worst: float | None = None
    """Probability of the answer that is reached least; of half a step, the smaller of P(s) and P(s + 1)."""
    control: float | None = None
    """Mean of `moved` over planes fitted to random orders of the answers, with the target that they point to."""
    control_most: float | None = None
    """Largest `moved` of such an order."""
    rank: float | None = None
    """Share of the orders, the answers' own included, that move at least as many answers."""
    planes: int = 0
    """Number of planes in the answers' own and every other order; half a step and single k turn the accepted ones."""
    orders: int = 0
    """Number of other orders."""
    n: int = 0
    """Number of prompts."""
    word: str = ""
    """What the tests together say: `circle`, `answer code` or `undetermined`."""
    reason: str = ""
    """Reason of the word, in numbers."""


@dataclass(frozen=True)
class PredictionRow:
    """One bin of the histogram of answers after a turn, observed and as every algorithm predicts it."""

    domain: str
    """Domain whose sums were answered."""
    layer: int
    """Block whose output was edited, counted from 0."""
    kind: str
    """Circles that were turned: `modulus` or `base 10`."""
    step: int
    """Units of the sum by which they were turned."""
    shift: int
    """Shift of the answer, (answer - s) mod p."""
    observed: float
    """Observed share of the answers (each weighted by its probability among the p)."""
    clock: float
    """Share that a clock predicts."""
    base_10: float
    """Share that base-10 addition followed by reduction predicts."""
    look_up: float
    """Share that a look-up predicts."""
    mixed: float
    """Share that a mixture predicts."""


@dataclass(frozen=True)
class MediatorRow:
    """The plane of a circle beside as many directions that were trained to move the answer, on the same prompts."""

    domain: str
    """Domain whose questions were answered."""
    period: int
    """Period of the circle."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    frequencies: str
    """Frequencies of the planes: the strongest, the two strongest, or all that the probe accepted."""
    dimensions: int
    """Dimensions of each of the two subspaces."""
    n: int
    """Prompts that they were judged on, each moved by one j."""
    use: str
    """`used`: moving along the circle moves the answer at least half as often as moving along the trained directions
    does, beyond both controls; `read, not used`: less than half as often, though these do move it; else
    `undetermined`."""
    moved_plane: float
    """Share of prompts whose most probable answer is j steps on after the state is moved to where that answer's states
    are on average, along the planes."""
    moved_plane_low: float
    """Lower end of its 95 % Wilson interval."""
    moved_plane_high: float
    """Upper end of that interval."""
    moved_trained: float
    """The same along the trained directions."""
    moved_random: float
    """The same along as many random directions."""
    moved_other_order: float
    """The same along the circles of the answers in another order."""
    right_without_plane: float
    """Share of right answers when nothing varies along the planes."""
    right_without_trained: float
    """The same without the trained directions."""
    right_without_random: float
    """The same without random directions."""
    angle: float
    """Largest principal angle between planes and trained directions at the prompt's last token, in radians."""
    angle_by_chance: float
    """What 5 % of random subspaces of this size stay below."""


@dataclass(frozen=True)
class DoseRow:
    """A circle turned part of the way to another answer, along the circle or along the straight line between both."""

    domain: str
    """Domain whose questions were answered."""
    period: int
    """Period of the circle."""
    layer: int
    """Block whose output was edited, counted from 0."""
    site: str
    """Site of the block that was edited."""
    position: str
    """Tokens that were edited: `last` or `answer`."""
    route: Route
    """`circle`: every plane turned by its own angle; `chord`: the straight line to where that turn ends."""
    j: int
    """Steps to the answer at the end of the path."""
    steps: float
    """Steps turned; on the chord the same share of the way."""
    n: int
    """Number of prompts."""
    own: float
    """Mean probability of the prompt's right answer, among the possible ones."""
    between: float
    """Mean probability of the answers that lie between it and the end."""
    end: float
    """Mean probability of the answer at the end."""
    kl_predicted: float
    """Mean KL divergence, in nats, of the measured distribution from the clean one moved on by so many steps (its
    logarithm as a Fourier series of the answer)."""
    kl_unmoved: float
    """The same from the clean distribution as it was: how far the answers changed at all."""
