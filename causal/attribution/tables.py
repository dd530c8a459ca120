"""The row types of the attribution and routing tables; the docstring of a field is the description of its column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm_probe.run.vocabulary import Weights

Route = Literal["head", "layer", "straight", "through", "modulus"]
Destination = Literal["last", "between"]


@dataclass(frozen=True)
class AttributionRow:
    """What one component at one position does to the answer."""

    domain: str
    """Domain whose questions were answered."""
    layer: int
    """Block of the component, counted from 0."""
    component: str
    """`head` or `mlp`."""
    head: int | None
    """Number of the head, counted from 0; empty for an MLP."""
    position: str
    """`item`, `offset`: the operands' last tokens; `last`: the token at which the prompt's own and the donor's answer
    part, which is the prompt's last or the last of what both answers begin with."""
    screen: float
    """Change of the logit difference (donor's answer minus own) by integrated gradients, mean over prompts."""
    first_order: float
    """Change of the logit difference by the gradient at the prompt alone."""
    exact: float | None
    """Measured change of it when this component's output is the donor's; empty where it was not measured."""
    exact_low: float | None
    """Lower end of the 95 % bootstrap interval of `exact`, clustered on operand pairs."""
    exact_high: float | None
    """Upper end of that interval."""
    drawn: str
    """`top`: among the largest of the screen; `random`: sampled among the others; `not measured`."""
    whole: float
    """Change of the logit difference when the whole prompt is the donor's."""
    plane_share: float | None
    """At the prompt's last token, up to the planes' block: share of the variance of the circle's coordinates that this
    component writes; the shares of all components and the embedding sum to 1. Empty elsewhere."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class AgreementRow:
    """Whether the screen is right where the exact effect was measured."""

    domain: str
    """Domain whose questions were answered."""
    among: str
    """Which components were compared: `top`, `random` or `both`."""
    n: int
    """Number of components."""
    spearman: float | None
    """Rank correlation of screen and exact effect; empty below three components."""
    first_order: float | None
    """Rank correlation of first-order and exact effect."""
    largest: float
    """Largest |exact|: that of `random` should be below that of `top`."""


@dataclass(frozen=True)
class PlaneLogitRow:
    """How much of the right answer's logit comes directly from the planes."""

    domain: str
    """Domain whose circle the planes hold."""
    layer: int
    """Block whose output holds the planes, counted from 0."""
    direction: str
    """Name of the planes."""
    margin: float
    """Right answer's logit minus the mean of all answers' (first tokens), mean over prompts."""
    planes: float
    """Part of the margin that the planes write."""
    share: float
    """Share of the margin that the planes write: planes / margin."""
    share_low: float
    """Lower end of the 95 % bootstrap interval of the share, clustered on operand pairs."""
    share_high: float
    """Upper end of that interval."""
    matched: float
    """Mean share of bases of equal removed variance, orthogonal to the planes."""
    matched_high: float
    """Largest share of such a basis."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class RoutingRow:
    """One way from the modulus' tokens to the answer: what comes along it when they are those of another modulus."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly initialised weights."""
    domain: str
    """Domain whose questions were answered; `mod-add, all moduli`: those of all moduli together."""
    route: Route
    """`head`, `layer`: one head, or all of a block, read the donor's modulus; `straight`: all that the last token reads
    of the modulus itself, in every block; `through`: all that it reads of the tokens between; `modulus`: both."""
    layer: int | None
    """Block that reads, counted from 0; empty for all."""
    head: int | None
    """Head that reads, counted from 0; empty for all."""
    destination: Destination
    """Tokens that read: `last`, that at which the answers part; `between`, every one from the modulus up to it."""
    total: float | None
    """Change of the logit difference (donor's answer minus own) as a share of `whole`, with the blocks behind reacting;
    empty if the 95 % interval of `whole` reaches down to 0."""
    total_low: float | None
    """Lower end of the 95 % bootstrap interval of `total`, clustered on operand pairs."""
    total_high: float | None
    """Upper end of that interval."""
    other: float | None
    """Share when the modulus is a third one and the logit difference unchanged: what breaking the prompt does."""
    direct: float | None
    """`total` with everything behind the head frozen, straight to the logits; empty where it cannot be read."""
    change: float
    """`total` in nats instead of as a share."""
    whole: float
    """Change of the logit difference when the whole prompt is the donor's, nats."""
    p: float | None
    """One-sided, that what the head sends moves to this prompt's answers (`total` - `other`) no more than to those of
    other operands under the same moduli: answers exchanged, corrected over heads (max-T). Empty for other routes."""
    attention: float | None
    """Mean attention of the head from the last token to the modulus; empty for other routes and destinations."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class NeuronRow:
    """The neurons that decide the sums of one domain, held while the questions of a domain are asked."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly initialised weights."""
    held: str
    """Domain whose most important neurons are held at their means (`causal/attribution/neurons.py`)."""
    domain: str
    """Domain whose questions are asked meanwhile."""
    neurons: int
    """Number of neurons that are held."""
    blocks: str
    """How many of them lie in each block, from the first block on."""
    matched_written: float
    """What the matched sets write (standard deviation times the length of a neuron's row), as a share of what these
    neurons write: below 1 where no others write as much."""
    overlap: float
    """Share of them that are also among the most important of the domain that is asked."""
    overlap_by_chance: float
    """The same share of the matched sets: other neurons of the same blocks, the nearest by what they write."""
    accuracy_before: float
    """Share of right answers (exact match) without anything held."""
    accuracy: float
    """Share of right answers while the neurons are held."""
    matched: float
    """Share of right answers while a matched set is held, mean over sets."""
    matched_low: float
    """The lowest share of right answers under any matched set."""
    p: float
    """Rank of `accuracy` among the matched sets, one-sided: small where these neurons cost more than others do."""
    n: int
    """Number of questions."""
    draws: int
    """Number of matched sets."""
